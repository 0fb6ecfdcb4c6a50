"""The recordings of a comparison: finding them, their kind, and the part that is used."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import is_audio_name, open_audio, read_frames
from ncodec.errors import ArgumentError, BadFileError, NcodecError

log = logging.getLogger("ncodec")

KINDS = ("speech", "music", "sound")


@dataclass(frozen=True)
class Source:
    """A recording.

    Attributes:
        path: of the file.
        name: unique among the recordings of a run.
        kind: `speech`, `music`, `sound`, or `other` where nothing tells.
        seconds: how much of it is used, from its beginning.
    """

    path: Path
    name: str
    kind: str
    seconds: float

    def read(self) -> tuple[NDArray[np.float32], int]:
        """Return samples `[C, T]` and the rate in Hz.

        Raises:
            BadFileError: the file cannot be decoded or is empty.
        """
        with closing(open_audio(self.path, with_tags=False)) as reader:
            rate = reader.sample_rate
            samples = read_frames(reader, round(self.seconds * rate))
        if samples.shape[1] == 0:
            raise BadFileError(f"{self.path}: holds no sound")
        return samples, rate

    def digest(self) -> str:
        """Return a digest of the samples that are used."""
        samples, rate = self.read()
        return hashlib.sha256(samples.tobytes() + str((rate, samples.shape)).encode()).hexdigest()


def find_sources(paths: Sequence[Path], seconds: float = 10.0) -> list[Source]:
    """Return the recordings among files and, at any depth, in folders, speech first.

    Hidden files are passed over, and files in folders that cannot be opened named in a warning.

    Raises:
        ArgumentError: a path is missing, or there is no recording at all.
        BadFileError: a file that is named itself cannot be read.
    """
    found = list[Path]()
    for path in paths:
        if path.is_dir():
            found += [p for p in sorted(path.rglob("*")) if is_audio_name(p) and _opens(p)]
        elif path.exists():
            open_audio(path, with_tags=False).close()
            found.append(path)
        else:
            raise ArgumentError(f"{path}: no such file or folder")
    if not found:
        raise ArgumentError(f"no recordings in {', '.join(map(str, paths))}")
    unique = list(dict.fromkeys(p.resolve() for p in found))
    named = zip(unique, _unique_names(unique), strict=True)
    sources = [Source(path, name, kind_of(path), seconds) for path, name in named]
    return sorted(sources, key=lambda source: [*KINDS, "other"].index(source.kind))


def _opens(path: Path) -> bool:
    try:
        open_audio(path, with_tags=False).close()
    except (NcodecError, OSError) as error:
        text = str(error)
        log.warning("%s: left out", text if str(path) in text else f"{path}: {text}")
        return False
    return True


def kind_of(path: Path) -> str:
    """Tell speech, music or sound from the first word of the file's or a folder's name."""
    for part in (path.stem, *(parent.name for parent in path.parents)):
        first = re.split(r"[^a-z]", part.lower(), maxsplit=1)[0]
        if first in KINDS:
            return first
    return "other"


def _unique_names(paths: Sequence[Path]) -> list[str]:
    names = [p.stem for p in paths]
    depth = 1
    while len(set(names)) < len(names) and depth < 10:
        depth += 1
        names = ["/".join([*p.parts[-depth:-1], p.stem]) for p in paths]
    return names if len(set(names)) == len(names) else [str(p) for p in paths]

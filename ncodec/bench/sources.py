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

from ncodec.audio import open_audio, read_frames
from ncodec.datasets import Entry, entries
from ncodec.errors import ArgumentError, BadFileError, NcodecError, in_words

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
        level_db: RMS that it is brought to, in dB full scale; None: its own.
    """

    path: Path
    name: str
    kind: str
    seconds: float
    level_db: float | None = None

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
        return self._levelled(samples), rate

    def _levelled(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring samples to the level; peaks beyond full scale are clipped, silence stays."""
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        if self.level_db is None or power == 0:
            return samples
        gain = 10 ** (self.level_db / 20) / power**0.5
        return np.clip(samples * np.float32(gain), -1, 1)

    def digest(self) -> str:
        """Return a digest of the samples that are used."""
        samples, rate = self.read()
        return hashlib.sha256(samples.tobytes() + str((rate, samples.shape)).encode()).hexdigest()


def find_sources(
    paths: Sequence[Path],
    seconds: float = 10.0,
    left_out: list[str] | None = None,
    level_db: float | None = None,
) -> list[Source]:
    """Return the recordings among files, manifests and, at any depth, in folders, speech first.

    They are named as for `ncodec.datasets.entries`; a manifest's `name` is that of the recording.
    What cannot be read in folders and manifests is named in a warning and in `left_out`, and the
    rest is measured.

    Raises:
        ArgumentError: a path is missing, or there is no recording at all.
        BadFileError: a file that is named itself cannot be read.
    """
    listed = [entry for path in paths for entry in _entries(path, left_out)]
    unique = list({path.resolve(): (path.resolve(), *told) for path, *told in listed}.values())
    if not unique:
        raise ArgumentError(f"no recordings in {', '.join(map(str, paths))}")
    names = _unique_names([path for path, *_ in unique])
    sources = [
        Source(path, given or name, kind or kind_of(path), seconds, level_db)
        for (path, kind, given), name in zip(unique, names, strict=True)
    ]
    return sorted(sources, key=lambda s: KINDS.index(s.kind) if s.kind in KINDS else len(KINDS))


def _entries(path: Path, left_out: list[str] | None) -> list[tuple[Path, str, str]]:
    """Return paths, kinds and names, these two empty where nothing gives them."""
    found = entries(path)
    if found == [Entry(path.expanduser())]:
        open_audio(found[0].path, with_tags=False).close()
    return [
        (entry.path, entry.kind, entry.labels.get("name", ""))
        for entry in found
        if _opens(entry.path, left_out)
    ]


def _opens(path: Path, left_out: list[str] | None) -> bool:
    try:
        open_audio(path, with_tags=False).close()
    except (NcodecError, OSError) as error:
        text = in_words(error)
        text = text if str(path) in text else f"{path}: {text}"
        log.warning("%s: left out", text)
        if left_out is not None:
            left_out.append(text)
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

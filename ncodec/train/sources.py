"""Which files a run hears: folders, lists, manifests; what is held out; what is broken."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ncodec.audio import is_audio_name, measure_audio, needs_ffmpeg
from ncodec.errors import ArgumentError, NcodecError
from ncodec.train.config import home

log = logging.getLogger("ncodec")


@dataclass(frozen=True)
class Clip:
    """An audio file: `kind` from a manifest ("" elsewhere), `seconds` long."""

    path: Path
    kind: str
    seconds: float


def find_clips(
    sources: Sequence[str | Path], exclude: str | Path | None = None
) -> tuple[Clip, ...]:
    """Return all clips that can be opened; the others are named in a warning.

    Args:
        sources: Folders (searched to the bottom), audio files, `.txt` lists (a path a line) and
            `.csv` manifests (column `path`, relative to the file's folder; perhaps `kind`); `~` is
            the home folder.
        exclude: A list or manifest of held-out files, compared by the last two parts of the path.

    Raises:
        ArgumentError: A source does not exist, a manifest has no column `path`, or nothing is left.
    """
    held = {_tail(path) for path, _ in _entries(home(exclude))} if exclude else set[str]()
    clips: list[Clip] = []
    for path, kind in (entry for source in sources for entry in _entries(home(source))):
        if _tail(path) in held:
            continue
        try:
            info = measure_audio(path)
        except (NcodecError, OSError) as error:
            log.warning("%s: skipped: %s", path, error)
            continue
        if info.samples > 0:
            clips.append(Clip(path, kind, info.seconds))
        else:
            log.warning("%s: skipped: it holds no sample", path)
    if not clips:
        raise ArgumentError(f"no audio in {', '.join(map(str, sources)) or 'an empty list'}")
    return tuple(clips)


def describe(clips: Sequence[Clip]) -> str:
    """Say how many recordings there are, and the minutes of each kind."""
    minutes = dict.fromkeys(sorted({clip.kind for clip in clips}), 0.0)
    for clip in clips:
        minutes[clip.kind] += clip.seconds / 60
    text = f"{len(clips)} recordings, {sum(minutes.values()):.1f} min"
    if set(minutes) == {""}:
        return text
    kinds = ", ".join(f"{kind or 'of no kind'} {length:.1f}" for kind, length in minutes.items())
    return f"{text} ({kinds})"


def _tail(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _entries(source: Path) -> Iterable[tuple[Path, str]]:
    if source.is_dir():
        files = sorted(filter(is_audio_name, source.rglob("*")))
        foreign = [path for path in files if needs_ffmpeg(path)]
        if foreign:
            log.warning(
                "%s: %d files left out, such as %s: training wants WAV, FLAC, Ogg, MP3 or AIFF",
                source, len(foreign), foreign[0].name,
            )  # fmt: skip
        return [(path, "") for path in files if not needs_ffmpeg(path)]
    if not source.is_file():
        raise ArgumentError(f"{source}: no such file or folder")
    if source.suffix == ".csv":
        with source.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if rows and "path" not in rows[0]:
            raise ArgumentError(f"{source}: a manifest needs a column `path`")
        return [(source.parent / home(row["path"]), row.get("kind") or "") for row in rows]
    if source.suffix == ".txt":
        lines = source.read_text(encoding="utf-8").splitlines()
        return [(source.parent / home(line.strip()), "") for line in lines if line.strip()]
    return [(source, "")]

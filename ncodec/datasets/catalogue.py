"""Which recordings there are: folders, lists, manifests; what is held out; what is broken.

What was measured of a file is kept in the cache folder, so that the next start need not open it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from ncodec.audio import ffmpeg_is_here, is_audio_name, measure_audio, needs_ffmpeg
from ncodec.checkpoints.cache import cache_folder
from ncodec.errors import ArgumentError, NcodecError, counted, in_words
from ncodec.files import atomic_output

log = logging.getLogger("ncodec")


class Entry(NamedTuple):
    """A file as a source names it, not yet opened; `labels` are a manifest's other columns."""

    path: Path
    kind: str = ""
    labels: Mapping[str, str] = {}


@dataclass(frozen=True)
class Clip:
    """A recording.

    Attributes:
        path: Of the file.
        kind: From a manifest; "" where it names none.
        samples: Its length, in samples a channel.
        rate: In Hz.
        channels: Their number.
        labels: The manifest's other columns.
    """

    path: Path
    kind: str
    samples: int
    rate: int
    channels: int = 1
    labels: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return self.samples / self.rate


def find_clips(
    sources: Sequence[str | Path], exclude: str | Path | None = None
) -> tuple[Clip, ...]:
    """Return all recordings that can be opened; the others are named in a warning.

    Args:
        sources: As for `entries`. Of folders, files that only ffmpeg reads are left out where it is
            not there; a warning says that it is slow to begin in the middle of one.
        exclude: A list or manifest of held-out files, compared by the last two parts of the path.

    Raises:
        ArgumentError: A source does not exist, a manifest is wrong, or nothing is left.
    """
    if not sources:
        raise ArgumentError("no sources: name folders, audio files, lists or manifests of them")
    held = {_tail(entry.path) for entry in entries(exclude)} if exclude else set[str]()
    clips: list[Clip] = []
    for source in sources:
        with _Measured(source) as measured:
            for entry in _quick(source):
                if _tail(entry.path) in held:
                    continue
                try:
                    found = measured.of(entry.path)
                except (NcodecError, OSError) as error:
                    reason = in_words(error).removeprefix(f"{entry.path}: ")
                    log.warning("%s: skipped: %s", entry.path, reason)
                    continue
                clips.append(Clip(entry.path, entry.kind, **found, labels=entry.labels))
    if not clips:
        raise ArgumentError(f"no audio in {', '.join(map(str, sources))}")
    return tuple(clips)


def describe(clips: Sequence[Clip]) -> str:
    """Say how many recordings there are, and the minutes of each kind."""
    minutes = dict.fromkeys(sorted({clip.kind for clip in clips}), 0.0)
    for clip in clips:
        minutes[clip.kind] += clip.seconds / 60
    text = f"{counted(len(clips), 'recording')}, {sum(minutes.values()):.1f} min"
    if set(minutes) == {""}:
        return text
    kinds = ", ".join(f"{kind or 'of no kind'} {length:.1f}" for kind, length in minutes.items())
    return f"{text} ({kinds})"


def _tail(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _quick(source: str | Path) -> Sequence[Entry]:
    found = entries(source)
    if not Path(source).expanduser().is_dir():
        return found
    foreign = [entry.path for entry in found if needs_ffmpeg(entry.path)]
    if foreign:
        here = ffmpeg_is_here()
        told = "left out: ffmpeg, which would read them, is not on the PATH"
        if here:
            told = "read by way of ffmpeg: slow; FLAC is quick"
        count = counted(len(foreign), "file")
        log.warning("%s: %s, such as %s, %s", source, count, foreign[0].name, told)
        if not here:
            return [entry for entry in found if not needs_ffmpeg(entry.path)]
    return found


def entries(source: str | Path) -> list[Entry]:
    """Return the files that a source names, in order.

    Args:
        source: A folder (searched to the bottom for endings of audio; hidden files are passed
            over), an audio file, a `.txt` list (a path a line), or a manifest: `.csv` with a column
            `path`, `.jsonl` with an object a line. Besides `path`, relative to the manifest's
            folder, a manifest may have `kind` and other labels. `~` is the home folder.

    Raises:
        ArgumentError: It does not exist, or a manifest is wrong.
    """
    source = Path(source).expanduser()
    if source.is_dir():
        files = (path for path in source.rglob("*") if is_audio_name(path) and path.is_file())
        return [Entry(path) for path in sorted(files)]
    if not source.is_file():
        raise ArgumentError(f"{source}: no such file or folder")
    reader = {".csv": _csv_rows, ".jsonl": _json_rows, ".txt": _lines}.get(source.suffix.lower())
    if reader is None:
        return [Entry(source)]
    try:
        return [_entry(source, number, row) for number, row in reader(source)]
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{source}: not a text in UTF-8: {error}") from None


Row = tuple[int, Mapping[str, Any]]  # the line's number, and what it says


def _entry(source: Path, number: int, row: Mapping[str, Any]) -> Entry:
    path = row.get("path")
    if not isinstance(path, str) or not path:
        raise ArgumentError(f"{source}, line {number}: needs a `path`, not {path!r}")
    others = {k: str(v) for k, v in row.items() if k not in ("path", "kind") and v is not None}
    return Entry(source.parent / Path(path).expanduser(), str(row.get("kind") or ""), others)


def _csv_rows(source: Path) -> Iterator[Row]:
    with source.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin with a mark
        reader = csv.DictReader(file, restval=None)
        if "path" not in (reader.fieldnames or ["path"]):
            raise ArgumentError(f"{source}: a manifest needs a column `path`")
        for row in reader:
            yield reader.line_num, {k: v for k, v in row.items() if isinstance(k, str)}


def _json_rows(source: Path) -> Iterator[Row]:
    for number, line in enumerate(source.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ArgumentError(f"{source}, line {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise ArgumentError(f"{source}, line {number}: must be an object, not {row!r}")
        yield number, cast("dict[str, Any]", row)


def _lines(source: Path) -> Iterator[Row]:
    for number, line in enumerate(source.read_text(encoding="utf-8-sig").split("\n"), 1):
        if line.strip():
            yield number, {"path": line.strip()}


class _Measured:
    """What is known of the files of a source, kept by their size and time of change."""

    _FORM = 1  # of what is kept; another is measured anew

    def __init__(self, source: str | Path) -> None:
        name = str(Path(source).expanduser().absolute())
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._file = cache_folder() / "recordings" / f"{digest}.json"
        self._kept: dict[str, Any] = {}
        self._used: dict[str, Any] = {}

    def __enter__(self) -> _Measured:
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            content = json.loads(self._file.read_text(encoding="utf-8"))
            if content["form"] == self._FORM:
                self._kept = dict(content["files"])
        return self

    def __exit__(self, *_: object) -> None:
        """Keep what was used; a cache that cannot be written is none."""
        if self._used == self._kept:
            return
        with suppress(OSError, NcodecError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_output(self._file, force=True) as file:
                file.write(json.dumps({"form": self._FORM, "files": self._used}).encode())

    def of(self, path: Path) -> dict[str, Any]:
        """Return a clip's measures.

        Raises:
            NcodecError: It cannot be read as audio, or holds nothing.
            OSError: It cannot be opened.
        """
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        name = str(path.absolute())
        kept = self._kept.get(name)
        if not isinstance(kept, list) or kept[:1] != [stamp]:
            kept = [stamp, _measure(path)]
        self._used[name] = kept
        return cast("dict[str, Any]", kept[1])


def _measure(path: Path) -> dict[str, int]:
    info = measure_audio(path)
    if not info.samples:
        raise ArgumentError("it holds no sample")
    return {"samples": info.samples, "rate": info.sample_rate, "channels": info.channels}

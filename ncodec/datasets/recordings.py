"""Recordings wherever they lie: in files, in tar shards of WebDataset, in rows of Parquet.

What tells where one lies is plain data, which goes to other processes and into a manifest.
"""

from __future__ import annotations

import io
import json
import logging
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from ncodec.audio import AudioReader, is_audio_name, open_audio
from ncodec.datasets.catalogue import entries
from ncodec.datasets.formats import as_text, pyarrow_parquet
from ncodec.errors import ArgumentError, BadFileError

log = logging.getLogger("ncodec")

_TEXTS = ("text", "transcript", "transcription", "sentence", "txt")
_IDS = ("id", "key", "__key__")
_AUDIO_COLUMNS = ("audio", "wav", "flac", "mp3", "ogg", "opus", "bytes")


@dataclass(frozen=True, slots=True)  # there are millions of them
class Recording:
    """Where a recording lies, and what is known of it.

    Attributes:
        id: Unique in a set.
        path: Of the file that it is or lies in.
        size: Of that file, in bytes.
        place: Nothing for a whole file; offset and size in a tar; row group, row and column number
            in Parquet.
        text: What is said in it, or "".
        labels: What else its source says of it.
    """

    id: str
    path: str
    size: int
    place: tuple[int, ...] = ()
    text: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> str:
        """Return a line of a manifest."""
        return json.dumps(asdict(self), sort_keys=True)  # in ASCII: names need not be UTF-8

    @classmethod
    def from_json(cls, line: str) -> Recording:
        """Undo `to_json`."""
        told: dict[str, Any] = json.loads(line)
        told["place"] = tuple(told["place"])
        return cls(**told)

    def open(self) -> AudioReader:
        """Open it.

        Raises:
            BadFileError: It cannot be read as audio.
            OSError: Its file cannot be opened.
        """
        name = f"{self.path}, {self.id}" if self.place else self.path
        if not self.place:
            return open_audio(self.path)
        if len(self.place) == 2:
            file = Path(self.path).open("rb")  # noqa: SIM115 - closed with its reader
            part = cast(BinaryIO, _Part(file, *self.place))
            try:
                return cast(AudioReader, _Owned(open_audio(part, name=name), part))
            except BaseException:
                part.close()
                raise
        return open_audio(io.BytesIO(_parquet_bytes(self.path, *self.place)), name=name)


class _Part(io.RawIOBase):
    """A stretch of a file as a file of its own, which is closed with it."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        super().__init__()
        self._file, self._offset, self._size, self._at = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, (0, self._at, self._size)[whence] + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        self._file.seek(self._offset + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


class _Owned:
    """A reader of a file that it does not close by itself, and that file."""

    def __init__(self, reader: AudioReader, file: BinaryIO) -> None:
        self._reader, self._file = reader, file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def close(self) -> None:
        self._reader.close()
        self._file.close()


def list_recordings(
    sources: Sequence[str | Path], leave_out: str | Path | None = None
) -> list[Recording]:
    """Return the recordings of all sources, each once, sorted by where they lie.

    Args:
        sources: As for `entries`; besides, `.tar` shards of WebDataset (audio with `.txt` or
            `.json` of the same key) and `.parquet` files with a column of audio bytes, also those
            that lie in a folder.
        leave_out: A folder whose files are no sources.

    Raises:
        ArgumentError: A source does not exist or is wrong, or there is no recording.
        BadFileError: A tar or Parquet file that is named itself is damaged.
    """
    found: dict[tuple[str, tuple[int, ...]], Recording] = {}
    own = None if leave_out is None else Path(leave_out).absolute()
    for source in sources:
        for recording in _of_source(Path(source).expanduser().absolute(), own):
            found.setdefault((recording.path, recording.place), recording)
    found = {key: r for key, r in found.items() if own not in Path(r.path).parents}
    if not found:
        raise ArgumentError(f"no recordings in {', '.join(map(str, sources)) or 'an empty list'}")
    return _with_unique_ids([found[key] for key in sorted(found)])


def _of_source(source: Path, leave_out: Path | None) -> Iterator[Recording]:
    if source.is_dir():
        yield from _of_files(source, source)
        for archive in sorted([*source.rglob("*.tar"), *source.rglob("*.parquet")]):
            if leave_out in archive.parents:
                continue
            try:
                yield from _of_archive(archive)
            except (ArgumentError, BadFileError) as error:
                log.warning("%s: skipped: %s", archive, str(error).removeprefix(f"{archive}: "))
    elif source.suffix.lower() in (".tar", ".parquet"):
        yield from _of_archive(source)
    elif source.name.lower().endswith((".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")):
        raise ArgumentError(f"{source}: unpack it to a plain .tar, of which any part can be read")
    else:
        yield from _of_files(source, source.parent)


def _of_files(source: Path, base: Path) -> Iterator[Recording]:
    for entry in entries(source):
        path = entry.path.absolute()
        labels = dict(entry.labels) | ({"kind": entry.kind} if entry.kind else {})
        given = _take(labels, _IDS)
        inside = path.relative_to(base) if base in path.parents else path.relative_to(path.anchor)
        name = given or inside.with_suffix("").as_posix()
        try:
            size = path.stat().st_size
        except OSError:
            size = -1  # it will be named when it is its turn
        yield Recording(name, str(path), size, (), _take(labels, _TEXTS), labels)


def _of_archive(path: Path) -> Iterable[Recording]:
    if not path.is_file():
        raise ArgumentError(f"{path}: no such file or folder")
    return _of_tar(path) if path.suffix.lower() == ".tar" else _of_parquet(path)


def _take(labels: dict[str, Any], names: Sequence[str]) -> str:
    """Take the first of these labels out; "" where there is none."""
    name = next((name for name in names if labels.get(name)), None)
    return "" if name is None else str(labels.pop(name))


# WebDataset


def _of_tar(path: Path) -> Iterator[Recording]:
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as tar:
            for key, members in _samples(tar):
                audio = next((m for m in members if is_audio_name(m.name)), None)
                if audio is not None:
                    labels = _tar_labels(tar, members)
                    text, place = _take(labels, _TEXTS), (audio.offset_data, audio.size)
                    yield Recording(key, str(path), size, place, text, labels)
    except tarfile.TarError as error:
        raise BadFileError(f"{path}: not a plain tar: {error}") from error


def _samples(tar: tarfile.TarFile) -> Iterator[tuple[str, list[tarfile.TarInfo]]]:
    """Yield the members that stand together and have a name up to their first dot in common."""
    key, members = "", list[tarfile.TarInfo]()
    for member in tar:
        name = PurePosixPath(member.name)
        own = (name.parent / name.name.partition(".")[0]).as_posix()
        if not member.isfile() or name.name.startswith("."):
            continue
        if own != key and members:
            yield key, members
            members = []
        key = own
        members.append(member)
    if members:
        yield key, members


def _tar_labels(tar: tarfile.TarFile, members: Sequence[tarfile.TarInfo]) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    for member in members:
        suffix = PurePosixPath(member.name).suffix
        if suffix not in (".txt", ".json"):
            continue
        file = tar.extractfile(member)
        text = file.read().decode("utf-8", "replace") if file else ""
        if suffix == ".txt":
            labels["text"] = text.strip()
            continue
        try:
            told = json.loads(text)
        except ValueError:
            continue
        labels |= cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    return labels


# Parquet


def _of_parquet(path: Path) -> Iterator[Recording]:
    parquet = pyarrow_parquet()
    size = path.stat().st_size
    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
        column = _audio_column(path, schema)
        plain = [f.name for i, f in enumerate(schema) if i != column and _is_plain(f.type)]
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, columns=plain).to_pylist() if plain else None
            for row in range(file.metadata.row_group(group).num_rows):
                labels = {k: v for k, v in (rows[row] if rows else {}).items() if v is not None}
                name = _take(labels, _IDS) or f"{path.stem}/{group:04d}-{row:06d}"
                text = _take(labels, _TEXTS)
                yield Recording(name, str(path), size, (group, row, column), text, labels)
    except (ValueError, OSError) as error:
        raise BadFileError(f"{path}: not a Parquet file that can be read: {error}") from error


def _audio_column(path: Path, schema: Any) -> int:
    """Return the number of the column that has bytes of audio, alone or in a struct."""
    for name in _AUDIO_COLUMNS:
        number = schema.get_field_index(name)
        if number >= 0 and str(_bytes_type(schema.field(number).type)).endswith("binary"):
            return number
    raise ArgumentError(f"{path}: no column of audio bytes; looked for {', '.join(_AUDIO_COLUMNS)}")


def _bytes_type(kind: Any) -> Any:
    is_struct = str(kind).startswith("struct")
    return kind.field("bytes").type if is_struct and kind.get_field_index("bytes") >= 0 else kind


def _is_plain(kind: Any) -> bool:
    return re.fullmatch(r"u?int\d+|(large_)?string|bool|float|double", str(kind)) is not None


@lru_cache(maxsize=2)
def _parquet_column(path: str, group: int, column: int) -> Any:
    file = pyarrow_parquet().ParquetFile(path)
    name = file.schema_arrow.field(column).name
    return file.read_row_group(group, columns=[name]).column(0)


def _parquet_bytes(path: str, group: int, row: int, column: int) -> bytes:
    try:
        value = _parquet_column(path, group, column)[row].as_py()
    except (ValueError, IndexError) as error:
        raise BadFileError(f"{path}: row {row} of group {group}: {error}") from error
    data = cast("dict[str, Any]", value).get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise BadFileError(f"{path}: row {row} of group {group} has no bytes")
    return data


def _with_unique_ids(recordings: Sequence[Recording]) -> list[Recording]:
    """Let recordings of the same id be told apart: by ending, by folder, else by a number."""
    named = [_plain(r.id) for r in recordings]
    for more in (lambda r: r.id + Path(r.path).suffix, lambda r: Path(r.path).as_posix()):
        counts = Counter(named)
        named = [
            _plain(more(r)) if counts[name] > 1 and not r.place else name
            for r, name in zip(recordings, named, strict=True)
        ]
    counts, taken = Counter(named), set(named)
    for i, name in enumerate(named):
        if counts[name] > 1:
            fresh = (f"{name}~{n}" for n in count(1))
            named[i] = next(new for new in fresh if new not in taken)
            taken.add(named[i])
    return [
        replace(r, id=name, text=as_text(r.text)) for r, name in zip(recordings, named, strict=True)
    ]


def _plain(name: str) -> str:
    """Return a name as every form of shards takes it: a relative path, in text."""
    return PurePosixPath("/", as_text(name).replace("\0", "")).as_posix().lstrip("/") or "recording"

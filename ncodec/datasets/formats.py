"""Shards of codes in the forms that loaders read: Parquet, WebDataset, Lhotse Shar.

The same rows give the same bytes: no clock, user or process is in them.
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError, BadFileError
from ncodec.files import atomic_output

Codes = NDArray[np.uint16]
About = Mapping[str, Any]
_GROUP_CODES = 1 << 22  # in a row group of Parquet, unless one recording has more


@dataclass(frozen=True, eq=False)
class Coded:
    """A recording as codes.

    Attributes:
        id: Unique in its set.
        codes: uint16 `[K, F]`.
        samples: Length of the recording, at its own rate.
        rate: Its rate, in Hz.
        channels: How many it has.
        text: What is said in it, or "".
        tags: What else is known of it.
    """

    id: str
    codes: Codes
    samples: int
    rate: int
    channels: int
    text: str = ""
    tags: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / self.rate

    def about(self) -> dict[str, Any]:
        """Return all but the codes, as plain data."""
        return {
            "id": self.id,
            "frames": self.codes.shape[1],
            "seconds": self.seconds,
            "samples": self.samples,
            "rate": self.rate,
            "channels": self.channels,
            "text": self.text,
            "tags": as_text(json.dumps(self.tags, ensure_ascii=False, sort_keys=True)),
        }

    @classmethod
    def of(cls, about: Mapping[str, Any], codes: Codes) -> Coded:
        """Undo `about`."""
        names = ("id", "samples", "rate", "channels", "text")
        return cls(**{n: about[n] for n in names}, codes=codes, tags=json.loads(about["tags"]))


class ShardFormat(ABC):
    """Writes and reads shards of one form."""

    @abstractmethod
    def names(self, number: int, total: int) -> tuple[str, ...]:
        """Name the files of a shard; it is whole when the last one is there."""

    @abstractmethod
    def write(
        self, files: Sequence[BinaryIO], rows: Sequence[Coded], about: Mapping[str, Any]
    ) -> None:
        """Write a shard's files; `about` is what is true of the whole set."""

    @abstractmethod
    def read(self, paths: Sequence[Path]) -> list[Coded]:
        """Read a shard.

        Raises:
            BadFileError: It is damaged, or none.
        """

    def save(
        self,
        folder: Path,
        number: int,
        total: int,
        rows: Sequence[Coded],
        about: Mapping[str, Any],
    ) -> None:
        """Write a shard's files into a folder, each under another name first."""
        contents = [io.BytesIO() for _ in self.names(number, total)]
        self.write(contents, rows, about)
        for name, content in zip(self.names(number, total), contents, strict=True):
            with atomic_output(folder / name, force=True) as file:
                file.write(content.getbuffer())

    def load(self, folder: Path, number: int, total: int) -> list[Coded]:
        """Read a shard of a folder."""
        return self.read([folder / name for name in self.names(number, total)])

    def is_there(self, folder: Path, number: int, total: int) -> bool:
        """Say whether a shard is whole."""
        return all((folder / name).is_file() for name in self.names(number, total))


class Parquet(ShardFormat):
    """A row a recording; `codes` is a list of K lists. What is true of all is in the schema."""

    def names(self, number: int, total: int) -> tuple[str, ...]:
        """See ShardFormat."""
        return (f"codes-{number:05d}-of-{total:05d}.parquet",)

    def write(
        self, files: Sequence[BinaryIO], rows: Sequence[Coded], about: Mapping[str, Any]
    ) -> None:
        """See ShardFormat."""
        parquet, arrow = pyarrow_parquet(), importlib.import_module("pyarrow")
        kinds = {
            "id": arrow.string(),
            "frames": arrow.int64(),
            "seconds": arrow.float64(),
            "samples": arrow.int64(),
            "rate": arrow.int32(),
            "channels": arrow.int32(),
            "text": arrow.string(),
            "tags": arrow.string(),
        }
        told = [row.about() for row in rows]
        columns = {name: arrow.array([t[name] for t in told], kind) for name, kind in kinds.items()}
        columns["codes"] = _nested(arrow, [row.codes for row in rows])
        table = arrow.table(columns).replace_schema_metadata(
            {"ncodec": json.dumps(about, sort_keys=True)}
        )
        # dictionaries, on by default, pack codes of 10 bits into 10 bits
        options = {"compression": "zstd", "compression_level": 3}
        with parquet.ParquetWriter(files[0], table.schema, **options) as writer:
            for begin, end in _row_groups([row.codes.size for row in rows]):
                writer.write_table(table.slice(begin, end - begin))

    def read(self, paths: Sequence[Path]) -> list[Coded]:
        """See ShardFormat."""
        parquet = pyarrow_parquet()
        try:
            table = parquet.read_table(paths[0], partitioning=None).combine_chunks()
            codes = table.column("codes").combine_chunks()
            about = table.drop_columns(["codes"]).to_pylist()
            outer, inner = codes.offsets.to_numpy(), codes.values.offsets.to_numpy()
            values = codes.values.values.to_numpy()
            return [
                Coded.of(row, values[inner[a] : inner[b]].reshape(b - a, row["frames"]))
                for row, a, b in zip(about, outer[:-1], outer[1:], strict=True)
            ]
        except (ValueError, KeyError, OSError) as error:
            raise BadFileError(f"{paths[0]}: no shard of codes: {error}") from error


def _row_groups(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first rows and ends of row groups: writing one takes 30 bytes of memory a code."""
    begin = codes = 0
    for i, size in enumerate(sizes):
        if i > begin and codes + size > _GROUP_CODES:
            yield begin, i
            begin, codes = i, 0
        codes += size
    if sizes:
        yield begin, len(sizes)


def _nested(arrow: Any, codes: Sequence[Codes]) -> Any:
    """Return `[K, F]` of each as lists of lists."""
    rows = np.cumsum([0, *(len(c) for c in codes)], dtype=np.int32)
    lengths = [c.shape[1] for c in codes for _ in range(len(c))]
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    if offsets[-1] >= 1 << 31:
        raise ArgumentError(f"a shard of {offsets[-1]} codes is too large: fewer recordings each")
    values = np.concatenate([np.zeros(0, np.uint16), *(c.reshape(-1) for c in codes)])
    inner = arrow.ListArray.from_arrays(offsets.astype(np.int32), arrow.array(values))
    return arrow.ListArray.from_arrays(rows, inner)


class WebDataset(ShardFormat):
    """A tar; each recording a `.npy` of its codes and a `.json` of the rest."""

    def names(self, number: int, total: int) -> tuple[str, ...]:
        """See ShardFormat."""
        return (f"codes-{number:06d}.tar",)

    def write(
        self, files: Sequence[BinaryIO], rows: Sequence[Coded], about: Mapping[str, Any]
    ) -> None:
        """See ShardFormat."""
        told = {"model": about["model"], "fingerprint": about["fingerprint"]}
        with _tar(files[0]) as tar:
            for i, row in enumerate(rows):
                _add(tar, f"{i:09d}.npy", _npy(row.codes))
                _add(tar, f"{i:09d}.json", _json({**row.about(), **told}))

    def read(self, paths: Sequence[Path]) -> list[Coded]:
        """See ShardFormat."""
        members = [data for _, data in _members(paths[0])]
        return [
            Coded.of(json.loads(about), np.load(io.BytesIO(codes)))
            for codes, about in zip(members[::2], members[1::2], strict=True)
        ]


class Shar(ShardFormat):
    """Lhotse Shar: cuts, and their codes `[F, K]` as an array over time.

    A cut is as long as its codes: windows of whole frames lose and double none.
    """

    def names(self, number: int, total: int) -> tuple[str, ...]:
        """See ShardFormat."""
        return (f"codes.{number:06d}.tar", f"cuts.{number:06d}.jsonl.gz")

    def write(
        self, files: Sequence[BinaryIO], rows: Sequence[Coded], about: Mapping[str, Any]
    ) -> None:
        """See ShardFormat."""
        hop, rate = int(about["hop"]), int(about["sample_rate"])
        with _tar(files[0]) as tar:
            for row in rows:
                _add(tar, f"{row.id}.npy", _npy(row.codes.T))
                _add(tar, f"{row.id}.json", _json(_array(row, hop / rate)) + b"\n")
        lines = b"".join(_json(_cut(row, hop, rate, about)) + b"\n" for row in rows)
        with gzip.GzipFile("", "wb", 6, files[1], mtime=0) as file:
            file.write(lines)

    def read(self, paths: Sequence[Path]) -> list[Coded]:
        """See ShardFormat."""
        arrays = [
            np.load(io.BytesIO(data)).T
            for name, data in _members(paths[0])
            if name.endswith(".npy")
        ]
        try:
            with gzip.open(paths[1], "rt", encoding="utf-8") as file:
                cuts = [json.loads(line)["custom"]["ncodec"] for line in file]
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise BadFileError(f"{paths[1]}: no cuts of codes: {error}") from error
        return [
            Coded.of(about, np.ascontiguousarray(codes))
            for about, codes in zip(cuts, arrays, strict=True)
        ]


def _array(row: Coded, shift: float) -> dict[str, Any]:
    shape = list(row.codes.T.shape)
    array = {"storage_type": "shar", "storage_path": "", "storage_key": "", "shape": shape}
    return {"array": array, "temporal_dim": 0, "frame_shift": shift, "start": 0}


def _cut(row: Coded, hop: int, rate: int, about: Mapping[str, Any]) -> dict[str, Any]:
    samples = row.codes.shape[1] * hop
    span = {"start": 0, "duration": samples / rate, "channel": 0}
    said = {"id": row.id, "recording_id": row.id, **span, "text": row.text}
    told = {"model": about["model"], "fingerprint": about["fingerprint"]}
    return {
        "id": row.id,
        **span,
        "supervisions": [said] if row.text else [],
        "recording": {
            "id": row.id,
            "sources": [],
            "sampling_rate": rate,
            "num_samples": samples,
            "duration": samples / rate,
            "channel_ids": [0],
        },
        "custom": {"ncodec": {**row.about(), **told}},
        "type": "MonoCut",
    }


FORMATS: Mapping[str, ShardFormat] = {
    "parquet": Parquet(),
    "webdataset": WebDataset(),
    "shar": Shar(),
}


def as_text(text: str) -> str:
    """Return text without what UTF-8 cannot hold, such as bytes of a file's name that were none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def pyarrow_parquet() -> Any:
    """Return the module `pyarrow.parquet`.

    Raises:
        ArgumentError: It is not installed.
    """
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ArgumentError(
            "Parquet needs pyarrow, which is not installed: pip install pyarrow"
        ) from None


def _tar(file: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # times of day and users are 0 unless set
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _npy(array: Codes) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def _json(found: Mapping[str, Any]) -> bytes:
    return json.dumps(found, ensure_ascii=False, sort_keys=True).encode()


def _members(path: Path) -> Iterable[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    yield member.name, file.read()
    except (tarfile.TarError, OSError) as error:
        raise BadFileError(f"{path}: no shard of codes: {error}") from error

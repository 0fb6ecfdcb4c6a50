"""Opening any file of codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from ncodec.checkpoints.registry import canonical
from ncodec.checkpoints.tables import tables_by_hash
from ncodec.containers.arrays import read_npz, read_safetensors
from ncodec.containers.content import NO_HASH, Content, ForeignReader, with_model
from ncodec.containers.dac import read_dac_content, windowed_as
from ncodec.containers.ecdc import LoadModel, read_ecdc0, read_ecdc1
from ncodec.errors import BadFileError, counted
from ncodec.files import spooled
from ncodec.models.base import CompressionModel
from ncodec_formats import EcdcReader, Report, sniff
from ncodec_formats import open_links as open_ecdc_links
from ncodec_formats.entropy.tables import register
from ncodec_formats.foreign.dac import MAX_FILE, read_dac
from ncodec_formats.limits import DEFAULT_MAX_SECONDS

MAX_PIPE = MAX_FILE
"""Bytes of a pipe that are copied to a temporary file, for kinds that must be seeked in."""
_HEAD = 9
register(tables_by_hash)


def check(file: BinaryIO) -> Report:
    """Read a file of codes that is no ECDC 1 to its end; say what is known of it.

    Raises:
        BadFileError: It is cut short, or is damaged in a way that shows: these formats have no
            checksums.
    """
    begin = file.tell()
    kind = sniff(file.read(_HEAD))
    file.seek(begin)
    if kind == "dac":
        frames, packets = read_dac(file).codes.shape[2], 1
    else:
        content = read_content(file, None, load_any)
        counts = [packet.frames for packet in content.packets]
        frames, packets = sum(counts), len(counts)
    name = "version 0" if kind == "ecdc0" else f".{kind}"
    known = f"complete, {counted(frames, 'frame')}; {name} has no checksums"
    return Report(links=1, packets=packets, frames=frames, known=known)


def read_content(file: BinaryIO, model: str | None, load: LoadModel) -> Content:
    """Read any file of codes; it must be seekable, and stay open.

    Raises:
        BadFileError: It is none, or is damaged.
    """
    begin = file.tell()
    kind = sniff(file.read(_HEAD))
    file.seek(begin)
    model = None if model is None else canonical(model)
    readers: dict[str, Callable[[], Content]] = {
        "ecdc": lambda: read_ecdc1(file),
        "ecdc0": lambda: read_ecdc0(file, load),
        "dac": lambda: read_dac_content(file, model, load),
        "npz": lambda: read_npz(file, model),
        "safetensors": lambda: read_safetensors(file, model),
    }
    return readers[kind]()


def open_links(
    file: BinaryIO,
    keep_going: bool = False,
    *,
    max_seconds: float | None = DEFAULT_MAX_SECONDS,
    model: CompressionModel | str | None = None,
    device: str = "cpu",
) -> Iterator[EcdcReader | ForeignReader]:
    """Open any file of codes for decoding: as `ncodec_formats.open_links`, for other kinds too.

    `model` is a model or the name of one, instead of what the file says; a `ForeignReader` has the
    one that its packets decode with.
    """
    head = file.read(_HEAD)
    try:
        kind = sniff(head)
    except BadFileError:
        kind = "ecdc"  # its reader says what is wrong
    file = _rewound(file, head)
    if kind == "ecdc":
        yield from open_ecdc_links(file, keep_going, max_seconds=max_seconds)
        return
    with spooled(file, limit=MAX_PIPE) as seekable:
        yield _open_foreign(seekable, keep_going, model, device)


def _open_foreign(
    file: BinaryIO, keep_going: bool, model: CompressionModel | str | None, device: str
) -> ForeignReader:
    name = model.name if isinstance(model, CompressionModel) else model

    def find(wanted: str) -> Any:
        return (
            model
            if wanted == name and isinstance(model, CompressionModel)
            else load_any(wanted, device)
        )

    content = read_content(file, name, find)
    found = find(name or content.header.model)
    if content.kind == "dac":
        found = windowed_as(content, found)
    if content.header.model_hash == NO_HASH:
        header = with_model(content.header, found)
    else:
        header = content.header
    return ForeignReader(replace(content, header=header), found, keep_going=keep_going)


def _rewound(file: BinaryIO, head: bytes) -> BinaryIO:
    if file.seekable():
        file.seek(file.tell() - len(head))
        return file
    joined: Any = _Replayed(file, head)
    return joined


class _Replayed:
    """A pipe of which the first bytes have been read already."""

    def __init__(self, file: BinaryIO, head: bytes) -> None:
        self._file, self._head = file, head

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._file.read(size)
        if size < 0:
            head, self._head = self._head, b""
            return head + self._file.read()
        part, self._head = self._head[:size], self._head[size:]
        return part

    def read1(self, size: int = -1) -> bytes:
        if self._head:
            return self.read(size if size >= 0 else len(self._head))
        reader = getattr(self._file, "read1", self._file.read)
        return reader(size)

    def seekable(self) -> bool:
        return False


def load_any(name: str, device: str = "cpu") -> Any:
    """Load a model of any family, with `ncodec.checkpoints`, which takes long to import."""
    from ncodec.checkpoints import loading

    return loading.load_any(name, device)

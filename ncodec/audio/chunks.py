"""Chunks of AIFF and CAF, and where the samples of those, AU and W64 files end, by their headers.

libsndfile takes what is there for what should be, or gives up; here the two are compared, and a
length that was never set is put right.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ncodec.audio.source import Source, View

MAX_CHUNK = 1 << 26
"""Bytes of the longest chunk that is read whole; pictures can be in one."""

_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


@dataclass(frozen=True)
class Span:
    """The bytes of the samples, as a header tells them.

    Attributes:
        begin: first byte in the source.
        length: in bytes; None if the header does not know it.
        field: where the header has the length,
        code: its format for `struct`,
        extra: and what it counts beyond the samples.
    """

    begin: int
    length: int | None
    field: int
    code: str
    extra: int = 0

    def view(self, source: Source, base: int, end: int) -> View:
        """Show the source from `base` on, with the length that the file really has."""
        there = end - self.begin + self.extra
        most = (1 << 8 * struct.calcsize(self.code) - 1) - 1
        size = struct.pack(self.code, min(there, most))
        return View(source, (base, self.field), size, (self.field + len(size), end))


def data_span(kind: str, source: Source, base: int) -> Span | None:
    """Return where the samples are, None for kinds that are not known or make no sense."""
    find = _FINDERS.get(kind)
    try:
        return None if find is None else find(source, base)
    except struct.error:
        return None


def chunk(source: Source, base: int, kind: str, name: bytes) -> bytes:
    """Return what is in a chunk of an "aiff" or "caf" file, nothing if there is none."""
    for found, at, size in _CHUNKS[kind](source, base):
        if found.lower() == name and 0 <= size <= MAX_CHUNK:
            return source.at(at, size)
    return b""


def append_chunk(file: BinaryIO, kind: str, name: bytes, body: bytes) -> None:
    """Add a chunk at the end of a whole "aiff" or "caf" file."""
    file.seek(0, 2)
    if kind == "caf":
        file.write(struct.pack(">4sq", name, len(body)) + body)
        return
    file.write(struct.pack(">4sI", name, len(body)) + body + b"\0" * (len(body) % 2))
    size = file.tell() - 8
    file.seek(4)
    file.write(struct.pack(">I", size))


def _aiff_chunks(source: Source, base: int) -> Iterator[tuple[bytes, int, int]]:
    at = base + 12
    while len(head := source.at(at, 8)) == 8:
        name, size = struct.unpack(">4sI", head)
        yield name, at + 8, size
        at += 8 + size + size % 2


def _caf_chunks(source: Source, base: int) -> Iterator[tuple[bytes, int, int]]:
    at = base + 8
    while len(head := source.at(at, 12)) == 12:
        name, size = struct.unpack(">4sq", head)
        yield name, at + 12, size
        if size < 0:  # to the end of the file
            return
        at += 12 + size


_CHUNKS = {"aiff": _aiff_chunks, "caf": _caf_chunks}


def _aiff(source: Source, base: int) -> Span | None:
    for name, at, size in _aiff_chunks(source, base):
        if name == b"SSND":
            # Offset and block size stand before the samples.
            return Span(at + 8, max(0, size - 8), at - 4, ">I", 8)
    return None


def _caf(source: Source, base: int) -> Span | None:
    for name, at, size in _caf_chunks(source, base):
        if name == b"data":
            known = None if size < 4 else size - 4
            return Span(at + 4, known, at - 8, ">q", 4)
    return None


def _au(source: Source, base: int) -> Span | None:
    head = source.at(base, 12)
    code = ">I" if head[:4] == b".snd" else "<I"
    offset, size = (struct.unpack(code, head[i : i + 4])[0] for i in (4, 8))
    return Span(base + offset, None if size == 0xFFFFFFFF else size, base + 8, code)


def _w64(source: Source, base: int) -> Span | None:
    at = base + 40
    while len(head := source.at(at, 24)) == 24:
        (size,) = struct.unpack("<q", head[16:])
        if head[:16] == _W64_DATA:
            known = None if size < 24 else size - 24
            return Span(at + 24, known, at + 16, "<q", 24)
        if size < 24:
            return None
        at += -(-size // 8) * 8
    return None


_FINDERS: dict[str, Callable[[Source, int], Span | None]] = {
    "aiff": _aiff,
    "caf": _caf,
    "au": _au,
    "w64": _w64,
}

"""Finding the end packet and the index of a link from the end of a file, without a scan."""

import io
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from . import limits
from .ending import FOOTER, End, Index
from .errors import NcodecError
from .packets import END, INDEX, get_other
from .wire import FOOTER_MAGIC, SYNC


@dataclass(frozen=True)
class Tail:
    """What closes a link, and where it stands in the file."""

    end: End
    index: Index
    begin: int
    """Where the end packet begins."""
    stop: int
    """Where the link ends."""


def find_tail(file: BinaryIO, area: int, codebooks: int) -> Tail | None:
    """Returns the tail of the link whose packets begin at byte `area`; None if there is none.

    In a chained file it hops back from the last link, by the lengths in each link's index.
    """
    stop = file.seek(0, io.SEEK_END)
    while stop - FOOTER.size > area:
        found = _read_tail(file, stop)
        if found is None:
            return None
        begin, end, index = found
        if begin - index.area == area:
            try:
                return Tail(End.parse(end, codebooks), index, begin, stop)
            except NcodecError:
                return None
        before = begin - index.area - index.header_size
        if before >= stop:
            return None
        stop = before
    return None


def _read_tail(file: BinaryIO, stop: int) -> tuple[int, bytes, Index] | None:
    file.seek(stop - FOOTER.size)
    magic, size = FOOTER.unpack(file.read(FOOTER.size))
    if magic != FOOTER_MAGIC or not FOOTER.size < size <= min(2 * limits.MAX_PACKET, stop):
        return None
    file.seek(stop - size)
    data = file.read(size - FOOTER.size)
    try:
        end, pos = _payload(data, 0, END)
        index, pos = _payload(data, pos, INDEX)
        parsed = Index.parse(index)
    except (IndexError, ValueError, NcodecError):
        return None
    return (stop - size, end, parsed) if pos == len(data) else None


def _payload(data: bytes, pos: int, kind: int) -> tuple[bytes, int]:
    begin, length = get_other(data, pos)
    body = data[pos + begin : pos + begin + length]
    pos += begin + length + 4
    if data[pos - 4 : pos] != zlib.crc32(body).to_bytes(4, "big") or pos > len(data):
        raise ValueError("the packet is damaged")
    if data[pos - 4 - length - begin :][:3] != SYNC + bytes([kind]):
        raise ValueError("a packet of another type")
    return body, pos

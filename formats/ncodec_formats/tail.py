"""Finding the end packet and the index of a link from the end of a file, without a scan."""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from . import limits
from .ending import FOOTER, End, Index
from .errors import NcodecError
from .packets import END, INDEX, get_other
from .wire import FOOTER_MAGIC, SYNC


@dataclass(frozen=True)
class Tail:
    """What closes a link, and where the link stands in the file."""

    end_payload: bytes
    index: Index
    begin: int
    """Where the end packet begins."""
    stop: int
    """Where the link ends."""

    @property
    def area(self) -> int:
        """Where the packets begin."""
        return self.begin - self.index.area

    @property
    def start(self) -> int:
        """Where the header begins."""
        return self.area - self.index.header_size

    def end(self, codebooks: int) -> End | None:
        """Returns the totals; None if they are not what they should be."""
        try:
            return End.parse(self.end_payload, codebooks)
        except NcodecError:
            return None


def tails(file: BinaryIO) -> Iterator[Tail]:
    """Yields the tails of a file's links from the last one on back, as far as they lead."""
    stop = file.seek(0, io.SEEK_END)
    while stop > FOOTER.size:
        tail = _read_tail(file, stop)
        if tail is None or not 0 <= tail.start < stop:
            return
        yield tail
        stop = tail.start


def find_tail(file: BinaryIO, area: int) -> Tail | None:
    """Returns the tail of the link whose packets begin at byte `area`; None if there is none."""
    for tail in tails(file):
        if tail.area <= area:
            return tail if tail.area == area else None
    return None


def _read_tail(file: BinaryIO, stop: int) -> Tail | None:
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
    return Tail(end, parsed, stop - size, stop) if pos == len(data) else None


def _payload(data: bytes, pos: int, kind: int) -> tuple[bytes, int]:
    begin, length = get_other(data, pos)
    body = data[pos + begin : pos + begin + length]
    pos += begin + length + 4
    if data[pos - 4 : pos] != zlib.crc32(body).to_bytes(4, "big") or pos > len(data):
        raise ValueError("the packet is damaged")
    if data[pos - 4 - length - begin :][:3] != SYNC + bytes([kind]):
        raise ValueError("a packet of another type")
    return body, pos

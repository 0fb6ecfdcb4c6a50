"""Finding what closes a link: from the end of a file, without a scan, or from a damaged header."""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from . import limits
from .ending import FOOTER, HEADER_KEY, End, Index
from .errors import NcodecError
from .header import PREFIX, Header, header_size, unpack_map
from .packets import END, INDEX, get_other
from .scanner import ByteSource
from .wire import FOOTER_MAGIC, LINK_START, SYNC

_ENDS = re.compile(re.escape(SYNC + bytes([END])) + b"|" + re.escape(LINK_START))


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


class Tails:
    """The tails of a file's links, found from the last one on back, each link passed once.

    Where each stands is kept, and no more of it: a chain may have thousands of links.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._walk = tails(file)
        self._stops: dict[int, int] = {}
        """Where a link ends, by where its packets begin."""

    def find(self, area: int) -> Tail | None:
        """Returns the tail of the link whose packets begin at byte `area`; None if there is none.

        The file is left anywhere.
        """
        if area in self._stops:
            return _read_tail(self._file, self._stops[area])
        for tail in self._walk:
            self._stops[tail.area] = tail.stop
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


def find_header(file: BinaryIO, spare: Header | None = None) -> Header | None:
    """Searches a file from its position on for the copy of a header that is damaged there.

    It must be of the link that begins there, and agree with the end packet on the layers and with
    the index on the length. Where there is no copy, `spare` will do if the layers agree.
    """
    source = ByteSource(file)
    payload = _find_end(source)
    if payload is None:
        return spare
    try:
        copy = unpack_map(payload, "the end packet").get(HEADER_KEY)
        header = Header.from_map(copy) if isinstance(copy, bytes) else spare
        if header is not None:
            End.parse(payload, len(header.codebook_sizes))
        index = _sound_payload(source, INDEX)
        if copy and header and index is not None:
            # Tools that know nothing of copies keep that of another header.
            return header if Index.parse(index).header_size == len(header.to_bytes()) else spare
    except NcodecError:
        return None
    return header


def _find_end(source: ByteSource) -> bytes | None:
    """Goes behind the next end packet; returns its payload, None if another link comes first."""
    spent = 0
    while True:
        mark = _ENDS.search(source.data, source.pos)
        if mark is None:
            source.pos = max(source.pos, len(source.data) - len(LINK_START) + 1)
            if not source.fill(source.available + 1):
                return None
            continue
        source.pos = mark.start()
        # False beginnings may not make the work more than a multiple of the bytes there are.
        if spent <= 16 * (source.offset + limits.MAX_PACKET):
            if mark.group() == LINK_START and _is_header(source):
                return None
            if mark.group() != LINK_START and (payload := _sound_payload(source, END)) is not None:
                return payload
            spent += source.available
        source.pos += 1


def _is_header(source: ByteSource) -> bool:
    try:
        source.fill(PREFIX.size)
        size = header_size(source.data[source.pos : source.pos + PREFIX.size])
        source.fill(size)
        Header.parse(source.data[source.pos : source.pos + size])
    except NcodecError:
        return False
    return True


def _sound_payload(source: ByteSource, kind: int) -> bytes | None:
    """Passes a packet of one type and returns its payload, if it stands here and is sound."""
    source.fill(16)
    try:
        begin, length = get_other(source.data, source.pos)
        source.fill(begin + length + 4)
        size = begin + length + 4
        payload, _ = _payload(source.data[source.pos : source.pos + size], 0, kind)
    except (IndexError, ValueError):
        return None
    source.pos += size
    return payload

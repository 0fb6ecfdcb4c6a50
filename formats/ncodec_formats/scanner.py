"""Finding packets in bytes: forward reading with a buffer, and resync after damage."""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from . import limits
from .ending import FOOTER, Index
from .errors import BadFileError, DamageError, NcodecError
from .header import PREFIX, Header, header_size
from .packet_runs import WORTH_IT, Run, find_run
from .packets import CODES, END, INDEX, Head, PacketLayout, get_other
from .wire import FOOTER_MAGIC, LINK_START, SYNC, count_good_layers

if TYPE_CHECKING:
    from .tail import Tails

FIRST_CHUNK, CHUNK = 1 << 16, 1 << 20
"""Bytes of the first read and the most: a seek wants few, a whole file goes faster by many."""
SKIPPED = -1


# Where a packet or a link may begin: a packet of codes has any flags, one of another type has none.
_THIRD = b"[" + b"".join(rb"\x%02x" % (n if n < 16 else 16 * (n - 15)) for n in range(31)) + b"]"
_MARKS = re.compile(re.escape(SYNC) + rb"(?=" + _THIRD + rb"|\Z)|" + re.escape(LINK_START))


class ByteSource:
    """A forward reader that never asks for more than is there, so that pipes do not wait."""

    def __init__(self, file: BinaryIO) -> None:
        read1: Callable[[int], bytes] | None = getattr(file, "read1", None)
        self._read = read1 or file.read
        self._file = file
        self.data = b""
        self.pos = 0
        self._base = 0
        self._ended, self._chunk = False, FIRST_CHUNK
        self.origin = file.tell() if _can_seek(file) else None
        """Where in the file reading began; None if it can't seek."""
        self.tails: Tails | None = None
        """What closes its links, once one of them has been looked for."""

    @property
    def offset(self) -> int:
        """Bytes before the current position, from where reading began."""
        return self._base + self.pos

    @property
    def available(self) -> int:
        """Bytes in the buffer."""
        return len(self.data) - self.pos

    def fill(self, count: int) -> bool:
        """Makes `count` bytes available, or as many as there are before the end."""
        if self.available >= count:
            return True
        if self._ended:
            return False
        chunks = [self.data[self.pos :]]
        have = len(chunks[0])
        while have < count and (chunk := self._read(self._chunk)):
            self._chunk = min(2 * self._chunk, CHUNK)
            chunks.append(chunk)
            have += len(chunk)
        self._base += self.pos
        self.data, self.pos = b"".join(chunks), 0
        self._ended = have < count
        return have >= count

    def take(self, count: int) -> bytes:
        """Returns and passes at most `count` bytes."""
        self.fill(count)
        data = self.data[self.pos : self.pos + count]
        self.pos += len(data)
        return data

    def at_link(self) -> bool:
        """Tells whether another link follows.

        Raises:
            DamageError: something else does.
        """
        if not self.fill(1):
            return False
        self.fill(len(LINK_START))
        if not self.data.startswith(LINK_START, self.pos):
            raise DamageError(f"what follows the link at byte {self.offset} is no link")
        return True

    def jump(self, offset: int) -> None:
        """Goes on from another offset of a file that can seek."""
        assert self.origin is not None
        self._file.seek(self.origin + offset)
        self.data, self.pos, self._base, self._ended = b"", 0, offset, False
        self._chunk = FIRST_CHUNK


def _can_seek(file: BinaryIO) -> bool:
    seekable: Callable[[], bool] | None = getattr(file, "seekable", None)
    return seekable is not None and seekable()


@dataclass(frozen=True)
class Element:
    """A packet as it stands, or bytes that are none (`kind` is SKIPPED, then `size` counts them).

    A packet that the end of the file cuts short has fewer bytes in `data` than `size`.
    """

    kind: int
    offset: int
    data: bytes
    size: int
    head: Head | None = None
    begin: int = 0
    """Bytes of the head."""
    good: int = 0
    """Layers of a packet of codes that agree with their checks."""

    @property
    def payload(self) -> bytes | None:
        """The payload of a packet that has no codes; None if it is damaged."""
        body, crc = self.data[self.begin : -4], self.data[-4:]
        whole = len(self.data) == self.size and int.from_bytes(crc, "big") == zlib.crc32(body)
        return body if whole else None


def read_header(source: ByteSource) -> Header:
    """Reads the header of a link.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: as `Header.parse`.
    """
    size = header_size(source.take(PREFIX.size))
    source.pos -= PREFIX.size
    source.fill(size)
    if source.available < size:
        raise BadFileError("the file ends inside its header")
    header = Header.parse(source.data[source.pos : source.pos + size + 64])
    source.pos += size
    return header


class Scanner:
    """Cuts what follows a header into elements."""

    def __init__(self, source: ByteSource, layout: PacketLayout, begin: int) -> None:
        """Begins at the end of the header that began at offset `begin`."""
        self._source = source
        self._layout = layout
        self._begin = begin
        self._area = source.offset
        self._end = source.offset
        self._no_link_before = 0
        self._spent = 0
        self._measured: tuple[int, tuple[Head | None, int, int]] | None = None
        """The last packet that was measured, by its offset."""

    def next(self) -> Element | None:
        """Returns the next element; None at the end of the file or where another link begins."""
        source = self._source
        source.fill(len(SYNC))
        if source.available == 0:
            return None
        return self._packet() or (None if self._at_link() else self._skip())

    def next_run(self) -> Run | None:
        """Returns many packets of codes at once, where that is possible and worth it."""
        source = self._source
        if source.available < WORTH_IT or not self._layout.exact:
            return None
        sizes = self._measure(0)
        if sizes is None or sizes[0] is None:
            return None
        offset = source.offset
        run = find_run(source.data, source.pos, sizes[0])
        if run is not None:
            source.pos += run.rows.size
            run = replace(run, offset=offset)
        return run

    def pass_tail(self) -> str | None:
        """Passes over index and footer, which follow the end packet; returns what is wrong there.

        A link may have neither.
        """
        source = self._source
        source.fill(3)
        if not source.data.startswith(SYNC + bytes([INDEX]), source.pos):
            return None
        element = self.next()
        source.fill(FOOTER.size)
        if not source.data.startswith(FOOTER_MAGIC, source.pos):
            return "the index has no footer"
        length = source.offset + FOOTER.size - self._end
        footer = source.take(FOOTER.size)
        try:
            index = Index.parse((element and element.payload) or b"")
        except BadFileError as error:
            return str(error)
        sizes = (self._end - self._area, self._area - self._begin)
        if (index.area, index.header_size) != sizes:
            return "the index is of another link"
        if footer != FOOTER.pack(FOOTER_MAGIC, length):
            return "the footer is damaged"
        return None

    def _packet(self) -> Element | None:
        """Takes the packet at the current position; None if there is none."""
        source = self._source
        sizes = self._measure(0)
        if sizes is None:
            return None
        head, begin, size = sizes
        kind, offset = source.data[source.pos + 2] & 0x0F, source.offset
        whole, good = source.fill(size), 0
        # Checking costs as much as a packet claims to be long. Heads inside heads may not make
        # that more than a multiple of the bytes there are.
        afford = self._spent <= 16 * (offset + limits.MAX_PACKET)
        if whole and afford:
            body = source.data[source.pos + begin : source.pos + size]
            if head is None:
                sound = int.from_bytes(body[-4:], "big") == zlib.crc32(body[:-4])
            else:
                good = count_good_layers(body, head.lengths)
                sound = good == len(head.lengths)
        else:
            sound = False
        length = size if sound else self._up_to_next(size)
        self._spent += size - length
        data = source.take(length)
        if head is not None and not sound:  # what is left of it may have more or fewer layers
            good = count_good_layers(data[begin:], head.lengths)
        self._end = offset if kind == END else self._end
        return Element(kind, offset, data, size, head, begin, good)

    def _measure(self, ahead: int) -> tuple[Head | None, int, int] | None:
        """Returns head, its size and the packet's size, if a sound head is so many bytes ahead.

        Reads no more than it needs: a live stream must not wait for its next packet.
        """
        source = self._source
        if ahead == 0 and self._measured is not None and self._measured[0] == source.offset:
            return self._measured[1]
        while True:
            try:
                found = self._sizes(source.pos + ahead)
            except IndexError:
                if not source.fill(source.available + 1):
                    return None
            except ValueError:
                return None
            else:
                if ahead == 0:
                    self._measured = source.offset, found
                return found

    def _sizes(self, pos: int) -> tuple[Head | None, int, int]:
        data = self._source.data
        if data[pos] != SYNC[0] or data[pos + 1] != SYNC[1]:
            raise ValueError("no sync word")
        if data[pos + 2] & 0x0F != CODES:
            begin, length = get_other(data, pos)
            return None, begin, begin + length + 4
        head = self._layout.get_head(data, pos)
        return head, head.size, head.size + head.body_size

    def _up_to_next(self, size: int) -> int:
        """Returns the bytes up to a packet that begins inside this one: some bytes were lost."""
        source = self._source
        size = min(size, source.available)
        ahead = 0
        while True:
            begin = source.pos
            ahead = source.data.find(SYNC[:1], begin + ahead + 1, begin + size) - begin
            if ahead < 0:
                return size
            if self._measure(ahead) is not None:
                return ahead

    def _at_link(self) -> bool:
        source = self._source
        source.fill(len(LINK_START))
        if not source.data.startswith(LINK_START, source.pos):
            return False
        if source.offset < self._no_link_before:
            return False
        try:
            source.fill(PREFIX.size)
            size = header_size(source.data[source.pos : source.pos + PREFIX.size])
        except NcodecError:
            return False
        try:
            source.fill(size)
            Header.parse(source.data[source.pos : source.pos + size])
        except NcodecError:
            # Bounds the work that a file full of false beginnings can ask for.
            self._no_link_before = source.offset + size // 16
            return False
        return True

    def _skip(self) -> Element:
        """Passes bytes up to the next packet or link."""
        source = self._source
        begin = source.offset
        source.pos += 1
        while True:
            mark = _MARKS.search(source.data, source.pos)
            if mark is not None:
                source.pos = mark.start()
                if self._measure(0) is not None or self._at_link():
                    break
                source.pos += 1
                continue
            source.pos = max(source.pos, len(source.data) - len(LINK_START) + 1)
            if not source.fill(source.available + 1):
                source.pos = len(source.data)
                break
        return Element(SKIPPED, begin, b"", source.offset - begin)

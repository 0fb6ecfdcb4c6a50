"""Reading ECDC version 1, front to back, from anything that has `read`."""

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from . import limits
from .ending import DIGEST_SIZE, FOOTER, End, Index
from .errors import ArgumentError, BadFileError, LimitError
from .header import Header
from .packets import CODES, END, GAP, INDEX, REDUNDANCY, Layout, Loss, Packet
from .peeling import copies
from .scanner import SKIPPED, Element, Scanner, Source, read_header
from .tail import Tail, find_tail
from .wire import FOOTER_MAGIC, LINK_START, SYNC, get_varint


@dataclass
class Losses:
    """What a reader had to do without, so far."""

    frames: int = 0
    """Frames for which nothing was found."""
    packets: int = 0
    """Packets with damage, of which some or no layers could be used."""
    layers: int = 0
    """Layers lost in packets of which lower layers could be used."""
    late: int = 0
    """Packets that came twice or out of order, and were passed over."""
    recovered: int = 0
    """Packets replaced by copies of their lowest layers from redundancy packets."""
    skipped: int = 0
    """Bytes that belong to nothing."""
    truncated: bool = False
    """The link ends without its end packet."""
    mismatch: bool = False
    """The totals or the digest in the end packet are not those of what was read."""

    def __bool__(self) -> bool:
        return self != Losses()


class EcdcReader:
    """Iterates over the packets of one link, from a file or a pipe.

    Args:
        file: has `read(n)`, better `read1(n)`; seeking needs `seek`. The caller closes it.
        keep_going: go on after damage: yield a `Loss` for each stretch that is lost, packets with
            fewer layers where upper ones are damaged, and count both in `losses`. Otherwise the
            first fault raises.
        max_seconds: longest timeline accepted; None lifts the limit.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: the header can't be used.
    """

    def __init__(
        self,
        file: BinaryIO,
        keep_going: bool = False,
        *,
        max_seconds: float | None = limits.DEFAULT_MAX_SECONDS,
        source: Source | None = None,
    ) -> None:
        self._file = file
        self._source = source or Source(file)
        self.header: Header = read_header(self._source)
        self.keep_going = keep_going
        self.losses = Losses()
        self.problems: list[str] = []
        """The first hundred faults that were passed over, in words."""
        self._layout = Layout(self.header)
        self._area = self._source.offset
        self._scanner = Scanner(self._source, self._layout)
        self._held: Element | None = None
        self._queue: deque[Packet | Loss] = deque()
        self._expected = self.header.first_packet * self.header.packet_frames
        self._most = _most_frames(self.header, max_seconds)
        self._reason = "missing"
        self._packets = 0
        self._hash = hashlib.sha256()
        self._whole = True
        self._done = False
        self._end: End | None = None

    def __iter__(self) -> Iterator[Packet | Loss]:
        return self

    def __next__(self) -> Packet | Loss:
        while not self._queue:
            if self._done:
                raise StopIteration
            self._advance()
        return self._queue.popleft()

    @property
    def end(self) -> End | None:
        """The link's totals: at once where the file can be searched, else when they are reached."""
        if self._end is None and self._tail is not None:
            return self._tail.end
        return self._end

    @property
    def total_samples(self) -> int | None:
        """Where the source ends on its timeline, in samples at its rate; None while unknown."""
        return self.header.source_samples if self.end is None else self.end.source_samples

    @property
    def index(self) -> Index | None:
        """The link's index, if it has one and the file can be searched."""
        return None if self._tail is None else self._tail.index

    def seek(self, frame: int) -> None:
        """Goes to the packet that has a frame, or to the next one if none has it.

        On a pipe it can only go forward. The digest is not compared afterwards.

        Raises:
            ArgumentError: the frame lies behind on a pipe.
        """
        self._whole = False
        self._queue.clear()
        if self._source.origin is not None:
            tail = self._tail
            _, offset = tail.index.find(frame) if tail is not None else (0, 0)
            self._source.jump(self._area + offset)
            self._held, self._done = None, False
        elif frame < self._expected:
            raise ArgumentError(f"frame {frame} lies behind on a pipe that is at {self._expected}")
        while (element := self._held or self._scanner.next()) is not None:
            self._held = None
            if element.kind == END:
                break
            if element.head is not None:
                stop = element.head.first_frame + element.head.frames
                self._expected = element.head.first_frame if stop > frame else stop
                if stop > frame:
                    break
        self._held = element

    def pass_tail(self) -> None:
        """Reads on to the end of the link: what is left of it, index and footer."""
        while not self._done:
            element = self._scanner.next()
            self._done = element is None or element.kind == END
        source = self._source
        source.fill(2)
        if source.data.startswith(SYNC + bytes([INDEX]), source.pos):
            self._scanner.next()
        source.fill(FOOTER.size)
        if source.data.startswith(FOOTER_MAGIC, source.pos):
            source.take(FOOTER.size)

    def find_link(self) -> bool:
        """Passes over anything up to the next link; tells whether there is one."""
        while (element := self._scanner.next()) is not None:
            self.losses.skipped += element.size
        return self._source.available > 0

    @cached_property
    def _tail(self) -> Tail | None:
        if self._source.origin is None:
            return None
        position = self._file.tell()
        tail = find_tail(self._file, self._source.origin + self._area, len(self._layout.bits))
        self._file.seek(position)
        return tail

    def _advance(self) -> None:
        element, self._held = self._held or self._scanner.next(), None
        if element is None:
            self._finish(None)
            return
        if element.kind != END:
            self._hash.update(element.data)
        if element.kind == CODES:
            self._take_codes(element)
        elif element.kind == SKIPPED:
            self.losses.skipped += element.size
            self._fault(f"{element.size} bytes at byte {element.offset} belong to no packet")
        elif (payload := element.payload) is None:
            self.losses.packets += 1
            self._fault(f"a packet at byte {element.offset} is damaged")
            if element.kind == END:
                self._finish(None)
        elif element.kind == END:
            self._finish(payload)
        elif element.kind == REDUNDANCY:
            self._take_copies(payload)
        elif element.kind == GAP:
            self._take_gap(payload)

    def _take_codes(self, element: Element) -> None:
        head = element.head
        assert head is not None
        if head.first_frame < self._expected:
            self.losses.late += 1
            self._fault(f"packet {head.sequence} is repeated or out of order")
            return
        self._packets += 1
        packet, good = self._layout.get_packet(head, element.data[head.size :])
        lost = len(head.lengths) - good
        if lost:
            self.losses.packets += 1
            where = f"packet {head.sequence} at byte {element.offset}"
            self._fault(f"{where} is damaged from codebook {good + 1} on")
            if good == 0:
                self._reason = "damaged"
                return
            self.losses.layers += lost
        self._close_gap(head.first_frame, head.frames)
        self._queue.append(packet)

    def _take_copies(self, payload: bytes) -> None:
        for head, data in copies(payload, self._layout):
            if head.first_frame < self._expected:
                continue
            packet, good = self._layout.get_packet(head, data[head.size :])
            if good == 0:
                continue
            self.losses.recovered += 1
            self._fault(f"packet {head.sequence} is missing; a copy replaces it")
            self._close_gap(head.first_frame, head.frames)
            self._queue.append(packet)

    def _take_gap(self, payload: bytes) -> None:
        try:
            begin, pos = get_varint(payload, 0, limits.MAX_COUNT)
            frames, _ = get_varint(payload, pos, limits.MAX_COUNT)
        except (IndexError, ValueError):
            self._fault("a gap packet is malformed")
            return
        if begin < self._expected or frames == 0:
            self._fault(f"a gap of {frames} frames at {begin} overlaps what is there")
            return
        self._close_gap(begin, frames)
        self._queue.append(Loss(begin, frames, "gone before repair"))
        self.losses.frames += frames

    def _close_gap(self, first_frame: int, frames: int) -> None:
        """Accounts for the stretch up to a packet, and for the packet's own."""
        if first_frame + frames > self._most:
            raise LimitError(f"the timeline reaches frame {first_frame + frames}, beyond the limit")
        missing = first_frame - self._expected
        if missing > 0:
            if self._reason == "missing":
                self._fault(f"{missing} frames from frame {self._expected} on are missing")
            self._queue.append(Loss(self._expected, missing, self._reason))
            self.losses.frames += missing
        self._reason = "missing"
        self._expected = first_frame + frames

    def _finish(self, payload: bytes | None) -> None:
        self._done = True
        if payload is None:
            self.losses.truncated = True
            self._fault("the file is cut short: it has no end packet")
            return
        try:
            end = End.parse(payload, len(self._layout.bits))
        except BadFileError as error:
            self.losses.truncated = True
            self._fault(str(error))
            return
        self._end = end
        if end.end_frame > self._expected:
            self._close_gap(end.end_frame, 0)
        elif end.end_frame < self._expected:
            self.losses.mismatch = True
            self._fault(
                f"codes go on to frame {self._expected}; the end packet says {end.end_frame}"
            )
        if self._whole and (
            end.packets != self._packets or self._hash.digest()[:DIGEST_SIZE] != end.digests[-1]
        ):
            self.losses.mismatch = True
            self._fault("the packets are not those that the end packet's digest was taken of")

    def _fault(self, text: str) -> None:
        if not self.keep_going:
            self._done = True
            raise BadFileError(text)
        if len(self.problems) < 100:
            self.problems.append(text)


def _most_frames(header: Header, max_seconds: float | None) -> int:
    if max_seconds is None:
        return limits.MAX_COUNT
    step = header.hop * header.packet_frames
    if header.segment is not None:
        step = header.segment[1]
    return (
        int(max_seconds * header.sample_rate / step) * header.packet_frames + header.packet_frames
    )


def open_links(
    file: BinaryIO,
    keep_going: bool = False,
    *,
    max_seconds: float | None = limits.DEFAULT_MAX_SECONDS,
) -> Iterator[EcdcReader]:
    """Yields a reader for each link of a chained file; what one leaves unread is passed over.

    Raises:
        BadFileError: something that is no link follows a link, and `keep_going` is off.
    """
    source = Source(file)
    while True:
        reader = EcdcReader(file, keep_going, max_seconds=max_seconds, source=source)
        yield reader
        reader.pass_tail()
        if not source.fill(1):
            return
        if not source.data.startswith(LINK_START, source.pos):
            if not keep_going:
                raise BadFileError(f"what follows the link at byte {source.offset} is no link")
            if not reader.find_link():
                return

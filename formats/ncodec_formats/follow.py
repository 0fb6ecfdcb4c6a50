"""Following the timeline of a link: order, gaps, damage, totals. Codes stay packed."""

import hashlib
from collections import deque
from dataclasses import dataclass, replace

from . import limits
from .ending import DIGEST_SIZE, End
from .errors import BadFileError, DamageError, LimitError
from .header import Header
from .packets import CODES, END, GAP, REDUNDANCY, Head, Layout, Loss, get_gap
from .peeling import copies
from .scanner import SKIPPED, Element, Scanner, Source


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

    gone: int = 0
    """Frames that a repaired file says it has lost before."""

    def __bool__(self) -> bool:
        return replace(self, gone=0) != Losses()

    def __str__(self) -> str:
        """What was lost, in words."""
        counts = {
            f"{self.frames} frames lost": self.frames,
            f"{self.layers} layers lost": self.layers,
            f"{self.recovered} packets recovered from copies": self.recovered,
            f"{self.late} packets late or repeated": self.late,
            f"{self.skipped} bytes skipped": self.skipped,
            "no end: cut short": self.truncated,
            "totals or digest differ": self.mismatch,
        }
        return ", ".join(text for text, count in counts.items() if count) or "nothing lost"


@dataclass(frozen=True)
class Coded:
    """A packet of codes in its place, with the number of its layers that are good."""

    head: Head
    data: bytes
    good: int


@dataclass(frozen=True)
class Other:
    """A packet of another type, whole, as it stands; not an end packet or an index."""

    data: bytes


Event = Coded | Loss | Other


class Follower:
    """Hands out what stands on a link's timeline, in order and without overlaps.

    With `keep_going` faults are counted in `losses` and told in `problems` (the first hundred);
    without it the first one raises.
    """

    def __init__(
        self,
        source: Source,
        header: Header,
        begin: int,
        keep_going: bool,
        max_seconds: float | None,
    ) -> None:
        self.layout = Layout(header)
        self.scanner = Scanner(source, self.layout, begin)
        self.losses = Losses()
        self.problems: list[str] = []
        self.expected = header.first_frame
        """The frame at which the next packet should begin."""
        self.end: End | None = None
        self.packets = 0
        self._keep_going = keep_going
        self._most = _most_frames(header, max_seconds)
        self._queue: deque[Event] = deque()
        self._held: Element | None = None
        self._reason = "missing"
        self._hash = hashlib.sha256()
        self._whole = True
        self._done = False

    def next(self) -> Event | None:
        """Returns what comes next; None at the end of the link.

        Raises:
            DamageError: a fault, and `keep_going` is off.
            LimitError: the timeline is longer than is allowed.
        """
        while not self._queue:
            if self._done:
                return None
            self._advance()
        return self._queue.popleft()

    def skip_to(self, frame: int, *, restart: bool) -> None:
        """Goes to the packet that has a frame, or the next one after it.

        `restart` says that the source was moved to a packet anywhere in the link.
        """
        self._whole = False
        self._queue.clear()
        if restart:
            self._held, self._done = None, False
        while (element := self._held or self.scanner.next()) is not None:
            self._held = None
            if element.kind == END:
                break
            if element.head is not None:
                stop = element.head.first_frame + element.head.frames
                self.expected = element.head.first_frame if stop > frame else stop
                if stop > frame:
                    break
        self._held = element

    def drain(self) -> None:
        """Passes over what is left of the link."""
        self._queue.clear()
        while not self._done:
            element, self._held = self._held or self.scanner.next(), None
            self._done = element is None or element.kind == END

    def _advance(self) -> None:
        element, self._held = self._held or self.scanner.next(), None
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
        elif element.kind == GAP:
            self._take_gap(payload)
        else:
            if element.kind == REDUNDANCY:
                self._take_copies(payload)
            self._queue.append(Other(element.data))

    def _take_codes(self, element: Element) -> None:
        head = element.head
        assert head is not None
        if head.first_frame < self.expected:
            self.losses.late += 1
            self._fault(f"packet {head.sequence} is repeated or out of order")
            return
        self.packets += 1
        good = self.layout.count_good(head, element.data[head.size :])
        lost = len(head.lengths) - good
        if lost:
            self.losses.packets += 1
            where = f"packet {head.sequence} at byte {element.offset}"
            scale = self.layout.scale_fault(head)
            self._fault(
                f"{where}: its {scale}"
                if scale
                else f"{where} is damaged from codebook {good + 1} on"
            )
            if good == 0:
                self._reason = "damaged"
                return
            self.losses.layers += lost
        self._close_gap(head.first_frame, head.frames)
        self._queue.append(Coded(head, element.data, good))

    def _take_copies(self, payload: bytes) -> None:
        for head, data in copies(payload, self.layout):
            if head.first_frame < self.expected:
                continue
            good = self.layout.count_good(head, data[head.size :])
            if good == 0:
                continue
            self.losses.recovered += 1
            self._fault(f"packet {head.sequence} is missing; a copy replaces it")
            self._close_gap(head.first_frame, head.frames)
            self._queue.append(Coded(head, data, good))

    def _take_gap(self, payload: bytes) -> None:
        try:
            begin, stop = get_gap(payload)
        except BadFileError as error:
            self._fault(str(error))
            return
        if begin < self.expected:
            self._fault(f"a gap from frame {begin} on overlaps what is there")
            return
        self._close_gap(begin, stop - begin)
        self._queue.append(Loss(begin, stop - begin, "gone before repair"))
        self.losses.gone += stop - begin

    def _close_gap(self, first_frame: int, frames: int) -> None:
        """Accounts for the stretch up to a packet, and for the packet's own."""
        if first_frame + frames > self._most:
            raise LimitError(f"the timeline reaches frame {first_frame + frames}, beyond the limit")
        missing = first_frame - self.expected
        if missing > 0:
            if self._reason == "missing":
                self._fault(f"{missing} frames from frame {self.expected} on are missing")
            self._queue.append(Loss(self.expected, missing, self._reason))
            self.losses.frames += missing
        self._reason = "missing"
        self.expected = first_frame + frames

    def _finish(self, payload: bytes | None) -> None:
        self._done = True
        if payload is None:
            self.losses.truncated = True
            self._fault("the file is cut short: it has no end packet")
            return
        try:
            end = self.end = End.parse(payload, len(self.layout.bits))
        except BadFileError as error:
            self.losses.truncated = True
            self._fault(str(error))
            return
        if end.end_frame > self.expected:
            self._close_gap(end.end_frame, 0)
        elif end.end_frame < self.expected:
            self.losses.mismatch = True
            self._fault(f"codes reach frame {self.expected}, the end packet says {end.end_frame}")
        if self._whole and (
            end.packets != self.packets or self._hash.digest()[:DIGEST_SIZE] != end.digests[-1]
        ):
            self.losses.mismatch = True
            self._fault("the packets are not those that the end packet's digest was taken of")

    def _fault(self, text: str) -> None:
        if not self._keep_going:
            self._done = True
            raise DamageError(text)
        self.note(text)

    def note(self, text: str) -> None:
        """Takes down something that is wrong."""
        if len(self.problems) < 100:
            self.problems.append(text)


def _most_frames(header: Header, max_seconds: float | None) -> int:
    if max_seconds is None:
        return limits.MAX_COUNT
    step = header.hop * header.packet_frames if header.segment is None else header.segment[1]
    return (int(max_seconds * header.sample_rate / step) + 1) * header.packet_frames

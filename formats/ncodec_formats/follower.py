"""Following the timeline of a link: order, gaps, damage, totals. Codes stay packed."""

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from . import limits
from .ending import DIGEST_SIZE, End
from .errors import BadFileError, DamageError, LimitError, counted
from .header import Header
from .packet_runs import Run
from .packets import CODES, END, GAP, REDUNDANCY, Head, Loss, PacketLayout, get_gap
from .peeling import copies
from .scanner import SKIPPED, ByteSource, Element, Scanner
from .timeline import Timeline
from .wire import count_good_layers


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

    header: bool = False
    """The header was damaged; its copy at the end, or that of another file, was used."""
    gone: int = 0
    """Frames that a repaired file says it has lost before."""

    def __bool__(self) -> bool:
        return replace(self, gone=0) != Losses()

    def __str__(self) -> str:
        """What was lost, in words."""
        counts = {
            f"{counted(self.frames, 'frame')} lost": self.frames,
            f"{counted(self.layers, 'layer')} lost": self.layers,
            f"{counted(self.recovered, 'packet')} recovered from copies": self.recovered,
            f"{counted(self.late, 'packet')} late or repeated": self.late,
            f"{counted(self.skipped, 'byte')} skipped": self.skipped,
            "no end: cut short": self.truncated,
            "totals or digest differ": self.mismatch,
            "header replaced": self.header,
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
    gap: Loss | None = None
    """What a gap packet says."""


Event = Run | Coded | Loss | Other


class _Digest:
    """The digest of a link's packets; long stretches are summed up in another thread meanwhile."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._pool: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None

    def add(self, data: bytes) -> None:
        self._wait()
        self._sha256.update(data)

    def add_run(self, run: Run) -> None:
        self._wait()
        self._pool = self._pool or ThreadPoolExecutor(1)
        self._last = self._pool.submit(self._sha256.update, run.rows.data)

    def value(self) -> bytes:
        self._wait()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        return self._sha256.digest()[:DIGEST_SIZE]

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()
            self._last = None


class Follower:
    """Hands out what stands on a link's timeline, in order and without overlaps.

    With `keep_going` faults are counted in `losses` and told in `problems` (the first hundred);
    without it the first one raises. With `runs`, sound packets may come many at once.
    """

    def __init__(
        self,
        source: ByteSource,
        layout: PacketLayout,
        begin: int,
        keep_going: bool,
        max_seconds: float | None,
    ) -> None:
        self.layout, header = layout, layout.header
        self.scanner = Scanner(source, self.layout, begin)
        self.losses = Losses()
        self.problems: list[str] = []
        self.expected = header.first_frame
        """The frame at which the next packet should begin."""
        self.end: End | None = None
        self.packets = 0
        self._keep_going = keep_going
        self._most = _most_frames(header, max_seconds)
        self.runs = False
        """Hand out sound packets many at once where that is possible."""
        self.strict_from = 0
        """Faults that end before this frame do not raise; what was lost is handed out as such."""
        self._queue: deque[Event] = deque()
        self._held: Element | None = None
        self._run: Run | None = None
        """Packets of which one has a fault: they are taken one by one."""
        self._reason = "missing"
        self._digest = _Digest()
        self._whole = True
        self.done = False

    def next(self) -> Event | None:
        """Returns what comes next; None at the end of the link.

        Raises:
            DamageError: a fault, and `keep_going` is off.
            LimitError: the timeline is longer than is allowed.
        """
        while not self._queue:
            if self.done:
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
            self._held, self._run, self.done = None, None, False
        while (element := self._next_element()) is not None:
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
        self._whole = False
        while not self.done:
            element = self._next_element()
            self.done = element is None or element.kind == END

    def _next_element(self) -> Element | None:
        if self._held is not None:
            element, self._held = self._held, None
            return element
        if self._run is not None:
            run = self._run
            self._run = run.part(1, run.count) if run.count > 1 else None
            data = run.rows[0].tobytes()
            head = run.head
            good = count_good_layers(data[head.size :], head.lengths)
            return Element(CODES, run.offset, data, len(data), head, head.size, good)
        element = self.scanner.next()
        if self._whole and element is not None and element.kind != END:
            self._digest.add(element.data)
        return element

    def _next_run(self) -> Run | None:
        if not self.runs or self._held is not None or self._run is not None:
            return None
        run = self.scanner.next_run()
        if self._whole and run is not None:
            self._digest.add_run(run)
        return run

    def _advance(self) -> None:
        run = self._next_run()
        if run is not None:
            self._take_run(run)
            return
        element = self._next_element()
        if element is None:
            self._finish(None)
            return
        if element.kind == CODES:
            self._take_codes(element)
        elif element.kind == SKIPPED:
            self.losses.skipped += element.size
            belong = "belongs" if element.size == 1 else "belong"
            size = counted(element.size, "byte")
            text = f"{size} at byte {element.offset} {belong} to no packet"
            self._fault(text, self.expected)
        elif (payload := element.payload) is None:
            self.losses.packets += 1
            self._fault(f"a packet at byte {element.offset} is damaged")
            if element.kind == END:
                self._finish(None)
        elif element.kind == END:
            self._finish(payload)
        elif element.kind == GAP:
            self._take_gap(payload, element.data)
        else:
            if element.kind == REDUNDANCY:
                self._take_copies(payload)
            self._queue.append(Other(element.data))

    def _take_run(self, run: Run) -> None:
        first = run.head.first_frame
        timely = first >= self.expected and run.end_frame <= self._most
        if timely and run.all_good() and not self.layout.scale_fault(run.head, run.scales):
            self._close_gap(first, run.end_frame - first)
            self.packets += run.count
            self._queue.append(run)
        else:
            self._run = run

    def _take_codes(self, element: Element) -> None:
        head = element.head
        assert head is not None
        if head.first_frame < self.expected:
            self.losses.late += 1
            stop = head.first_frame + head.frames
            self._fault(f"packet {head.sequence} is repeated or out of order", stop)
            return
        self.packets += 1
        good = self.layout.count_good(head, element.data[head.size :], element.good)
        lost = len(head.lengths) - good
        if lost:
            self.losses.packets += 1
            where = f"packet {head.sequence} at byte {element.offset}"
            scale = self.layout.scale_fault(head)
            self._fault(
                f"{where}: its {scale}"
                if scale
                else f"{where} is damaged from codebook {good + 1} on",
                head.first_frame + head.frames,
            )
            if good == 0:
                self._reason = "damaged"
                return
            self.losses.layers += lost
        self._close_gap(head.first_frame, head.frames)
        self._queue.append(Coded(head, element.data, good))

    def _take_copies(self, payload: bytes) -> None:
        for head, data in copies(payload, self.layout, self.expected):
            good = self.layout.count_good(head, data[head.size :], len(head.lengths))
            if good == 0:
                continue
            self.losses.recovered += 1
            stop = head.first_frame + head.frames
            self._fault(f"packet {head.sequence} is missing; a copy replaces it", stop)
            self._close_gap(head.first_frame, head.frames)
            self._queue.append(Coded(head, data, good))

    def _take_gap(self, payload: bytes, data: bytes) -> None:
        try:
            begin, stop = get_gap(payload)
        except BadFileError as error:
            self._fault(str(error))
            return
        if begin < self.expected:
            self._fault(f"a gap from frame {begin} on overlaps what is there", stop)
            return
        self._close_gap(begin, stop - begin)
        self._queue.append(Other(data, Loss(begin, stop - begin, "gone before repair")))
        self.losses.gone += stop - begin

    def _close_gap(self, first_frame: int, frames: int) -> None:
        """Accounts for the stretch up to a packet, and for the packet's own."""
        if first_frame + frames > self._most:
            raise LimitError(f"the timeline reaches frame {first_frame + frames}, beyond the limit")
        missing = first_frame - self.expected
        if missing > 0:
            if self._reason == "missing":
                many = f"{counted(missing, 'frame')} from frame {self.expected} on"
                text = f"{many} {'is' if missing == 1 else 'are'} missing"
                self._fault(text, first_frame)
            self._queue.append(Loss(self.expected, missing, self._reason))
            self.losses.frames += missing
        self._reason = "missing"
        self.expected = first_frame + frames

    def _finish(self, payload: bytes | None) -> None:
        self.done = True
        if payload is None:
            self.losses.truncated = True
            self._fault("the file is cut short: it has no end packet")
            return
        try:
            end = self.end = End.parse(payload, self.layout.layers)
        except BadFileError as error:
            self.losses.truncated = True
            self._fault(str(error))
            return
        if end.end_frame > self.expected:
            self._close_gap(end.end_frame, 0)
        elif end.end_frame < self.expected:
            self.losses.mismatch = True
            self._fault(f"codes reach frame {self.expected}, the end packet says {end.end_frame}")
        if self._whole and (end.packets != self.packets or self._digest.value() != end.digests[-1]):
            self.losses.mismatch = True
            self._fault("the packets are not those that the end packet's digest was taken of")

    def _fault(self, text: str, stop: int | None = None) -> None:
        """Raises or notes that something is wrong with the timeline before frame `stop`."""
        if not self._keep_going and (stop is None or stop > self.strict_from):
            self.done = True
            raise DamageError(text)
        self._whole = self._whole and self._keep_going
        self.note(text)

    def note(self, text: str) -> None:
        """Takes down something that is wrong."""
        if len(self.problems) < 100:
            self.problems.append(text)


def _most_frames(header: Header, max_seconds: float | None) -> int:
    if max_seconds is None:
        return limits.MAX_COUNT
    return Timeline(header).frames_in(max_seconds)

"""Reading ECDC version 1, front to back, from anything that has `read`."""

from collections import deque
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

from . import limits
from .ending import End, Index
from .entropy import CODINGS, Codings
from .errors import ArgumentError, BadFileError, NcodecError
from .follower import Coded, Event, Follower, Losses, Other
from .header import Header
from .packets import Loss, Packet, PacketLayout
from .scanner import ByteSource, read_header
from .tail import Tail, Tails, find_header
from .wire import SYNC

_MOST_CODES = 1 << 18
"""Codes that are read ahead at most, however long packets are."""


class EcdcReader:
    """Iterates over the packets of one link, from a file or a pipe.

    >>> from ncodec_formats import EcdcReader
    >>> with open("talk.ecdc", "rb") as file:
    ...     reader = EcdcReader(file)
    ...     reader.header.model, [packet.frames for packet in reader], reader.end.source_samples
    ('ncodec_24khz', [75, 75, 75, 75, 75, 40], 132744)

    Args:
        file: has `read(n)`, better `read1(n)`; seeking needs `seek`. The caller closes it.
        keep_going: go on after damage: yield a `Loss` for each stretch that is lost, packets with
            fewer layers where upper ones are damaged, and count both in `losses`. Otherwise the
            first fault raises `BadFileError`.
        max_seconds: longest timeline accepted; None lifts the limit.
        codings: of layers, by payload kind; layers of other kinds, and those above, are left out.
        spare_header: to go on with where the header is damaged and has no copy at the end.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: the header can't be used.
    """

    def __init__(
        self,
        file: BinaryIO,
        keep_going: bool = False,
        *,
        max_seconds: float | None = limits.DEFAULT_MAX_SECONDS,
        source: ByteSource | None = None,
        spare_header: Header | None = None,
        codings: Codings = CODINGS,
    ) -> None:
        self._file = file
        self._source = source or ByteSource(file)
        begin, fault = self._source.offset, ""
        try:
            self.header: Header = read_header(self._source)
        except NcodecError as error:
            fault = str(error)
            found = self._find_header(begin, spare_header) if keep_going else None
            if found is None:
                raise
            self.header = found
        self._area = self._source.offset
        layout = PacketLayout(self.header, codings)
        self._follower = Follower(self._source, layout, begin, keep_going, max_seconds)
        self._keep_going = keep_going
        self._followed: bool | None = None
        self.together = 1
        """Packets that are read ahead and decoded at once: quicker where layers are predicted."""
        self.most_layers: int | None = None
        """Decode at most so many layers."""
        self._ready: deque[Packet | Loss] = deque()
        self._later: Exception | None = None
        if fault:
            self.losses.header = True
            self._follower.note(f"{fault}; another copy of it was used")

    def _find_header(self, begin: int, spare: Header | None) -> Header | None:
        """Returns the copy of a damaged header, and goes to where the packets should begin."""
        source = self._source
        if source.origin is None:
            return None
        source.jump(begin)
        header = find_header(self._file, spare)
        if header is not None:
            source.jump(begin + len(header.to_bytes()))
            source.fill(len(SYNC))
            if not source.data.startswith(SYNC):
                source.jump(begin)
        return header

    def __iter__(self) -> Iterator[Packet | Loss]:
        return self

    def __next__(self) -> Packet | Loss:
        if not self._ready:
            self._read()
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def _read(self) -> None:
        """Decodes what comes next, or several packets; a fault after them waits its turn."""
        if self._later is not None:
            error, self._later = self._later, None
            raise error
        events: list[Coded | Loss] = []
        left = _MOST_CODES
        try:
            while left > 0 and len(events) < self.together:
                event = self._follower.next()
                if event is None:
                    break
                if isinstance(event, Coded):
                    left -= event.head.frames * self.header.streams * event.good
                if isinstance(event, Coded | Loss):
                    events.append(event)
                elif isinstance(event, Other) and event.gap is not None:
                    events.append(event.gap)
        except NcodecError as error:
            if not events:
                raise
            self._later = error
        most = self.layout.layers if self.most_layers is None else self.most_layers
        packets = iter(
            self.layout.get_packets(
                [
                    (event.head, event.data[event.head.size :], min(event.good, most))
                    for event in events
                    if isinstance(event, Coded)
                ]
            )
        )
        self._ready += (next(packets) if isinstance(e, Coded) else e for e in events)

    @property
    def layout(self) -> PacketLayout:
        """Sizes that follow from the header."""
        return self._follower.layout

    @property
    def packets(self) -> int:
        """Packets of codes met so far."""
        return self._follower.packets

    @property
    def offset(self) -> int:
        """Bytes read so far, from where the reading of the file began."""
        return self._source.offset

    @property
    def end_frame(self) -> int:
        """The frame after the last one that was read."""
        return self._follower.expected

    @property
    def finished(self) -> bool:
        """Whether the link has been read to its end."""
        return self._follower.done

    def events(self, *, runs: bool = False, strict_from: int = 0) -> Iterator[Event]:
        """Yields the rest of the link as it stands, for those who copy packets.

        Args:
            runs: give many sound packets at once where that is possible.
            strict_from: faults that end before this frame don't raise.
        """
        self._follower.runs, self._follower.strict_from = runs, strict_from
        while (event := self._follower.next()) is not None:
            yield event

    @property
    def losses(self) -> Losses:
        """What had to be done without, so far."""
        return self._follower.losses

    @property
    def problems(self) -> list[str]:
        """The first hundred faults that were passed over, in words."""
        return self._follower.problems

    @property
    def end(self) -> End | None:
        """The link's totals: at once where the file can be searched, else when they are reached."""
        if self._follower.end is None and self._tail is not None:
            return self._tail.end(len(self.header.codebook_sizes))
        return self._follower.end

    @property
    def total_samples(self) -> int | None:
        """Where the source ends on its timeline, in samples at its rate; None while unknown."""
        if self.end is not None:
            return self.end.source_samples
        return self.header.source_samples if self.header.end is None else self.header.end

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
        self._ready.clear()
        self._later = None
        seekable = self._source.origin is not None
        if seekable:
            _, offset = self.index.find(frame) if self.index is not None else (0, 0)
            self._source.jump(self._area + offset)
        elif frame < self._follower.expected:
            raise ArgumentError(
                f"frame {frame} lies behind on a pipe that is at {self._follower.expected}"
            )
        self._follower.skip_to(frame, restart=seekable)

    def next_link(self) -> bool:
        """Passes over the rest of the link, its index and footer; tells whether a link follows.

        Raises:
            BadFileError: something else follows, and `keep_going` is off.
        """
        if self._followed is None:
            self._ready.clear()
            self._follower.drain()
            wrong = self._follower.scanner.pass_tail()
            if wrong is not None:
                self._follower.note(wrong)
            try:
                self._followed = self._source.at_link()
            except BadFileError as error:
                if not self._keep_going:
                    raise
                self._follower.note(str(error))
                self._followed = self._find_link()
        return self._followed

    def _find_link(self) -> bool:
        while (element := self._follower.scanner.next()) is not None:
            self.losses.skipped += element.size
        return self._source.available > 0

    @cached_property
    def _tail(self) -> Tail | None:
        if self._source.origin is None:
            return None
        position = self._file.tell()
        if self._source.tails is None:
            self._source.tails = Tails(self._file)
        tail = self._source.tails.find(self._source.origin + self._area)
        self._file.seek(position)
        return tail


def open_links(
    file: BinaryIO,
    keep_going: bool = False,
    *,
    max_seconds: float | None = limits.DEFAULT_MAX_SECONDS,
    codings: Codings = CODINGS,
) -> Iterator[EcdcReader]:
    """Yields a reader for each link of a chained file; what one leaves unread is passed over.

    Raises:
        BadFileError: something that is no link follows a link, and `keep_going` is off.
    """
    source = ByteSource(file)
    while True:
        reader = EcdcReader(
            file, keep_going, max_seconds=max_seconds, source=source, codings=codings
        )
        yield reader
        if not reader.next_link():
            return

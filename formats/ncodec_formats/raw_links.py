"""Links as rows of packets to be copied: sound ones as they stand, of others what is good."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import BinaryIO

from .ending import HEADER_KEY, End
from .errors import BadFileError, DamageError
from .follower import Coded, Losses
from .header import Header
from .packet_runs import Run
from .packets import Head, Loss, PacketLayout, put_gap
from .peeling import Digests
from .reader import EcdcReader
from .scanner import ByteSource
from .timeline import Timeline
from .writer import LinkWriter


@dataclass
class Report:
    """What reading a whole file found.

    Attributes:
        links: Recordings that follow each other in it.
        packets: How many were read.
        frames: Of codes.
        seconds: Length of the sound.
        losses: What was lost, counted.
        problems: What is wrong, in words: the first hundred of each link.
        known: What can be said of a format that has no checks; empty for ECDC 1.
    """

    links: int = 0
    packets: int = 0
    frames: int = 0
    seconds: float = 0.0
    losses: Losses = field(default_factory=Losses)
    problems: list[str] = field(default_factory=list[str])
    known: str = ""

    @property
    def ok(self) -> bool:
        """Whether every byte is as it was written."""
        return not self.problems

    def add(self, reader: EcdcReader) -> None:
        """Adds what was found in a link."""
        header = reader.header
        self.links += 1
        self.packets += reader.packets
        self.frames += reader.end_frame - header.first_frame
        self.seconds += max(played_samples(reader) - header.start, 0) / header.source_rate
        self.problems += reader.problems
        for entry in fields(Losses):
            total = getattr(self.losses, entry.name) + getattr(reader.losses, entry.name)
            setattr(self.losses, entry.name, type(entry.default)(total))


@dataclass(frozen=True)
class Piece:
    """One packet, fit to be written."""

    head: Head | None
    """Of a packet of codes; None for any other."""
    data: bytes
    gap: Loss | None = None
    """What it says, if it is a gap packet."""


Item = Run | Piece


def span(item: Item) -> tuple[int, int] | None:
    """Returns the frames that an item covers, first and after the last; None if it covers none."""
    if isinstance(item, Run):
        return item.head.first_frame, item.end_frame
    place = item.head or item.gap
    return None if place is None else (place.first_frame, place.first_frame + place.frames)


class RawLink:
    """One link of a file: its header, its packets, its totals.

    Everything that `verify` would find in what is read raises. With `keep_going` the packets are
    instead those that `repair` would write: of damaged ones the layers below the damage, and a gap
    packet for what is lost.
    """

    def __init__(self, reader: EcdcReader, keep_going: bool) -> None:
        self.reader, self.header, self.layout = reader, reader.header, reader.layout
        self._keep_going = keep_going

    @property
    def finished(self) -> bool:
        """Whether all items are read."""
        return self.reader.finished

    @property
    def end(self) -> End:
        """The totals, once all items are read; made up of what was found if they are gone."""
        reader = self.reader
        return reader.end or End(played_samples(reader), reader.packets, reader.end_frame, ())

    def writer(self, dst: BinaryIO, header: Header) -> LinkWriter:
        """Begins a copy of the whole link under another header."""
        return LinkWriter(dst, header, Digests(PacketLayout(header)) if self._keep_going else None)

    def items(self, strict_from: int = 0) -> Iterator[Item]:
        """Yields all packets before the end packet, many at once where they are alike.

        Faults that end before frame `strict_from` do not raise.

        Raises:
            DamageError: a fault.
        """
        try:
            for event in self.reader.events(runs=True, strict_from=strict_from):
                if isinstance(event, Run):
                    yield event
                elif isinstance(event, Coded):
                    yield self._piece(event)
                elif isinstance(event, Loss):
                    yield Piece(None, put_gap(event.first_frame, event.frames), event)
                else:
                    yield Piece(None, event.data, event.gap)
        except DamageError as error:
            raise DamageError(f"{error}; repair the file first") from error

    def _piece(self, packet: Coded) -> Piece:
        if packet.good == len(packet.head.lengths):
            return Piece(packet.head, packet.data)
        data = self.layout.put_lower(packet.head, packet.data, packet.good)
        return Piece(self.layout.get_head(data, 0), data)

    def finish(self, writer: LinkWriter) -> None:
        """Ends what was written of the whole link, with its own totals."""
        end, layers = self.end, writer.layout.layers
        copied = None if self.reader.end is None else HEADER_KEY in end.extra
        if copied and layers < self.layout.layers:
            copied = None  # as coding with so few layers would decide
        if self._keep_going:
            end = replace(writer.end(end.source_samples), extra=end.extra)
        writer.finish(replace(end, digests=end.digests[:layers]), copy_header=copied)


def copy_item(writer: LinkWriter, item: Item) -> None:
    """Writes what was read, as it is."""
    if isinstance(item, Run):
        writer.add_run(item)
        return
    writer.add(item.head, item.data)
    if item.gap is not None:
        writer.end_frame = item.gap.first_frame + item.gap.frames


def raw_links(
    file: BinaryIO,
    keep_going: bool = False,
    report: Report | None = None,
    spare_header: Header | None = None,
) -> Iterator[RawLink]:
    """Yields the links of a file; what was found in each is added to `report`.

    With `keep_going` a link after the first whose header can't be used ends the file.

    Raises:
        BadFileError: a header can't be used, or what follows a link is no link.
    """
    source, report = ByteSource(file), Report() if report is None else report
    first = more = True
    while more:
        try:
            reader = EcdcReader(
                file, keep_going, max_seconds=None, source=source, spare_header=spare_header
            )
        except BadFileError as error:
            if first or not keep_going:
                raise
            report.problems.append(str(error))
            return
        first, spare_header = False, None
        yield RawLink(reader, keep_going)
        more = reader.next_link()
        report.add(reader)


def played_samples(reader: EcdcReader) -> int:
    """Returns where playback ends, from the frames if the end packet is gone."""
    header, end = reader.header, reader.end
    if end is not None:
        return end.source_samples
    timeline = Timeline(header)
    samples = timeline.model_to_source(timeline.reach_of(reader.end_frame))
    return samples if header.source_samples is None else min(samples, header.source_samples)

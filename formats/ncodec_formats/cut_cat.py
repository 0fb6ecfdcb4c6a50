"""Cutting a part out of ECDC files and joining parts again, by copying packets.

As `peel_tag` does: streaming, in constant memory, and from damaged sources only if asked to.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import BinaryIO
from zlib import crc32

from .ending import HEADER_KEY, End
from .errors import ArgumentError, naming
from .header import Header
from .packet_runs import Run
from .peeling import Digests
from .raw_links import Item, RawLink, Report, copy_item, raw_links, span
from .writer import LinkWriter

MARGIN_FRAMES = 4
"""Kept on both sides of a cut beyond what the model needs, for a resampling filter's reach."""


def cut(
    src: BinaryIO,
    dst: BinaryIO,
    start: float,
    end: float | None = None,
    *,
    seconds: bool = False,
    keep_going: bool = False,
    report: Report | None = None,
) -> float:
    """Keeps what plays from sample `start` to before sample `end`, at the source's rate.

    With `seconds` both are times, which count rightly through links of different rates. Returns
    how long the part is, in the same unit: less than was asked for where the file ends before.

    Whole packets are kept, with as many before as the model needs to play exactly from `start`;
    the header and the end packet say where playback begins and ends. The result keeps its place
    on the timeline, so that `cat` can join such parts again. Both count from the first sample
    that plays, through all links of a chained file. Damage outside the part does not matter.

    Raises:
        ArgumentError: the range is empty or lies beyond the end.
        BadFileError: the part is damaged, and `keep_going` is off; a header can't be used.
    """
    unit = " s" if seconds else " samples"
    if not start >= 0 or (end is not None and not end > start):
        span = f"from {float(start):g}{unit} to {float(end or 0):g}{unit}"
        raise ArgumentError(f"{span}: the first must be below the last")
    before, kept = Fraction(0), Fraction(0)
    for link in raw_links(src, keep_going, report):
        header, rate = link.header, link.header.source_rate if seconds else 1
        stop = None if end is None else header.start + round((end - before) * rate)
        begin = header.start + max(round((start - before) * rate), 0)
        kept += Fraction(_Part(link, dst, begin, stop).write(), rate)
        before += Fraction(max(link.end.source_samples - header.start, 0), rate)
        if end is not None and (not link.finished or before >= end):
            if report is not None:
                report.add(link.reader)
            break
    if not kept:
        raise ArgumentError(
            f"start {float(start):g}{unit} lies beyond the end, at {float(before):g}{unit}"
        )
    return float(kept)


class _Part:
    """The part of a link that plays from one source sample to before another."""

    def __init__(self, link: RawLink, dst: BinaryIO, begin: int, stop: int | None) -> None:
        self._link, self._dst, self._begin = link, dst, begin
        self._known = known = link.reader.end
        if known is not None and stop is not None:
            stop = min(stop, known.source_samples)
        self._stop = stop
        self._first, self._last = _frames(link.header, begin, stop)
        if known is not None and begin >= known.source_samples:
            self._first = self._last = known.end_frame
        self._writer: LinkWriter | None = None
        self._attached: list[Item] = []
        """Packets of no frames, which belong with the one that follows."""

    def write(self) -> int:
        """Writes it; returns how many source samples play of it."""
        for item in self._link.items(strict_from=self._first):
            place = span(item)
            if place is None:
                self._attached.append(item)
            elif self._last is not None and place[0] >= self._last:
                break
            else:
                if place[1] > self._first and not self._copy(item, place):
                    break  # what is behind may be damaged, and does not matter
                self._attached.clear()
        return 0 if self._writer is None else self._finish(self._writer)

    def _copy(self, item: Item, place: tuple[int, int]) -> bool:
        """Writes what lies inside; returns whether that is all up to the item's end."""
        part = _within(item, self._first, self._last)
        begin, end = span(part) or place
        writer = self._writer = self._writer or self._open(begin)
        for each in (*self._attached, part):
            copy_item(writer, each)
        return end == place[1]

    def _open(self, first_frame: int) -> LinkWriter:
        known, layout = self._known, self._link.layout
        end = None if known is not None and self._stop == known.source_samples else self._stop
        header = replace(self._link.header, start=self._begin, first_frame=first_frame, end=end)
        return LinkWriter(self._dst, header, Digests(layout))

    def _finish(self, writer: LinkWriter) -> int:
        end, extra = self._stop, self._known.extra if self._known is not None else {}
        if self._link.finished or end is None:
            total, extra = self._link.end.source_samples, self._link.end.extra
            end = total if end is None else min(end, total)
            for item in self._attached if end == total else ():
                copy_item(writer, item)
        if end <= self._begin:
            raise ArgumentError(f"sample {self._begin} lies beyond the end, at {end}")
        writer.finish(replace(writer.end(end), extra=extra), copy_header=HEADER_KEY in extra)
        return end - self._begin


def _frames(header: Header, begin: int, stop: int | None) -> tuple[int, int | None]:
    """Returns the frames needed to play a range of samples: the first, and after the last."""
    below = begin * header.sample_rate // header.source_rate
    above = None if stop is None else -(-stop * header.sample_rate // header.source_rate)
    if header.segment is None:
        first = below // header.hop
        last = None if above is None else -(-above // header.hop)
    else:
        length, stride = header.segment
        first = max(below - length, 0) // stride * header.packet_frames
        last = None if above is None else -(-above // stride) * header.packet_frames
    first = max(first - header.preroll_frames - MARGIN_FRAMES, 0)
    return first, None if last is None else last + header.postroll_frames + MARGIN_FRAMES


def _within(item: Item, first: int, last: int | None) -> Item:
    """Returns those packets of a run that overlap a range of frames."""
    if not isinstance(item, Run):
        return item
    begin, frames = item.head.first_frame, item.head.frames
    low = max(first - begin, 0) // frames
    high = item.count if last is None else min(-(-(last - begin) // frames), item.count)
    return item.part(low, high)


def cat(
    sources: Sequence[BinaryIO],
    dst: BinaryIO,
    names: Sequence[str] = (),
    *,
    keep_going: bool = False,
    report: Report | None = None,
) -> int:
    """Joins files: parts cut from one file become one again, others become links of a chain.

    Parts that touch, in order, give the original byte for byte. All headers are read before
    anything else. `names` is how errors call the sources. Returns how many links were written.

    Raises:
        BadFileError: a source is damaged, and `keep_going` is off or it has no usable header.
    """
    names = names or [f"source {number}" for number in range(1, len(sources) + 1)]
    joiner = _Joiner(dst)
    starts: list[tuple[RawLink, Iterator[RawLink]]] = []
    for src, name in zip(sources, names, strict=True):
        links = raw_links(src, keep_going, report)
        with naming(name):
            starts.append((next(links), links))
    headers = [first.header for first, _ in starts]
    for number, (first, links) in enumerate(starts):
        with naming(names[number]):
            for link in chain([first], links):
                joiner.add(link, headers[number + 1 :])
    joiner.finish()
    return joiner.links


def _touches(before: Header, after: Header) -> bool:
    """Tells whether one header is of the part that follows another's."""
    same = {"start": 0, "first_frame": 0, "end": None}
    return (
        replace(before, **same) == replace(after, **same)
        and before.start < after.start
        and before.end == after.start
    )


class _Joiner:
    """Writes links one after another, and goes on with the last one where it can."""

    def __init__(self, dst: BinaryIO) -> None:
        self._dst = dst
        self._writer: LinkWriter | None = None
        self._end: End | None = None
        self.links = 0
        self._recent: dict[int, int] = {}
        """First frame and CRC-32 of the last packets written, as many as parts can share."""

    def add(self, link: RawLink, following: Iterable[Header]) -> None:
        """Writes a link; `following` are the headers that later sources begin with."""
        items = link.items()
        joined, ready = False, list[Item]()
        if self._continues(link.header):
            joined, ready = self._pass_overlap(items)
        if not joined:
            self.finish()
            header = link.header
            for other in following:
                if not _touches(header, other):
                    break
                header = replace(header, end=other.end)
            self._writer = LinkWriter(self._dst, header, Digests(link.layout))
            self.links += 1
            self._recent.clear()
        for item in chain(ready, items):
            self._copy(item)
        self._end = link.end

    def finish(self) -> None:
        if self._writer is not None and self._end is not None:
            end = self._writer.end(self._end.source_samples)
            extra = self._end.extra
            self._writer.finish(replace(end, extra=extra), copy_header=HEADER_KEY in extra)

    def _continues(self, header: Header) -> bool:
        if self._writer is None or self._end is None:
            return False
        before = replace(self._writer.header, end=self._end.source_samples)
        return _touches(before, header)

    def _pass_overlap(self, items: Iterator[Item]) -> tuple[bool, list[Item]]:
        """Passes over packets that are written already.

        Returns whether what follows goes on from them, and what was read and is to be written.
        """
        assert self._writer is not None
        frame = self._writer.end_frame
        held: list[Item] = []
        attached: list[Item] = []
        for item in items:
            held.append(item)
            if span(item) is None:
                attached.append(item)
                continue
            packets = list(_packets(item))
            shared = sum(first < frame for first, _ in packets)
            if any(self._recent.get(first) != crc32(data) for first, data in packets[:shared]):
                return False, held
            if shared == len(packets):
                attached.clear()
                continue
            if packets[shared][0] != frame:
                return False, held
            if isinstance(item, Run) and shared:
                return True, [item.part(shared, item.count)]
            return True, [*attached, item]
        return True, attached

    def _copy(self, item: Item) -> None:
        assert self._writer is not None
        copy_item(self._writer, item)
        if span(item) is None:
            return
        header = self._writer.header
        reach = header.preroll_frames + header.postroll_frames + 2 * MARGIN_FRAMES
        most = reach // header.packet_frames + 4
        if header.segment is not None:
            most += header.segment[0] // header.segment[1]
        tail = item.part(max(item.count - most, 0), item.count) if isinstance(item, Run) else item
        for first, data in _packets(tail):
            self._recent[first] = crc32(data)
        for first in list(self._recent)[:-most]:
            del self._recent[first]


def _packets(item: Item) -> Iterator[tuple[int, bytes]]:
    """Yields first frame and bytes of each packet of an item."""
    first, _ = span(item) or (0, 0)
    if isinstance(item, Run):
        for number in range(item.count):
            yield first + number * item.head.frames, item.rows[number].tobytes()
    else:
        yield first, item.data

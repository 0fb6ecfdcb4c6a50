"""Verifying and repairing ECDC files, and telling what is in them: no model is needed."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import BinaryIO

from .bulk import Run
from .copying import Item, RawLink, raw_links, span
from .ending import DIGEST_SIZE
from .errors import BadFileError
from .follow import Coded, Losses
from .header import Header
from .packets import Loss, put_gap
from .peeling import Digests
from .reader import EcdcReader, open_links
from .scanner import Element
from .writer import LinkWriter


@dataclass
class Report:
    """What reading a whole file found. `problems` are in words, the first hundred of each link."""

    links: int = 0
    packets: int = 0
    frames: int = 0
    seconds: float = 0.0
    losses: Losses = field(default_factory=Losses)
    problems: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether every byte is as it was written."""
        return not self.problems

    def count(self, header: Header, packets: int, end_frame: int, samples: int) -> None:
        """Adds the totals of a link."""
        self.links += 1
        self.packets += packets
        self.frames += end_frame - header.first_frame
        self.seconds += max(samples - header.start, 0) / header.source_rate


def verify(src: BinaryIO) -> Report:
    """Reads a whole file and compares all checks, totals and digests.

    Damage is told, not raised: `report.ok` is the answer.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: the first header can't be used.
    """
    if src.seekable():
        begin = src.tell()
        report = _verify_quickly(src)
        if report is not None:
            return report
        src.seek(begin)
    report = Report()
    for reader in _readers(src, report):
        for _ in reader.events():
            pass
        reader.next_link()
        _count(report, reader)
    return report


def _verify_quickly(src: BinaryIO) -> Report | None:
    """Returns the report of a file without any fault; None if there is one, whichever it is."""
    report = Report()
    with ThreadPoolExecutor(1) as pool:
        try:
            return (
                report if all(_add_sound(link, report, pool) for link in raw_links(src)) else None
            )
        except BadFileError:
            return None


def _add_sound(link: RawLink, report: Report, pool: ThreadPoolExecutor) -> bool:
    """Reads a link; counts it if it has no fault."""
    hasher, packets, frame = _Hasher(pool), 0, link.header.first_frame
    for item in link.items():
        hasher.update(item)
        place = span(item)
        if not _sound(link, item) or (place is not None and place[0] != frame):
            return False
        packets += _packets(item)
        frame = place[1] if place is not None else frame
        report.losses.gone += _gone(item)
    end, found = link.end, (packets, frame, hasher.digest())
    if link.wrong_tail or (end.packets, end.end_frame, end.digests[-1]) != found:
        return False
    report.count(link.header, packets, frame, end.source_samples)
    return True


class _Hasher:
    """The digest of a link, of which long stretches are summed up in another thread meanwhile."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._sha256, self._pool = hashlib.sha256(), pool
        self._last: Future[None] | None = None

    def update(self, item: Item) -> None:
        self._wait()
        if isinstance(item, Run):
            self._last = self._pool.submit(self._sha256.update, item.rows.data)
        else:
            self._sha256.update(item.data)

    def digest(self) -> bytes:
        self._wait()
        return self._sha256.digest()[:DIGEST_SIZE]

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()


def _sound(link: RawLink, item: Item) -> bool:
    if isinstance(item, Run):
        return item.all_good()
    if item.head is None:
        return item.payload is not None
    return link.layout.count_good(item.head, item.data[item.head.size :]) == len(item.head.lengths)


def _packets(item: Item) -> int:
    return item.count if isinstance(item, Run) else int(item.head is not None)


def _gone(item: Item) -> int:
    place = span(item) if isinstance(item, Element) and item.head is None else None
    return place[1] - place[0] if place is not None else 0


def repair(src: BinaryIO, dst: BinaryIO) -> Report:
    """Writes what is good of a damaged file as a sound one, and returns what was not.

    Packets keep the layers below the damage; a stretch with nothing left becomes a gap packet, so
    that the timeline stays; end packet, digests and index are made anew.

    Raises:
        BadFileError, UnsupportedVersionError, LimitError: the first header can't be used.
    """
    report = Report()
    for reader in _readers(src, report):
        writer = LinkWriter(dst, reader.header, Digests(reader.layout))
        for event in reader.events():
            if isinstance(event, Coded):
                data = reader.layout.put_lower(event.head, event.data, event.good)
                writer.add(reader.layout.get_head(data, 0), data)
            elif isinstance(event, Loss):
                writer.add(None, put_gap(event.first_frame, event.frames))
                writer.end_frame = event.first_frame + event.frames
            else:
                writer.add(None, event.data)
        reader.next_link()
        _count(report, reader)
        found = reader.end
        end = writer.end(played_samples(reader) if found is None else found.source_samples)
        writer.finish(end if found is None else replace(end, extra=found.extra))
    return report


def _readers(src: BinaryIO, report: Report) -> Iterator[EcdcReader]:
    """Yields a patient reader for each link; one that can't be used ends the file."""
    readers = open_links(src, keep_going=True, max_seconds=None)
    while True:
        try:
            reader = next(readers)
        except StopIteration:
            return
        except BadFileError as error:
            if report.links == 0:
                raise
            report.problems.append(str(error))
            return
        yield reader


def _count(report: Report, reader: EcdcReader) -> None:
    report.count(reader.header, reader.packets, reader.end_frame, played_samples(reader))
    report.problems += reader.problems
    for entry in fields(Losses):
        total = getattr(report.losses, entry.name) + getattr(reader.losses, entry.name)
        setattr(report.losses, entry.name, type(entry.default)(total))


def played_samples(reader: EcdcReader) -> int:
    """Returns where playback ends, from the frames if the end packet is gone."""
    header, end = reader.header, reader.end
    if end is not None:
        return end.source_samples
    model_samples = reader.end_frame * header.hop
    if header.segment is not None:
        length, stride = header.segment
        packets = -(-reader.end_frame // header.packet_frames)
        model_samples = (packets - 1) * stride + length if packets else 0
    samples = model_samples * header.source_rate // header.sample_rate
    return samples if header.source_samples is None else min(samples, header.source_samples)

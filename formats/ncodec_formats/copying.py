"""Links as rows of packets to be copied: nothing is decoded, damage to a head is an error."""

from collections.abc import Iterator
from typing import BinaryIO

from .bulk import Run
from .ending import End
from .errors import BadFileError
from .packets import END, GAP, Layout, get_gap
from .scanner import SKIPPED, Element, Scanner, Source, read_header
from .tail import find_tail

Item = Run | Element


class RawLink:
    """One link of a file: its header, its packets, its totals."""

    def __init__(self, file: BinaryIO, source: Source) -> None:
        begin = source.offset
        self.header = read_header(source)
        self.layout = Layout(self.header)
        self._file = file
        self._source = source
        self._area = source.offset
        self._scanner = Scanner(source, self.layout, begin)
        self._end: End | None = None
        self.wrong_tail: str | None = None
        """What is wrong with index and footer, once all items are read."""

    @property
    def end(self) -> End:
        """The totals, once all items are read."""
        assert self._end is not None
        return self._end

    @property
    def finished(self) -> bool:
        """Whether all items are read."""
        return self._end is not None

    def items(self) -> Iterator[Item]:
        """Yields all packets before the end packet, many at once where they are alike.

        Raises:
            BadFileError: bytes belong to no packet, or the link has no end.
        """
        while self._end is None:
            run = self._scanner.next_run()
            if run is not None:
                yield run
                continue
            element = self._scanner.next()
            if element is None:
                raise BadFileError("the file is cut short: it has no end packet; repair it first")
            if element.kind == SKIPPED or len(element.data) < element.size:
                raise BadFileError(f"damage at byte {element.offset}; repair the file first")
            if element.kind != END:
                yield element
                continue
            payload = element.payload
            if payload is None:
                raise BadFileError("the end packet is damaged; repair the file first")
            self._end = End.parse(payload, len(self.layout.bits))
        self.wrong_tail = self._scanner.pass_tail()

    def known_end(self) -> End | None:
        """Returns the totals before all is read, where the file can be searched for them."""
        if self._source.origin is None:
            return None
        position = self._file.tell()
        tail = find_tail(self._file, self._source.origin + self._area)
        self._file.seek(position)
        return None if tail is None else tail.end(len(self.layout.bits))


def span(item: Item) -> tuple[int, int] | None:
    """Returns the frames that an item covers, first and after the last; None if it covers none."""
    if isinstance(item, Run):
        return item.head.first_frame, item.end_frame
    if item.head is not None:
        return item.head.first_frame, item.head.first_frame + item.head.frames
    if item.kind == GAP and (payload := item.payload) is not None:
        return get_gap(payload)
    return None


def raw_links(file: BinaryIO) -> Iterator[RawLink]:
    """Yields the links of a file; the items of each must be read before the next.

    Raises:
        BadFileError: what follows a link is no link.
    """
    source = Source(file)
    while True:
        yield RawLink(file, source)
        if not source.at_link():
            return

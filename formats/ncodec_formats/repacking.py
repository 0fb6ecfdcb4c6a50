"""The same codes by other layer codings: packed bits as predicted layers, and back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO

from .ending import HEADER_KEY
from .entropy import CODINGS, Codings
from .errors import ArgumentError
from .header import Header
from .packet_runs import Run
from .packets import REDUNDANCY, Head, PacketLayout, get_other, put_other
from .peeling import Digests, copies
from .raw_links import Piece, RawLink, Report, copy_item, raw_links
from .wire import SYNC
from .writer import LinkWriter

_TOGETHER = 64
"""Packets that are decoded side by side."""


def repack(
    src: BinaryIO,
    dst: BinaryIO,
    plan: Callable[[Header], Header],
    *,
    codings: Codings = CODINGS,
    keep_going: bool = False,
    report: Report | None = None,
) -> Header:
    """Writes the codes of a file by other codings; no code changes, and all else stays.

    Packing what was predicted gives what was packed before, byte for byte. As `peel` does: sources
    and outputs may be pipes, damage is an error unless `keep_going` is on. Returns the header that
    was written, the first one in a chained file.

    Args:
        src: the file.
        dst: what is written to.
        plan: what each link's header becomes: other `kinds` and `tables`, nothing else.
        codings: of the layers, before and after.
        keep_going: write what `repair` would of a damaged file.
        report: what was found in the source is added to it.

    Raises:
        ArgumentError: a layer is of a kind without a coding.
        TablesError: the tables that predict a layer are not here.
        BadFileError: the source is damaged, or has no usable header.
    """
    written: Header | None = None
    for link in raw_links(src, keep_going, report):
        writer = _Repacker(link, plan(link.header), dst, codings).write()
        written = written or writer.header
    assert written is not None
    return written


class _Repacker:
    """One link on its way from one layout to another."""

    def __init__(self, link: RawLink, header: Header, dst: BinaryIO, codings: Codings) -> None:
        assert replace(header, kinds=link.header.kinds, tables=link.header.tables) == link.header
        self._link = link
        self._source, self._target = (PacketLayout(h, codings) for h in (link.header, header))
        for layout in (self._source, self._target):
            if layout.readable < layout.layers:
                raise ArgumentError(f"no coding for layers of kind {layout.kinds[layout.readable]}")
        self._writer = LinkWriter(dst, header, Digests(self._target))

    def write(self) -> LinkWriter:
        writer, waiting = self._writer, list[tuple[Head, bytes]]()
        for piece in self._pieces():
            if piece.head is not None:
                waiting.append((piece.head, piece.data))
            if piece.head is None or len(waiting) == _TOGETHER:
                self._put(waiting)
            if piece.head is None:
                copy_item(writer, replace(piece, data=self._other(piece.data)))
        self._put(waiting)
        end = self._link.end
        extra = {key: value for key, value in end.extra.items() if key != HEADER_KEY}
        writer.finish(replace(writer.end(end.source_samples), extra=extra))
        return writer

    def _pieces(self) -> Iterator[Piece]:
        for item in self._link.items():
            if isinstance(item, Run):
                for number in range(item.count):
                    yield Piece(item.part(number, number + 1).head, item.rows[number].tobytes())
            else:
                yield item

    def _put(self, packets: list[tuple[Head, bytes]]) -> None:
        for data in self._coded(packets):
            self._writer.add(self._target.get_head(data, 0), data)
        packets.clear()

    def _coded(self, packets: list[tuple[Head, bytes]]) -> list[bytes]:
        found = [(head, data[head.size :], len(head.lengths)) for head, data in packets]
        return [self._target.put_packet(packet) for packet in self._source.get_packets(found)]

    def _other(self, data: bytes) -> bytes:
        if data[2] != REDUNDANCY:
            return data
        begin, length = get_other(data, 0)
        within = list(copies(data[begin : begin + length], self._source))
        return put_other(REDUNDANCY, b"".join(one[len(SYNC) :] for one in self._coded(within)))

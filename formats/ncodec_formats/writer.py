"""Writing ECDC version 1, front to back, to anything that has `write`."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from .bounds import is_count, plain
from .ending import FOOTER, End, Index, wants_header_copy, with_header_copy
from .entropy import CODINGS, Codings
from .errors import ArgumentError
from .header import Header
from .packet_runs import Run
from .packets import REDUNDANCY, Head, Packet, PacketLayout, put_other
from .peeling import Digests
from .wire import FOOTER_MAGIC, SYNC

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LinkWriter:
    """Writes whole packets as they are, and keeps what the end of the link needs to say."""

    def __init__(self, file: BinaryIO, header: Header, digests: Digests | None = None) -> None:
        self.header = header
        self.layout = PacketLayout(header)
        self.index = Index.for_layout(self.layout)
        self.packets = 0
        self.end_frame = header.first_frame
        self._digests = digests
        self._file = file
        data = header.to_bytes()
        self.index.header_size = len(data)
        file.write(data)

    def add(self, head: Head | None, data: bytes) -> None:
        """Writes one packet; `head` is that of a packet of codes, None for any other."""
        if head is not None:
            self.index.add(head.first_frame, self.index.area)
            self.packets += 1
            self.end_frame = head.first_frame + head.frames
        if self._digests is not None:
            self._digests.add(head, data)
        self.index.area += len(data)
        self._file.write(data)

    def add_run(self, run: Run) -> None:
        """Writes many packets of codes."""
        head, stride = run.head, run.rows.shape[1]
        number = 0
        while number < run.count:
            frame = head.first_frame + number * head.frames
            self.index.add(frame, self.index.area + number * stride)
            ahead = self.index.next_frame - head.first_frame
            number = max(number + 1, -(-ahead // head.frames))
        self.index.area += run.count * stride
        self.packets += run.count
        self.end_frame = run.end_frame
        if self._digests is not None:
            self._digests.add_run(run)
        self._file.write(run.rows.tobytes())

    def finish(self, end: End, *, copy_header: bool | None = None) -> None:
        """Writes end packet, index and footer.

        `copy_header` says whether the end packet has a copy of the header; by default it has one
        where that costs little.
        """
        self._file.write(self._tail(end, copy_header))

    def size(self) -> int:
        """Returns the bytes of the whole link, if it ended here."""
        return self.index.header_size + self.index.area + len(self._tail(self.end(0), None))

    def _tail(self, end: End, copy_header: bool | None) -> bytes:
        if copy_header is None:
            copy_header = wants_header_copy(self.header, self.index.area)
        end = with_header_copy(end, self.header if copy_header else None)
        tail = end.to_packet() + self.index.to_packet()
        return tail + FOOTER.pack(FOOTER_MAGIC, len(tail) + FOOTER.size)

    def end(self, source_samples: int) -> End:
        """Returns the totals of what was written."""
        assert self._digests is not None
        return End(source_samples, self.packets, self.end_frame, self._digests.values())


class EcdcWriter:
    """Writes codes as an ECDC version 1 link; never seeks, so a pipe will do.

    Args:
        file: has `write(bytes)`; the caller closes it.
        header: written at once.
        redundancy: `(layers, packets)`: before each packet go copies of the lowest `layers` of
            the `packets` before it; a reader that has lost one of those uses them.
        codings: of layers, by payload kind; the header's kinds say which are used.

    Raises:
        ArgumentError: redundancy is out of range, or there is no coding for a kind of the header.
    """

    def __init__(
        self,
        file: BinaryIO,
        header: Header,
        *,
        redundancy: tuple[int, int] | None = None,
        codings: Codings = CODINGS,
    ) -> None:
        if redundancy is not None and not (
            1 <= redundancy[0] <= len(header.codebook_sizes) and 1 <= redundancy[1] <= 16
        ):
            raise ArgumentError(
                f"redundancy is {redundancy}; it must be (layers, packets) with 1 to "
                f"{len(header.codebook_sizes)} layers and 1 to 16 packets"
            )
        self._layout = PacketLayout(header, codings)
        if (readable := self._layout.readable) < self._layout.layers:
            kind = self._layout.kinds[readable]
            raise ArgumentError(
                f"layer {readable + 1} is of kind {kind}: there is no coding for it"
            )
        self._writer = LinkWriter(file, header, Digests(self._layout))
        self._finished = False
        self._sequence = header.first_frame // header.packet_frames
        self._layers = redundancy[0] if redundancy else 0
        self._recent: deque[bytes] = deque(maxlen=redundancy[1] if redundancy else 0)

    @property
    def header(self) -> Header:
        """The header that was written."""
        return self._writer.header

    def write(
        self,
        codes: "NDArray[np.integer]",
        scale: "NDArray[np.floating] | None" = None,
        *,
        first_frame: int | None = None,
        choose: Callable[[list[int]], int] | None = None,
    ) -> int:
        """Writes the next packet; returns the bytes it took, copies of others included.

        Args:
            codes: integers `[K, S, F]`; K at most the header's number of codebooks, 0 for
                silence; 1 <= F <= the header's `packet_frames`.
            scale: `[S]`, for models that normalise.
            first_frame: where it stands; by default its number times `packet_frames`.
            choose: is told the packet's bytes with 0, 1 and so on of its layers, and says how many
                to write.

        Raises:
            ArgumentError: shapes or codes do not fit the header, or the end has been written.
            LimitError: the packet is longer than packets may be.
        """
        self._check_open()
        packet = self._check(codes, scale, first_frame)
        data = self._layout.put_packet(packet)
        head = self._layout.get_head(data, 0)
        if choose is not None:
            lower = [self._layout.put_lower(head, data, k) for k in range(len(head.lengths))]
            data = [*lower, data][choose([*map(len, lower), len(data)])]
            head = self._layout.get_head(data, 0)
        before = self._writer.index.area
        if self._recent:
            self._writer.add(None, put_other(REDUNDANCY, b"".join(self._recent)))
        self._writer.add(head, data)
        if self._layers:
            copy = self._layout.put_lower(head, data, self._layers)
            self._recent.append(copy[len(SYNC) :])
        self._sequence += 1
        return self._writer.index.area - before

    def size(self) -> int:
        """Returns the bytes of the whole file, if it ended here."""
        return self._writer.size()

    def finish(self, source_samples: int) -> None:
        """Writes the end packet with all totals, the index and the footer.

        Args:
            source_samples: where the source ends on its timeline, in samples at its own rate.

        Raises:
            ArgumentError: that was done before, or it is no whole number from 0.
        """
        self._check_open()
        samples = plain(source_samples)
        if not is_count(samples):
            raise ArgumentError(f"source_samples is {samples!r}; it must be a whole number from 0")
        self._writer.finish(self._writer.end(samples))
        self._finished = True

    def _check_open(self) -> None:
        if self._finished:
            raise ArgumentError("the writer has written its end: no packets can follow")

    def _check(
        self,
        codes: "NDArray[np.integer]",
        scale: "NDArray[np.floating] | None",
        first_frame: int | None,
    ) -> Packet:
        import numpy as np

        header = self.header
        place = self._sequence * header.packet_frames if first_frame is None else first_frame
        header.check_packet(Packet(self._sequence, place, codes, scale))  # type: ignore[arg-type]
        if place < self._writer.end_frame:
            raise ArgumentError(
                f"a packet at frame {place}; the one before it ends at {self._writer.end_frame}"
            )
        scale = None if scale is None else scale.astype(np.float32)
        return Packet(self._sequence, place, codes.astype(np.uint16), scale)

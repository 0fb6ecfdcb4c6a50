"""Packets of ECDC version 1: their heads, their layers, and what a reader hands out."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from . import limits
from .bounds import scale_fault
from .entropy import CODINGS, Codings, LayerCoding
from .errors import ArgumentError, BadFileError, DamageError, LimitError
from .header import Header
from .wire import SYNC, count_good_layers, crc16, get_varint, put_layers, put_varint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODES, END, INDEX, REDUNDANCY, GAP = range(5)
HAS_FIRST_FRAME, HAS_FRAMES, HAS_LAYERS, HAS_SCALE = 0x10, 0x20, 0x40, 0x80


@dataclass(frozen=True, repr=False)
class Packet:
    """Codes of consecutive frames.

    `codes` is uint16 `[K, S, F]`: K layers, S streams, F frames. K may be less than the header's
    number of codebooks, since upper layers may be left out, dropped or damaged; K = 0 is silence.
    `scale` is float32 `[S]` or None.
    """

    sequence: int
    first_frame: int
    codes: "NDArray[np.uint16]"
    scale: "NDArray[np.float32] | None" = None

    @property
    def frames(self) -> int:
        """Frames that the packet covers."""
        return int(self.codes.shape[2])

    def __repr__(self) -> str:
        """Returns a line without the codes themselves."""
        shape = ", ".join(map(str, self.codes.shape))
        scale = "None" if self.scale is None else f"[{len(self.scale)}]"
        return (
            f"Packet(sequence={self.sequence}, first_frame={self.first_frame}, "
            f"codes=[{shape}], scale={scale})"
        )

    def to_bytes(self, header: Header, codings: Codings = CODINGS) -> bytes:
        """Returns the packet as it stands in a file, for a sender that has its own transport.

        Raises:
            ArgumentError: it does not fit the header, or there is no coding for one of its layers.
        """
        header.check_packet(self)
        return PacketLayout(header, codings).put_packet(self)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        header: Header,
        *,
        keep_going: bool = False,
        codings: Codings = CODINGS,
    ) -> "Packet":
        """Reads what `to_bytes` gave.

        With `keep_going` a packet with damage gives its layers below the damage.

        Raises:
            DamageError: a layer is damaged, and `keep_going` is off.
            BadFileError: it is no packet of codes of such a file, or its head is damaged.
        """
        layout = PacketLayout(header, codings)
        try:
            head = layout.get_head(data, 0)
        except (IndexError, ValueError) as error:
            raise BadFileError(f"{len(data)} bytes that are no packet of codes: {error}") from error
        if len(data) > head.size + head.body_size:
            size = head.size + head.body_size
            raise BadFileError(f"packet {head.sequence} has {size} bytes, not {len(data)}")
        good = layout.count_good(head, data[head.size :])
        if good < len(head.lengths) and not keep_going:
            raise DamageError(f"packet {head.sequence} is damaged from codebook {good + 1} on")
        return layout.get_packet(head, data[head.size :], good)


@dataclass(frozen=True)
class Loss:
    """A stretch of the timeline for which the file has no codes."""

    first_frame: int
    frames: int
    reason: str


@dataclass(frozen=True)
class Head:
    """The head of a packet of codes, parsed."""

    sequence: int
    first_frame: int
    frames: int
    lengths: tuple[int, ...]
    """Bytes of each layer, its check byte not counted."""
    scale: bytes
    size: int = 0
    """Bytes of the head itself, sync word and CRC included."""
    plain: bool = False
    """The head says nothing of layers, so it stays the same when layers are dropped."""

    @property
    def body_size(self) -> int:
        """Bytes of all layers and their checks."""
        return sum(self.lengths) + len(self.lengths)


class PacketLayout:
    """How the packets of a link are laid out: what follows from its header and the codings."""

    def __init__(self, header: Header, codings: Codings = CODINGS) -> None:
        """Prepares for a header; layers of a kind not in `codings` can be copied, not decoded."""
        self.header = header
        self.layers = len(header.codebook_sizes)
        self.kinds = header.kinds or (0,) * self.layers
        self._sizes = header.codebook_sizes
        known = {kind: codings.get(kind) or CODINGS.get(kind) for kind in set(self.kinds)}
        bound = {kind: coding and coding.of(header) for kind, coding in known.items()}
        self._codings = tuple(bound[kind] for kind in self.kinds)
        found = enumerate(self._codings)
        self.readable = next((k for k, coding in found if coding is None), self.layers)
        """Layers that can be decoded, from the first on."""
        self.exact = all(size & (size - 1) == 0 for size in self._sizes) and not any(self.kinds)
        """Any bytes are codes, and lengths follow from the header."""
        readable = zip(self.kinds[: self.readable], self._sizes, strict=False)
        self._bytes_tell = any(kind or size & (size - 1) for kind, size in readable)
        """Some bytes are no codes."""
        self._regular = self.lengths(header.packet_frames, self.layers)

    def lengths(self, frames: int, layers: int) -> tuple[int, ...]:
        """Returns the bytes of each of `layers` layers, 0 for those whose length heads have."""
        streams = self.header.streams
        return tuple(
            0 if coding is None else coding.size(frames, streams, size) or 0
            for coding, size in zip(self._codings[:layers], self._sizes, strict=False)
        )

    def put_head(self, head: Head, layers: int | None = None) -> bytes:
        """Returns a packet's head; what follows from the header and the sequence is left out.

        `layers` is how many of the lowest it tells of, if not all.
        """
        lengths = head.lengths if layers is None else head.lengths[:layers]
        out = self._put_place(head, len(lengths))
        for kind, length in zip(self.kinds, lengths, strict=False):
            if kind:
                out += put_varint(length)
        out += head.scale
        return out + crc16(out).to_bytes(2, "big")

    def _put_place(self, head: Head, layers: int) -> bytes:
        """Returns the beginning of a head, up to the number of layers."""
        header = self.header
        kind, out = CODES | (HAS_SCALE if head.scale else 0), put_varint(head.sequence)
        if head.first_frame != head.sequence * header.packet_frames:
            kind |= HAS_FIRST_FRAME
            out += put_varint(head.first_frame)
        if head.frames != header.packet_frames:
            kind |= HAS_FRAMES
            out += put_varint(head.frames)
        if layers != self.layers:
            kind |= HAS_LAYERS
            out += put_varint(layers)
        return SYNC + bytes([kind]) + out

    def put_lower(self, head: Head, data: bytes, layers: int) -> bytes:
        """Returns a packet of codes with at most its first `layers` layers."""
        lengths = head.lengths[:layers]
        end = head.size + sum(lengths) + len(lengths)
        return self.put_head(head, layers) + data[head.size : end]

    def put_prefixes(self, head: Head, data: bytes) -> Iterator[tuple[bytes, int]]:
        """Yields a packet as it is in files of 1, 2, 3 layers and so on: head, end of its layers.

        The layers are those of `data`, up to that end.
        """
        end, lengths = head.size, head.lengths
        if not lengths:
            yield from [(self.put_head(head), end)] * self.layers
            return
        # All but the lengths of layers stays the same, from 1 layer to as many as the packet has.
        out = self._put_place(head, self.layers)
        crc = crc16(out)
        for kind, length in zip(self.kinds, lengths, strict=False):
            if kind:
                more = put_varint(length)
                out, crc = out + more, crc16(more, crc)
            end += length + 1
            yield out + head.scale + crc16(head.scale, crc).to_bytes(2, "big"), end
        if len(lengths) < self.layers:
            yield from [(self.put_head(head), end)] * (self.layers - len(lengths))

    def get_head(self, data: bytes, pos: int) -> Head:
        """Parses the head of a packet of codes that begins at `pos` with its sync word.

        Raises:
            IndexError: the data end inside the head.
            ValueError: it is not a head, or is damaged.
        """
        header, begin = self.header, pos
        kind = data[pos + 2]
        sequence, pos = get_varint(data, pos + 3, limits.MAX_SEQUENCE)
        first_frame, frames = sequence * header.packet_frames, header.packet_frames
        layers, scale = self.layers, b""
        if kind & HAS_FIRST_FRAME:
            first_frame, pos = get_varint(data, pos, limits.MAX_COUNT)
        if kind & HAS_FRAMES:
            frames, pos = get_varint(data, pos, header.packet_frames)
        if kind & HAS_LAYERS:
            layers, pos = get_varint(data, pos, layers)
        if kind & (HAS_FRAMES | HAS_LAYERS):
            lengths = self.lengths(frames, layers)
        else:
            lengths = self._regular
        if any(self.kinds[:layers]):
            sizes = list(lengths)
            for k in range(layers):
                if self.kinds[k]:
                    sizes[k], pos = get_varint(data, pos, limits.MAX_PACKET)
            lengths = tuple(sizes)
        if kind & HAS_SCALE:
            scale = data[pos : pos + 4 * header.streams]
            pos += 4 * header.streams
        crc = data[pos] << 8 | data[pos + 1]
        if data[begin : begin + 2] != SYNC or kind & 0x0F != CODES or frames == 0:
            raise ValueError("not the head of a packet of codes")
        if crc16(data[begin:pos]) != crc:
            raise ValueError("the head of a packet is damaged")
        plain = lengths is self._regular or not (kind & HAS_LAYERS or any(self.kinds))
        head = Head(sequence, first_frame, frames, lengths, scale, pos + 2 - begin, plain)
        if head.size + head.body_size > limits.MAX_PACKET:
            raise ValueError("a packet is too long")
        return head

    def put_packet(self, packet: Packet) -> bytes:
        """Returns a packet of codes.

        Raises:
            ArgumentError: there is no coding for one of its layers.
            LimitError: it is longer than packets may be.
        """
        codes = packet.codes
        if len(codes) > self.readable:
            raise ArgumentError(f"no coding for layers of kind {self.kinds[self.readable]}")
        layers: list[bytes] = []
        for coding, its in self._runs(len(codes)):
            layers += coding.encode(codes[None], its, self._sizes)[0]
        scale = b"" if packet.scale is None else packet.scale.astype(">f4").tobytes()
        lengths = tuple(len(layer) for layer in layers)
        head = Head(packet.sequence, packet.first_frame, packet.frames, lengths, scale)
        data = self.put_head(head) + put_layers(layers)
        if len(data) > limits.MAX_PACKET:
            raise LimitError(f"a packet of {len(data)} bytes; at most {limits.MAX_PACKET}")
        return data

    def _runs(self, layers: int) -> list[tuple[LayerCoding, range]]:
        """Returns the codings of the first layers, each with those that follow each other."""
        out: list[tuple[LayerCoding, range]] = []
        for k, coding in enumerate(self._codings[:layers]):
            assert coding is not None
            if out and out[-1][0] is coding:
                out[-1] = coding, range(out[-1][1].start, k + 1)
            else:
                out.append((coding, range(k, k + 1)))
        return out

    def count_good(self, head: Head, body: bytes, checked: int | None = None) -> int:
        """Returns how many layers of a packet are good.

        A layer that is damaged, or whose bytes are no codes, takes those above it along. What can't
        be decoded is judged by its check alone. `checked` is how many layers agree with their
        checks, where that is known.
        """
        if self.scale_fault(head):
            return 0
        good = count_good_layers(body, head.lengths) if checked is None else checked
        if not self._bytes_tell:
            return good
        pos = 0
        for k, coding in enumerate(self._codings[: min(good, self.readable)]):
            assert coding is not None
            data = body[pos : pos + head.lengths[k]]
            if not coding.is_sound(data, head.frames, self.header.streams, self._sizes[k]):
                return k
            pos += head.lengths[k] + 1
        return good

    def scale_fault(self, head: Head, scales: "NDArray[np.uint8] | None" = None) -> str:
        """Returns what is wrong with a packet's scale; nothing if it is right.

        `scales` has the bytes of those of several packets like it, `[packets, bytes]`.
        """
        if not head.scale and self.header.segment is None:
            return ""
        import numpy as np

        data = head.scale if scales is None else scales.tobytes()
        scale = np.frombuffer(data, ">f4") if head.scale else None
        return scale_fault(self.header, scale, len(head.lengths))

    def get_packet(self, head: Head, body: bytes, good: int) -> Packet:
        """Returns the codes of the first `good` layers; see `get_packets`."""
        return self.get_packets([(head, body, good)])[0]

    def get_packets(self, found: Sequence[tuple[Head, bytes, int]]) -> list[Packet]:
        """Returns codes of packets, by heads, bytes and numbers of good layers.

        Layers from the first of an unknown kind on are left out. Many packets at once are quicker
        where layers are predicted.

        Raises:
            TablesError: the tables that predict the layers are not on this machine.
        """
        import numpy as np

        out: list[Packet] = []
        for (frames, layers), group in groupby(
            found, lambda one: (one[0].frames, min(one[2], self.readable))
        ):
            alike = list(group)
            bodies = [self._split(head, body, layers) for head, body, _ in alike]
            shape = len(alike), layers, self.header.streams, frames
            codes = np.empty(shape, np.uint16)
            for coding, its in self._runs(layers):
                coding.decode(
                    [body[its.start : its.stop] for body in bodies], codes, its, self._sizes
                )
            for (head, _, _), own in zip(alike, codes, strict=True):
                scale = np.frombuffer(head.scale, ">f4").astype(np.float32) if head.scale else None
                out.append(Packet(head.sequence, head.first_frame, own, scale))
        return out

    def _split(self, head: Head, body: bytes, layers: int) -> list[bytes]:
        out: list[bytes] = []
        pos = 0
        for length in head.lengths[:layers]:
            out.append(body[pos : pos + length])
            pos += length + 1
        return out


def encode_packet(header: Header, packet: Packet, codings: Codings = CODINGS) -> bytes:
    """Returns `packet.to_bytes(header, codings)`.

    A receiver that hands such packets to an `EcdcReader`, after the header's bytes, reads them too.
    """
    return packet.to_bytes(header, codings)


def put_other(kind: int, payload: bytes) -> bytes:
    """Returns a packet of any type but codes; its length is in it, so any reader can skip it."""
    head = SYNC + bytes([kind]) + put_varint(len(payload))
    head += crc16(head).to_bytes(2, "big")
    return head + payload + struct.pack("!I", zlib.crc32(payload))


def get_other(data: bytes, pos: int) -> tuple[int, int]:
    """Parses the head of any other packet; returns the sizes of its head and of its payload.

    Raises:
        IndexError: the data end inside the head.
        ValueError: it is not a head, or is damaged.
    """
    begin = pos
    length, pos = get_varint(data, pos + 3, limits.MAX_PACKET)
    crc = data[pos] << 8 | data[pos + 1]
    if data[begin : begin + 2] != SYNC or data[begin + 2] > 0x0F or crc16(data[begin:pos]) != crc:
        raise ValueError("the head of a packet is damaged")
    return pos + 2 - begin, length


def put_gap(first_frame: int, frames: int) -> bytes:
    """Returns a packet that says of a stretch of the timeline that its codes are gone."""
    return put_other(GAP, put_varint(first_frame) + put_varint(frames))


def get_gap(payload: bytes) -> tuple[int, int]:
    """Reads a gap packet's payload: returns the first frame, and the frame after the last.

    Raises:
        BadFileError: it is malformed.
    """
    try:
        first, pos = get_varint(payload, 0, limits.MAX_COUNT)
        frames, _ = get_varint(payload, pos, limits.MAX_COUNT)
    except (IndexError, ValueError) as error:
        raise BadFileError(f"a gap packet is malformed: {error}") from error
    if frames == 0:
        raise BadFileError("a gap packet covers no frames")
    return first, first + frames

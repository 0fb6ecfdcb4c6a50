"""Packets of ECDC version 1: their heads, their layers, and what a reader hands out."""

import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import limits
from .bitrate import bits_of
from .bounds import scale_fault
from .errors import BadFileError, DamageError
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

    def to_bytes(self, header: Header) -> bytes:
        """Returns the packet as it stands in a file, for a sender that has its own transport.

        Raises:
            ArgumentError: it does not fit the header.
        """
        header.check_packet(self)
        return Layout(header).put_packet(self)

    @classmethod
    def from_bytes(cls, data: bytes, header: Header, *, keep_going: bool = False) -> "Packet":
        """Reads what `to_bytes` gave.

        With `keep_going` a packet with damage gives its layers below the damage.

        Raises:
            DamageError: a layer is damaged, and `keep_going` is off.
            BadFileError: it is no packet of codes of such a file, or its head is damaged.
        """
        layout = Layout(header)
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


class Layout:
    """Sizes that follow from a header."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.bits = tuple(map(bits_of, header.codebook_sizes))
        self.kinds = header.kinds or (0,) * len(self.bits)
        self.exact = all(size & (size - 1) == 0 for size in header.codebook_sizes)
        self.readable = next((k for k, kind in enumerate(self.kinds) if kind), len(self.kinds))
        self._regular = self.lengths(header.packet_frames, len(self.bits))

    def lengths(self, frames: int, layers: int) -> tuple[int, ...]:
        """Returns the bytes of each of `layers` layers of packed bits."""
        codes = frames * self.header.streams
        return tuple((codes * bits + 7) // 8 for bits in self.bits[:layers])

    def put_head(self, head: Head) -> bytes:
        """Returns a packet's head; what follows from the header and the sequence is left out."""
        header = self.header
        layers = len(head.lengths)
        kind, out = CODES, b""
        if head.first_frame != head.sequence * header.packet_frames:
            kind |= HAS_FIRST_FRAME
            out += put_varint(head.first_frame)
        if head.frames != header.packet_frames:
            kind |= HAS_FRAMES
            out += put_varint(head.frames)
        if layers != len(self.bits):
            kind |= HAS_LAYERS
            out += put_varint(layers)
        for k in range(layers):
            if self.kinds[k]:
                out += put_varint(head.lengths[k])
        if head.scale:
            kind |= HAS_SCALE
            out += head.scale
        out = SYNC + bytes([kind]) + put_varint(head.sequence) + out
        return out + crc16(out).to_bytes(2, "big")

    def put_lower(self, head: Head, data: bytes, layers: int) -> bytes:
        """Returns a packet of codes with at most its first `layers` layers."""
        lengths = head.lengths[:layers]
        end = head.size + sum(lengths) + len(lengths)
        return self.put_head(replace(head, lengths=lengths)) + data[head.size : end]

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
        layers, scale = len(self.bits), b""
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
        """Returns a packet of codes, with all its layers as packed bits."""
        from .bits import pack

        layers = [pack(packet.codes[k], self.bits[k]) for k in range(packet.codes.shape[0])]
        scale = b"" if packet.scale is None else packet.scale.astype(">f4").tobytes()
        lengths = tuple(len(layer) for layer in layers)
        head = Head(packet.sequence, packet.first_frame, packet.frames, lengths, scale)
        return self.put_head(head) + put_layers(layers)

    def count_good(self, head: Head, body: bytes) -> int:
        """Returns how many layers of a packet are good.

        A layer that is damaged, or has a code beyond its codebook, takes those above it along.
        """
        if self.scale_fault(head):
            return 0
        good = count_good_layers(body, head.lengths)
        if self.exact:
            return good
        codes = self.get_packet(head, body, good).codes
        for k, size in enumerate(self.header.codebook_sizes[: len(codes)]):
            if int(codes[k].max()) >= size:
                return k
        return good

    def scale_fault(self, head: Head) -> str:
        """Returns what is wrong with a packet's scale; nothing if it is right."""
        if not head.scale and self.header.segment is None:
            return ""
        import numpy as np

        scale = np.frombuffer(head.scale, ">f4") if head.scale else None
        return scale_fault(self.header, scale, len(head.lengths))

    def get_packet(self, head: Head, body: bytes, good: int) -> Packet:
        """Returns the codes of the first `good` layers, as far as their payload kind is known."""
        import numpy as np

        from .bits import unpack

        shape = (self.header.streams, head.frames)
        codes = np.empty((min(good, self.readable), *shape), np.uint16)
        pos = 0
        for k in range(len(codes)):
            length = head.lengths[k]
            layer = unpack(body[pos : pos + length], self.bits[k], shape[0] * shape[1])
            codes[k] = layer.reshape(shape)
            pos += length + 1
        scale = np.frombuffer(head.scale, ">f4").astype(np.float32) if head.scale else None
        return Packet(head.sequence, head.first_frame, codes, scale)


def encode_packet(header: Header, packet: Packet) -> bytes:
    """Returns `packet.to_bytes(header)`.

    A receiver that hands such packets to an `EcdcReader`, after the header's bytes, reads them too.
    """
    return packet.to_bytes(header)


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

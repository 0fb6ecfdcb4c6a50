"""Packets of codes as payloads of RTP, one a datagram (`formats/RTP.md`): bytes only, no torch.

What an ECDC file has for its own sake is not here: sync words, checks, lengths. A datagram comes
whole or not at all, UDP has a checksum, and what both sides know is agreed on beforehand, in SDP or
in a header that is sent ahead.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bitrate import bits_of
from .errors import ArgumentError, BadFileError
from .header import Header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Codes = NDArray[np.uint16]

MAX_FRAMES, MAX_LAYERS, MAX_COPIES = 8, 31, 7
"""What the fields of a payload's first two bytes hold."""
_HEAD = struct.Struct("!BBHII")
_VERSION = 2


@dataclass(frozen=True)
class Rtp:
    """An RTP packet (RFC 3550, 5.1): `sequence` of 16 bits, `timestamp` and `ssrc` of 32."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    def to_bytes(self) -> bytes:
        """Returns the datagram; numbers are cut to their fields."""
        second = (self.marker << 7) | self.payload_type
        numbers = self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc & 0xFFFFFFFF
        return _HEAD.pack(_VERSION << 6, second, *numbers) + self.payload

    @classmethod
    def from_bytes(cls, data: bytes) -> "Rtp":
        """Reads a datagram; contributing sources, a header extension and padding are passed over.

        Raises:
            BadFileError: it is no RTP packet.
        """
        if len(data) < _HEAD.size or data[0] >> 6 != _VERSION:
            raise BadFileError(f"{len(data)} bytes that are no RTP packet")
        first, second, sequence, timestamp, ssrc = _HEAD.unpack_from(data)
        begin, end = _HEAD.size + 4 * (first & 0x0F), len(data)
        if first & 0x10 and begin + 4 <= end:
            begin += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4], "big")
        elif first & 0x10:
            begin = end + 1
        if first & 0x20:
            end -= data[-1] or len(data)  # a count of 0 would not count itself
        if begin > end:
            raise BadFileError(f"an RTP packet of {len(data)} bytes that ends inside its head")
        marker, payload_type = bool(second >> 7), second & 0x7F
        return cls(payload_type, marker, sequence, timestamp, ssrc, data[begin:end])


class Counter:
    """A number whose upper bits are not sent, made whole again (RFC 3550, A.1)."""

    def __init__(self, bits: int) -> None:
        """Begins with the first value that comes."""
        self._span = 1 << bits
        self._last: int | None = None

    def see(self, value: int) -> int:
        """Returns the whole number nearest to the largest one so far, which it may become."""
        number = self.nearest(value)
        self._last = number if self._last is None else max(number, self._last)
        return number

    def nearest(self, value: int) -> int:
        """Returns what `see` would, for a value that may be a forgery: it changes nothing."""
        last = value if self._last is None else self._last
        step = (value - last) % self._span
        return last + (step if step < self._span // 2 else step - self._span)


@dataclass(frozen=True, repr=False)
class Payload:
    """What one RTP packet holds.

    `codes` is uint16 `[K, S, F]`; K = 0 means silence until something else comes. `copies` are of
    the packets directly before, the oldest first, each `[k, S, F]` with the same k.
    """

    codes: "Codes"
    copies: "tuple[Codes, ...]" = ()

    @property
    def frames(self) -> int:
        """Frames of the packet, and of each copy."""
        return int(self.codes.shape[2])

    def to_bytes(self, header: Header) -> bytes:
        """Returns the payload; `header` says codebooks and streams.

        Raises:
            ArgumentError: it does not fit the header or the payload's fields.
        """
        shapes = [codes.shape for codes in self.copies]
        layers, streams, frames = self.codes.shape
        below = shapes[0][0] if shapes else 0
        most = min(MAX_LAYERS, len(header.codebook_sizes))
        fits = 1 <= frames <= MAX_FRAMES and max(layers, below) <= most
        fits = fits and streams == header.streams and len(shapes) <= MAX_COPIES
        if not fits or (shapes and (set(shapes) != {(below, streams, frames)} or not below)):
            raise ArgumentError(
                f"codes {list(self.codes.shape)}, copies {[list(shape) for shape in shapes]}: must "
                f"be up to {most} codebooks of {header.streams} streams in 1 to {MAX_FRAMES} "
                f"frames, and up to {MAX_COPIES} copies of as many frames, alike and not silent"
            )
        head = bytes([(frames - 1) << 5 | layers, len(shapes) << 5 | below])
        return head + b"".join(_pack(codes, header) for codes in (*self.copies, self.codes))

    @classmethod
    def from_bytes(cls, data: bytes, header: Header) -> "Payload":
        """Reads what `to_bytes` gave.

        Raises:
            BadFileError: it is no payload of such a stream.
        """
        if len(data) < 2:
            raise BadFileError(f"a payload of {len(data)} bytes; at least 2")
        frames, layers = (data[0] >> 5) + 1, data[0] & 0x1F
        count, below = data[1] >> 5, data[1] & 0x1F
        most = len(header.codebook_sizes)
        if max(layers, below) > most or bool(count) != bool(below):
            raise BadFileError(f"a payload of {layers} layers, {count} copies of {below}")
        sizes = [*[_size(header, below, frames)] * count, _size(header, layers, frames)]
        if len(data) != 2 + sum(sizes):
            raise BadFileError(f"a payload of {len(data)} bytes; its head says {2 + sum(sizes)}")
        parts: list[Codes] = []
        pos = 2
        for size, height in zip(sizes, [*[below] * count, layers], strict=True):
            parts.append(_unpack(data[pos : pos + size], header, height, frames))
            pos += size
        return cls(parts[-1], tuple(parts[:-1]))


def cut_payload(data: bytes, header: Header, layers: int) -> bytes:
    """Returns a payload with at most its first `layers` layers: a relay lowers the rate with it.

    Bytes are cut off, but for the bits behind the last layer in its last byte; copies stay.

    Raises:
        ArgumentError: `layers` is not 1 or more.
        BadFileError: it is no payload of such a stream.
    """
    if layers < 1:
        raise ArgumentError(f"layers {layers}: must be 1 or more")
    payload = Payload.from_bytes(data, header)
    return Payload(payload.codes[:layers], payload.copies).to_bytes(header)


def _size(header: Header, layers: int, frames: int) -> int:
    bits = sum(bits_of(size) for size in header.codebook_sizes[:layers])
    return (bits * header.streams * frames + 7) // 8


def _pack(codes: "Codes", header: Header) -> bytes:
    """Packs layer by layer, in each stream by stream, least significant bit first."""
    run, place = 0, 0
    for layer, size in zip(codes, header.codebook_sizes[: len(codes)], strict=True):
        bits = bits_of(size)
        for code in layer.reshape(-1).tolist():
            if code >= size:
                raise ArgumentError(f"code {code}: must be below {size}")
            run |= code << place
            place += bits
    return run.to_bytes((place + 7) // 8, "little")


def _unpack(data: bytes, header: Header, layers: int, frames: int) -> "Codes":
    import numpy as np

    run, each = int.from_bytes(data, "little"), header.streams * frames
    codes = np.empty((layers, each), np.uint16)
    for k, size in enumerate(header.codebook_sizes[:layers]):
        bits = bits_of(size)
        mask = (1 << bits) - 1
        codes[k] = [run >> (bits * i) & mask for i in range(each)]
        run >>= bits * each
        if codes[k].max() >= size:
            raise BadFileError(f"a code of {int(codes[k].max())} in a codebook of {size}")
    if run:
        raise BadFileError("bits behind a payload's last code")
    return codes.reshape(layers, header.streams, frames)


def sdp_lines(header: Header, payload_type: int = 96) -> tuple[str, str, str]:
    """Returns the lines of a session description: rtpmap, fmtp and ptime."""
    milliseconds = 1000 * header.packet_frames * header.hop / header.sample_rate
    said = {
        "model": header.model,
        "hash": header.model_hash.hex(),
        "hop": header.hop,
        "frames": header.packet_frames,
        "layers": min(len(header.codebook_sizes), MAX_LAYERS),
    }
    parameters = ";".join(f"{key}={value}" for key, value in said.items())
    return (
        f"a=rtpmap:{payload_type} ncodec/{header.sample_rate}/{header.source_channels}",
        f"a=fmtp:{payload_type} {parameters}",
        f"a=ptime:{milliseconds:.3g}",
    )


_RTPMAP = re.compile(r"a=rtpmap:(\d{1,3}) ncodec/(\d{1,7})(?:/(\d{1,2}))?\s*", re.IGNORECASE)


def parse_sdp(lines: Sequence[str]) -> dict[str, str | int]:
    """Returns what a description says of the first ncodec payload in it.

    The keys are payload_type, rate, channels, and those of the fmtp line, as text.

    Raises:
        BadFileError: there is none.
    """
    for line in lines:
        if found := _RTPMAP.fullmatch(line):
            said: dict[str, str | int] = {}
            start = f"a=fmtp:{found[1]} "
            for other in lines:
                if other.startswith(start):
                    pairs = (part.partition("=") for part in other[len(start) :].split(";"))
                    said |= {key.strip(): value.strip() for key, _, value in pairs}
            numbers = {"payload_type": found[1], "rate": found[2], "channels": found[3] or "1"}
            return said | {key: int(value) for key, value in numbers.items()}
    raise BadFileError("no payload of ncodec in the session description")

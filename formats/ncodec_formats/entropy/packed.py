"""Codes as packed bits, least significant bit first, zero-padded to a byte."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..bitrate import bits_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..header import Header


def pack(codes: "NDArray[np.integer]", bits: int) -> bytes:
    """Packs codes, in C order whatever their shape, into `bits` bits each (1 to 16)."""
    return pack_rows(codes.reshape(1, -1), bits)[0]


def pack_rows(codes: "NDArray[np.integer]", bits: int) -> list[bytes]:
    """Packs codes `[R, N]`, each row to whole bytes."""
    import numpy as np

    words = np.ascontiguousarray(codes, dtype="<u2").view(np.uint8).reshape(*codes.shape, 2)
    spread = np.unpackbits(words, axis=2, count=bits, bitorder="little")
    rows = np.packbits(spread.reshape(len(codes), -1), axis=1, bitorder="little")
    return [row.tobytes() for row in rows]


def unpack(data: bytes | memoryview, bits: int, count: int) -> "NDArray[np.uint16]":
    """Returns uint16 `[count]` codes of `bits` bits each from packed bytes."""
    import numpy as np

    spread = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits, bitorder="little")
    words = np.zeros((count, 16), np.uint8)
    words[:, :bits] = spread.reshape(count, bits)
    return (
        np.packbits(words, axis=1, bitorder="little").view("<u2").reshape(count).astype(np.uint16)
    )


class Packer:
    """Packs codes that come in pieces into one row of bits."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._rest: list[int] = []

    def push(self, codes: "NDArray[np.integer]") -> bytes:
        """Takes codes `[N]`; returns the bytes that are full."""
        import numpy as np

        codes = np.concatenate([np.asarray(self._rest, np.int64), codes.astype(np.int64)])
        whole = len(codes) - len(codes) % 8
        self._rest = codes[whole:].tolist()
        return pack(codes[:whole], self._bits) if whole else b""

    def flush(self) -> bytes:
        """Returns the last bytes, zero-padded."""
        import numpy as np

        rest, self._rest = self._rest, []
        return pack(np.asarray(rest, np.int64), self._bits) if rest else b""


class PackedBits:
    """Kind 0: each code in as many bits as its codebook needs."""

    kind = 0

    def of(self, header: "Header") -> "PackedBits":
        """Returns itself: it needs nothing of a header."""
        return self

    def size(self, frames: int, streams: int, codebook_size: int) -> int:
        """Returns the bytes of a layer."""
        return (frames * streams * bits_of(codebook_size) + 7) // 8

    def is_sound(self, data: bytes, frames: int, streams: int, codebook_size: int) -> bool:
        """Says whether bytes are codes of the codebook."""
        if len(data) != self.size(frames, streams, codebook_size):
            return False
        if codebook_size & (codebook_size - 1) == 0:
            return True
        return int(self.unpack(data, frames, streams, codebook_size).max()) < codebook_size

    def pack(self, codes: "NDArray[np.integer]", codebook_size: int) -> bytes:
        """Packs codes `[S, F]` of one layer, stream by stream."""
        return pack(codes, bits_of(codebook_size))

    def unpack(
        self, data: bytes, frames: int, streams: int, codebook_size: int
    ) -> "NDArray[np.uint16]":
        """Unpacks codes `[S, F]` of one layer."""
        return unpack(data, bits_of(codebook_size), streams * frames).reshape(streams, frames)

    def encode(
        self, codes: "NDArray[np.uint16]", layers: range, sizes: Sequence[int]
    ) -> list[list[bytes]]:
        """Packs layers of packets `[N, K, S, F]`, all at once where their codebooks are alike."""
        if len({sizes[k] for k in layers}) != 1:
            return [[self.pack(packet[k], sizes[k]) for k in layers] for packet in codes]
        count, of_all = len(layers), codes[:, layers.start : layers.stop]
        rows = pack_rows(of_all.reshape(len(codes) * count, -1), bits_of(sizes[layers.start]))
        return [rows[at : at + count] for at in range(0, len(rows), count)]

    def decode(
        self,
        data: Sequence[Sequence[bytes]],
        codes: "NDArray[np.uint16]",
        layers: range,
        sizes: Sequence[int],
    ) -> None:
        """Unpacks layers of packets into codes `[N, K, S, F]`."""
        _, _, streams, frames = codes.shape
        for packet, its in zip(codes, data, strict=True):
            for k, layer in zip(layers, its, strict=True):
                packet[k] = self.unpack(layer, frames, streams, sizes[k])


PACKED = PackedBits()

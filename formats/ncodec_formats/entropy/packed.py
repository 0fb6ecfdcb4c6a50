"""Codes as packed bits, least significant bit first, zero-padded to a byte."""

from typing import TYPE_CHECKING

from ..bitrate import bits_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def pack(codes: "NDArray[np.integer]", bits: int) -> bytes:
    """Packs codes, in C order whatever their shape, into `bits` bits each (1 to 16)."""
    import numpy as np

    words = np.ascontiguousarray(codes, dtype="<u2").reshape(-1, 1).view(np.uint8)
    spread = np.unpackbits(words, axis=1, count=bits, bitorder="little")
    return np.packbits(spread, bitorder="little").tobytes()


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

    def size(self, frames: int, streams: int, codebook_size: int) -> int:
        """Returns the bytes of a layer."""
        return (frames * streams * bits_of(codebook_size) + 7) // 8

    def encode(
        self, codes: "NDArray[np.integer]", below: "NDArray[np.integer]", codebook_size: int
    ) -> bytes:
        """Packs codes `[S, F]`, stream by stream."""
        return pack(codes, bits_of(codebook_size))

    def decode(
        self, data: bytes, below: "NDArray[np.uint16]", frames: int, codebook_size: int
    ) -> "NDArray[np.uint16]":
        """Unpacks codes `[S, F]`.

        Raises:
            ValueError: it takes another number of bytes.
        """
        streams = below.shape[1]
        if len(data) != self.size(frames, streams, codebook_size):
            raise ValueError(f"{len(data)} bytes for {streams} x {frames} codes")
        codes = unpack(data, bits_of(codebook_size), streams * frames)
        return codes.reshape(streams, frames)


PACKED = PackedBits()

"""Codes as packed bits, least significant bit first, zero-padded to a byte."""

from typing import TYPE_CHECKING

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

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

"""Many packets of one layout at once, by numpy: for large files, where a loop would be slow."""

import binascii
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from .packets import Head
from .wire import BELOW_MODULUS, CHECK_MODULUS, SYNC

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORTH_IT = 1 << 16
"""Bytes: below this numpy costs more than it saves."""
# Sums of 256 products of bytes stay below 2^24, where float32 is exact.
_BLOCK = 256


@dataclass(frozen=True)
class Run:
    """Packets of codes whose heads follow one from the other, all of one size."""

    head: Head
    """Of the first one."""
    rows: "NDArray[np.uint8]"
    """Their bytes, `[packets, bytes of a packet]`."""

    @property
    def count(self) -> int:
        """How many packets."""
        return len(self.rows)

    @property
    def end_frame(self) -> int:
        """The frame after the last one."""
        return self.head.first_frame + self.count * self.head.frames

    def part(self, begin: int, end: int) -> "Run":
        """Returns the packets from one number to before another."""
        first = replace(
            self.head,
            sequence=self.head.sequence + begin,
            first_frame=self.head.first_frame + begin * self.head.frames,
        )
        return Run(first, self.rows[begin:end])

    def peel(self, codebooks: int) -> "Run":
        """Returns the same packets with their lowest layers only."""
        lengths = self.head.lengths[:codebooks]
        end = self.head.size + sum(lengths) + len(lengths)
        return Run(replace(self.head, lengths=lengths), self.rows[:, :end])

    def all_good(self) -> bool:
        """Tells whether every layer of every packet agrees with its check."""
        import numpy as np

        values = self.rows.astype(np.float32)
        pos = self.head.size
        below = np.ones(self.count, np.int64)
        for length in self.head.lengths:
            layer = values[:, pos : pos + length]
            pos += length + 1
            checks, below = _remainders(layer, below).T
            if (checks != self.rows[:, pos - 1]).any():
                return False
        return True


def find_run(data: bytes, pos: int, head: Head) -> Run | None:
    """Returns the packets like that at `pos`, which has `head`, as far as they go without a break.

    None unless there are several, with nothing in their heads but the sequence number.
    """
    import numpy as np

    stride = head.size + head.body_size
    count = (len(data) - pos) // stride
    if data[pos + 2] != 0 or count < 2:
        return None
    rows = np.frombuffer(data, np.uint8, count * stride, pos).reshape(count, stride)
    width = head.size - 5
    sequences = head.sequence + np.arange(count, dtype=np.int64)
    expected = np.empty((count, head.size), np.uint8)
    expected[:, :3] = np.frombuffer(SYNC + b"\0", np.uint8)
    for at in range(width):
        expected[:, 3 + at] = (sequences >> 7 * at) & 0x7F | (0x80 if at < width - 1 else 0)
    crc = np.full(count, 0xFFFF, np.int64)
    table = _crc_table()
    for at in range(head.size - 2):
        crc = (crc << 8 & 0xFFFF) ^ table[crc >> 8 ^ expected[:, at]]
    expected[:, -2], expected[:, -1] = crc >> 8, crc & 0xFF
    same = (rows[:, : head.size] == expected).all(axis=1) & (sequences < 1 << 7 * width)
    length = count if same.all() else int(same.argmin())
    # What follows the last one is not known to be a packet: it is left to the caller's own care.
    return Run(head, rows[: length - 1]) if length > 1 else None


@cache
def _crc_table() -> "NDArray[np.int64]":
    import numpy as np

    return np.array([binascii.crc_hqx(bytes([byte]), 0) for byte in range(256)], np.int64)


@cache
def _weights(length: int) -> "NDArray[np.float32]":
    """Returns the place values of a layer's bytes, `[length, 2]`, as remainders of both moduli."""
    import numpy as np

    moduli = (CHECK_MODULUS, BELOW_MODULUS)
    powers = [[pow(256, length - 1 - at, modulus) for modulus in moduli] for at in range(length)]
    return np.array(powers, np.float32)


def _remainders(layer: "NDArray[np.float32]", below: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Returns both remainders, `[rows, 2]`, of the numbers `below` followed by the rows' bytes."""
    import numpy as np

    length = layer.shape[1]
    weights = _weights(length)
    moduli = np.array([CHECK_MODULUS, BELOW_MODULUS])
    place = [pow(256, length, modulus) for modulus in moduli.tolist()]
    total = below[:, None] * np.array(place)
    for at in range(0, length, _BLOCK):
        total = total + (layer[:, at : at + _BLOCK] @ weights[at : at + _BLOCK]).astype(np.int64)
    return total % moduli

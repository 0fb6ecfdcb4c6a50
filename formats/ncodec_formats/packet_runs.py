"""Many packets of one layout at once, by numpy: for large files, where a loop would be slow."""

import binascii
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from .packets import HAS_SCALE, Head
from .wire import BELOW_MODULUS, CHECK_MODULUS, SYNC

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORTH_IT = 1 << 16
"""Bytes: below this numpy costs more than it saves."""
# Sums of 256 products of bytes stay below 2^24, where float32 is exact.
_BLOCK = 256
_CACHED = 1 << 16
"""Bytes that are looked at in one go: as floats they stay in the processor's cache."""


@dataclass(frozen=True)
class Run:
    """Packets of codes whose heads follow one from the other, all of one size."""

    head: Head
    """Of the first one."""
    rows: "NDArray[np.uint8]"
    """Their bytes, `[packets, bytes of a packet]`."""
    offset: int = 0
    """Where the first one stands."""

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
            scale=self.scales[begin : begin + 1].tobytes() if begin < len(self.rows) else b"",
        )
        return Run(first, self.rows[begin:end], self.offset + begin * self.rows.shape[1])

    @property
    def scales(self) -> "NDArray[np.uint8]":
        """The bytes of their scales, `[packets, bytes of a scale]`."""
        end = self.head.size - 2
        return self.rows[:, end - len(self.head.scale) : end]

    def peel(self, codebooks: int) -> "Run":
        """Returns the same packets with their lowest layers only."""
        lengths = self.head.lengths[:codebooks]
        end = self.head.size + sum(lengths) + len(lengths)
        return Run(replace(self.head, lengths=lengths), self.rows[:, :end])

    def all_good(self) -> bool:
        """Tells whether every layer of every packet agrees with its check."""
        import numpy as np

        lengths, body = self.head.lengths, self.rows[:, self.head.size :]
        values, remainders = _layer_sums(body, lengths)
        below = np.ones_like(values)
        for k, length in enumerate(lengths[:-1]):
            place = pow(256, length, BELOW_MODULUS)
            below[k + 1] = (remainders[k] + below[k] * place) % BELOW_MODULUS
        places = np.array([[pow(256, length, CHECK_MODULUS)] for length in lengths])
        checks = body[:, [end + k for k, end in enumerate(accumulate(lengths))]].T
        return bool(((values + below * places) % CHECK_MODULUS == checks).all())


def find_run(data: bytes, pos: int, head: Head) -> Run | None:
    """Returns the packets like that at `pos`, which has `head`, as far as they go without a break.

    None unless there are several, with nothing in their heads but the sequence number and a scale.
    """
    import numpy as np

    stride = head.size + head.body_size
    count = (len(data) - pos) // stride
    if data[pos + 2] & ~HAS_SCALE or count < 2:
        return None
    if not data.startswith(data[pos : pos + 3], pos + stride):
        return None  # something else follows: not worth a look at all that there is
    rows = np.frombuffer(data, np.uint8, count * stride, pos).reshape(count, stride)
    width = head.size - 5 - len(head.scale)
    sequences = head.sequence + np.arange(count, dtype=np.int64)
    expected = rows[:, : head.size].copy()
    expected[:, :3] = np.frombuffer(SYNC + data[pos + 2 : pos + 3], np.uint8)
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


# Bounded: a file may have links of as many lengths as it likes.
@lru_cache(maxsize=16)
def _weights(length: int) -> "NDArray[np.float32]":
    """Returns place values of a layer's bytes, `[length + 1, 2]`, as remainders of both moduli.

    The check byte, which follows the layer, counts nothing.
    """
    import numpy as np

    moduli = (CHECK_MODULUS, BELOW_MODULUS)
    powers = [[pow(256, length - 1 - at, modulus) for modulus in moduli] for at in range(length)]
    return np.array([*powers, [0, 0]], np.float32)


def _layer_sums(body: "NDArray[np.uint8]", lengths: tuple[int, ...]) -> "NDArray[np.int64]":
    """Returns sums of the layers' bytes by their place values, `[2, layers, packets]`."""
    import numpy as np

    sums: list[NDArray[np.int64]] = []
    pos = 0
    for length, alike in groupby(lengths):
        layers, weights = len(list(alike)), _weights(length)
        stop = pos + layers * (length + 1)
        total = np.zeros((len(body) * layers, 2), np.int64)
        step = max(_CACHED // (stop - pos), 1)
        for first in range(0, len(body), step):
            rows = body[first : first + step, pos:stop].astype(np.float32)
            rows, part = rows.reshape(-1, length + 1), total[layers * first :][: layers * step]
            for at in range(0, length, _BLOCK):
                part += (rows[:, at : at + _BLOCK] @ weights[at : at + _BLOCK]).astype(np.int64)
        sums.append(total.reshape(len(body), layers, 2))
        pos = stop
    return np.ascontiguousarray(np.concatenate(sums, axis=1).T)

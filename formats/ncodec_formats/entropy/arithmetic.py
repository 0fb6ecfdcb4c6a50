"""The arithmetic coder of `.ecdc` version 0: exact integers, 24-bit ranges.

After the `encodec` package, release 0.1.1, so that its files are read and written bit for bit.
"""

from typing import TYPE_CHECKING, BinaryIO

from ..errors import BadFileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RANGE_BITS = 24
TOTAL = 1 << RANGE_BITS
ROUND_OFF = 1e-8
MIN_RANGE = 2
# Bits not settled yet: a long run has a chance of 2^-n in a real file, costs time in a forged one.
MAX_PENDING = 4096


def quantize_cdf(probabilities: "NDArray[np.float32]") -> "NDArray[np.int64]":
    """Returns the integer cumulative distribution that both sides code with.

    Args:
        probabilities: float32 `[..., N]`, summing to 1 over the last axis.

    Returns:
        int64 `[..., N]`; symbol s owns the range from the value before to its own.
    """
    import numpy as np

    alpha = MIN_RANGE * probabilities.shape[-1] / TOTAL
    floored = np.floor(probabilities.astype(np.float32) / np.float32(ROUND_OFF))
    floored = floored * np.float32(ROUND_OFF)
    ranges = np.floor(np.float32((1 - alpha) * TOTAL) * floored).astype(np.int64) + MIN_RANGE
    return np.cumsum(ranges, axis=-1)


class _Interval:
    """The interval that both coders narrow, alike."""

    def __init__(self) -> None:
        self.low = 0
        self.high = 0
        self.pending = 0
        """Bits of `low` and `high` that are not settled yet."""

    @property
    def width(self) -> int:
        return self.high - self.low + 1

    def double(self) -> None:
        if self.pending >= MAX_PENDING:
            raise BadFileError("the arithmetic code does not settle: it is damaged or forged")
        self.low *= 2
        self.high = 2 * self.high + 1
        self.pending += 1

    def bounds(self, begin: int, end: int) -> tuple[int, int]:
        """Returns first and last value of the part that a range of the distribution owns."""
        first = self.low - (-begin * self.width >> RANGE_BITS)
        return first, self.low + ((end - 1) * self.width >> RANGE_BITS)

    def settle(self) -> list[int]:
        """Takes off the leading bits that low and high agree on."""
        bits: list[int] = []
        while self.pending:
            top = self.pending - 1
            bit = self.low >> top
            if bit != self.high >> top:
                break
            self.low -= bit << top
            self.high -= bit << top
            self.pending = top
            bits.append(bit)
        return bits


class ArithmeticEncoder:
    """Writes symbols as one arithmetic code.

    Args:
        file: has `write(bytes)`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._interval = _Interval()
        self._byte = 0
        self._filled = 0

    def push(self, symbol: int, cdf: "NDArray[np.int64]") -> None:
        """Codes a symbol under the distribution `[N]` from `quantize_cdf`."""
        interval = self._interval
        while interval.width < TOTAL:
            interval.double()
        begin = int(cdf[symbol - 1]) if symbol else 0
        interval.low, interval.high = interval.bounds(begin, int(cdf[symbol]))
        self._emit(interval.settle())

    def flush(self) -> None:
        """Writes what is pending, padded to a byte; the coder is done then."""
        interval = self._interval
        self._emit([interval.low >> at & 1 for at in reversed(range(interval.pending))])
        if self._filled:
            self._file.write(bytes([self._byte]))

    def _emit(self, bits: list[int]) -> None:
        for bit in bits:
            self._byte |= bit << self._filled
            self._filled += 1
            if self._filled == 8:
                self._file.write(bytes([self._byte]))
                self._byte = self._filled = 0


class ArithmeticDecoder:
    """Reads symbols back; takes exactly the bytes that the encoder wrote, none beyond.

    Args:
        file: has `read(n)`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._interval = _Interval()
        self._current = 0
        self._byte = 0
        self._left = 0

    def pull(self, cdf: "NDArray[np.int64]") -> int:
        """Returns the next symbol under the distribution `[N]` that it was coded with.

        Raises:
            BadFileError: the data end, or are not a code under this distribution.
        """
        interval = self._interval
        while interval.width < TOTAL:
            interval.double()
            self._current = 2 * self._current + self._bit()
        low, high = 0, len(cdf) - 1
        while low <= high:
            symbol = (low + high) // 2
            begin = int(cdf[symbol - 1]) if symbol else 0
            first, last = interval.bounds(begin, int(cdf[symbol]))
            if self._current < first:
                high = symbol - 1
            elif self._current > last:
                low = symbol + 1
            else:
                interval.low, interval.high = first, last
                interval.settle()
                self._current &= (1 << interval.pending) - 1
                return symbol
        raise BadFileError(
            "the arithmetic code fits no symbol: the file is damaged, or its language model "
            "gave other probabilities on the machine that wrote it"
        )

    def _bit(self) -> int:
        if not self._left:
            data = self._file.read(1)
            if not data:
                raise BadFileError("the file ends inside an arithmetic code")
            self._byte, self._left = data[0], 8
        bit = self._byte & 1
        self._byte >>= 1
        self._left -= 1
        return bit

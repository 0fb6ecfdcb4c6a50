"""A range coder of 32 bits over integer frequencies, many codes side by side.

After Martin (1979) as Subbotin and LZMA have it: `low` carries into the bytes that are out. Each
symbol may have a total of its own; the last one takes what the division leaves.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_TOP, _MASK = 1 << 24, (1 << 32) - 1
FORBIDDEN = b"\xff\xff\xff\xff"
"""No code begins so: no number below the first range does."""


_FEW = 24
"""Rows up to which each is coded by itself: NumPy's calls cost more than they save."""


def encode(begins: "Integers", widths: "Integers", totals: "Integers") -> list[bytes]:
    """Returns a code for each row of symbols `[R, T]`, by their shares of the totals."""
    import numpy as np

    rows, steps = begins.shape
    if rows <= _FEW:
        shares = np.stack([begins, widths, totals], axis=-1).tolist()
        return [_encode_row(row) for row in shares]
    low, range_ = np.zeros(rows, np.int64), np.full(rows, _MASK, np.int64)
    out, filled = np.zeros((rows, 4 * steps + 8), np.uint8), np.zeros(rows, np.int64)
    every = np.arange(rows)
    for t in range(steps):
        begin, width, total = begins[:, t], widths[:, t], totals[:, t]
        part = range_ // total
        low += part * begin
        range_ = np.where(begin + width == total, range_ - part * begin, part * width)
        _carry(out, filled, np.flatnonzero(low > _MASK))
        low &= _MASK
        while (small := range_ < _TOP).any():
            out[every, filled] = np.where(small, low >> 24, out[every, filled])
            filled += small
            low = np.where(small, (low << 8) & _MASK, low)
            range_ = np.where(small, range_ << 8, range_)
    return [
        _ended(out[row, : filled[row]].tobytes(), int(low[row]), int(range_[row]))
        for row in range(rows)
    ]


def _encode_row(shares: Sequence[Sequence[int]]) -> bytes:
    """Returns the code of symbols by their begins, widths and totals."""
    low, range_, out = 0, _MASK, bytearray()
    for begin, width, total in shares:
        part = range_ // total
        low += part * begin
        range_ = range_ - part * begin if begin + width == total else part * width
        if low > _MASK:
            low &= _MASK
            at = len(out) - 1
            while out[at] == 255:
                out[at] = 0
                at -= 1
            out[at] += 1
        while range_ < _TOP:
            out.append(low >> 24)
            low, range_ = low << 8 & _MASK, range_ << 8
    return _ended(bytes(out), low, range_)


def _carry(out: "NDArray[np.uint8]", filled: "Integers", rows: "Integers") -> None:
    """Adds one to the bytes that are out, of some rows."""
    at = filled[rows] - 1
    while len(rows):
        out[rows, at] += 1  # 255 becomes 0 and carries on
        onward = out[rows, at] == 0
        rows, at = rows[onward], at[onward] - 1


def _ended(data: bytes, low: int, range_: int) -> bytes:
    """Ends a code with the number of its last range that has the most zero bits at its end."""
    rounded = (-(-low >> zeros) << zeros for zeros in range(32, -1, -1))
    value = next(value for value in rounded if value < low + range_)
    number = int.from_bytes(data, "big") + (value >> 32) if data else value >> 32
    assert data or not number
    return (number.to_bytes(len(data), "big") + (value & _MASK).to_bytes(4, "big")).rstrip(b"\0")


class Decoder:
    """Decodes one code, symbol by symbol."""

    def __init__(self, data: bytes) -> None:
        """Begins; what the bytes lack is zeros."""
        self._data, self._at = data, 4
        self._code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self._range = _MASK

    def pull(self, ends: Sequence[int]) -> int:
        """Returns the next symbol; `ends` are the sums of frequencies, up to and with each."""
        total = ends[-1]
        part = self._range // total
        symbol = bisect_right(ends, min(self._code // part, total - 1))
        begin = ends[symbol - 1] if symbol else 0
        self._code -= part * begin
        if ends[symbol] == total:
            self._range -= part * begin
        else:
            self._range = part * (ends[symbol] - begin)
        while self._range < _TOP:
            byte = self._data[self._at] if self._at < len(self._data) else 0
            self._code, self._range = self._code << 8 | byte, self._range << 8
            self._at += 1
        return symbol


class Decoders:
    """Decodes rows of codes, a symbol of each at a time."""

    def __init__(self, data: "NDArray[np.uint8]") -> None:
        """Begins with bytes `[R, n]`, each row followed by at least four zeros."""
        import numpy as np

        self._data = data
        self._rows = np.arange(len(data))
        self._at = np.full(len(data), 4)
        self._code = data[:, :4].astype(np.int64) @ np.array([1 << 24, 1 << 16, 1 << 8, 1])
        self._range = np.full(len(data), _MASK, np.int64)

    def pull(self, frequencies: "Integers") -> "Integers":
        """Returns the next symbol of each row, by frequencies `[R, N]`."""
        import numpy as np

        ends = frequencies.cumsum(axis=1, dtype=np.int64)
        total = ends[:, -1]
        part = self._range // total
        value = np.minimum(self._code // part, total - 1)
        symbols = (ends <= value[:, None]).sum(axis=1, dtype=np.int64)
        end = ends[self._rows, symbols]
        begin = end - frequencies[self._rows, symbols]
        self._code -= part * begin
        self._range = np.where(end == total, self._range - part * begin, part * (end - begin))
        last = self._data.shape[1] - 1
        while (small := self._range < _TOP).any():
            more = self._code << 8 | self._data[self._rows, np.minimum(self._at, last)]
            self._code = np.where(small, more, self._code)
            self._range = np.where(small, self._range << 8, self._range)
            self._at += small
        return symbols

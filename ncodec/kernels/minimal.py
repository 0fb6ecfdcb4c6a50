"""Convolutions with fewer products than taps: minimal filtering (Winograd 1980).

Four products with sums of samples give two outputs of three taps, F(2, 3), or three of two,
F(3, 2), where six would be multiplied. Seven taps are three pairs and one: F(2, 3) of pairs, each
as F(2, 2), three products in place of four (Karatsuba and Ofman 1962). Coefficients are 1 and 1/2,
so that results round about as those of the plain sum do; what saves more rounds worse.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ncodec.kernels import taps
from ncodec.kernels.plain import Windows

_SHAPES = {2: (2, 1), 3: (3, 1), 7: (3, 2)}
"""Of a number of taps: the groups that outer sums are made of, and the taps of each."""
_WIDE = 100  # i * o / (i + o) for i values of a tap and o outputs, from which sums repay themselves


def windows(
    matrix: Tensor, bias: Tensor | None, channels: int, stride: int, dilation: int
) -> Windows:
    """As `plain.windows`; a product a tap for other numbers of taps, and few channels."""
    count = matrix.shape[0] // channels
    wide = taps.merged(count, stride, dilation)
    width, count, out = wide * channels, count // wide, matrix.shape[1]
    if stride != wide or count not in _SHAPES or width * out < _WIDE * (width + out):
        return taps.windows(matrix, bias, channels, stride, dilation)
    return _Filter(matrix, bias, width, dilation)


class _Filter:
    """Products with `[taps * width, out]` of windows one sample apart, whose taps are `step`."""

    def __init__(self, matrix: Tensor, bias: Tensor | None, width: int, step: int) -> None:
        self._matrix, self._bias, self._width, self._step = matrix, bias, width, step
        self._taps, self._out = matrix.shape[0] // width, matrix.shape[1]
        groups, self._inner = _SHAPES[self._taps]
        self._outputs = (5 - groups) * self._inner  # of a block, `step` each
        grouped = groups * self._inner
        points = _points(matrix[: grouped * width].view(groups, -1, self._out))
        self._weights = [self._of_pairs(point) for point in points]
        self._last = matrix[grouped * width :] if grouped < self._taps else None

    def __call__(self, x: Tensor, count: int) -> Tensor:
        """Samples `[B, L, C]` and a number of windows to `[B, count, out]`."""
        y = x.new_empty(x.shape[0], count, self._out)
        period = self._outputs * self._step
        for signal, out in zip(x, y, strict=True):
            blocks = count // period
            if blocks:
                self._blocks(signal, out, blocks)
            if count % period:
                self._rest(signal, out, blocks * period)
        return y

    def _of_pairs(self, weight: Tensor) -> tuple[Tensor, ...]:
        if self._inner == 1:
            return (weight,)
        first, second = weight.view(2, self._width, self._out)
        return first, first + second, second

    def _blocks(self, signal: Tensor, out: Tensor, blocks: int) -> None:
        if self._last is not None:
            rows = self._view(signal, self._taps - 1, blocks * self._outputs, 1, 1)
            whole = out[: blocks * self._outputs * self._step]
            _multiply(self._bias, rows.view(-1, self._width), self._last, whole)
        length = 2 * self._inner - 1
        a, b, c, d = (
            self._view(signal, i * self._inner, blocks, self._outputs, length) for i in range(4)
        )
        low = self._product(a - c, 0)
        plus = self._product(b + c, 1, self._bias if self._last is None else None)
        minus = self._product(c - b, 2)
        high = self._product(d - b, 3)
        even, odd = plus + minus, plus.sub_(minus)
        sums = ((low, even), (odd, high))
        if self._outputs == 3:
            sums = ((low, even), (odd,), (even, high))
        size = sums[0][0].shape[1]
        for place, (first, *others) in zip(self._places(out, blocks, size), sums, strict=True):
            if self._last is None:
                place.copy_(first) if not others else torch.add(first, others[0], out=place)
            else:
                for part in (first, *others):
                    place.add_(part)

    def _view(self, signal: Tensor, first: int, blocks: int, apart: int, length: int) -> Tensor:
        """Steps of samples from the `first` of each block on: `[blocks, length * step * width]`."""
        run = self._step * self._width
        start = signal.storage_offset() + first * run
        return signal.as_strided((blocks, length * run), (apart * run, 1), start)

    def _places(self, out: Tensor, blocks: int, size: int) -> list[Tensor]:
        """Where the parts of each block's outputs stand, `[blocks, size]` each."""
        start, strides = out.storage_offset(), (self._outputs * self._step * self._out, 1)
        return [
            out.as_strided((blocks, size), strides, start + first)
            for first in range(0, strides[0], size)
        ]

    def _product(self, sums: Tensor, point: int, bias: Tensor | None = None) -> Tensor:
        """Multiply `[blocks, ...]` by the weights at a point."""
        weights, blocks = self._weights[point], len(sums)
        if self._inner == 1:
            return _multiply(bias, sums.view(-1, self._width), *weights).view(blocks, -1)
        first, middle, last = sums.view(blocks, 3, -1).unbind(1)
        shared = self._rows(bias, middle, weights[1])
        y = shared.new_empty(blocks, 2, shared.shape[1])
        torch.add(self._rows(None, first - middle, weights[0]), shared, out=y[:, 0])
        torch.add(self._rows(None, last - middle, weights[2]), shared, out=y[:, 1])
        return y.view(blocks, -1)

    def _rows(self, bias: Tensor | None, values: Tensor, weight: Tensor) -> Tensor:
        rows = values.reshape(-1, self._width)
        return _multiply(bias, rows, weight).view(len(values), -1)

    def _rest(self, signal: Tensor, out: Tensor, first: int) -> None:
        """Give the last windows, fewer than a block's: they are copied."""
        count = out.shape[0] - first
        start = signal.storage_offset() + first * self._width
        shape = (count, self._taps, self._width)
        strides = (self._width, self._step * self._width, 1)
        rows = signal.as_strided(shape, strides, start).reshape(count, -1)
        _multiply(self._bias, rows, self._matrix, out[first:])


def _points(weights: Tensor) -> Sequence[Tensor]:
    """The polynomial of two or three weights at 0, 1, -1 and infinity, halved between."""
    first, second, last = weights[0], weights[1], weights[-1]
    outer = first + last if len(weights) == 3 else first
    return first, (outer + second) / 2, (outer - second) / 2, last


def _multiply(
    bias: Tensor | None, rows: Tensor, weight: Tensor, out: Tensor | None = None
) -> Tensor:
    if bias is None:
        return torch.mm(rows, weight, out=out)
    return torch.addmm(bias, rows, weight, out=out)

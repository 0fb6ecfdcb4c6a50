"""A convolution as matrix products, over signals whose channels lie side by side in memory.

The layers pass `[B, C, T]` with the strides of a contiguous `[B, T, C]`: then a window of samples
is one row of memory, and every convolution is a product with a weight that is kept as
`[taps * channels, out]`, where a library's convolution would lay out both anew on each call.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ncodec.errors import ArgumentError
from ncodec.kernels.cached import lasting
from ncodec.kernels.plain import Image, Product, Windows
from ncodec.kernels.switch import is_portable
from ncodec.kernels.table import choose, pack

_LARGE = 1 << 21  # multiplications from which packed weights repay the longer call in float32
_MANY = 128  # windows from which oneDNN takes the packed layout: others it lays out on each call
_WIDE = 16  # channels from which windows are faster read where they are than copied


class Matrix:
    """A matrix `[k, out]` that rows are multiplied by, packed once where that pays."""

    def __init__(self, matrix: Tensor, bias: Tensor | None) -> None:
        self.matrix, self.bias = matrix, bias
        self._low = matrix.dtype == torch.bfloat16
        self._packs = choose("rows", matrix.dtype) is not None

    def times(self, rows: Tensor) -> Tensor:
        """Return `rows` `[n, k]` multiplied, and the bias added."""
        count = rows.shape[0]  # `len` of a tensor takes longer than this function
        if self._packs and _no_gradient(rows):
            if self._low and count == 1:
                return self._row(rows.float()).to(rows.dtype)
            if self._low or count * self.matrix.numel() >= _LARGE:
                return self._rows(rows)
        if self.bias is None:
            return rows @ self.matrix
        return torch.addmm(self.bias, rows, self.matrix)

    @lasting
    def _row(self) -> Product:
        bias = self.matrix.new_zeros(self.matrix.shape[1]) if self.bias is None else self.bias
        return pack("row", torch.float32)(self.matrix.t().float().contiguous(), bias.float())

    @lasting
    def _rows(self) -> Product:
        return pack("rows", self.matrix.dtype)(self.matrix.t().contiguous(), self.bias)


class Convolution:
    """A convolution's weight `[out, in, taps]` and bias, as the products need them.

    Args:
        weight: The weight.
        bias: `[out]`, or None.
        stride: Samples from window to window.
        dilation: Samples from tap to tap.
        padding: Zeros before and after a whole signal, for `image`.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
    ) -> None:
        self.out, self.channels, self.taps = weight.shape
        self.stride, self.dilation, self.bias = stride, dilation, bias
        self._padding = padding
        self._span = (self.taps - 1) * dilation + 1
        self._weight, self._portable = weight, is_portable()
        self._matrix = weight.permute(2, 1, 0).reshape(-1, self.out)
        self._shifts = stride == 1 < self.taps and self.taps * self.out <= self.channels
        wide = self.taps > 1 and self.channels >= _WIDE
        self._slides = wide and choose("windows", weight.dtype) is not None

    def convolve(self, x: Tensor, windows: int) -> Tensor:
        """Return the first `windows` outputs for samples `x` `[B, L, C]`: `[B, windows, out]`.

        Raises:
            ArgumentError: The channels are not the weight's.
        """
        batch, length, channels = x.shape
        if channels != self.channels:
            raise ArgumentError(f"{channels} channels: this convolution takes {self.channels}")
        if windows == 0 or batch == 0:
            return x.new_zeros(batch, windows, self.out)
        if (windows - 1) * self.stride + self._span > length:
            raise ArgumentError(f"{length} samples: too few for {windows} windows")
        if self._portable:
            shape = {"windows": windows, "stride": self.stride, "dilation": self.dilation}
            return convolve_groups(x, self._weight, self.bias, **shape)
        x = x.contiguous()
        if self._shifts:
            return self._shifted(x, windows)
        work = batch * windows * self._matrix.numel()
        if self._slides and windows >= _MANY and work >= _LARGE and _no_gradient(x):
            return self._sliding(x, windows)
        strides = (x.stride(0), self.stride * channels, self.dilation * channels, 1)
        rows = x.as_strided((batch, windows, self.taps, channels), strides)
        rows = rows.reshape(-1, self.taps * channels)
        return self._whole.times(rows).view(-1, windows, self.out)

    def _shifted(self, x: Tensor, windows: int) -> Tensor:
        """Multiply each sample by all taps at once, and add up what meets in one output."""
        batch, length, _ = x.shape
        width = self.taps * self.out
        products = self._across.times(x.view(-1, self.channels))
        strides = (length * width, width, self.dilation * width + self.out, 1)
        y = products.as_strided((batch, windows, self.taps, self.out), strides).sum(2)
        return y if self.bias is None else y + self.bias

    @lasting
    def image(self) -> Image:
        """The convolution of whole signals, channels side by side, and what follows it."""
        make = pack("image", self._weight.dtype)
        return make(self._weight, self.bias, self._padding, self.dilation)

    @lasting
    def _whole(self) -> Matrix:
        return Matrix(self._matrix, self.bias)

    @lasting
    def _sliding(self) -> Windows:
        shape = (self.channels, self.stride, self.dilation)
        return pack("windows", self._matrix.dtype)(self._matrix, self.bias, *shape)

    @lasting
    def _across(self) -> Matrix:
        taps = self._matrix.view(self.taps, self.channels, self.out).transpose(0, 1)
        return Matrix(taps.reshape(self.channels, -1), None)


def convolve_groups(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    windows: int,
    groups: int = 1,
    stride: int = 1,
    dilation: int = 1,
) -> Tensor:
    """As `Convolution.convolve`, the channels in groups that do not mix."""
    if windows == 0:
        return x.new_zeros(x.shape[0], 0, weight.shape[0])
    needed = (windows - 1) * stride + (weight.shape[2] - 1) * dilation + 1
    if x.shape[1] != needed:
        x = x[:, :needed]
    y = functional.conv1d(x.transpose(1, 2), weight, bias, stride, 0, dilation, groups)
    return y.transpose(1, 2).contiguous()


def _no_gradient(x: Tensor) -> bool:
    return x.is_cpu and not torch.is_grad_enabled()

"""A convolution as matrix products, over signals whose channels lie side by side in memory.

The layers pass `[B, C, T]` with the strides of a contiguous `[B, T, C]`: then a window of samples
is one row of memory, and every convolution is a product with a weight that is kept as
`[taps * channels, out]`, where a library's convolution would lay out both anew on each call.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.derived import lasting
from ncodec.errors import ArgumentError
from ncodec.nn.linear import Product, row_product

_LARGE = 1 << 21  # multiplications from which packed weights repay the longer call in float32
_TYPICAL = 4096  # samples that packed kernels are laid out for; others take as long
_MANY = 128  # windows from which oneDNN takes the packed layout: others it lays out on each call
_WIDE = 16  # channels from which oneDNN's convolution beats a product over copied windows


def new_weight(out_channels: int, in_channels: int, kernel_size: int) -> nn.Parameter:
    """Return a weight `[out, in, taps]` that lies in memory as `[taps, in, out]`.

    Its values are PyTorch's usual ones: uniform within 1 / sqrt(in * taps).
    """
    bound = 1 / math.sqrt(in_channels * kernel_size)
    values = torch.empty(kernel_size, in_channels, out_channels).uniform_(-bound, bound)
    return nn.Parameter(values.permute(2, 1, 0))


class Factor:
    """A matrix `[k, out]` that rows are multiplied by, packed once for oneDNN where that pays."""

    def __init__(self, matrix: Tensor, bias: Tensor | None) -> None:
        self.matrix, self.bias = matrix, bias

    def times(self, rows: Tensor) -> Tensor:
        """Return `rows` `[n, k]` multiplied, and the bias added."""
        count = rows.shape[0]  # `len` of a tensor takes longer than this function
        if count == 1 and rows.dtype == torch.bfloat16 and _packs(rows, 0):
            return self._row(rows.float()).to(rows.dtype)
        if _packs(rows, count * self.matrix.numel()):
            return torch.ops.mkldnn._linear_pointwise.default(
                rows, self._packed, self.bias, "none", [], ""
            )
        if self.bias is None:
            return rows @ self.matrix
        return torch.addmm(self.bias, rows, self.matrix)

    @lasting
    def _row(self) -> Product:
        bias = self.matrix.new_zeros(self.matrix.shape[1]) if self.bias is None else self.bias
        return row_product(self.matrix.t().float().contiguous(), bias.float())

    @lasting
    def _packed(self) -> Tensor:
        return torch.ops.mkldnn._reorder_linear_weight(self.matrix.t().contiguous())


class Kernel:
    """A convolution's weight `[out, in, taps]` and bias, as the products need them.

    Args:
        weight: The weight.
        bias: `[out]`, or None.
        stride: Samples from window to window.
        dilation: Samples from tap to tap.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, stride: int = 1, dilation: int = 1
    ) -> None:
        self.out, self.channels, self.taps = weight.shape
        self.stride, self.dilation, self.bias = stride, dilation, bias
        self._span = (self.taps - 1) * dilation + 1
        self._matrix = weight.permute(2, 1, 0).reshape(-1, self.out)
        self._shifts = stride == 1 < self.taps and self.taps * self.out <= self.channels
        self._slides = self.taps > 1 and self.channels >= _WIDE
        # Where windows are whole strides, `stride` samples are one of as many times the channels.
        self._merged = stride if dilation == 1 and self.taps % stride == 0 else 1

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
        x = x.contiguous()
        if self._shifts:
            return self._shifted(x, windows)
        work = batch * windows * self._matrix.numel()
        if self._slides and windows >= _MANY and work >= _LARGE and _packs(x, work):
            return self._slid(x, windows)
        strides = (x.stride(0), self.stride * channels, self.dilation * channels, 1)
        rows = x.as_strided((batch, windows, self.taps, channels), strides)
        rows = rows.reshape(-1, self.taps * channels)
        return self._whole.times(rows).view(-1, windows, self.out)

    def _slid(self, x: Tensor, windows: int) -> Tensor:
        """Let oneDNN's convolution read the windows where they are: no copy, one sum."""
        width = self._merged * self.channels
        length = ((windows - 1) * self.stride + self._span) // self._merged
        batch = x.stride(0)
        image = x.as_strided((len(x), width, 1, length), (batch, 1, batch, width))
        steps = (1, self.stride // self._merged), (1, self.dilation)
        y = torch.ops.mkldnn._convolution_pointwise.default(
            image, self._sliding, self.bias, (0, 0), *steps, 1, "none", [], ""
        )
        return y.squeeze(2).transpose(1, 2)

    def _shifted(self, x: Tensor, windows: int) -> Tensor:
        """Multiply each sample by all taps at once, and add up what meets in one output."""
        batch, length, _ = x.shape
        width = self.taps * self.out
        products = self._across.times(x.view(-1, self.channels))
        strides = (length * width, width, self.dilation * width + self.out, 1)
        y = products.as_strided((batch, windows, self.taps, self.out), strides).sum(2)
        return y if self.bias is None else y + self.bias

    @lasting
    def _whole(self) -> Factor:
        return Factor(self._matrix, self.bias)

    @lasting
    def _sliding(self) -> Tensor:
        width = self._merged * self.channels
        weight = self._matrix.t().reshape(self.out, 1, -1, width).permute(0, 3, 1, 2)
        steps = (1, self.stride // self._merged), (1, self.dilation)
        return torch.ops.mkldnn._reorder_convolution_weight(
            weight, (0, 0), *steps, 1, (1, width, 1, _TYPICAL)
        )

    @lasting
    def _across(self) -> Factor:
        taps = self._matrix.view(self.taps, self.channels, self.out).transpose(0, 1)
        return Factor(taps.reshape(self.channels, -1), None)


def convolve_groups(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    windows: int,
    groups: int,
    stride: int = 1,
    dilation: int = 1,
) -> Tensor:
    """As `Kernel.convolve`, the channels in groups that do not mix."""
    if windows == 0:
        return x.new_zeros(x.shape[0], 0, weight.shape[0])
    needed = (windows - 1) * stride + (weight.shape[2] - 1) * dilation + 1
    y = functional.conv1d(x[:, :needed].transpose(1, 2), weight, bias, stride, 0, dilation, groups)
    return y.transpose(1, 2).contiguous()


def _packs(x: Tensor, work: int) -> bool:
    """Return whether oneDNN's packed weights pay for `work` multiplications of `x`."""
    return (
        (work >= _LARGE if x.dtype == torch.float32 else x.dtype == torch.bfloat16)
        and x.is_cpu
        and not torch.is_grad_enabled()
        and _has_mkldnn(x.dtype)
    )


@cache
def _has_mkldnn(dtype: torch.dtype) -> bool:
    low = dtype == torch.bfloat16
    return torch.backends.mkldnn.is_available() and (
        not low or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )

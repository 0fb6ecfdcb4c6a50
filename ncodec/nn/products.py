"""A convolution as matrix products, over signals whose channels lie side by side in memory.

The layers pass `[B, C, T]` with the strides of a contiguous `[B, T, C]`: then a window of samples
is one row of memory, and every convolution is a product with a weight that is kept as
`[taps * channels, out]`, where a library's convolution would lay out both anew on each call.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

_SMALL = 1 << 15  # values of windows that cost less to copy than further products cost to call
_WIDE = 16  # channels from which several narrower products beat one over copied windows


def new_weight(out_channels: int, in_channels: int, kernel_size: int) -> nn.Parameter:
    """Return a weight `[out, in, taps]` that lies in memory as `[taps, in, out]`.

    Its values are PyTorch's usual ones: uniform within 1 / sqrt(in * taps).
    """
    bound = 1 / math.sqrt(in_channels * kernel_size)
    values = torch.empty(kernel_size, in_channels, out_channels).uniform_(-bound, bound)
    return nn.Parameter(values.permute(2, 1, 0))


class Factor:
    """A matrix `[k, out]` that rows are multiplied by; in bfloat16 packed once for oneDNN.

    In float32 the library's own product is as fast as one over packed weights, and its call faster.
    """

    def __init__(self, matrix: Tensor, bias: Tensor | None) -> None:
        self.matrix, self.bias = matrix, bias
        self._packed = _packed(matrix) if _packs(matrix) else None

    def times(self, rows: Tensor) -> Tensor:
        """Return `rows` `[n, k]` multiplied, and the bias added."""
        if self._packed is not None:
            return torch.ops.mkldnn._linear_pointwise.default(
                rows, self._packed, self.bias, "none", [], ""
            )
        if self.bias is None:
            return rows @ self.matrix
        return torch.addmm(self.bias, rows, self.matrix)

    def added_to(self, y: Tensor, rows: Tensor) -> Tensor:
        """Return `y` with the product added; its memory may be used for that."""
        if self._packed is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(rows, y, self._packed, None, "add")
        return y.addmm_(rows, self.matrix)


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
        self._matrix = weight.permute(2, 1, 0).reshape(-1, self.out)
        self._shifts = stride == 1 < self.taps and self.taps * self.out <= self.channels
        self._sums = self.taps > 1 and 1 in (stride, dilation) and self.channels >= _WIDE

    def convolve(self, x: Tensor, windows: int) -> Tensor:
        """Return the first `windows` outputs for samples `x` `[B, L, C]`: `[B, windows, out]`."""
        if windows == 0:
            return x.new_zeros(x.shape[0], 0, self.out)
        x = x.contiguous()
        if self._shifts:
            return self._shifted(x, windows)
        if self._sums and x.shape[0] == 1 and windows * len(self._matrix) > _SMALL:
            return self._summed(x, windows)
        strides = (x.stride(0), self.stride * self.channels, self.dilation * self.channels, 1)
        rows = x.as_strided((x.shape[0], windows, self.taps, self.channels), strides)
        return self._whole.times(rows.reshape(-1, len(self._matrix))).view(-1, windows, self.out)

    def _summed(self, x: Tensor, windows: int) -> Tensor:
        """Add a product for each `stride` taps, whose rows lie in memory as they are: no copy."""
        step, start = self.stride * self.channels, x.storage_offset()
        y: Tensor | None = None
        for part in self._parts:
            rows = x.as_strided((windows, len(part.matrix)), (step, 1), start)
            y = part.times(rows) if y is None else part.added_to(y, rows)
            start += step * self.dilation
        assert y is not None
        return y[None]

    def _shifted(self, x: Tensor, windows: int) -> Tensor:
        """Multiply each sample by all taps at once, and add up what meets in one output."""
        batch, length, _ = x.shape
        width = self.taps * self.out
        products = self._across.times(x.view(-1, self.channels))
        strides = (length * width, width, self.dilation * width + self.out, 1)
        y = products.as_strided((batch, windows, self.taps, self.out), strides).sum(2)
        return y if self.bias is None else y + self.bias

    @cached_property
    def _whole(self) -> Factor:
        return Factor(self._matrix, self.bias)

    @cached_property
    def _parts(self) -> list[Factor]:
        first, *others = self._matrix.split(self.stride * self.channels)
        return [Factor(first, self.bias), *(Factor(part, None) for part in others)]

    @cached_property
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


def _packs(matrix: Tensor) -> bool:
    return (
        matrix.dtype == torch.bfloat16
        and matrix.is_cpu
        and not torch.is_grad_enabled()
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _packed(matrix: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(matrix.t().contiguous())

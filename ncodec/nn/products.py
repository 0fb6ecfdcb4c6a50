"""A convolution as matrix products, over signals whose channels lie side by side in memory.

The layers pass `[B, C, T]` with the strides of a contiguous `[B, T, C]`: then a window of samples
is one row of memory, and every convolution is a product with a weight that is kept as
`[taps * channels, out]`, where a library's convolution would lay out both anew on each call.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def new_weight(out_channels: int, in_channels: int, kernel_size: int) -> nn.Parameter:
    """Return a weight `[out, in, taps]` that lies in memory as `[taps, in, out]`.

    Its values are PyTorch's usual ones: uniform within 1 / sqrt(in * taps).
    """
    bound = 1 / math.sqrt(in_channels * kernel_size)
    values = torch.empty(kernel_size, in_channels, out_channels).uniform_(-bound, bound)
    return nn.Parameter(values.permute(2, 1, 0))


_WIDE = 16  # channels from which several narrower products beat one over copied windows


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    windows: int,
    stride: int = 1,
    dilation: int = 1,
) -> Tensor:
    """Return the first `windows` outputs for samples `x` `[B, L, C]`: `[B, windows, out]`."""
    out_channels, channels, taps = weight.shape
    batch = x.shape[0]
    if windows == 0:
        return x.new_zeros(batch, 0, out_channels)
    x = x.contiguous()
    matrix = weight.permute(2, 1, 0).reshape(taps * channels, out_channels)
    if batch == 1 and taps > 1 and dilation == 1 and channels >= _WIDE:
        return _sum_of_products(x[0], matrix, bias, windows, stride)[None]
    strides = (x.stride(0), stride * channels, dilation * channels, 1)
    rows = x.as_strided((batch, windows, taps, channels), strides)
    return _affine(rows.reshape(batch * windows, -1), matrix, bias).view(batch, windows, -1)


def _sum_of_products(
    x: Tensor, matrix: Tensor, bias: Tensor | None, windows: int, stride: int
) -> Tensor:
    """Add a product for each `stride` taps, whose rows lie in memory as they are: no copy."""
    step = stride * x.shape[1]
    y: Tensor | None = None
    for start in range(0, len(matrix), step):
        part = matrix[start : start + step]
        rows = x.as_strided((windows, len(part)), (step, 1), x.storage_offset() + start)
        y = _affine(rows, part, bias) if y is None else y.addmm_(rows, part)
    assert y is not None
    return y


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
    """As `convolve`, the channels in groups that do not mix."""
    if windows == 0:
        return x.new_zeros(x.shape[0], 0, weight.shape[0])
    needed = (windows - 1) * stride + (weight.shape[2] - 1) * dilation + 1
    y = functional.conv1d(x[:, :needed].transpose(1, 2), weight, bias, stride, 0, dilation, groups)
    return y.transpose(1, 2).contiguous()


def _affine(rows: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    return rows @ matrix if bias is None else torch.addmm(bias, rows, matrix)

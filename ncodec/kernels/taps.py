"""A convolution as one product for each tap, summed in place by the processor's matrix library."""

from __future__ import annotations

import torch
from torch import Tensor

from ncodec.kernels.plain import Windows


def merged(taps: int, stride: int, dilation: int) -> int:
    """Return how many samples may be read as one of as many times the channels.

    That is a stride where windows are whole strides: they then have so many fewer taps.
    """
    return stride if dilation == 1 and taps % stride == 0 else 1


def windows(
    matrix: Tensor, bias: Tensor | None, channels: int, stride: int, dilation: int
) -> Windows:
    """As `plain.windows`: rows of a tap are read where they are, and no weight is laid out."""
    taps = matrix.shape[0] // channels
    wide = merged(taps, stride, dilation)
    width = wide * channels
    first, *others = matrix.split(width)
    row, tap = stride * channels, width if wide > 1 else dilation * channels

    def product(x: Tensor, count: int) -> Tensor:
        y = x.new_empty(x.shape[0], count, matrix.shape[1])
        for signal, out in zip(x, y, strict=True):
            start = signal.storage_offset()
            rows = signal.as_strided((count, width), (row, 1))
            if bias is None:
                torch.mm(rows, first, out=out)
            else:
                torch.addmm(bias, rows, first, out=out)
            for number, weight in enumerate(others, 1):
                out.addmm_(
                    signal.as_strided((count, width), (row, 1), start + number * tap), weight
                )
        return y

    return product

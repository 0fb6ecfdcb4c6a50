"""What each operation of the table means, in plain PyTorch; it runs everywhere, and is exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

Product = Callable[[Tensor], Tensor]
"""Rows `[..., in]` to `[..., out]`."""
Windows = Callable[[Tensor, int], Tensor]
"""Samples `[B, L, C]` and a number of windows to `[B, windows, out]`."""
Recurrence = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Signals `[T, B, C]`, hidden and cell state `[B, C]` to outputs and the states after them."""


class Image(Protocol):
    """A convolution of images `[B, C, 1, T]` to as many samples.

    What it gives goes through a leaky ReLU of `slope`, or `other` is added, in whose memory the
    sum may then lie if that is `spent`.
    """

    def __call__(
        self,
        x: Tensor,
        slope: float | None = None,
        other: Tensor | None = None,
        *,
        spent: bool = False,
    ) -> Tensor:
        """Convolve."""
        ...


def linear(weight: Tensor, bias: Tensor | None) -> Product:
    """Multiply rows by a weight `[out, in]`, and add a bias `[out]`."""
    return lambda x: functional.linear(x, weight, bias)


def windows(
    matrix: Tensor, bias: Tensor | None, channels: int, stride: int, dilation: int
) -> Windows:
    """Multiply each window by a matrix `[taps * channels, out]`: a convolution."""
    taps = matrix.shape[0] // channels

    def product(x: Tensor, count: int) -> Tensor:
        return _rows(x, count, taps, stride, dilation) @ matrix + (0 if bias is None else bias)

    return product


def _rows(x: Tensor, count: int, taps: int, stride: int, dilation: int) -> Tensor:
    span = (count - 1) * stride + 1
    parts = [x[:, tap * dilation : tap * dilation + span : stride] for tap in range(taps)]
    return torch.cat(parts, dim=2)


def image(weight: Tensor, bias: Tensor | None, padding: int, dilation: int) -> Image:
    """Convolve with `[out, in, taps]`, zeros before and after."""

    def run(
        x: Tensor,
        slope: float | None = None,
        other: Tensor | None = None,
        *,
        spent: bool = False,
    ) -> Tensor:
        options = {"padding": (0, padding), "dilation": (1, dilation)}
        y = functional.conv2d(x, weight[:, :, None].contiguous(), bias, **options)  # type: ignore[arg-type]
        if slope is not None:
            y = functional.leaky_relu(y, slope)
        return y if other is None else y + other

    return run


def lstm(
    input_weight: Tensor, hidden_weight: Tensor, input_bias: Tensor, hidden_bias: Tensor
) -> Recurrence:
    """One layer of an LSTM; weights `[4 * C, C]` of the gates i, f, g, o, as PyTorch has them."""

    def run(x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out: list[Tensor] = []
        for inputs in functional.linear(x, input_weight, input_bias):
            gates = inputs + functional.linear(hidden, hidden_weight, hidden_bias)
            i, f, g, o = gates.chunk(4, dim=1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            out.append(hidden)
        return torch.stack(out), hidden, cell

    return run


def elu(x: Tensor) -> Tensor:
    """X above 0, exp(x) - 1 below."""
    return functional.elu(x)


def snake(x: Tensor, alpha: Tensor) -> Tensor:
    """X + sin(alpha x)^2 / alpha; 1e-9 keeps DAC's formula finite at alpha = 0."""
    return (x + torch.sin(alpha * x).square() / (alpha + 1e-9)).to(x.dtype)


def argmax(scores: Tensor) -> Tensor:
    """The column of each row's largest value."""
    return scores.argmax(dim=1)

"""Functions of single samples; they remember nothing."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.kernels import plain
from ncodec.kernels.table import function
from ncodec.streaming import State, Streamable

_FEW = 3 << 12  # values below which one call is faster than five


class Pointwise(Streamable):
    """A function of single samples, `[B, C, T]` to `[B, C, T]`."""

    @abstractmethod
    def apply_to(self, x: Tensor) -> Tensor:
        """Return the function's values; their memory is new, or a gradient can flow."""

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return an empty signal."""
        return torch.zeros(batch, 0, 0, device=device, dtype=dtype)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the values for `x`."""
        if state.shape[1] != x.shape[1] or state.dtype != x.dtype:
            state = x.new_zeros(x.shape[0], x.shape[1], 0)
        return self.apply_to(x) if x.shape[2] else x, state

    def end(self, x: Tensor, state: State) -> Tensor:
        """Return the values for the last samples."""
        return self.apply_to(x)

    def flush(self, state: State) -> Tensor:
        """Return nothing: an empty signal with the channels of those before."""
        return state


class ELU(Pointwise):
    """x above 0, exp(x) - 1 below."""

    def apply_to(self, x: Tensor) -> Tensor:
        """Return the values."""
        if x.requires_grad or not x.is_cpu or x.numel() < _FEW:
            return plain.elu(x)
        return function("elu", x.dtype)(x)


class LeakyReLU(Pointwise):
    """x above 0, `slope` x below.

    Args:
        slope: Below 0.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def apply_to(self, x: Tensor) -> Tensor:
        """Return the values."""
        return functional.leaky_relu(x, self.slope)


class Tanh(Pointwise):
    """The hyperbolic tangent."""

    def apply_to(self, x: Tensor) -> Tensor:
        """Return the values."""
        return torch.tanh(x)


class Snake(Pointwise):
    """x + sin(alpha x)^2 / alpha, alpha for each channel (Ziyin et al. 2020, arXiv:2006.08195).

    Args:
        channels: Channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def apply_to(self, x: Tensor) -> Tensor:
        """Return the values."""
        if torch.is_grad_enabled() or not x.is_cpu:
            return plain.snake(x, self.alpha)
        return function("snake", x.dtype)(x, self.alpha)

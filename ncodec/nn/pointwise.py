"""Functions of single samples; they remember nothing."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.streaming import State, Streamable

_LOG2_E = math.log2(math.e)
_ZERO = torch.zeros(())  # beside a tensor as the other bound
_FEW = 3 << 12  # values below which one call is faster than five
_CACHED = 1 << 17  # values whose five passes stay in the second-level cache


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

    def flush(self, state: State) -> Tensor:
        """Return nothing: an empty signal with the channels of those before."""
        return state


class ELU(Pointwise):
    """x above 0, exp(x) - 1 below.

    Without gradients, as the smaller of max(x, 0) and 2^(x log2(e)) - 1, in float32 at least:
    four passes that vectorise well against the library's one with expm1, which takes twice as long.
    """

    def apply_to(self, x: Tensor) -> Tensor:
        """Return the values."""
        if x.requires_grad or not x.is_cpu or x.numel() < _FEW:
            return functional.elu(x)
        y = torch.empty_like(x)
        length = max(1, _CACHED // max(1, x.shape[0] * x.shape[1]))
        if x.shape[2] <= length:
            return _elu(x, y)
        for part, out in zip(x.split(length, dim=2), y.split(length, dim=2), strict=True):
            _elu(part, out)
        return y


def _elu(x: Tensor, out: Tensor) -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    y = torch.mul(wide, _LOG2_E, out=out if out.dtype == wide.dtype else None)
    torch.clamp(wide, min=_ZERO, max=y.exp2_().sub_(1), out=y)
    return y if y is out else out.copy_(y)


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
        """Return the values; 1e-9 keeps DAC's formula finite at alpha = 0."""
        divisor = self.alpha + 1e-9
        if torch.is_grad_enabled() or not x.is_cpu:
            return (x + torch.sin(self.alpha * x).square() / divisor).to(x.dtype)
        wider = torch.promote_types(x.dtype, torch.float32)  # a bfloat16 phase is too rough
        y = torch.empty_like(x)
        length = max(1, _CACHED // max(1, x.shape[0] * x.shape[1]))
        for part, out in zip(x.split(length, dim=2), y.split(length, dim=2), strict=True):
            exact = part.to(wider)
            wave = out if exact is part else torch.empty_like(exact)
            torch.mul(exact, self.alpha, out=wave).sin_().square_()
            torch.addcdiv(exact, wave, divisor, out=wave)
            if wave is not out:
                out.copy_(wave)
        return y

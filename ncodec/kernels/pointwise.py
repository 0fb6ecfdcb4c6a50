"""Functions of single samples in tiles that stay in the cache from pass to pass; no gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LOG2_E = math.log2(math.e)
_ZERO = torch.zeros(())  # beside a tensor as the other bound
_CACHED = 1 << 17  # values whose five passes stay in the second-level cache


def elu(x: Tensor) -> Tensor:
    """As `plain.elu`: the smaller of max(x, 0) and 2^(x log2(e)) - 1, in float32 at least.

    Four passes that vectorise well against the library's one with expm1, which takes twice as long.
    """
    y = torch.empty_like(x)
    length = _tile(x)
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


def snake(x: Tensor, alpha: Tensor) -> Tensor:
    """As `plain.snake`, in float32 at least: a bfloat16 phase is too rough."""
    divisor = alpha + 1e-9
    wider = torch.promote_types(x.dtype, torch.float32)
    y = torch.empty_like(x)
    length = _tile(x)
    for part, out in zip(x.split(length, dim=2), y.split(length, dim=2), strict=True):
        exact = part.to(wider)
        wave = out if exact is part else torch.empty_like(exact)
        torch.mul(exact, alpha, out=wave).sin_().square_()
        torch.addcdiv(exact, wave, divisor, out=wave)
        if wave is not out:
            out.copy_(wave)
    return y


def _tile(x: Tensor) -> int:
    return max(1, _CACHED // max(1, x.shape[0] * x.shape[1]))


def argmax(scores: Tensor) -> Tensor:
    """As `plain.argmax`, by NumPy, which vectorises over rows: ten times as fast."""
    return torch.from_numpy(scores.detach().numpy().argmax(axis=1))

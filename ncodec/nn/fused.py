"""Whole signals without gradients: activations and sums are done within the convolutions.

What streams keep from piece to piece, and passes over memory between layers, are most of the time
of nets with few channels. Here a signal passes as an image, channels side by side, in tiles that
overlap by what their layers see of each other: the same values but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, channels_last
from torch.nn import functional

from ncodec.nn.conv import Conv1d
from ncodec.nn.pointwise import LeakyReLU, Pointwise
from ncodec.nn.transposed import ConvTranspose1d
from ncodec.streaming import Mean, Residual, Sequential, Streamable

_TILE = 1 << 18
"""Values of a signal that are passed at once through the branches of a mean: they stay cached."""


def fused(layer: Streamable, x: Tensor) -> Tensor:
    """Return what `layer(x)` does, of signals `[B, C, T]`; no gradient flows."""
    with torch.no_grad():
        return _pass(layer, _as_image(x))[:, :, 0]


def reach_of(layer: Streamable) -> int:
    """Return how many samples before and after one it depends on at most, at one rate."""
    if isinstance(layer, Conv1d):
        return max(layer.padding)
    if isinstance(layer, Sequential):
        return sum(reach_of(inner) for inner in layer)
    if isinstance(layer, Residual):
        return reach_of(layer.branch)
    if isinstance(layer, Mean):
        return max(reach_of(branch) for branch in layer)
    return 0


def _as_image(x: Tensor) -> Tensor:
    return x[:, :, None].contiguous(memory_format=channels_last)


def _pass(layer: Streamable, x: Tensor) -> Tensor:
    if isinstance(layer, Sequential):
        return _chain(list(layer), x)
    if isinstance(layer, Mean):
        return _in_tiles(layer, x)
    if isinstance(layer, Pointwise):
        return layer.apply_to(x)
    if isinstance(layer, Conv1d) and (kernel := layer.convolution) is not None:
        return kernel.image(x)
    if isinstance(layer, ConvTranspose1d) and (kernel := layer.convolution) is not None:
        return _transposed(layer, kernel.image(x))
    return _as_image(layer(x[:, :, 0]))


def _transposed(layer: ConvTranspose1d, groups: Tensor) -> Tensor:
    """Return the samples of groups of `stride`, which already lie one after another."""
    batch, _, _, count = groups.shape
    samples = groups.permute(0, 2, 3, 1).reshape(batch, 1, -1, layer.out_channels)
    first, last = layer.trim
    length = (count - layer.taps) * layer.stride + layer.kernel_size
    return samples[:, :, first : length - last].permute(0, 3, 1, 2)


def _chain(
    layers: Sequence[Streamable],
    x: Tensor,
    *,
    active: Tensor | None = None,
    other: Tensor | None = None,
    spent: bool = False,
) -> Tensor:
    """Pass layers one after another.

    Args:
        layers: They.
        x: `[B, C, 1, T]`.
        active: What the first layer, a leaky ReLU, gives, if that is known.
        other: To be added to the result.
        spent: Whether `other`, or `x` for residual layers, may be written over.
    """
    own, at = spent and other is None, 0
    if active is not None and isinstance(layers[0], LeakyReLU):
        x, active, layers, own = active, None, layers[1:], False
    while at < len(layers):
        layer, following = layers[at], layers[at + 1] if at + 1 < len(layers) else None
        at += 1
        if isinstance(layer, (LeakyReLU, Sequential)):
            x = _freely(layer, x, spent=own)
        elif isinstance(layer, Residual) and layer.shortcut is None:
            x = _residual(layer, x, active if at == 1 else None, spent=own)
        elif isinstance(layer, Conv1d) and (kernel := layer.convolution) is not None:
            if isinstance(following, LeakyReLU):
                x, at = kernel.image(x, following.slope), at + 1
            elif following is None and other is not None:
                return kernel.image(x, None, other, spent=spent)
            else:
                x = kernel.image(x)
        else:
            x = _pass(layer, x)
        own = True
    return x if other is None else x + other


def _freely(layer: LeakyReLU | Sequential, x: Tensor, *, spent: bool) -> Tensor:
    """Pass a layer that may write over `x` if that is spent."""
    if isinstance(layer, Sequential):
        return _chain(list(layer), x, spent=spent)
    return functional.leaky_relu_(x, layer.slope) if spent else layer.apply_to(x)


def _residual(layer: Residual, x: Tensor, active: Tensor | None, *, spent: bool) -> Tensor:
    inner = list(layer.branch) if isinstance(layer.branch, Sequential) else [layer.branch]
    return _chain(inner, x, active=active, other=x, spent=spent)


def _in_tiles(layer: Mean, x: Tensor) -> Tensor:
    """Pass a mean's branches in tiles; at the signal's ends tiles end too, as its padding wants."""
    reach, length = reach_of(layer), x.shape[3]
    size = max(4 * reach, _TILE // (x.shape[0] * x.shape[1]))
    if length <= size + 2 * reach:
        return _mean(layer, x)
    result = torch.empty_like(x)
    for first in range(0, length, size):
        last, before = min(length, first + size), max(0, first - reach)
        seen = x[..., before : min(length, last + reach)]
        _mean(layer, seen, result[..., first:last], first - before)
    return result


def _mean(layer: Mean, x: Tensor, result: Tensor | None = None, skipped: int = 0) -> Tensor:
    """Return the mean, in `result` if that is given: what comes after the `skipped` samples."""
    active, count = _shared(layer, x), len(layer.branches)
    mean: Tensor | None = None
    for number, branch in enumerate(layer, 1):
        inner = list(branch) if isinstance(branch, Sequential) else [branch]
        y = _chain(inner, x, active=active)
        if number == count and result is not None:
            part = slice(skipped, skipped + result.shape[3])
            other = y if mean is None else mean
            return torch.lerp(other[..., part], y[..., part], 1 / count, out=result)
        mean = y if mean is None else mean.lerp_(y, 1 / number)
    assert mean is not None
    return mean


def _shared(layer: Mean, x: Tensor) -> Tensor | None:
    """Return the leaky ReLU that all branches begin with, if they do."""
    firsts: list[Streamable] = []
    for branch in layer:
        first = branch
        while isinstance(first, (Sequential, Residual)):
            first = first.branch if isinstance(first, Residual) else next(iter(first))
        firsts.append(first)
    slopes = {first.slope if isinstance(first, LeakyReLU) else None for first in firsts}
    slope = slopes.pop()
    return None if slopes or slope is None else functional.leaky_relu(x, slope)

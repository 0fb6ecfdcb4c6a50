"""Whole signals through the library's own convolutions: how nets are trained.

Streams pass layers as products over windows and carry states from piece to piece; gradients of
those take several times as long as of a convolution over the whole. Both compute the same.
"""

from __future__ import annotations

from torch import Tensor, channels_last
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from ncodec.nn.conv import Conv1d
from ncodec.nn.pointwise import Pointwise
from ncodec.nn.transposed import ConvTranspose1d
from ncodec.streaming import Mean, Residual, Sequential, Streamable


def whole(layer: Streamable, x: Tensor) -> Tensor:
    """Return what `layer(x)` does, of signals `[B, C, T]`.

    Layers that it does not know are called.
    """
    return _pass(layer, x[:, :, None].contiguous(memory_format=channels_last))[:, :, 0]


def _pass(layer: Streamable, x: Tensor) -> Tensor:
    """Pass `[B, C, 1, T]`, channels side by side: as images, which CPUs convolve fastest."""
    if isinstance(layer, Sequential):
        for inner in layer:
            x = _pass(inner, x)
        return x
    if isinstance(layer, Residual):
        return _pass(layer.branch, x) + (x if layer.shortcut is None else _pass(layer.shortcut, x))
    if isinstance(layer, Mean):
        branches = [_pass(branch, x) for branch in layer]
        return sum(branches[1:], branches[0]) / len(branches)
    if isinstance(layer, Pointwise):
        return layer.apply_to(x)
    if isinstance(layer, Conv1d) and _is_plain(layer):
        return _convolved(layer, x)
    if isinstance(layer, ConvTranspose1d):
        return _transposed(layer, x)
    return layer(x[:, :, 0])[:, :, None]


def _is_plain(layer: Conv1d) -> bool:
    """Say whether it convolves as its base does; weights in two parts make a subclass of it."""
    return (type(layer) is Conv1d or is_parametrized(layer)) and not layer.ceil_mode


def _convolved(layer: Conv1d, x: Tensor) -> Tensor:
    left, right = layer.padding
    inside = left if left == right and layer.pad_mode == "constant" else 0
    if inside < max(left, right):
        x = functional.pad(x, (left, right, 0, 0), mode=layer.pad_mode)
    return functional.conv2d(
        x,
        layer.weight[:, :, None].contiguous(),  # gradients of small ones want it so
        layer.bias,
        (1, layer.stride),
        (0, inside),
        (1, layer.dilation),
        layer.groups,
    )


def _transposed(layer: ConvTranspose1d, x: Tensor) -> Tensor:
    first, last = layer.trim
    more = first - last
    fits = 0 <= more < layer.stride
    y = functional.conv_transpose2d(
        x,
        layer.weight[:, :, None].contiguous(),  # gradients of small ones want it so
        layer.bias,
        (1, layer.stride),
        (0, first if fits else 0),
        (0, more if fits else 0),
        layer.groups,
    )
    return y if fits else y[..., first : y.shape[3] - last]

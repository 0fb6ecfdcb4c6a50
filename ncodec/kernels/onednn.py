"""oneDNN's own operators, over weights that are laid out once where a library call does so anew."""

from __future__ import annotations

import torch
from torch import Tensor

from ncodec.kernels.plain import Image, Product, Recurrence, Windows
from ncodec.kernels.taps import merged

_TYPICAL = 4096  # samples that packed convolutions are laid out for; others take as long
_LSTM_MODE = 2  # of mkldnn_rnn_layer


def there(dtype: torch.dtype) -> bool:
    """Say whether oneDNN computes in a type here; bfloat16 it may imitate, slowly."""
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype == torch.float32 or (
        dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def linear(weight: Tensor, bias: Tensor | None) -> Product:
    """As `plain.linear`."""
    call = torch.ops.mkldnn._linear_pointwise.default
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    return lambda x: call(x, packed, bias, "none", [], "")


def windows(
    matrix: Tensor, bias: Tensor | None, channels: int, stride: int, dilation: int
) -> Windows:
    """As `plain.windows`: the windows are read where they are, with no copy and one sum."""
    out = matrix.shape[1]
    taps = matrix.shape[0] // channels
    wide = merged(taps, stride, dilation)
    width, span = wide * channels, (taps - 1) * dilation + 1
    steps = (1, stride // wide), (1, dilation)
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        matrix.t().reshape(out, 1, -1, width).permute(0, 3, 1, 2),
        (0, 0),
        *steps,
        1,
        (1, width, 1, _TYPICAL),
    )
    call = torch.ops.mkldnn._convolution_pointwise.default

    def slide(x: Tensor, count: int) -> Tensor:
        length = ((count - 1) * stride + span) // wide
        batch = x.stride(0)
        image = x.as_strided((x.shape[0], width, 1, length), (batch, 1, batch, width))
        y = call(image, packed, bias, (0, 0), *steps, 1, "none", [], "")
        return y.squeeze(2).transpose(1, 2)

    return slide


def image(weight: Tensor, bias: Tensor | None, padding: int, dilation: int) -> Image:
    """As `plain.image`: what follows a convolution is done while its sums are at hand."""
    options = (0, padding), (1, 1), (1, dilation), 1
    shape = (1, weight.shape[1], 1, _TYPICAL)
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight[:, :, None], *options, shape)
    alone = torch.ops.mkldnn._convolution_pointwise.default
    added = torch.ops.mkldnn._convolution_pointwise.binary
    adding = torch.ops.mkldnn._convolution_pointwise_.binary

    def run(
        x: Tensor,
        slope: float | None = None,
        other: Tensor | None = None,
        *,
        spent: bool = False,
    ) -> Tensor:
        if other is None:
            after = ("none", []) if slope is None else ("leaky_relu", [slope])
            return alone(x, packed, bias, *options, *after, "")
        after = ("add", 1.0, None, [], "")
        if spent:
            return adding(other, x, packed, bias, *options, *after)
        return added(x, other, packed, bias, *options, *after)

    return run


def lstm(
    input_weight: Tensor, hidden_weight: Tensor, input_bias: Tensor, hidden_bias: Tensor
) -> Recurrence:
    """As `plain.lstm`; `nn.LSTM` lays its weights out anew on each call."""
    width = hidden_weight.shape[1]
    a, b = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
        input_weight, hidden_weight, width, False, True, False, [1, 1, width]
    )
    options = (False, [], _LSTM_MODE, width, 1, True, False, False, False)
    call = torch.ops.aten.mkldnn_rnn_layer

    def run(x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, h, c, _ = call(x, a, b, input_bias, hidden_bias, hidden, cell, *options)
        return y, h, c

    return run

"""Convolutions large enough for packed weights, against their definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from ncodec.kernels import Convolution, minimal, onednn, plain, taps
from ncodec.nn import Conv1d, ConvTranspose1d


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("channels", "out", "kernel", "stride", "dilation"),
    [
        (2, 32, 7, 1, 1),
        (32, 16, 3, 1, 1),
        (32, 64, 4, 2, 1),
        (32, 48, 5, 2, 1),
        (48, 32, 3, 1, 9),
        (48, 32, 4, 2, 3),
        (64, 2, 7, 1, 1),
        (32, 64, 1, 1, 1),
    ],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_large_convolutions(
    channels: int, out: int, kernel: int, stride: int, dilation: int, batch: int, dtype: torch.dtype
) -> None:
    layer = Conv1d(channels, out, kernel, stride=stride, dilation=dilation).to(dtype)
    x = torch.randn(batch, channels, 5001).to(dtype)
    options = (layer.bias.double(), stride, 0, dilation)
    expected = F.conv1d(x.double(), layer.weight.double(), *options)
    y = layer(x)
    assert (y.shape, y.dtype) == (expected.shape, dtype)
    assert torch.allclose(y.double(), expected, atol=1e-5 if dtype == torch.float32 else 0.03)


def test_windows_are_read_from_the_middle_of_a_signal() -> None:
    x = torch.randn(1, 6001, 32)
    weight = torch.randn(16, 32, 3)
    for stride in (1, 3):
        kernel = Convolution(weight, None, stride)
        windows = 5000 // stride
        y = kernel.convolve(x[:, 7:], windows)
        expected = F.conv1d(x[:, 7:].transpose(1, 2), weight, None, stride)[..., :windows]
        assert torch.allclose(y.transpose(1, 2), expected, atol=1e-4)


@pytest.mark.parametrize("make", [taps.windows, onednn.windows, minimal.windows])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 3), (2, 1), (3, 1), (2, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_ways_to_read_windows(make: Any, stride: int, dilation: int, bias: bool) -> None:
    matrix, added = torch.randn(4 * 16, 24), torch.randn(24) if bias else None
    x = torch.randn(2, 500, 16)[:, 3:]
    want = plain.windows(matrix, added, 16, stride, dilation)(x, 150)
    y = make(matrix, added, 16, stride, dilation)(x, 150)
    assert torch.allclose(y, want, atol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "share"),
    [
        (2, 1, 1, 2 / 3),
        (4, 2, 1, 2 / 3),
        (10, 5, 1, 2 / 3),
        (3, 1, 1, 2 / 3),
        (3, 1, 2, 2 / 3),
        (7, 1, 1, 4 / 7),
        (7, 1, 9, 4 / 7),
    ],
)
def test_minimal_filtering_multiplies_less(
    kernel: int, stride: int, dilation: int, share: float, bias: bool
) -> None:
    channels, out = 256, 192
    matrix = torch.randn(kernel * channels, out) / (kernel * channels) ** 0.5
    added = torch.randn(out) if bias else torch.zeros(out)
    slide = minimal.windows(matrix, added if bias else None, channels, stride, dilation)
    exact = plain.windows(matrix.double(), added.double(), channels, stride, dilation)
    x = torch.randn(2, 3200, channels)[:, 3:]
    for count in (1, 37, 540):
        with FlopCounterMode(display=False) as counted:
            y = slide(x, count)
        assert torch.allclose(y.double(), exact(x.double(), count), atol=2e-5)
    assert counted.get_total_flops() == pytest.approx(
        share * 2 * 2 * 540 * matrix.numel(), rel=0.01
    )


def test_large_transposed_convolutions() -> None:
    layer = ConvTranspose1d(64, 32, 8, stride=4)
    x = torch.randn(1, 64, 3000)
    expected = F.conv_transpose1d(x, layer.weight, layer.bias, stride=4)
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_a_gradient_flows_through_frozen_layers() -> None:
    with torch.inference_mode(False):
        layer = Conv1d(32, 16, 3).requires_grad_(False)
        with torch.no_grad():
            layer(torch.randn(1, 32, 5000))  # packs the weights
        x = torch.randn(1, 32, 5000, requires_grad=True)
        layer(x).sum().backward()
        assert x.grad is not None
        expected = torch.autograd.grad(F.conv1d(x, layer.weight, layer.bias).sum(), x)[0]
        assert torch.allclose(x.grad, expected, atol=1e-5)

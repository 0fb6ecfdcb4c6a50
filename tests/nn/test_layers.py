"""Each layer against its definition, and fed in any pieces."""

from __future__ import annotations

import itertools
import random
import weakref
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.nn import ELU, LSTM, Conv1d, ConvTranspose1d, SegmentNorm, Snake, Tanh
from ncodec.nn.conv import seanet_padding
from ncodec.streaming import Residual, Sequential, Streamable
from tests.machine import needs_bf16

LENGTHS = (1, 2, 5, 9, 40, 41)


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def in_pieces(layer: Streamable, x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Feed a signal in pieces; check on the way that a step leaves its state alone."""
    state, parts, start = layer.initial_state(len(x)), list[Tensor](), 0
    for size in itertools.cycle(sizes):
        if start >= x.shape[2]:
            break
        piece = x[..., start : start + size].clone()
        y, after = layer.step(piece, state)
        again, _ = layer.step(piece, state)
        assert torch.equal(y, again)
        piece.fill_(torch.nan)  # the caller may do what it likes with its memory
        parts.append(y.clone())
        state, start = after, start + size
    return torch.cat([*parts, layer.flush(state)], dim=2)


def assert_streams(layer: Streamable, x: Tensor) -> Tensor:
    whole = layer(x)
    for sizes in ((1,), (random.choice([0, 1, 2]), 3, 7), (16,)):
        streamed = in_pieces(layer, x, sizes)
        assert streamed.shape == whole.shape
        assert torch.allclose(streamed, whole, atol=1e-5, rtol=1e-5)
    return whole


def padded(x: Tensor, left: int, right: int, mode: str) -> Tensor:
    """Pad by torch, and by EnCodec's rule where the signal is too short to reflect."""
    lacking = max(left, right) + 1 - x.shape[2]
    if mode == "reflect" and lacking > 0:
        return F.pad(F.pad(x, (0, lacking)), (left, right), mode)[..., :-lacking]
    return F.pad(x, (left, right), mode)


SIZES = [
    (kernel, stride, dilation)
    for kernel, stride, dilation in itertools.product([1, 3, 7, 10], [1, 2, 5], [1, 3])
    if (kernel - 1) * dilation + 1 >= stride  # no gaps between windows
]


@pytest.mark.parametrize("mode", ["constant", "replicate", "reflect"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), SIZES)
def test_convolution(mode: str, causal: bool, kernel: int, stride: int, dilation: int) -> None:
    span = (kernel - 1) * dilation + 1
    left, right = seanet_padding(kernel, stride, dilation, causal=causal)
    for ceil_mode, groups in itertools.product([False, True], [1, 2]):
        layer = Conv1d(
            4,
            6,
            kernel,
            stride=stride,
            dilation=dilation,
            groups=groups,
            padding=(left, right),
            pad_mode=mode,  # pyright: ignore[reportArgumentType]
            ceil_mode=ceil_mode,
        )
        for length in LENGTHS:
            x = torch.randn(2, 4, length)
            y = assert_streams(layer, x)
            extra = (span - length - left - right) % stride if ceil_mode else 0
            if ceil_mode:
                assert y.shape[2] == -(-length // stride)
            if length + left + right + extra < span:
                assert y.shape[2] == 0
                continue
            x = padded(x, left, right + extra, mode)
            expected = F.conv1d(x, layer.weight, layer.bias, stride, 0, dilation, groups)
            assert y.shape == expected.shape
            assert torch.allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3, 4, 10])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution(kernel: int, stride: int, groups: int) -> None:
    if kernel < stride:
        with pytest.raises(ArgumentError, match="gaps"):
            ConvTranspose1d(4, 6, kernel, stride=stride)
        return
    for left, right in itertools.product(range(4), range(kernel - stride + 1)):
        layer = ConvTranspose1d(4, 6, kernel, stride=stride, groups=groups, trim=(left, right))
        for length in (1, 2, 9):
            x = torch.randn(2, 4, length)
            expected = F.conv_transpose1d(x, layer.weight, layer.bias, stride, groups=groups)
            expected = expected[..., left : expected.shape[2] - right]
            y = assert_streams(layer, x)
            assert y.shape == expected.shape
            assert torch.allclose(y, expected, atol=1e-5)


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    length=st.integers(1, 60),
    mode=st.sampled_from(["constant", "replicate", "reflect"]),
    paddings=st.lists(st.integers(0, 4), min_size=4, max_size=4),
    stride=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_a_net_in_any_pieces(
    sizes: list[int], length: int, mode: str, paddings: list[int], stride: int
) -> None:
    options = {"pad_mode": mode, "ceil_mode": True}
    branch = Sequential(ELU(), Conv1d(3, 3, 5, padding=(1, 3), **options), Tanh())
    shortcut = Conv1d(3, 3, 3, dilation=2, padding=(4, 0), **options)
    net = Sequential(
        Conv1d(2, 3, 5, padding=(paddings[0], 4 - paddings[0]), **options),
        Residual(branch, shortcut),
        Residual(branch),
        Conv1d(3, 5, 2 * stride, stride=stride, padding=(stride, 0), **options),
        LSTM(5, 2),
        ConvTranspose1d(5, 2, 2 * stride, stride=stride, trim=(stride // 2, stride // 2)),
        Snake(2),
    )
    x = torch.randn(1, 2, length)
    whole = net(x)
    streamed = in_pieces(net, x, tuple(sizes))
    assert streamed.shape == whole.shape
    assert torch.allclose(streamed, whole, atol=1e-5)


def test_lstm() -> None:
    layer = LSTM(6, 2)
    x = torch.randn(3, 6, 11)
    expected = layer.lstm(x.permute(2, 0, 1))[0].permute(1, 2, 0) + x
    assert torch.allclose(assert_streams(layer, x), expected, atol=1e-5)


@pytest.mark.parametrize("tile", [1, 7, 100])
def test_segment_norm(tile: int) -> None:
    layer = SegmentNorm(4, trim=(2, 1))
    layer.tile = tile
    layer.weight.copy_(torch.randn(4))
    layer.bias.copy_(torch.randn(4))
    x = torch.randn(3, 4, 20) * 3 + 1
    expected = F.group_norm(x.tanh(), 1, layer.weight, layer.bias)[..., 2:-1]
    net = Sequential(Tanh(), layer)  # the norm keeps what it is fed, which must be a layer's own
    assert torch.allclose(assert_streams(net, x), expected, atol=1e-5)


def test_tiles_of_norms_that_do_not_meet() -> None:
    options = {"pad_mode": "reflect", "ceil_mode": True}
    norms = [SegmentNorm(3) for _ in range(4)]
    branch = Sequential(ELU(), Conv1d(3, 3, 3, padding=(1, 1), **options), norms[1])
    shortcut = Sequential(Conv1d(3, 3, 1, **options), norms[2])
    first = Conv1d(2, 3, 5, padding=(2, 2), **options)
    last = Conv1d(3, 3, 4, stride=2, padding=(1, 1), **options)
    net = Sequential(first, norms[0], Residual(branch, shortcut), ELU(), last, norms[3], LSTM(3, 1))
    x = torch.randn(1, 2, 60)
    expected = net(x)
    for sizes in ((7, 4, 9, 3), (1, 60, 2, 5), (60, 1, 60, 1)):
        for norm, size in zip(norms, sizes, strict=True):
            norm.tile = size
        assert torch.allclose(net(x), expected, atol=1e-5)


def test_a_norm_lets_go_of_what_it_has_yielded() -> None:
    layer = SegmentNorm(4)
    layer.tile = 10
    state = layer.initial_state(1)
    kept: list[weakref.ref[Tensor]] = []
    for _ in range(5):
        _, state = layer.step(torch.randn(1, 4, 10).tanh(), state)
        kept.append(weakref.ref(state.parts[-1]))
    ending = layer.drain(state)
    del state
    for i, _ in enumerate(ending):
        assert [part() is None for part in kept] == [k < i for k in range(5)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [7, 70_000])
def test_elu(dtype: torch.dtype, length: int) -> None:
    edges = torch.tensor([-torch.inf, -200.0, -1e-3, 0.0, 1e-3, 1.0, 200.0])
    x = torch.cat([edges, torch.randn(length) * 3]).repeat(1, 2, 1).to(dtype)
    y, expected = ELU()(x), F.elu(x.double())
    assert y.dtype == dtype
    error = 0.5 ** (8 if dtype == torch.bfloat16 else 22)
    assert torch.allclose(y.double(), expected, rtol=error, atol=2e-7)


def test_snake() -> None:
    layer = Snake(3)
    layer.alpha.copy_(torch.tensor([0.5, 1.0, 0.0])[None, :, None])
    x = torch.randn(2, 3, 7)
    y = assert_streams(layer, x)
    assert torch.allclose(y[:, 0], x[:, 0] + (0.5 * x[:, 0]).sin() ** 2 / 0.5, atol=1e-6)
    assert torch.equal(y[:, 2], x[:, 2])


def test_streams_side_by_side_do_not_touch() -> None:
    layer = Sequential(Conv1d(2, 3, 5, padding=(4, 0)), ConvTranspose1d(3, 2, 4, stride=2))
    a, b = torch.randn(2, 1, 2, 30)
    expected = layer(a), layer(b)
    states, parts = [layer.initial_state(1) for _ in range(2)], ([], [])
    for i in range(0, 30, 3):
        for j, x in enumerate((a, b)):
            y, states[j] = layer.step(x[..., i : i + 3], states[j])
            parts[j].append(y)
    for j in range(2):
        y = torch.cat([*parts[j], layer.flush(states[j])], dim=2)
        assert torch.allclose(y, expected[j], atol=1e-6)


@torch.inference_mode(mode=False)
def test_gradients_reach_weights_and_follow_their_changes() -> None:
    layer = Sequential(Conv1d(2, 3, 5, padding=(4, 0)), ConvTranspose1d(3, 2, 4, stride=2))
    x = torch.randn(1, 2, 30)
    conv, transposed = layer
    layer(x).square().sum().backward()
    ours = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    y = F.conv1d(F.pad(x, (4, 0)), conv.weight, conv.bias)
    F.conv_transpose1d(y, transposed.weight, transposed.bias, 2).square().sum().backward()
    for grad, parameter in zip(ours, layer.parameters(), strict=True):
        assert torch.allclose(grad, parameter.grad, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        before = layer(x)
        transposed.weight.mul_(2)
        transposed.bias.mul_(2)
        assert torch.allclose(layer(x), 2 * before, atol=1e-5)


def test_bad_sizes() -> None:
    with pytest.raises(ArgumentError, match="at least 1"):
        Conv1d(1, 1, 3, stride=0)
    with pytest.raises(ArgumentError, match="not possible"):
        Conv1d(1, 1, 3, padding=(-1, 0))
    with pytest.raises(ArgumentError, match="not possible"):
        ConvTranspose1d(1, 1, 4, stride=2, trim=(0, 3))
    with pytest.raises(ArgumentError, match="at least one layer"):
        Sequential()


@needs_bf16
def test_bf16_samples_alone_pass_the_lstm_as_the_whole_does() -> None:
    layer = LSTM(16, 2).to(torch.bfloat16)
    for weight in layer.parameters():
        weight.mul_(3)
    x, state = torch.randn(1, 16, 40).to(torch.bfloat16), layer.initial_state(1)
    parts: list[Tensor] = []
    for sample in x.split(1, dim=2):
        y, state = layer.step(sample, state)
        parts.append(y - sample)
    whole, _ = layer.step(x, layer.initial_state(1))
    error = (torch.cat(parts, dim=2) - (whole - x)).float().square().mean()
    assert error < 1e-3 * (whole - x).float().square().mean()


@needs_bf16
def test_a_row_alone_passes_a_bf16_convolution_as_among_many() -> None:
    layer = Conv1d(32, 24, 4, stride=4).to(torch.bfloat16)
    x = torch.randn(1, 32, 40).to(torch.bfloat16)
    one, whole = layer(x[..., :4]), layer(x)
    assert one.dtype == torch.bfloat16
    assert torch.allclose(one.float(), whole[..., :1].float(), atol=0.02)

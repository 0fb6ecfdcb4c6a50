"""Convolution that can be fed piece by piece, with any padding, causal or with look-ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.kernels import Convolution, Derived, convolve_groups, parts_of
from ncodec.nn.padding import PadMode, pad_left, pad_right, pad_short, samples_to_start
from ncodec.streaming import State, Streamable


@dataclass(frozen=True)
class ConvState:
    """What a convolution remembers.

    Attributes:
        samples: `[B, n, C]`, the samples of windows that are not complete.
        skip: How many of them are before the next window, kept only to be reflected at the end.
        padded: How many of them are left padding; None while that still waits for samples.
    """

    samples: Tensor
    skip: int
    padded: int | None


class Conv1d(Streamable):
    """Convolution of `[B, C, T]` with `weight` `[out, in / groups, kernel]`.

    >>> import torch
    >>> from ncodec.nn import Conv1d
    >>> conv, x = Conv1d(1, 4, 3, padding=(2, 0)), torch.randn(1, 1, 10)  # causal
    >>> state = conv.initial_state(1)
    >>> first, state = conv.step(x[..., :3], state)
    >>> second, state = conv.step(x[..., 3:], state)
    >>> torch.allclose(conv(x), torch.cat([first, second, conv.flush(state)], dim=2), atol=1e-6)
    True

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps.
        stride: Samples from window to window.
        dilation: Samples from tap to tap.
        groups: Groups of channels that do not mix.
        bias: Whether a bias is added.
        padding: Samples added before the first and after the last. Right padding is the layer's
            look-ahead: as many outputs wait for samples to come.
        pad_mode: "constant" (zeros), "replicate" or "reflect".
        ceil_mode: Whether the right is padded further, so that the last window covers the last
            sample (EnCodec's rule; with `seanet_padding`, T samples give ceil(T / stride)).

    Raises:
        ArgumentError: A size is below 1, a padding below 0, or the mode unknown.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        padding: tuple[int, int] = (0, 0),
        pad_mode: PadMode = "constant",
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, kernel_size, stride, dilation, groups) < 1:
            raise ArgumentError("channels, kernel, stride, dilation and groups must be at least 1")
        if min(padding) < 0 or pad_mode not in ("constant", "replicate", "reflect"):
            raise ArgumentError(f"padding {padding} {pad_mode!r} is not possible")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.stride, self.dilation, self.groups = stride, dilation, groups
        self.span = (kernel_size - 1) * dilation + 1
        self.padding, self.ceil_mode = padding, ceil_mode
        self.pad_mode: PadMode = pad_mode
        self.weight = new_weight(out_channels, in_channels // groups, kernel_size)
        bound = (in_channels // groups * kernel_size) ** -0.5
        self.bias = (
            nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound)) if bias else None
        )
        self._kernel = Derived(self._laid_out)
        self.memoryless = self.span == stride == 1 and padding == (0, 0)
        # Reflection at the end reads this many samples, some of which no window needs any more.
        self.keep = padding[1] + stride if pad_mode == "reflect" else 0

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the state before the first sample."""
        started = samples_to_start(self.padding[0], self.pad_mode) == 0
        zeros = torch.zeros(
            batch,
            self.padding[0] if started else 0,
            self.in_channels,
            device=device if device is not None else self.weight.device,
            dtype=dtype if dtype is not None else self.weight.dtype,
        )
        return ConvState(zeros, 0, zeros.shape[1] if started else None)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the outputs of all windows that are complete."""
        assert isinstance(state, ConvState)
        if x.shape[2] == 0:
            return self._convolve(state.samples, 0), state
        if self.memoryless:
            return self._convolve(x.transpose(1, 2).to(state.samples.dtype), x.shape[2]), state
        samples, padded = join(state.samples, x.transpose(1, 2)), state.padded
        if padded is None:
            if samples.shape[1] < samples_to_start(self.padding[0], self.pad_mode):
                return self._convolve(samples, 0), ConvState(samples.clone(), 0, None)
            samples, padded = pad_left(samples, self.padding[0], self.pad_mode), self.padding[0]
        windows = max(0, (samples.shape[1] - state.skip - self.span) // self.stride + 1)
        y = self._convolve(samples[:, state.skip :], windows)
        following = state.skip + windows * self.stride
        drop = max(0, min(following, samples.shape[1]) - self.keep)
        rest = samples[:, drop:].clone()  # neither the caller's memory nor the whole block's
        return y, ConvState(rest, following - drop, max(0, padded - drop))

    def end(self, x: Tensor, state: State) -> Tensor:
        """Return all outputs that are left: of what waits, of `x` and beyond the end."""
        assert isinstance(state, ConvState)
        return self.flush(replace(state, samples=join(state.samples, x.transpose(1, 2))))

    def flush(self, state: State) -> Tensor:
        """Return the outputs of the windows that reach beyond the end."""
        assert isinstance(state, ConvState)
        samples, padded = state.samples, state.padded
        left, right = self.padding
        length = samples.shape[1] - state.skip + (left if padded is None else 0)
        beyond = length + right - self.span
        rounded = beyond + (self.stride - 1 if self.ceil_mode else 0)
        windows = max(0, rounded // self.stride + 1)
        if windows == 0 or samples.shape[1] == 0:
            return self._convolve(samples, 0)
        right = max(0, (windows - 1) * self.stride + self.span - length)
        if padded is None:
            samples = pad_short(samples, left, right, self.pad_mode)
        else:
            signal = pad_right(samples[:, padded:], right, self.pad_mode)
            samples = join(samples[:, :padded], signal)
        return self._convolve(samples[:, state.skip :], windows)

    def _convolve(self, x: Tensor, windows: int) -> Tensor:
        if self.groups == 1:
            return self._kernel(*parts_of(self)).convolve(x, windows).transpose(1, 2)
        options = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups}
        return convolve_groups(x, self.weight, self.bias, windows=windows, **options).transpose(
            1, 2
        )

    @property
    def convolution(self) -> Convolution | None:
        """The weights laid out for whole signals, if those are padded by zeros on both sides."""
        plain = self.groups == self.stride == 1 and self.pad_mode == "constant"
        if not plain or self.padding[0] != self.padding[1] or self.ceil_mode:
            return None
        return self._kernel(*parts_of(self))

    def _laid_out(self, weight: Tensor, bias: Tensor | None = None) -> Convolution:
        return Convolution(weight, bias, self.stride, self.dilation, self.padding[0])


def new_weight(out_channels: int, in_channels: int, kernel_size: int) -> nn.Parameter:
    """Return a weight `[out, in, taps]` that lies in memory as `[taps, in, out]`.

    Its values are PyTorch's usual ones: uniform within 1 / sqrt(in * taps).
    """
    bound = 1 / math.sqrt(in_channels * kernel_size)
    values = torch.empty(kernel_size, in_channels, out_channels).uniform_(-bound, bound)
    return nn.Parameter(values.permute(2, 1, 0))


def seanet_padding(
    kernel_size: int, stride: int = 1, dilation: int = 1, *, causal: bool
) -> tuple[int, int]:
    """Return EnCodec's padding, with which T samples give ceil(T / stride) in `ceil_mode`."""
    total = (kernel_size - 1) * dilation + 1 - stride
    right = 0 if causal else total // 2
    return total - right, right


def join(a: Tensor, b: Tensor) -> Tensor:
    """Concatenate `[B, n, C]` in time, in the first's type, without a copy if that is empty.

    Raises:
        ArgumentError: They are of different batches or channels.
    """
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[2]:
        raise ArgumentError(
            f"{b.shape[0]} signals of {b.shape[2]} channels: the state is of {a.shape[0]} of "
            f"{a.shape[2]}"
        )
    if a.shape[1] == 0 or b.shape[1] == 0:
        return b.to(a.dtype) if b.shape[1] else a
    if a.dtype == b.dtype:
        return torch.cat([a, b], dim=1)
    joined = a.new_empty(len(a), a.shape[1] + b.shape[1], a.shape[2])
    joined[:, : a.shape[1]] = a
    joined[:, a.shape[1] :] = b
    return joined

"""Transposed convolution, fed piece by piece: an ordinary convolution at the input's rate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.errors import ArgumentError
from ncodec.kernels import Convolution, Derived, convolve_groups, parts_of
from ncodec.nn.conv import join
from ncodec.streaming import State, Streamable


@dataclass(frozen=True)
class TransposedState:
    """What a transposed convolution remembers.

    Attributes:
        samples: `[B, n, C]`, the last inputs, whose outputs reach further.
        trim: Samples still to be dropped from the start.
        begun: Whether there was any input.
    """

    samples: Tensor
    trim: int
    begun: bool


class ConvTranspose1d(Streamable):
    """Transposed convolution of `[B, C, T]` with `weight` `[in, out / groups, kernel]`.

    Output group t (`stride` samples) is a sum over inputs t, t-1, ...: a convolution with
    ceil(kernel / stride) taps and `stride * out` channels, which then stand one after another.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps, at least `stride`.
        stride: Output samples for each input sample.
        groups: Groups of channels that do not mix.
        bias: Whether a bias is added.
        trim: Samples cut from the start and the end of the (T - 1) * stride + kernel outputs; at
            the end at most `kernel_size - stride`.

    Raises:
        ArgumentError: The sizes do not fit together.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
        trim: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        if not 1 <= stride <= kernel_size:
            raise ArgumentError(f"a kernel of {kernel_size} leaves gaps at stride {stride}")
        if trim[0] < 0 or not 0 <= trim[1] <= kernel_size - stride:
            raise ArgumentError(
                f"trim {trim} is not possible: kernel {kernel_size} stride {stride}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.groups, self.trim = kernel_size, stride, groups, trim
        self.taps = -(-kernel_size // stride)
        bound = (out_channels // groups * kernel_size) ** -0.5
        shape = (in_channels, out_channels // groups, kernel_size)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = (
            nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound)) if bias else None
        )
        self._kernel = Derived(self._as_convolution)

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the state before the first sample."""
        zeros = torch.zeros(
            batch,
            self.taps - 1,
            self.in_channels,
            device=device if device is not None else self.weight.device,
            dtype=dtype if dtype is not None else self.weight.dtype,
        )
        return TransposedState(zeros, self.trim[0], begun=False)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return `stride` samples for each of `x`, less those trimmed from the start."""
        assert isinstance(state, TransposedState)
        windows = x.shape[2]
        if windows == 0:
            return x.new_zeros(x.shape[0], self.out_channels, 0), state
        samples = x.transpose(1, 2)
        if self.taps > 1:
            samples = join(state.samples, samples)
        y = self._convolve(samples, windows)
        cut = min(state.trim, y.shape[1])
        rest = samples[:, windows:].clone()
        return y[:, cut:].transpose(1, 2), TransposedState(rest, state.trim - cut, begun=True)

    def flush(self, state: State) -> Tensor:
        """Return what the last inputs reach beyond the end."""
        assert isinstance(state, TransposedState)
        reach = self.kernel_size - self.stride - self.trim[1]
        windows = -(-reach // self.stride) if state.begun else 0
        zeros = state.samples.new_zeros(state.samples.shape[0], windows, self.in_channels)
        y = self._convolve(torch.cat([state.samples, zeros], dim=1), windows)
        return y[:, state.trim : reach].transpose(1, 2)

    def end(self, x: Tensor, state: State) -> Tensor:
        """Return what is left, of `x` and beyond the end."""
        assert isinstance(state, TransposedState)
        reach = self.kernel_size - self.stride - self.trim[1]
        beyond, count = -(-reach // self.stride), x.shape[2]
        zeros = x.new_zeros(x.shape[0], beyond, self.in_channels)
        samples = torch.cat([join(state.samples, x.transpose(1, 2)), zeros], dim=1)
        y = self._convolve(samples, count + beyond)
        return y[:, state.trim : count * self.stride + reach].transpose(1, 2)

    @property
    def convolution(self) -> Convolution | None:
        """The weights laid out for whole signals: `stride` samples side by side."""
        kernel = self._kernel(*parts_of(self))
        return kernel if isinstance(kernel, Convolution) else None

    def _convolve(self, x: Tensor, windows: int) -> Tensor:
        """Return `windows` groups of `stride` samples, `[B, windows * stride, out]`."""
        kernel = self._kernel(*parts_of(self))
        if isinstance(kernel, Convolution):
            y = kernel.convolve(x, windows)
        else:
            y = convolve_groups(x, *kernel, windows=windows, groups=self.groups)
            y = y.unflatten(2, (self.out_channels, self.stride)).transpose(2, 3)
        return y.reshape(x.shape[0], windows * self.stride, self.out_channels)

    def _as_convolution(
        self, weight: Tensor, bias: Tensor | None = None
    ) -> Convolution | tuple[Tensor, Tensor | None]:
        weight = self._convolution_weight(weight)
        bias = None if bias is None else self._phase_bias(bias)
        if self.groups > 1:
            return weight, bias
        return Convolution(weight, bias, padding=self.taps - 1)

    def _convolution_weight(self, weight: Tensor) -> Tensor:
        weight = functional.pad(weight, (0, self.taps * self.stride - self.kernel_size))
        weight = weight.unflatten(2, (self.taps, self.stride)).flip(2)
        if self.groups > 1:  # in the library's order: group, channel, phase
            split = weight.unflatten(0, (self.groups, -1))
            return split.permute(0, 2, 4, 1, 3).flatten(0, 2).contiguous()
        return weight.permute(2, 0, 3, 1).flatten(2).contiguous().permute(2, 1, 0)

    def _phase_bias(self, bias: Tensor) -> Tensor:
        if self.groups > 1:
            return bias.repeat_interleave(self.stride)
        return bias.repeat(self.stride)

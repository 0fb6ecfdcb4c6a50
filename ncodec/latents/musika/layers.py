"""Layers of Musika's nets: noise that is counted, and blocks of convolution, noise and swish.

Padding is Keras's "same": what a window needs beyond the signal, the odd sample after it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.latents.coordinates import LAYERS, normal
from ncodec.nn import Conv1d, ConvTranspose1d, Pointwise
from ncodec.streaming import Sequential, State, Streamable

M = TypeVar("M", bound=nn.Module)


class Swish(Pointwise):
    """x times its logistic function."""

    def apply_to(self, x: Tensor) -> Tensor:
        """Return the values."""
        return functional.silu(x)


@dataclass(frozen=True)
class NoiseState:
    """Where a layer's noise stands.

    Attributes:
        amount: By which it is multiplied; at 0 there is none.
        seed: Of the noise.
        position: Samples before the next.
        rate: Samples a step of the second level.
        cycle: Samples after which it comes again, or None.
    """

    amount: float
    seed: int
    position: int
    rate: Fraction
    cycle: int | None = None


class Noise(Streamable):
    """Noise, the same in all channels and streams, by a weight that is learnt.

    Called in training mode it draws noise anew, for each stream its own, as Musika was trained.

    Args:
        number: Of the layer in its net and its model, so that no two have one noise.
        rate: Samples a step of the second level.
    """

    def __init__(self, number: int, rate: Fraction) -> None:
        super().__init__()
        self.number, self.rate = number, rate
        self.weight = nn.Parameter(torch.zeros(1))

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the state of no noise."""
        return NoiseState(0.0, 0, 0, self.rate)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Add the noise of the next samples."""
        assert isinstance(state, NoiseState)
        count = x.shape[2]
        if state.amount and count:
            noise = self._noise(state, count).to(x)
            x = x + (state.amount * self.weight) * noise
        return x, replace(state, position=state.position + count)

    def forward(self, x: Tensor) -> Tensor:
        """Return the signal, in training with noise."""
        if not self.training:
            return x
        return x + self.weight * torch.randn_like(x[:, :1])

    def _noise(self, state: NoiseState, count: int) -> Tensor:
        stream, first = LAYERS + self.number, state.position
        if state.cycle is None:
            return normal(state.seed, stream, first, count)
        whole = normal(state.seed, stream, 0, state.cycle)
        return whole[:, torch.arange(first, first + count) % state.cycle]

    def flush(self, state: State) -> Tensor:
        """Return nothing."""
        return self.weight.new_zeros(1, 0, 0)

    def end(self, x: Tensor, state: State) -> Tensor:
        """Return the last samples with their noise."""
        return self.step(x, state)[0]


def with_noise(state: State, amount: float, seed: int, step: int, loop: int | None) -> State:
    """Return a net's state in which its noise is that of a seed, from a step on.

    Args:
        state: Before the first sample.
        amount: By which the noise is multiplied.
        seed: Of the noise.
        step: Of the second level, that comes first.
        loop: Steps after which the noise comes again, or None.
    """
    if isinstance(state, NoiseState):
        cycle = None if loop is None else int(loop * state.rate)
        position = int(step * state.rate)
        return NoiseState(amount, seed, position, state.rate, cycle)
    if isinstance(state, tuple):
        parts: tuple[Any, ...] = state
        return tuple(with_noise(part, amount, seed, step, loop) for part in parts)
    if is_dataclass(state) and not isinstance(state, type):
        inner = {field.name: getattr(state, field.name) for field in fields(state)}
        return replace(
            state,
            **{n: with_noise(part, amount, seed, step, loop) for n, part in inner.items()},
        )
    return state


class Blocks:
    """Makes the blocks of a decoder, convolution, noise and swish, and numbers their noise."""

    def __init__(self, number: int) -> None:
        self._number = number

    def conv(
        self, inputs: int, outputs: int, rate: Fraction, *, kernel: int = 3, stride: int = 1
    ) -> Sequential:
        """Return a block; `rate` is that of what it gives."""
        conv = Conv1d(inputs, outputs, kernel, stride=stride, padding=same(kernel, stride))
        return self._block(conv, rate)

    def up(self, inputs: int, outputs: int, rate: Fraction) -> Sequential:
        """Return a block that doubles the rate to `rate`."""
        return self._block(doubling(inputs, outputs), rate)

    def _block(self, conv: Streamable, rate: Fraction) -> Sequential:
        self._number += 1
        return Sequential(conv, Noise(self._number - 1, rate), Swish())


def same(kernel: int, stride: int = 1) -> tuple[int, int]:
    """Return Keras's padding of signals of a whole number of strides."""
    total = max(0, kernel - stride)
    return total // 2, total - total // 2


def doubling(inputs: int, outputs: int) -> ConvTranspose1d:
    """Return Keras's transposed convolution of 4 taps that doubles the rate."""
    return ConvTranspose1d(inputs, outputs, 4, stride=2, trim=(1, 1))


def start_as_keras(module: M) -> M:
    """Let a module begin as Musika's do, and return it: He's weights, evenly drawn, no biases."""
    for name, weight in module.named_parameters():
        if weight.dim() > 1:
            nn.init.kaiming_uniform_(weight, nonlinearity="relu")
        elif name.endswith("bias"):
            nn.init.zeros_(weight)
    return module

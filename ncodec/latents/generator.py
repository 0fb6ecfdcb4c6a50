"""The generator of vectors: a finite convolution over a pyramid of coordinates.

Musika's has a dense layer at its start, and divides by the deviation over all steps: it makes
pieces of one length, apart. Here the start is a convolution and each step is divided by its own
norm, so that a stream is the same whoever cuts it, and can be entered anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.models.latent_config import LatentGanConfig
from ncodec.nn import Conv1d, ConvTranspose1d
from ncodec.streaming import State, Streamable, join_time

_HALF = 0.5**0.5
_KERNEL = 3
_NORM_FLOOR = 1e-6  # added to a step's mean square


@dataclass(frozen=True)
class GeneratorState:
    """What a generator remembers.

    Attributes:
        waiting: `[B, inputs, n]`, the start of a group.
        start: Of the first convolution.
        stages: Of those after it.
    """

    waiting: Tensor
    start: State
    stages: tuple[State, ...]


class Generator(Streamable):
    """Controls and noise `[B, controls + noise, T]` to vectors `[B, channels * dim, T]`.

    It works on groups of `config.block` steps, the last completed by repetition. What a step is
    made of lies at most `warmup` steps before its group.

    Attributes:
        warmup: Steps, whole groups.
    """

    gains: Tensor

    def __init__(self, config: LatentGanConfig) -> None:
        super().__init__()
        self.group, self.controls = config.block, config.controls
        widths = config.generator
        self.start = Conv1d(
            config.controls, widths[-1], _KERNEL, padding=(_KERNEL - 1, 0), bias=False
        )
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.stages = nn.ModuleList(_Stage(config, *pair) for pair in pairs)
        self.last = nn.Conv1d(widths[0], config.channels * config.dim, 1)
        # the mean of two numbers that are drawn has less power than one
        gains = torch.tensor([1.0] * config.controls + [2**0.5] * config.noise)
        self.register_buffer("gains", gains[:, None], persistent=False)
        reach = (_KERNEL - 1) * self.group  # of the start; each stage: one step below, two above
        reach += sum(2 * (self.group >> n) for n in range(1, len(widths)))
        reach += sum((_KERNEL - 1) * (self.group >> n) for n in range(1, len(widths)))
        self.warmup = -(-reach // self.group) * self.group

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the state before the first step."""
        device = self.gains.device if device is None else device
        waiting = torch.zeros(batch, len(self.gains), 0, device=device, dtype=dtype)
        stages = tuple(stage.initial_state(batch, device, dtype) for stage in self._all())
        return GeneratorState(waiting, self.start.initial_state(batch, device, dtype), stages)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the vectors of all groups that are complete."""
        assert isinstance(state, GeneratorState)
        x = join_time(state.waiting, x)
        count = x.shape[2] // self.group * self.group
        rest = x[..., count:].clone()
        if not count:
            empty = x.new_zeros(x.shape[0], self.last.out_channels, 0)
            return empty, GeneratorState(rest, state.start, state.stages)
        levels = [x[..., :count]]
        for _ in self.stages:
            levels.append(levels[-1].unflatten(2, (-1, 2)).mean(3) * self.gains)
        h, start = self.start.step(levels.pop()[:, : self.controls], state.start)
        stages = list(state.stages)
        for i, stage in enumerate(self._all()):
            h, stages[i] = stage.step(h, levels.pop(), stages[i])
        return torch.tanh(self.last(h)), GeneratorState(rest, start, tuple(stages))

    def flush(self, state: State) -> Tensor:
        """Return the vectors of the last group, completed by its last step."""
        assert isinstance(state, GeneratorState)
        waiting = state.waiting.shape[2]
        missing = self.group - waiting if waiting else 0
        last = state.waiting[..., -1:].expand(-1, -1, missing)
        y, _ = self.step(last, state)
        return y[..., :waiting]

    def _all(self) -> list[_Stage]:
        return list(self.stages)  # pyright: ignore[reportReturnType]


class _Stage(nn.Module):
    """Twice as many steps: two convolutions, each led by the controls, beside a shortcut."""

    def __init__(self, config: LatentGanConfig, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = ConvTranspose1d(inputs, outputs, 4, stride=2, trim=(0, 2))
        self.conv = Conv1d(outputs, outputs, _KERNEL, padding=(_KERNEL - 1, 0))
        self.shortcut = ConvTranspose1d(inputs, outputs, 2, stride=2, bias=False)
        self.leads = nn.ModuleList(_Lead(config, outputs) for _ in range(2))

    def initial_state(
        self, batch: int, device: torch.device | None, dtype: torch.dtype | None
    ) -> State:
        layers = self.up, self.conv, self.shortcut
        return tuple(layer.initial_state(batch, device, dtype) for layer in layers)

    def step(self, h: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        up, conv, shortcut = state
        first, second = self.leads
        y, up = self.up.step(h, up)
        y, conv = self.conv.step(_HALF * first(y, x), conv)
        passed, shortcut = self.shortcut.step(h, shortcut)
        return _HALF * second(y, x) + passed, (up, conv, shortcut)


class _Lead(nn.Module):
    """Noise, the norm of each step, and the scale that controls give it (AdaIN, without time)."""

    def __init__(self, config: LatentGanConfig, width: int) -> None:
        super().__init__()
        self.controls = config.controls
        self.scale = nn.Conv1d(config.controls, width, 1)
        self.grain = nn.Conv1d(config.noise, width, 1, bias=False)
        nn.init.zeros_(self.grain.weight)
        assert self.scale.bias is not None
        nn.init.ones_(self.scale.bias)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        """`h` `[B, width, T]`, led by `x` `[B, controls + noise, T]`."""
        h = h + self.grain(x[:, self.controls :])
        h = h * (h.square().mean(1, keepdim=True) + _NORM_FLOOR).rsqrt()
        return functional.silu(h * self.scale(x[:, : self.controls]))

"""Musika's generator, coordinates to vectors in windows, and its critic."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.latents.musika.layers import doubling, same
from ncodec.models.musika_config import MusikaConfig
from ncodec.nn import Conv1d

_HALF = 0.5**0.5
_EPSILON = 1e-5
_START = 4
"""Steps that the first layer makes of all coordinates together."""


class Generator(nn.Module):
    """Windows of coordinates `[B, coordinate + style, window]` to vectors `[B, 2 dim, window]`.

    Vectors are those of the left and then the right channel. What the deepest averages of the
    coordinates give is widened again and again; at each rate their average leads, as the scale of
    channels of unit deviation over time.

    Args:
        config: Of the model.
    """

    def __init__(self, config: MusikaConfig) -> None:
        super().__init__()
        self.window, told = config.window, config.coordinate + config.style
        width = config.width
        self.start = nn.Linear(2 * told, _START * 7 * width)
        self.start_scale = Conv1d(told, 7 * width, 1)
        self.stages = nn.ModuleList(
            _Stage(told, (7 - i) * width, (6 - i) * width, doubles=bool(i) or not config.small)
            for i in range(4)
        )
        self.last = doubling(3 * width, 2 * width)
        self.last_scale = Conv1d(told, 2 * width, 1)
        self.out = Conv1d(2 * width, 2 * config.dim, 4, padding=same(4))
        self.noise = nn.Parameter(torch.zeros(10))

    @property
    def noise_steps(self) -> tuple[int, ...]:
        """Steps of each layer that takes noise."""
        count, steps = _START, [_START]
        for stage in self.stages:
            count *= 2 if stage.doubles else 1
            steps += [count, count]
        return (*steps, 2 * count)

    def forward(self, coordinates: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Return the vectors of windows.

        Args:
            coordinates: As `Coordinates.at` gives them.
            noise: For each of `noise_steps`, `[1 or B, 1, steps]`; None: 0.
        """
        levels = [coordinates]  # as they are, and at ever lower rates
        while levels[-1].shape[2] > 2:
            levels.append(functional.avg_pool1d(levels[-1], 2))
        added = self._weighted(noise)
        x = self.start(levels.pop().transpose(1, 2).flatten(1))
        x = x.unflatten(1, (_START, -1)).transpose(1, 2)
        x = _scaled(x + added[0], self.start_scale(levels[-1]))
        for i, stage in enumerate(self.stages):
            if stage.doubles:
                levels.pop()
            x = stage(x, levels[-1], added[2 * i + 1], added[2 * i + 2])
        levels.pop()
        x = _scaled(self.last(x) + added[-1], self.last_scale(levels[-1]))
        return self.out(x)

    def _weighted(self, noise: Sequence[Tensor] | None) -> list[Tensor | float]:
        if noise is None:
            return [0.0] * len(self.noise)
        return [weight * values for weight, values in zip(self.noise, noise, strict=True)]


class _Stage(nn.Module):
    """A residual pair of convolutions, of twice the rate or of the same (small models' first)."""

    def __init__(self, told: int, inputs: int, outputs: int, *, doubles: bool) -> None:
        super().__init__()
        self.doubles = doubles
        kernel = 4 if doubles else 1
        self.first = doubling(inputs, outputs) if doubles else Conv1d(inputs, outputs, 1)
        self.first_scale = Conv1d(told, outputs, 1)
        self.second = Conv1d(outputs, outputs, kernel, padding=same(kernel))
        self.second_scale = Conv1d(told, outputs, 1)
        self.skip = Conv1d(inputs // 2 if doubles else inputs, outputs, 1)

    def forward(
        self, x: Tensor, level: Tensor, first: Tensor | float, second: Tensor | float
    ) -> Tensor:
        y = _HALF * _scaled(self.first(x) + first, self.first_scale(level))
        y = _HALF * _scaled(self.second(y) + second, self.second_scale(level))
        return y + self.skip(_shuffled(x) if self.doubles else x)


def _scaled(x: Tensor, scale: Tensor) -> Tensor:
    deviation = x.std(dim=2, correction=0, keepdim=True)
    return functional.silu(x / (deviation + _EPSILON) * scale)


def _shuffled(x: Tensor) -> Tensor:
    """Return `[B, C / 2, 2 T]`: channels take turns in time."""
    return x.unflatten(1, (-1, 2)).permute(0, 1, 3, 2).flatten(2)


class Critic(nn.Module):
    """Two windows of vectors `[B, 2 dim, 2 window]` to a number `[B, 1]`, higher for real ones.

    Args:
        config: Of the model.
    """

    def __init__(self, config: MusikaConfig) -> None:
        super().__init__()
        width = config.width
        self.first = Conv1d(2 * config.dim, 3 * width, 4, stride=2, padding=same(4, 2))
        blocks = [_CriticBlock((3 + i) * width, (4 + i) * width, 4) for i in range(4)]
        if not config.small:
            blocks.append(_CriticBlock(7 * width, 7 * width, 1))
        self.blocks = nn.ModuleList(blocks)
        self.last = Conv1d(7 * width, 7 * width, 3, padding=same(3))
        steps = 2 * config.window >> (1 + len(blocks))
        self.out = nn.Linear(7 * width * steps, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Judge pairs of windows."""
        x = functional.leaky_relu(self.first(vectors), 0.2)
        for block in self.blocks:
            x = block(x)
        x = functional.leaky_relu(self.last(x), 0.2)
        return self.out(x.transpose(1, 2).flatten(1))


class _CriticBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.first = Conv1d(inputs, inputs, kernel, padding=same(kernel))
        self.second = Conv1d(inputs, outputs, 4, stride=2, padding=same(4, 2))
        self.skip = Conv1d(inputs, outputs, 1, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        y = _HALF * functional.leaky_relu(self.first(x), 0.2)
        y = _HALF * functional.leaky_relu(self.second(y), 0.2)
        less = functional.avg_pool1d(x, 2)
        return y + (less if self.skip is None else self.skip(less))

"""The critic of vectors, after Musika's: it sees a stretch as long as two of its patches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.errors import ArgumentError

_HALF = 0.5**0.5
_SLOPE = 0.2


class Critic(nn.Module):
    """Vectors and conditions `[B, inputs, steps]` to how much they seem to be of recordings, `[B]`.

    Args:
        inputs: Numbers a step.
        steps: Of a stretch.
        widths: Channels; each has half the steps of the one before, the first half of `steps`.

    Raises:
        ArgumentError: So many steps cannot be halved so often.
    """

    def __init__(self, inputs: int, steps: int, widths: Sequence[int]) -> None:
        super().__init__()
        if steps % (1 << len(widths)):
            raise ArgumentError(f"{steps} steps: must be a multiple of {1 << len(widths)}")
        self.first = nn.Conv1d(inputs, widths[0], 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(_Block(*pair) for pair in pairwise(widths))
        self.conv = nn.Conv1d(widths[-1], widths[-1], 3, padding=1)
        self.score = nn.Linear(widths[-1] * (steps >> len(widths)), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        h = functional.leaky_relu(self.first(x), _SLOPE)
        for block in self.blocks:
            h = block(h)
        h = functional.leaky_relu(self.conv(h), _SLOPE)
        return self.score(h.flatten(1))[:, 0]


class _Block(nn.Module):
    """Half as many steps: two convolutions beside an average."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.same = nn.Conv1d(inputs, inputs, 3, padding=1)
        self.down = nn.Conv1d(inputs, outputs, 4, stride=2, padding=1)
        self.shortcut = nn.Conv1d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, outputs, T / 2]`."""
        h = _HALF * functional.leaky_relu(self.same(x), _SLOPE)
        h = _HALF * functional.leaky_relu(self.down(h), _SLOPE)
        return h + self.shortcut(functional.avg_pool1d(x, 2))


def gradient_penalty(critic: nn.Module, real: Tensor) -> Tensor:
    """Return R1: the mean squared norm of the score's gradient at recordings (Mescheder 2018)."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
    return gradient.flatten(1).square().sum(1).mean()

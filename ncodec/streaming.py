"""One path for whole signals and for streams: a layer is `step` and `flush` over an explicit state.

A step never changes the state that it was given, so one module serves many streams and threads, a
snapshot is a reference, and a seek point is a saved state. A layer may emit fewer samples than it
was fed (look-ahead, start-up, stride groups); whatever it holds back comes out of `flush`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

State = Any
"""An immutable tree (tuples, frozen dataclasses) of tensors, numbers and None."""


class Streamable(nn.Module, ABC):
    """A module over signals `[B, C, T]` that can be fed piece by piece."""

    @abstractmethod
    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the state before the first sample, for `batch` signals side by side."""

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take the next samples `x` `[B, C, T]` (T may be 0); return what is ready and the new state."""

    @abstractmethod
    def flush(self, state: State) -> Tensor:
        """Return what the end of the signal releases, `[B, C', T']` (T' may be 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map a whole signal: `step` from the initial state, then `flush`."""
        y, state = self.step(x, self.initial_state(x.shape[0], x.device, x.dtype))
        tail = self.flush(state)
        return torch.cat([y, tail], dim=-1) if tail.shape[-1] else y

"""One path for whole signals and for streams: a layer is `step` and `flush` over an explicit state.

A step never changes the state that it was given, so one module serves many streams and threads, a
snapshot is a reference, and a seek point is a saved state. A layer may emit fewer samples than it
was fed (look-ahead, start-up, stride groups); whatever it holds back comes out of `flush`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

State = Any
"""An immutable tree (tuples, frozen dataclasses) of tensors, numbers and None.

A tensor has a row for each stream, along its first axis unless `field(metadata={"row": axis})` of a
dataclass says another, or None for what all streams share. Where steps are made with `later`, a
`Relay` stands for the states of a chain's layers."""


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
        """Take the next samples `[B, C, T]`, T >= 0; return what is ready and the new state."""

    @abstractmethod
    def flush(self, state: State) -> Tensor:
        """Return what the end of the signal releases, `[B, C', T']` (T' may be 0)."""

    def end(self, x: Tensor, state: State) -> Tensor:
        """Take the last samples; return what `step` and then `flush` would, layer by layer whole.

        From the initial state that is a whole signal. So graphs end that are exported: each layer
        has all of its input at once.
        """
        y, state = self.step(x, state)
        return join_time(y, self.flush(state))

    def drain(self, state: State) -> Iterator[Tensor]:
        """Yield what `flush` returns, in one piece or in several that suit the cache.

        What has been yielded is let go of: if nobody else holds the state, its memory is used
        again while it is in the cache.
        """
        yield self.flush(state)

    def forward(self, x: Tensor) -> Tensor:
        """Map a whole signal: `step` from the initial state, then `flush`."""
        y, state = self.step(x, self.initial_state(x.shape[0], x.device, x.dtype))
        ending = self.drain(state)
        del state
        return join_all([y, *ending])


def join_time(a: Tensor, b: Tensor) -> Tensor:
    """Concatenate `[B, C, T]` in time, channels staying side by side; no copy if one is empty."""
    return join_all([a, b])


def join_all(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate as `join_time` does."""
    full = [part for part in parts if part.shape[2]]
    if len(full) < 2:
        return full[0] if full else parts[0]
    return torch.cat([part.transpose(1, 2) for part in full], dim=1).transpose(1, 2)

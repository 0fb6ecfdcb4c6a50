"""Layers one after another, and two ways that are added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.kernels import parts_of
from ncodec.streaming.protocol import State, Streamable, join_all, join_time


class Sequential(Streamable):
    """Layers one after another; what one releases, in a step or a flush, is fed to the next.

    Args:
        *layers: At least one.

    Raises:
        ArgumentError: There is no layer.
    """

    def __init__(self, *layers: Streamable) -> None:
        super().__init__()
        if not layers:
            raise ArgumentError("Sequential needs at least one layer")
        self.layers = nn.ModuleList(layers)

    def __iter__(self) -> Any:
        return iter(self.layers)

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the layers' states."""
        return tuple(layer.initial_state(batch, device, dtype) for layer in self._all())

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Feed `x` through the layers."""
        states = list[State](state)
        for i, layer in enumerate(self._all()):
            x, states[i] = layer.step(x, states[i])
        return x, tuple(states)

    def flush(self, state: State) -> Tensor:
        """End the layers from first to last, each fed what those before it released."""
        return join_all(list(self.drain(state)))

    def drain(self, state: State) -> Iterator[Tensor]:
        """As `flush`; a piece passes through the layers before the next one is asked for."""
        pieces: Iterator[Tensor] = iter(())
        for layer, after in zip(self._all(), state, strict=True):
            pieces = _ended(layer, after, pieces)
        return pieces

    def end(self, x: Tensor, state: State) -> Tensor:
        """End the layers from first to last."""
        for layer, before in zip(self._all(), state, strict=True):
            x = layer.end(x, before)
        return x

    def _all(self) -> list[Streamable]:
        (layers,) = parts_of(self)
        return list(parts_of(layers))


class Residual(Streamable):
    """The sum of a branch and a shortcut, which may start and look ahead differently.

    What the earlier of the two has released waits for the other.

    Args:
        branch: Gives as many samples as it takes.
        shortcut: Likewise; the identity if None.
    """

    def __init__(self, branch: Streamable, shortcut: Streamable | None = None) -> None:
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return both states and the empty queues."""
        shortcut = self.shortcut and self.shortcut.initial_state(batch, device, dtype)
        return (self.branch.initial_state(batch, device, dtype), shortcut, None, None)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the sums that both sides are ready for."""
        branch, shortcut, waiting_a, waiting_b = state
        layer, *shortcuts = parts_of(self)
        a, branch = layer.step(x, branch)
        b = x
        for way in shortcuts:
            b, shortcut = way.step(x, shortcut)
        a, b = _queued(waiting_a, a), _queued(waiting_b, b)
        y, a, b = _sum(a, b)
        return y, (branch, shortcut, a, b)

    def flush(self, state: State) -> Tensor:
        """Return the last sums."""
        return join_all(list(self.drain(state)))

    def drain(self, state: State) -> Iterator[Tensor]:
        """Yield the last sums, as both sides have them ready."""
        branch, shortcut, a, b = state
        ends = iter(()) if self.shortcut is None else self.shortcut.drain(shortcut)
        parts = self.branch.drain(branch)
        del state, branch, shortcut
        for part in parts:
            a = _queued(a, part)
            b = _filled(b, ends, a.shape[2])
            if b is None:
                yield a[..., :0]
                continue
            y, a, b = _sum(a, b)
            yield y
        left = [x.shape[2] for x in (a, b) if x is not None]
        assert not any(left), "branch and shortcut must give equally many samples"

    def end(self, x: Tensor, state: State) -> Tensor:
        """End both sides; return the last sums."""
        branch, shortcut, a, b = state
        ending = x if self.shortcut is None else self.shortcut.end(x, shortcut)
        return _queued(a, self.branch.end(x, branch)) + _queued(b, ending)


class Mean(Streamable):
    """The mean of branches that may look ahead differently (HiFi-GAN's receptive-field fusion).

    What a branch has released waits for those that look further.

    Args:
        *branches: At least one; each gives as many samples as it takes.

    Raises:
        ArgumentError: There is no branch.
    """

    def __init__(self, *branches: Streamable) -> None:
        super().__init__()
        if not branches:
            raise ArgumentError("Mean needs at least one branch")
        self.branches = nn.ModuleList(branches)

    def __iter__(self) -> Any:
        return iter(self.branches)

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return each branch's state and its empty queue."""
        return tuple((branch.initial_state(batch, device, dtype), None) for branch in self)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the means that all branches are ready for."""
        states: list[State] = []
        queues: list[Tensor] = []
        for branch, (before, waiting) in zip(self, state, strict=True):
            y, after = branch.step(x, before)
            states.append(after)
            queues.append(_queued(waiting, y))
        ready = min(queue.shape[2] for queue in queues)
        rests = [_rest(queue, ready) for queue in queues]
        return self._mean([queue[..., :ready] for queue in queues]), tuple(
            zip(states, rests, strict=True)
        )

    def flush(self, state: State) -> Tensor:
        """Return the last means."""
        ends: list[Tensor] = []
        for branch, (its, waiting) in zip(self, state, strict=True):
            ends.append(_queued(waiting, branch.flush(its)))
        assert len({end.shape[2] for end in ends}) == 1, "branches must give equally many samples"
        return self._mean(ends)

    def end(self, x: Tensor, state: State) -> Tensor:
        """End all branches; return the last means."""
        pairs = zip(self, state, strict=True)
        return self._mean(
            [_queued(waiting, branch.end(x, its)) for branch, (its, waiting) in pairs]
        )

    def _mean(self, parts: list[Tensor]) -> Tensor:
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total / len(parts)


def _ended(layer: Streamable, state: State, pieces: Iterator[Tensor]) -> Iterator[Tensor]:
    """Feed the last pieces to a layer, and end it."""
    for x in pieces:
        if x.shape[2]:
            y, state = layer.step(x, state)
            if y.shape[2]:
                yield y
    ending = layer.drain(state)
    del state
    yield from ending


def _queued(waiting: Tensor | None, x: Tensor) -> Tensor:
    return x if waiting is None else join_time(waiting, x)


def _filled(waiting: Tensor | None, pieces: Iterator[Tensor], count: int) -> Tensor | None:
    """Queue pieces until `count` samples wait, if there are as many."""
    while (waiting is None or waiting.shape[2] < count) and (x := next(pieces, None)) is not None:
        waiting = _queued(waiting, x)
    return waiting


def _sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Add what both have; return the sum and what is left of each."""
    ready = min(a.shape[2], b.shape[2])
    if a.shape[2] == b.shape[2]:
        return a + b, None, None
    return a[..., :ready] + b[..., :ready], _rest(a, ready), _rest(b, ready)


def _rest(x: Tensor, taken: int) -> Tensor | None:
    return x[..., taken:].clone() if x.shape[2] > taken else None

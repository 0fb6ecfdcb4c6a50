"""One path for whole signals and for streams: a layer is `step` and `flush` over an explicit state.

A step never changes the state that it was given, so one module serves many streams and threads, a
snapshot is a reference, and a seek point is a saved state. A layer may emit fewer samples than it
was fed (look-ahead, start-up, stride groups); whatever it holds back comes out of `flush`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.kernels import parts_of
from ncodec.relay import Relay

State = Any
"""An immutable tree (tuples, frozen dataclasses) of tensors, numbers and None.

Where steps are made with `later`, a `Relay` stands for the states of a chain's layers."""


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


class Sequential(Streamable):
    """Layers one after another; what one releases, in a step or a flush, is fed to the next.

    Args:
        *layers: At least one.
        tiles: For layers `start` to `stop`, the samples that are fed to them at once: signals of
            high rates then stay in the processor's cache from layer to layer.

    Raises:
        ArgumentError: There is no layer.
    """

    def __init__(self, *layers: Streamable, tiles: Sequence[tuple[slice, int]] = ()) -> None:
        super().__init__()
        if not layers:
            raise ArgumentError("Sequential needs at least one layer")
        self.layers = nn.ModuleList(layers)
        self.tiles = tuple(tiles) or ((slice(0, len(layers)), 0),)

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
        states: list[State] = []
        layers = self._all()
        for part, size in self.tiles:
            inner = list[State](state[part])
            x = _in_tiles(layers[part], x, inner, size)
            states += inner
        return x, tuple(states)

    def later(self, x: Tensor, state: State) -> tuple[Callable[[], Tensor], State]:
        """Return the work of a step, to be done once in any thread, and the state after it.

        The next step can be made from that state at once; its work then follows this one through
        the layers, each as soon as this one is done with it. Works must begin in their order.
        """
        after = Relay(len(self.layers))

        def work() -> Tensor:
            y = x
            with after:
                for part, size in self._parts():
                    inner = list[State](state[part])
                    y = _in_tiles(self._all()[part], y, inner, size)
                    after.leave(inner)
            return y

        return work, after

    def flush(self, state: State) -> Tensor:
        """End the layers from first to last, each fed what those before it released."""
        return join_all(list(self.drain(state)))

    def drain(self, state: State) -> Iterator[Tensor]:
        """As `flush`; a piece passes through the layers before the next one is asked for."""
        pieces: Iterator[Tensor] = iter(())
        for layer, after in zip(self._all(), state, strict=True):
            pieces = _ended(layer, after, pieces)
        return pieces

    def _parts(self) -> Iterator[tuple[slice, int]]:
        """Yield the runs of layers that share tiles; where there are none, each layer is one."""
        for run, size in self.tiles:
            if size:
                yield run, size
            else:
                yield from ((slice(i, i + 1), 0) for i in range(len(self.layers))[run])

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


def join_time(a: Tensor, b: Tensor) -> Tensor:
    """Concatenate `[B, C, T]` in time, channels staying side by side; no copy if one is empty."""
    return join_all([a, b])


def join_all(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate as `join_time` does."""
    full = [part for part in parts if part.shape[2]]
    if len(full) < 2:
        return full[0] if full else parts[0]
    return torch.cat([part.transpose(1, 2) for part in full], dim=1).transpose(1, 2)


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


def _in_tiles(layers: Sequence[Streamable], x: Tensor, states: list[State], size: int) -> Tensor:
    """Step through layers in tiles of `size` samples, all at once if it is 0; change `states`."""
    tiles = x.split(size, dim=2) if 0 < size < x.shape[2] else (x,)
    return join_all([_through(layers, tile, states) for tile in tiles])


def _through(layers: Sequence[Streamable], x: Tensor, states: list[State]) -> Tensor:
    for i, layer in enumerate(layers):
        x, states[i] = layer.step(x, states[i])
    return x


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

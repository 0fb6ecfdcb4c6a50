"""Whole files: tiles that stay in the cache, and blocks that follow each other on several threads.

A `Sequential` says what is computed; these say in which order, and where.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, overload

from torch import Tensor

from ncodec.streaming.layers import Sequential
from ncodec.streaming.protocol import State, Streamable, join_all


class TiledSequential(Sequential):
    """A `Sequential` that a file's blocks can pass one behind the other.

    Args:
        *layers: At least one.
        tiles: For layers `start` to `stop`, the samples that are fed to them at once: signals of
            high rates then stay in the processor's cache from layer to layer.

    Raises:
        ArgumentError: There is no layer.
    """

    def __init__(self, *layers: Streamable, tiles: Sequence[tuple[slice, int]] = ()) -> None:
        super().__init__(*layers)
        self.tiles = tuple(tiles) or ((slice(0, len(layers)), 0),)

    def join_tiles(self) -> None:
        """Feed all layers whole signals from now on, as other runtimes want it."""
        self.tiles = ((slice(0, len(self.layers)), 0),)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Feed `x` through the layers, in tiles."""
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

    def _parts(self) -> Iterator[tuple[slice, int]]:
        """Yield the runs of layers that share tiles; where there are none, each layer is one."""
        for run, size in self.tiles:
            if size:
                yield run, size
            else:
                yield from ((slice(i, i + 1), 0) for i in range(len(self.layers))[run])


class Relay(Sequence[Any]):
    """States of a chain's layers, first to last, that a step leaves while it is still at work.

    Reading one waits until it is there. Use as a context around the step: when that ends early, by
    an error, those who wait for the rest are cancelled.

    Args:
        count: How many states there will be.
    """

    def __init__(self, count: int) -> None:
        self._count, self._ended = count, False
        self._states: list[Any] = []
        self._changed = threading.Condition()

    def leave(self, states: Iterable[Any]) -> None:
        """Hand on the next states."""
        with self._changed:
            self._states += states
            self._changed.notify_all()

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        """Wait for the states up to there.

        Raises:
            CancelledError: The step ended without leaving them.
        """
        places = range(self._count)[index]
        last = max(places, default=-1) if isinstance(places, range) else places
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._states) > last)
            if len(self._states) <= last:
                raise CancelledError
            return self._states[index]

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _in_tiles(layers: Sequence[Streamable], x: Tensor, states: list[State], size: int) -> Tensor:
    """Step through layers in tiles of `size` samples, all at once if it is 0; change `states`."""
    tiles = x.split(size, dim=2) if 0 < size < x.shape[2] else (x,)
    return join_all([_through(layers, tile, states) for tile in tiles])


def _through(layers: Sequence[Streamable], x: Tensor, states: list[State]) -> Tensor:
    for i, layer in enumerate(layers):
        x, states[i] = layer.step(x, states[i])
    return x

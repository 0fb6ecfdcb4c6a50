"""Relay: what blocks leave for each other on their way through a chain, on different threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError
from typing import Any, overload


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

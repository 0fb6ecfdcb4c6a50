"""Pieces of any length become groups of one size: how blocks and packets are filled."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Generic, TypeVar

A = TypeVar("A")


class Regroup(Generic[A]):
    """Cut what is pushed, arrays or tensors, anew along one axis.

    >>> import numpy as np
    >>> frames = Regroup(3, axis=0, join=np.concatenate)
    >>> [group.tolist() for group in frames.push(np.arange(7))]
    [[0, 1, 2], [3, 4, 5]]
    >>> frames.held, frames.rest().tolist()
    (1, [6])

    Attributes:
        held: How much waits for a group to be full.
    """

    def __init__(
        self,
        size: int,
        *,
        axis: int,
        join: Callable[[list[A], int], A],
        first: int | None = None,
    ) -> None:
        """Begin with nothing; `join(pieces, axis)` joins, `first` is the first group's size."""
        self.held = 0
        self._size, self._axis, self._join = size, axis, join
        self._wanted = size if first is None else first
        self._pieces: list[Any] = []

    def push(self, piece: A) -> list[A]:
        """Take the next piece; return the groups that are full."""
        array: Any = piece
        count = array.shape[self._axis]
        if count:
            self._pieces.append(array)
            self.held += count
        if self.held < self._wanted:
            return []
        joined, at, groups = self._joined(), 0, list[A]()
        while self.held - at >= self._wanted:
            groups.append(self._part(joined, at, at + self._wanted))
            at, self._wanted = at + self._wanted, self._size
        self._pieces = [self._part(joined, at, None)] if self.held > at else []
        self.held -= at
        return groups

    def rest(self) -> A | None:
        """Return what waits, less than a group; None if nothing does."""
        if not self.held:
            return None
        joined, self._pieces, self.held = self._joined(), [], 0
        return joined

    def copy(self) -> Regroup[A]:
        """Return one that goes on from here by itself."""
        twin = copy.copy(self)
        twin._pieces = list(self._pieces)
        return twin

    def _joined(self) -> Any:
        return self._pieces[0] if len(self._pieces) == 1 else self._join(self._pieces, self._axis)

    def _part(self, joined: Any, begin: int, end: int | None) -> Any:
        return joined[(slice(None),) * self._axis + (slice(begin, end),)]

"""States as trees: their tensors, one after another, and a state with others in their places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.streaming.protocol import State


def tensors_of(state: State) -> tuple[Tensor, ...]:
    """Return the tensors of a state, in a fixed order."""
    return tuple(leaf for leaf in _leaves(state) if isinstance(leaf, Tensor))


def shape_of(state: State) -> tuple[Any, ...]:
    """Return all that is not a value: the tensors' shapes and types, and the numbers."""
    return tuple(
        (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else leaf
        for leaf in _leaves(state)
    )


def with_tensors(state: State, tensors: Sequence[Tensor]) -> State:
    """Return a state like this one with other tensors.

    Raises:
        ArgumentError: There are more or fewer.
    """
    queue = list(tensors)
    if len(queue) != len(tensors_of(state)):
        raise ArgumentError(f"{len(queue)} tensors: the state has {len(tensors_of(state))}")
    queue.reverse()
    return _filled(state, queue)


def _leaves(state: Any) -> Iterator[Any]:
    if isinstance(state, tuple):
        yield len(state)
        for part in state:
            yield from _leaves(part)
    elif is_dataclass(state) and not isinstance(state, type):
        for field in fields(state):
            yield from _leaves(getattr(state, field.name))
    else:
        yield state


def _filled(state: Any, queue: list[Tensor]) -> Any:
    if isinstance(state, Tensor):
        return queue.pop()
    if isinstance(state, tuple):
        named: Any = type(state)
        parts = [_filled(part, queue) for part in state]
        return named(*parts) if hasattr(state, "_fields") else tuple(parts)
    if is_dataclass(state) and not isinstance(state, type):
        names = [field.name for field in fields(state)]
        return replace(state, **{name: _filled(getattr(state, name), queue) for name in names})
    return state

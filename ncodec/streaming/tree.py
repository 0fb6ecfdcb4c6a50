"""States as trees: their tensors, one after another, and a state with others in their places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.streaming.protocol import State


def tensors_of(state: State) -> tuple[Tensor, ...]:
    """Return the tensors of a state, in a fixed order."""
    return tuple(leaf for leaf in _leaves(state) if isinstance(leaf, Tensor))


class Leaf(NamedTuple):
    """A tensor of a state, and what is known of it.

    Attributes:
        name: Its path in the tree: fields by their names, others by their places.
        tensor: The tensor.
        row: Along which axis streams stand; None if they share it.
        grows: Along which axis it grows with the stream, if any.
    """

    name: str
    tensor: Tensor
    row: int | None
    grows: int | None


def leaves_of(state: State) -> tuple[Leaf, ...]:
    """Return the tensors of a state with their names, in the order of `tensors_of`."""
    return tuple(_named(state, "", 0, None))


def _named(state: Any, path: str, row: int | None, grows: int | None) -> Iterator[Leaf]:
    if isinstance(state, Tensor):
        yield Leaf(path.strip("_"), state, row, grows)
    elif isinstance(state, tuple):
        names = getattr(state, "_fields", range(len(state)))
        inner = getattr(state, "GROWS", grows)
        for name, part in zip(names, state, strict=True):
            yield from _named(part, f"{path}_{name}", row, inner)
    elif is_dataclass(state) and not isinstance(state, type):
        for field in fields(state):
            own = field.metadata.get("row", row)
            yield from _named(getattr(state, field.name), f"{path}_{field.name}", own, grows)


def shape_of(state: State) -> tuple[Any, ...]:
    """Return all that is not a value: the tensors' shapes and types, and the numbers."""
    return tuple(
        (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else leaf
        for leaf in _leaves(state)
    )


def tensors_like(state: State, known: State) -> tuple[Tensor, ...]:
    """Return what stands in a state where another has its tensors.

    While a graph is traced, numbers that come from sizes are tensors too: those are left out.
    """
    pairs = zip(_leaves(state), _leaves(known), strict=True)
    return tuple(leaf for leaf, like in pairs if isinstance(like, Tensor))


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

"""States as rows: streams leave a batch, and streams that began apart are stepped together.

A state of a batch is the states of its streams, row by row, and what they share: numbers that say
where each layer stands. Streams whose numbers are the same are in phase and can be stacked; all are
in phase once what their beginning needs has passed (padding, look-ahead, trimming, the context of
attention) and they have had whole frames.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ncodec.arguments import check_whole
from ncodec.errors import ArgumentError
from ncodec.streaming.overlap import Relay
from ncodec.streaming.protocol import State
from ncodec.streaming.tree import shape_of

_Join = Callable[[Sequence[Tensor], int], Tensor]


def take_rows(state: State, rows: Sequence[int]) -> State:
    """Return the state of some of the streams, in the order in which they are named."""
    indices = [check_whole("row", row, 0) for row in rows]
    index = torch.tensor(indices).long()

    def chosen(tensors: Sequence[Tensor], axis: int) -> Tensor:
        (tensor,) = tensors
        if max(indices, default=-1) >= tensor.shape[axis]:
            raise ArgumentError(f"row {max(indices)}: the state has {tensor.shape[axis]} streams")
        return tensor.index_select(axis, index.to(tensor.device))

    return _joined([state], chosen, 0)


def phase_of(state: State) -> tuple[Any, ...]:
    """Return what states must have in common to be stacked: all but their rows and values."""
    return shape_of(_joined([state], lambda tensors, axis: tensors[0].narrow(axis, 0, 0), 0))


def stack_rows(states: Sequence[State]) -> State:
    """Return the state of all these streams, row under row.

    Raises:
        ArgumentError: There are none, or they are of different layers or in different phases.
    """
    if not states:
        raise ArgumentError("no states: at least one is needed")
    return _joined(list(states), _stacked, 0)


def _stacked(tensors: Sequence[Tensor], axis: int) -> Tensor:
    shapes = {tuple(n for i, n in enumerate(t.shape) if i != axis) for t in tensors}
    if len(shapes) > 1 or len({tensor.dtype for tensor in tensors}) > 1:
        raise _phases(f"tensors of shapes {', '.join(str(list(t.shape)) for t in tensors)}")
    return torch.cat(list(tensors), dim=axis)


def _joined(states: list[Any], join: _Join, axis: int | None) -> Any:
    """Walk states of one structure side by side; join their tensors, compare all else."""
    states = [tuple(state[:]) if isinstance(state, Relay) else state for state in states]
    first = states[0]
    if any(type(state) is not type(first) for state in states):
        raise _phases(" and ".join(sorted({type(state).__name__ for state in states})))
    if isinstance(first, Tensor) and axis is not None:
        return join(states, axis)
    if isinstance(first, tuple):
        return _joined_tuples(states, join, axis)
    if is_dataclass(first) and not isinstance(first, type):
        return _joined_records(states, join, axis)
    return _shared(states)


def _joined_tuples(states: list[Any], join: _Join, axis: int | None) -> Any:
    if len({len(state) for state in states}) > 1:
        raise _phases("parts of different numbers")
    parts = (_joined(list(group), join, axis) for group in zip(*states, strict=True))
    kind: Any = type(states[0])
    return kind(*parts) if hasattr(kind, "_fields") else tuple(parts)


def _joined_records(states: list[Any], join: _Join, axis: int | None) -> Any:
    def joined(field: Field[Any]) -> Any:
        values = [getattr(state, field.name) for state in states]
        return _joined(values, join, field.metadata.get("row", axis))

    return replace(states[0], **{field.name: joined(field) for field in fields(states[0])})


def _shared(states: list[Any]) -> Any:
    """Return what is no stream's own: the same of all states."""
    first = states[0]
    equal = torch.equal if isinstance(first, Tensor) else operator.eq
    if not all(equal(state, first) for state in states):
        raise _phases(" and ".join(dict.fromkeys(str(state) for state in states)))
    return first


def _phases(what: str) -> ArgumentError:
    return ArgumentError(f"streams in different phases ({what}) cannot be stepped together")

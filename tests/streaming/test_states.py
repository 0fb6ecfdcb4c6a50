"""States as trees and as rows: tensors in order, rows taken and stacked, what must agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.streaming import stack_rows, take_rows
from ncodec.streaming.tree import shape_of, tensors_of, with_tensors


@dataclass(frozen=True)
class Recurrent:
    hidden: Tensor = field(metadata={"row": 1})
    table: Tensor = field(metadata={"row": None})
    age: int = 3


class Pair(NamedTuple):
    left: Tensor
    right: Recurrent


def state_of(rows: int, first: float = 0.0, age: int = 3) -> tuple[Pair, tuple[()], None]:
    values = first + torch.arange(rows, dtype=torch.float32)
    hidden = values[None, :, None].expand(2, rows, 4).clone()
    return Pair(values[:, None], Recurrent(hidden, torch.ones(5), age)), (), None


def same(a: object, b: object) -> bool:
    tensors = zip(tensors_of(a), tensors_of(b), strict=True)
    return shape_of(a) == shape_of(b) and all(torch.equal(x, y) for x, y in tensors)


def test_tensors_come_in_order_and_go_back_to_their_places() -> None:
    state = state_of(2)
    left, hidden, table = tensors_of(state)
    assert (left is state[0].left, hidden is state[0].right.hidden) == (True, True)
    other = with_tensors(state, [left + 1, hidden + 2, table + 3])
    assert same(with_tensors(other, tensors_of(state)), state)
    assert torch.equal(other[0].right.hidden, hidden + 2)
    assert isinstance(other[0], Pair)
    assert other[1:] == ((), None)


def test_other_numbers_of_tensors_are_refused() -> None:
    with pytest.raises(ArgumentError, match="2 tensors: the state has 3"):
        with_tensors(state_of(1), [torch.zeros(1)] * 2)


def test_shapes_and_numbers_tell_states_apart_but_not_values() -> None:
    assert shape_of(state_of(2)) == shape_of(state_of(2, first=7.0))
    assert shape_of(state_of(2)) != shape_of(state_of(3))
    assert shape_of(state_of(2)) != shape_of(state_of(2, age=4))


def test_rows_that_are_taken_and_stacked_are_the_whole() -> None:
    state = state_of(4)
    parts = [take_rows(state, [row]) for row in range(4)]
    assert same(stack_rows(parts), state)
    assert same(take_rows(state, [2, 0]), stack_rows([parts[2], parts[0]]))
    assert same(stack_rows([state_of(2), state_of(2, first=2.0)]), state)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([state_of(1, age=4)], "different phases"),
        ([(Pair(torch.zeros(1, 2), state_of(1)[0].right), (), None)], "different phases"),
        ([(state_of(1)[0], ())], "parts of different numbers"),
        ([state_of(1)[0]], "Pair and tuple"),
    ],
)
def test_what_does_not_agree_cannot_be_stacked(others: list[object], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        stack_rows([state_of(1), *others])


def test_no_states_and_no_such_rows_are_refused() -> None:
    with pytest.raises(ArgumentError, match="no states"):
        stack_rows([])
    for row in (2, -1, 1.5):
        with pytest.raises(ArgumentError, match="row"):
            take_rows(state_of(2), [row])  # type: ignore[list-item]

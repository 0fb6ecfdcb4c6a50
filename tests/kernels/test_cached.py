"""Kept values: computed once, and again whenever what they were made of has changed."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from ncodec import kernels
from ncodec.kernels import Derived
from ncodec.kernels.cached import lasting

CALLS: list[int] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def doubled(*sources: Tensor) -> Tensor:
    CALLS.append(1)
    return 2 * sources[0]


def frozen(value: float = 1.0) -> Tensor:
    return torch.full((3,), value)


def test_a_value_is_computed_once_while_its_sources_stay() -> None:
    kept, source = Derived(doubled), frozen()
    assert kept(source) is kept(source)
    assert len(CALLS) == 1


def test_a_write_or_another_tensor_is_seen() -> None:
    kept, source = Derived(doubled), frozen()
    kept(source)
    source.mul_(3)
    assert torch.equal(kept(source), frozen(6))
    assert torch.equal(kept(frozen(4)), frozen(8))
    layer = nn.Linear(3, 1, bias=False).requires_grad_(False)
    kept(layer.weight)
    layer.load_state_dict({"weight": torch.full((1, 3), 5.0)})
    assert torch.equal(kept(layer.weight), torch.full((1, 3), 10.0))


def test_another_tensor_at_the_same_address_is_not_taken_for_the_first() -> None:
    kept = Derived(doubled)
    for value in range(20):  # the allocator gives the same memory again where it is free
        assert torch.equal(kept(frozen(value)), frozen(2 * value))


def test_gradients_flow_and_then_nothing_is_kept() -> None:
    kept, source = Derived(doubled), frozen().requires_grad_()
    kept(source).sum().backward()
    assert source.grad is not None
    assert torch.equal(source.grad, frozen(2))
    with torch.no_grad():
        assert not kept(source).requires_grad


def test_a_value_made_in_inference_mode_serves_where_gradients_are_recorded() -> None:
    kept, source = Derived(doubled), frozen()
    with torch.inference_mode():
        assert not kept(source).is_inference()
    x = frozen().requires_grad_()
    (x * kept(source)).sum().backward()
    assert len(CALLS) == 1


def test_nothing_is_kept_of_tensors_whose_changes_nothing_counts() -> None:
    kept = Derived(doubled)
    with torch.inference_mode():
        source = frozen()
        kept(source)
        source.mul_(3)
        assert torch.equal(kept(source), frozen(6))


def test_what_is_packed_for_a_processor_is_not_used_where_all_is_portable() -> None:
    kept, source = Derived(doubled), frozen()
    kept(source)
    with kernels.portable():
        kept(source)
    assert len(CALLS) == 2


def test_copies_and_pickles_start_anew() -> None:
    kept, source = Derived(doubled), frozen()
    kept(source)
    for twin in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert torch.equal(twin(source), frozen(2))
    assert len(CALLS) == 3


def test_lasting_parts_serve_outside_inference_mode() -> None:
    class Owner:
        table = lasting(lambda _: frozen())

    owner = Owner()
    with torch.inference_mode():
        assert not owner.table.is_inference()
    assert owner.table is owner.table

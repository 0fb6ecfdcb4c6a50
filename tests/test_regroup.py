"""Groups do not depend on how pieces were cut."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ncodec.regroup import Regroup


@given(
    st.lists(st.integers(0, 9), max_size=12),
    st.integers(1, 7),
    st.integers(1, 7) | st.none(),
    st.booleans(),
)
def test_groups_are_those_of_the_whole(lengths, size, first, tensors) -> None:
    total = sum(lengths)
    whole = np.arange(2 * total).reshape(2, total)
    pieces = np.split(whole, np.cumsum(lengths)[:-1], axis=1) if lengths else []
    regroup = (
        Regroup(size, axis=1, join=torch.cat, first=first)
        if tensors
        else Regroup(size, axis=1, join=np.concatenate, first=first)
    )
    groups = []
    for piece in pieces:
        groups += regroup.push(torch.from_numpy(piece.copy()) if tensors else piece)
    rest = regroup.rest()
    cuts, at = [], first or size
    while at <= total:
        cuts.append(at)
        at += size
    expected = np.split(whole, cuts, axis=1)
    given = [np.asarray(group) for group in [*groups, *([] if rest is None else [rest])]]
    expected = [part for part in expected if part.shape[1]]
    assert len(given) == len(expected)
    assert all(np.array_equal(a, b) for a, b in zip(given, expected, strict=True))
    assert regroup.held == 0


def test_a_copy_goes_on_by_itself() -> None:
    one = Regroup(4, axis=0, join=np.concatenate)
    assert one.push(np.arange(3)) == []
    other = one.copy()
    assert [group.tolist() for group in one.push(np.array([9]))] == [[0, 1, 2, 9]]
    assert other.rest().tolist() == [0, 1, 2]

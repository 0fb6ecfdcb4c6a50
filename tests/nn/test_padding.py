"""What stands beyond the edges, against PyTorch's own padding; signals too short to reflect."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ncodec.nn.padding import PadMode, pad_left, pad_right, pad_short, samples_to_start

MODES: list[PadMode] = ["constant", "replicate", "reflect"]


def meant(x: torch.Tensor, left: int, right: int, mode: PadMode) -> torch.Tensor:
    """Pad `[B, T, C]` as `encodec.modules.conv.pad1d` does, by PyTorch's padding."""
    lacking = max(0, max(left, right) + 1 - x.shape[1]) if mode == "reflect" else 0
    longer = functional.pad(x.transpose(1, 2), (0, lacking))
    padded = functional.pad(longer, (left, right), mode=mode)
    return padded[..., : padded.shape[-1] - lacking].transpose(1, 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("left", [0, 1, 5])
@pytest.mark.parametrize("right", [0, 1, 4])
@pytest.mark.parametrize("length", [1, 2, 4, 6, 20])
def test_edges_are_those_of_pytorch(mode: PadMode, left: int, right: int, length: int) -> None:
    x = torch.randn(2, length, 3)
    assert torch.equal(pad_short(x, left, right, mode), meant(x, left, right, mode))
    if length > max(left, right):
        both = pad_right(pad_left(x, left, mode), right, mode)
        assert torch.equal(both, meant(x, left, right, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("left", [0, 1, 5])
def test_the_left_edge_needs_no_more_than_it_says(mode: PadMode, left: int) -> None:
    x = torch.randn(1, 20, 2)
    known = samples_to_start(left, mode)
    start = pad_left(x[:, :known], left, mode)[:, :left]
    assert torch.equal(start, pad_left(x, left, mode)[:, :left])

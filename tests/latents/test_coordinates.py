"""Coordinates: counted numbers, straight lines between anchors, loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ncodec.errors import ArgumentError
from ncodec.latents.coordinates import ANCHORS, LAYERS, Coordinates, normal


@pytest.mark.parametrize("width", [1, 3, 4, 64])
def test_any_place_can_be_made_again(width: int) -> None:
    whole = normal(7, LAYERS, 0, 50, width)
    for first, count in ((0, 1), (1, 7), (13, 20), (49, 1), (50, 0)):
        part = normal(7, LAYERS, first, count, width)
        assert torch.equal(part, whole[:, first : first + count])
    assert not torch.equal(whole, normal(8, LAYERS, 0, 50, width))
    assert not torch.equal(whole, normal(7, LAYERS + 1, 0, 50, width))


def test_numbers_stay_those_of_this_release() -> None:
    # sound of a seed is to be the same in later ones; from Philox's published words by hand
    words = np.random.Philox(key=np.array([1, 2], np.uint64)).random_raw(2)
    uniform = [(int(word) >> 12) / 2**52 + 2**-53 for word in words]
    expected = [torch.special.ndtri(torch.tensor(u, dtype=torch.float64)) for u in uniform]
    assert torch.allclose(normal(1, 2, 0, 2)[0], torch.stack(expected).float(), atol=1e-7)
    assert normal(1, 2, 0, 2)[0].tolist() == pytest.approx([-0.497793, -0.366607], abs=1e-6)


@pytest.mark.parametrize(("bound", "deviation"), [(math.inf, 1.0), (2.0, 0.8796), (0.1, 0.0577)])
def test_truncation_narrows_the_distribution(bound: float, deviation: float) -> None:
    numbers = normal(3, LAYERS, 0, 100_000, bound=bound)
    assert numbers.std().item() == pytest.approx(deviation, rel=0.01)
    assert abs(numbers.mean().item()) < 0.02 * deviation
    assert numbers.abs().max().item() <= bound


def test_lines_between_anchors_are_those_of_musika() -> None:
    own = Coordinates(5, width=3, style=2, spacing=6, offset=0, variation=math.inf)
    anchors = normal(5, ANCHORS, 0, 3, 3).numpy()
    # get_noise_interp: linspace of spacing + 1 without its last, then the mean of neighbours
    lines = [torch.from_numpy(np.linspace(anchors[:, i], anchors[:, i + 1], 7)).T for i in range(2)]
    line = torch.cat([lines[0][:, :-1], lines[1]], dim=1)
    centred = (line[:, 1:] + line[:, :-1]) / 2
    assert torch.allclose(own.at(0, 12)[:3], centred.float(), atol=1e-6)
    style = own.at(0, 12)[3:]
    assert torch.equal(style, style[:, :1].expand(-1, 12))
    later = Coordinates(5, width=3, style=2, spacing=6, offset=2, variation=math.inf)
    assert torch.equal(later.at(3, 4), own.at(5, 4))


@pytest.mark.parametrize("steps", [4, 100, 384, 1000])
def test_a_loop_comes_back_without_a_jump(steps: int) -> None:
    own = Coordinates(5, loop=steps)
    assert torch.equal(own.at(-3, 9), own.at(steps - 3, 9))
    path = own.at(0, 2 * steps)[:64].diff().abs()
    anchors = max(2, round(steps / 384))
    assert path.max().item() <= 4 * anchors / steps + 1e-6
    assert path.max().item() > 0


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"variation": 0.0}, {"variation": math.nan}, {"loop": 1}, {"width": 0}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        Coordinates(**{"seed": 1, **wrong})  # type: ignore[arg-type]

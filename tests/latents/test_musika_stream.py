"""Musika as a stream: no seams, any place again, loops, pieces."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.latents.endless import Directions, EndlessState
from ncodec.latents.musika.model import Musika, Windows
from ncodec.streaming import tensors_of
from tests.latents.official import TINY, tiny

CONFIG = TINY


@pytest.fixture(scope="module")
def model() -> Musika:
    return tiny()


def made(model: Musika, state: EndlessState, count: int) -> tuple[Tensor, EndlessState]:
    blocks: list[Tensor] = []
    for _ in range(count):
        block, state = model.step(state)
        blocks.append(block)
    return torch.cat(blocks, dim=1), state


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("loop", [None, 7])
def test_any_block_can_be_begun_with(model: Musika, noise: float, loop: int | None) -> None:
    directions = Directions(3, noise=noise, loop=loop)
    start = model.begin(directions)
    before = [leaf.clone() for leaf in tensors_of(start.nets.first)]
    whole, end = made(model, start, 14)
    assert whole.shape == (2, 14 * model.block_samples)
    assert whole.std() > 0.01
    assert all(torch.equal(a, b) for a, b in zip(before, tensors_of(start.nets.first), strict=True))
    for block in (0, 1, 5, 13):
        state = model.resume(json.loads(json.dumps({**start.to_dict(), "block": block})))
        part, after = made(model, state, 1)
        begin = block * model.block_samples
        assert torch.equal(part, whole[:, begin : begin + model.block_samples])
        assert after.to_dict() == {**start.to_dict(), "block": block + 1}
    assert end.block == 14
    if loop is not None:
        size = loop * model.block_samples
        assert torch.equal(whole[:, :size], whole[:, size : 2 * size])


def test_what_is_asked_changes_the_sound(model: Musika) -> None:
    def first(**options: float) -> Tensor:
        return model.step(model.begin(Directions(**{"seed": 3, **options})))[0]

    plain = first()
    assert torch.equal(plain, first())
    for other in ({"seed": 4}, {"variation": 0.5}, {"noise": 1.0}, {"loop": 9}):
        assert not torch.equal(plain, first(**other))
    with pytest.raises(ArgumentError, match="density"):
        first(density=3.0)
    with pytest.raises(ArgumentError, match="must be one that was kept"):
        model.resume({"seed": 3})


@pytest.mark.parametrize("loop", [None, 16, 48, 112, 1008])
def test_windows_cover_all_steps(loop: int | None) -> None:
    windows = Windows.of(128, loop)
    assert windows.apart <= 64
    assert windows.cycle is None or windows.apart * windows.cycle == loop
    for step in range(-80, 2000):
        number = windows.at(step)
        assert windows.join(number) <= step < windows.join(number + 1)
        # where it fades, both are inside of their windows
        assert windows.start(number) + 16 <= step < windows.start(number) + 112


def test_windows_lie_to_anchors_as_in_training() -> None:
    windows = Windows.of(128, None)
    assert windows.apart == Fraction(64)
    anchors = [384 * i - 64 for i in range(4)]
    for number in range(20):
        start = windows.start(number)
        inside = [anchor - start for anchor in anchors if 0 < anchor - start < 128]
        assert inside in ([], [64])


@pytest.mark.parametrize("sizes", [(1, 2, 3, 10), (5,), (16,)])
def test_decoders_give_in_pieces_what_they_give_whole(model: Musika, sizes: tuple[int]) -> None:
    torch.manual_seed(1)
    for net, x in (
        (model.second_decoder, torch.randn(2, CONFIG.dim, 32)),
        (model.first_decoder, torch.randn(2, CONFIG.latent, 96)),
        (model.synthesis, torch.rand(2, 2 * CONFIG.bins, 64) * 2 - 1),
    ):
        whole, state, parts, at = net(x), net.initial_state(2), [], 0
        while at < x.shape[2]:
            size = sizes[len(parts) % len(sizes)]
            y, state = net.step(x[..., at : at + size], state)
            parts.append(y)
            at += size
        joined = torch.cat([*parts, net.flush(state)], dim=2)
        assert joined.shape == whole.shape
        np.testing.assert_allclose(joined, whole, atol=2e-5)


def test_joins_are_no_louder_than_what_is_around(model: Musika) -> None:
    sound, _ = made(model, model.begin(Directions(5)), 60)
    frames = sound[0].unfold(0, 128, 32) * torch.hann_window(128)
    power = torch.fft.rfft(frames).abs()
    flux = (power[1:] - power[:-1]).clamp(min=0).sum(1)
    window = CONFIG.window // 2 * CONFIG.step_samples // 32
    at = torch.arange(window // 2, len(flux) - 8, window)  # joins lie between the middles
    joins = torch.stack([flux[i - 4 : i + 4].mean() for i in at])
    others = flux.unfold(0, 8, 8).mean(1)
    assert len(joins) >= 14
    assert joins.mean() < others.mean() + others.std()
    assert joins.max() <= others.max()

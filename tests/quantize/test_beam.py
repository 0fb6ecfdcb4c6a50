"""The beam search against greedy coding and against trying all combinations."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from ncodec.config import DacConfig, EncodecConfig
from ncodec.errors import ArgumentError
from ncodec.models.dac import DacModel
from ncodec.models.encodec import EncodecModel
from ncodec.quantize import ResidualVQ
from ncodec.quantize.beam import beam_search
from ncodec.quantize.bits import Search


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _vq(n_q: int = 5, bins: int = 32) -> ResidualVQ:
    return ResidualVQ(8, n_q, bins).eval()


def _error(vq: ResidualVQ, z: Tensor, codes: Tensor) -> Tensor:
    """Squared distance `[B, F]`."""
    return (z - vq.decode(codes)).square().sum(1)


def test_width_one_is_greedy_coding() -> None:
    vq, z = _vq(), torch.randn(2, 8, 33)
    rows = z.transpose(1, 2).reshape(-1, 8)
    greedy = vq.encode(z).transpose(1, 2).reshape(-1, 5)
    assert torch.equal(beam_search([vq.codebook(k) for k in range(5)], rows, Search()), greedy)


def test_a_beam_as_wide_as_all_combinations_finds_the_best() -> None:
    vq, z = _vq(3, 4), torch.randn(1, 8, 20)
    every = torch.tensor(list(product(range(4), repeat=3)))
    entries = torch.stack([vq.decode(c[None, :, None])[0, :, 0] for c in every])
    best = torch.cdist(z[0].T, entries).min(1)
    found = vq.encode(z, beam=64)
    assert torch.equal(found[0].T, every[best.indices])
    assert torch.allclose(_error(vq, z, found)[0], best.values.square(), rtol=1e-4)


def test_wider_beams_leave_less_over() -> None:
    vq, z = _vq(), torch.randn(2, 8, 200)
    errors: list[float] = []
    for width in (1, 2, 4, 8):
        errors.append(float(_error(vq, z, vq.encode(z, beam=width)).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.9 * errors[0]


def test_frames_and_streams_are_searched_on_their_own() -> None:
    vq, z = _vq(), torch.randn(3, 8, 10)
    codes = vq.encode(z, 3, 4)
    assert codes.shape == (3, 3, 10)
    alone = torch.stack([vq.encode(z[b : b + 1, :, f : f + 1], 3, 4)[0, :, 0]
                         for b in range(3) for f in range(10)])  # fmt: skip
    assert torch.equal(codes.transpose(1, 2).reshape(30, 3), alone)


def test_the_input_is_left_as_it_was() -> None:
    vq, z = _vq(), torch.randn(1, 8, 5)
    before = z.clone()
    vq.encode(z, beam=4)
    assert torch.equal(z, before)


def test_a_model_has_one_width_for_all_its_quantizers() -> None:
    model = EncodecModel(EncodecConfig(filters=2, latent_dim=8, bins=16)).eval()
    audio = torch.randn(1, 1, 3200)
    greedy, _ = model.encode(audio)
    model.set_beam(8)
    assert model.beam == 8
    wide, _ = model.encode(audio)
    assert wide.shape == greedy.shape
    assert not torch.equal(wide, greedy)
    model.set_beam(1)
    assert torch.equal(model.encode(audio)[0], greedy)


@pytest.mark.parametrize("width", [0, -1, 33])
def test_a_width_out_of_range_is_refused(width: int) -> None:
    model = EncodecModel(EncodecConfig(filters=2, latent_dim=8, bins=16))
    with pytest.raises(ArgumentError, match=f"beam {width}: must be 1"):
        model.set_beam(width)


def test_a_family_without_the_search_refuses_it() -> None:
    model = DacModel(DacConfig(encoder_dim=4, ratios=(2, 2), decoder_dim=16,
                               latent_dim=16, codebooks=2))  # fmt: skip
    model.set_beam(1)
    with pytest.raises(ArgumentError, match="greedy"):
        model.set_beam(2)

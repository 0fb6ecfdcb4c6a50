"""Second levels: widths and lengths, latents that come piece by piece, what is seen ahead."""

import pytest
import torch

from ncodec.errors import ArgumentError
from ncodec.latents.second_level import SecondLevel
from ncodec.models.latent_config import SecondLevelConfig

SMALL = {"dim": 4, "widths": (8, 12, 16), "latent": 6}


def second_level(**more: int) -> SecondLevel:
    torch.manual_seed(0)
    model = SecondLevel(SecondLevelConfig(**{**SMALL, **more})).eval().requires_grad_(False)
    model.mean.normal_()
    model.deviation.uniform_(0.5, 2)
    for net in (model.encoder.layers[0], model.decoder):
        net.branch.layers[-1].weight.normal_(0, 0.3)  # or else it begins as nothing
    return model


def test_eight_latents_are_a_vector_within_bounds() -> None:
    model = second_level()
    for frames, vectors in ((1, 1), (8, 1), (9, 2), (80, 10), (93, 12)):
        made = model.vectors_of(5 * torch.randn(2, 6, frames))
        assert made.shape == (2, 4, vectors)
        assert made.abs().max() < 1
        assert model.latents_of(made).shape == (2, 6, 8 * vectors)
    assert (model.config.stride, model.config.rate) == (8, 75 / 8)


@pytest.mark.parametrize("lookahead", [0, 1])
@pytest.mark.parametrize("pieces", [[1] * 12, [5, 0, 7], [3, 1, 8]])
def test_pieces_give_the_latents_of_the_whole(lookahead: int, pieces: list[int]) -> None:
    model, vectors = second_level(lookahead=lookahead), torch.randn(2, 4, 12).tanh()
    whole = model.latents_of(vectors)
    state, parts = model.initial_state(2), []
    for piece in vectors.split(pieces, dim=2):
        latents, state = model.decode_step(piece, state)
        parts.append(latents)
    made = torch.cat(parts, dim=2)
    assert made.shape[2] == 8 * (12 - lookahead)
    assert torch.allclose(made, whole[..., : made.shape[2]], atol=1e-5)


@pytest.mark.parametrize("lookahead", [0, 1])
def test_a_vector_sees_its_past_and_a_latent_the_lookahead(lookahead: int) -> None:
    model = second_level(lookahead=lookahead)
    latents = torch.randn(1, 6, 160)
    other = latents.clone()
    other[..., 80:] = 0
    a, b = model.vectors_of(latents), model.vectors_of(other)
    assert torch.allclose(a[..., :10], b[..., :10], atol=1e-6)
    assert not torch.allclose(a[..., 10], b[..., 10], atol=1e-3)
    a[..., 10:] = 0
    made, changed = model.latents_of(a), model.latents_of(b)
    seen = 80 - 8 * lookahead
    assert torch.allclose(made[..., :seen], changed[..., :seen], atol=1e-6)
    assert not torch.allclose(made[..., seen : seen + 8], changed[..., seen : seen + 8], atol=1e-4)


def test_it_starts_as_the_principal_components() -> None:
    """Few numbers keep most of what few sources make; as many as there are keep all but tanh."""
    generator = torch.Generator().manual_seed(1)
    sources = (
        torch.randn(4, 6, 400, generator=generator)
        * torch.tensor([9, 3, 1, 0.5, 0.1, 0.1])[:, None]
    )
    latents = 5 + torch.linalg.qr(torch.randn(6, 6, generator=generator))[0] @ sources
    lost = []
    for dim in (4, 24, 48):
        model = SecondLevel(SecondLevelConfig(**{**SMALL, "dim": dim})).eval()
        model.start(latents)
        assert torch.allclose(model.mean, latents.mean((0, 2)))
        error = model.standard(model(latents).detach()) - model.standard(latents)
        lost.append(float(error.square().mean()))
    assert lost[2] < lost[1] < 0.02
    assert lost[0] < 0.7


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match="lookahead 2: must be 0 or 1"):
        SecondLevelConfig(lookahead=2)
    with pytest.raises(ArgumentError, match="kernel 1: must be at least 2"):
        SecondLevel(SecondLevelConfig(kernel=1))
    with pytest.raises(ArgumentError, match=r"\[1, 5, 8\].* takes \[batch, 6, frames\]"):
        second_level().vectors_of(torch.zeros(1, 5, 8))

"""Latent GANs: streams that are cut anywhere, entered anywhere, loop, and are codes of a codec."""

import pytest
import torch

from ncodec.errors import ArgumentError
from ncodec.latents.critic import Critic, gradient_penalty
from ncodec.latents.endless import Directions
from ncodec.latents.gan import LatentGan, conditions
from ncodec.latents.generator import Generator
from ncodec.models.latent_config import LatentGanConfig

SMALL = {
    "dim": 4,
    "widths": (8, 12, 16),
    "latent": 6,
    "codebooks": 3,
    "bins": 16,
    "coordinates": 5,
    "style": 3,
    "noise": 2,
    "spacing": 24,
    "generator": (8, 10, 12),
}


def latent_gan(**more: object) -> LatentGan:
    torch.manual_seed(0)
    model = LatentGan(LatentGanConfig(**{**SMALL, **more}), "small").eval().requires_grad_(False)
    for key, weight in model.named_parameters():
        if "grain" in key:
            weight.normal_()
    model.generator.last.weight.mul_(10)
    model.second.decoder.branch.layers[-1].weight.normal_()  # chance alone hardly moves
    return model


def made(model: LatentGan, directions: Directions, blocks: int, first: int = 0) -> torch.Tensor:
    state, parts = model.begin(directions, first), []
    for _ in range(blocks):
        block, state = model.step(state)
        parts.append(block)
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("pieces", [[1] * 24, [3, 0, 13, 8], [24]])
def test_a_generator_is_the_same_whoever_cuts_its_input(pieces: list[int]) -> None:
    model = latent_gan().generator
    x = torch.randn(2, 10, 24)
    whole, state, parts = model(x), model.initial_state(2), []
    for piece in x.split(pieces, dim=2):
        y, state = model.step(piece, state)
        parts.append(y)
    parts.append(model.flush(state))
    assert torch.allclose(torch.cat(parts, dim=2), whole, atol=1e-6)
    assert model(x[..., :22]).shape == (2, 4, 22)
    assert torch.allclose(model(x[..., :22])[..., :20], whole[..., :20], atol=1e-6)


def test_a_generator_forgets_what_lies_before_its_warmup() -> None:
    model = latent_gan().generator
    x = torch.randn(1, 10, model.warmup + 40)
    other = x.clone()
    other[..., :32] = torch.randn(1, 10, 32)
    a, b = model(x), model(other)
    reached = 32 + model.warmup
    assert torch.allclose(a[..., reached:], b[..., reached:], atol=1e-6)
    last = slice(reached - model.group, reached)
    assert not torch.allclose(a[..., last], b[..., last], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_any_block_can_be_made_by_itself(channels: int) -> None:
    model, directions = latent_gan(channels=channels), Directions(seed=5)
    frames = model.block_samples // model.config.hop
    whole = made(model, directions, 12)
    assert whole.shape == (3 * channels, 12 * frames)
    assert len(whole.unique(dim=1).T) > 20
    for first in (0, 1, 7):
        assert torch.equal(
            made(model, directions, 3, first), whole[:, first * frames :][:, : 3 * frames]
        )
    assert not torch.equal(made(model, Directions(seed=6), 3), whole[:, : 3 * frames])


def test_a_stream_goes_on_from_what_was_kept() -> None:
    model = latent_gan()
    whole = made(model, Directions(seed=5, variation=1.0), 6)
    state = model.begin(Directions(seed=5, variation=1.0))
    for _ in range(3):
        _, state = model.step(state)
    block, again = model.step(state)
    assert torch.equal(model.step(state)[0], block)  # a state stays good
    assert torch.equal(model.step(model.resume(state.to_dict()))[0], block)
    assert torch.equal(whole[:, 3 * block.shape[1] :][:, : block.shape[1]], block)
    assert again.block == 4


def test_a_loop_joins_its_beginning() -> None:
    model = latent_gan()
    looped = made(model, Directions(seed=5, loop=6), 18)
    third = looped.shape[1] // 3
    assert torch.equal(looped[:, :third], looped[:, third : 2 * third])
    assert torch.equal(looped[:, :third], looped[:, 2 * third :])
    assert not torch.equal(looped[:, : third // 2], looped[:, third // 2 : third])


def test_conditions_lead_and_are_refused_where_unknown() -> None:
    model = latent_gan(conditions="density tempo")
    plain = made(model, Directions(seed=5), 2)
    for told in ({"density": 3.0}, {"tempo": 90.0}):
        assert not torch.equal(made(model, Directions(seed=5, **told), 2), plain)
    with pytest.raises(ArgumentError, match="density: small cannot be told"):
        latent_gan().begin(Directions(seed=5, density=3.0))
    values = conditions(model.config, density=0.0, tempo=240.0)
    assert values[:, 0].tolist() == [0, 1, 1, 1]
    assert conditions(model.config, tempo=60.0)[:, 0].tolist() == [0, -1, 0, 1]


def test_codes_are_those_of_the_quantizer() -> None:
    model = latent_gan(channels=2)
    state = model.begin(Directions(seed=1))
    latents, _ = model._latents(state.directions, 0, state.nets)
    codes, _ = model.step(state)
    assert torch.equal(codes[1::2], model.quantizer.encode(latents)[1])


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"channels": 3}, "channels 3: must be 1 or 2"),
        ({"conditions": "density density"}, "conditions 'density density'"),
        ({"conditions": "key"}, "conditions 'key': must be of density tempo"),
    ],
)
def test_what_no_model_can_have(config: dict, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        latent_gan(**config)


def test_a_critic_scores_stretches_and_its_penalty_is_the_gradients_square() -> None:
    torch.manual_seed(0)
    critic, x = Critic(4, 16, (6, 8)), torch.randn(3, 4, 16)
    assert critic(x).shape == (3,)
    penalty, step = gradient_penalty(critic, x), 1e-3
    gradient = torch.stack([
        (critic(x[:1] + step * e) - critic(x[:1] - step * e)).sum() / (2 * step)
        for e in torch.eye(64).view(64, 1, 4, 16)
    ])  # fmt: skip
    assert torch.isclose(gradient_penalty(critic, x[:1]), gradient.square().sum(), rtol=1e-2)
    penalty.backward()
    assert critic.score.weight.grad is not None
    with pytest.raises(ArgumentError, match="18 steps: must be a multiple of 4"):
        Critic(4, 18, (6, 8))


def test_the_published_sizes() -> None:
    config = LatentGanConfig(channels=2)
    assert 14e6 < sum(p.numel() for p in Generator(config).parameters()) < 18e6
    assert config.block == 16

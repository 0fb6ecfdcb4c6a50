"""Adversarial criteria on known values, and where gradients may flow."""

import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ncodec.adversarial import (
    AdversarialLoss,
    CombinedDiscriminator,
    FeatureMatchingLoss,
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
    MultiScaleSTFTDiscriminator,
    get_adv_criterion,
    get_fake_criterion,
    get_real_criterion,
)
from ncodec.errors import ArgumentError

LOGITS = torch.tensor([-2.0, 0.0, 0.5, 3.0])


def discriminators() -> CombinedDiscriminator:
    torch.manual_seed(0)
    return CombinedDiscriminator(
        [
            MultiPeriodDiscriminator((2, 3), filters=2),
            MultiScaleDiscriminator(2, filters=4),
            MultiScaleSTFTDiscriminator((64,), filters=4),
        ]
    )


def adversary(loss="hinge", rate: float = 2e-3) -> AdversarialLoss:
    net = discriminators()
    return AdversarialLoss(net, torch.optim.Adam(net.parameters(), rate, betas=(0.5, 0.9)), loss)


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


@pytest.mark.parametrize(
    ("name", "adv", "fake", "real"),
    [
        # by hand over LOGITS; relu(1 - x): 3, 1, .5, 0; relu(1 + x): 0, 1, 1.5, 4
        ("hinge", -1.5 / 4, 6.5 / 4, 4.5 / 4),
        ("hinge2", 4.5 / 4, 6.5 / 4, 4.5 / 4),
        # (x - 1)^2: 9, 1, .25, 4; x^2: 4, 0, .25, 9
        ("mse", 14.25 / 4, 13.25 / 4, 14.25 / 4),
    ],
)
def test_criteria_have_their_values(name, adv, fake, real):
    assert get_adv_criterion(name)(LOGITS) == pytest.approx(adv)
    assert get_fake_criterion(name)(LOGITS) == pytest.approx(fake)
    assert get_real_criterion(name)(LOGITS) == pytest.approx(real)


@pytest.mark.parametrize("name", ["hinge", "hinge2", "mse"])
def test_criteria_pull_in_opposite_directions(name):
    def slope(criterion) -> float:
        logits = torch.zeros(3, requires_grad=True)
        return float(torch.autograd.grad(criterion(logits), logits)[0].sum())

    assert slope(get_adv_criterion(name)) < 0
    assert slope(get_real_criterion(name)) < 0
    # least squares is at its minimum at 0
    assert slope(get_fake_criterion(name)) >= 0


@pytest.mark.parametrize("get", [get_adv_criterion, get_fake_criterion, get_real_criterion])
def test_unknown_criterion_is_named(get):
    with pytest.raises(ArgumentError, match="'bce': must be one of hinge, hinge2, mse"):
        get("bce")


def test_feature_matching_averages_layers_then_discriminators():
    zeros = [[torch.zeros(2), torch.zeros(3)], [torch.zeros(4)]]
    maps = [[torch.full((2,), 1.0), torch.full((3,), -3.0)], [torch.full((4,), 5.0)]]
    assert FeatureMatchingLoss()(maps, zeros) == pytest.approx(((1 + 3) / 2 + 5) / 2)
    assert FeatureMatchingLoss()(maps, maps) == 0


def test_feature_matching_gives_reals_no_gradient_and_refuses_other_counts():
    fake, real = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    FeatureMatchingLoss()([[fake]], [[real]]).backward()
    assert fake.grad is not None
    assert real.grad is None
    with pytest.raises(ArgumentError, match=r"\[1\] and reals \[2\]"):
        FeatureMatchingLoss()([[fake]], [[real, real]])


def test_training_the_discriminators_leaves_the_generator_alone():
    loss = adversary("mse")
    generator = torch.nn.Conv1d(1, 1, 3, padding=1)
    before = weights(loss.discriminator)
    value = loss.train_adv(generator(torch.randn(2, 1, 256)), torch.randn(2, 1, 256))
    assert not value.requires_grad
    assert all(p.grad is None for p in generator.parameters())
    after = weights(loss.discriminator)
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["hinge", "hinge2", "mse"])
def test_the_generators_step_leaves_the_discriminators_alone(name):
    loss = adversary(name)
    generator = torch.nn.Conv1d(1, 1, 3, padding=1)
    before = weights(loss.discriminator)
    for choice in (0, 1):
        generator.zero_grad()
        losses = loss(generator(torch.randn(2, 1, 256)), torch.randn(2, 1, 256))
        losses[choice].backward()
        assert all(p.grad is not None and p.grad.any() for p in generator.parameters())
    assert all(p.grad is None for p in loss.discriminator.parameters())
    assert all(p.requires_grad for p in loss.discriminator.parameters())
    for old, new in zip(before, weights(loss.discriminator), strict=True):
        assert torch.equal(old, new)


def test_the_generators_step_keeps_frozen_weights_frozen_after_an_error():
    loss = adversary()
    frozen = next(loss.discriminator.parameters()).requires_grad_(False)
    with pytest.raises(ArgumentError, match="n_fft 64"):
        loss(torch.zeros(1, 1, 40), torch.zeros(1, 1, 40))
    assert [p for p in loss.discriminator.parameters() if not p.requires_grad] == [frozen]


def test_the_loss_is_the_mean_over_discriminators():
    loss = adversary()
    fake, real = torch.randn(2, 1, 256), torch.randn(2, 1, 256)
    with torch.no_grad():
        fakes, reals = loss.discriminator(fake)[0], loss.discriminator(real)[0]
    hinges = [
        (1 + f).relu().mean() + (1 - r).relu().mean() for f, r in zip(fakes, reals, strict=True)
    ]
    adv, feat = loss(fake, real)
    assert adv == pytest.approx(float(torch.stack([-f.mean() for f in fakes]).mean()))
    assert feat > 0
    assert loss(real, real)[1] == 0
    assert loss.train_adv(fake, real) == pytest.approx(float(torch.stack(hinges).mean()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hinge", "mse"])
def test_discriminators_learn_to_separate_tones_from_noise(name):
    loss = adversary(name, rate=5e-3)
    generator = torch.Generator().manual_seed(1)
    time = torch.arange(512) / 24000

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        hz = 200 + 2000 * torch.rand(8, 1, 1, generator=generator)
        tones = torch.sin(2 * torch.pi * hz * time)
        return torch.randn(8, 1, 512, generator=generator) * 0.7, tones

    first = float(loss.train_adv(*batch()))
    for _ in range(60):
        loss.train_adv(*batch())
    fake, real = batch()
    for f, r in zip(loss.discriminator(fake)[0], loss.discriminator(real)[0], strict=True):
        assert r.mean() - f.mean() > 0.5
    assert loss.train_adv(fake, real) < 0.5 * first
    # fakes that have come to look real cost the generator less
    assert loss(real, real)[0] < loss(fake, real)[0]


def test_an_optimizer_of_other_weights_is_refused():
    net = discriminators()
    other = torch.nn.Linear(2, 2)
    both = [*net.parameters(), *other.parameters()]
    for parameters in (other.parameters(), both):
        with pytest.raises(ArgumentError, match="must be those of the discriminators"):
            AdversarialLoss(net, torch.optim.Adam(parameters))


def test_signals_of_different_lengths_are_refused():
    with pytest.raises(ArgumentError, match=r"\(1, 1, 256\) and real \(1, 1, 257\)"):
        adversary()(torch.zeros(1, 1, 256), torch.zeros(1, 1, 257))
    with pytest.raises(ArgumentError, match=r"must have one shape"):
        adversary().train_adv(torch.zeros(1, 1, 256), torch.zeros(1, 1, 257))


def batches() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(4, 1, 256, generator=generator), torch.randn(4, 1, 256, generator=generator)


def train_as_one_of_two(rank: int, port: int, path: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    loss = adversary(rate=1e-3)
    fake, real = (x[rank::2] for x in batches())
    loss.train_adv(fake, real)
    torch.save([p.grad for p in loss.discriminator.parameters()], f"{path}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_like_one_with_the_whole_batch(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(train_as_one_of_two, (port, str(tmp_path)), nprocs=2)
    alone = adversary(rate=1e-3)
    alone.train_adv(*batches())
    first, second = (torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in (0, 1))
    for a, b, p in zip(first, second, alone.discriminator.parameters(), strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, p.grad, atol=1e-5, rtol=1e-3)

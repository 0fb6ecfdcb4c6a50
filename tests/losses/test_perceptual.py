import math

import numpy as np
import pytest
import torch

from ncodec.dsp.stft import Spectra
from ncodec.errors import ArgumentError
from ncodec.losses.perceptual import (
    BandLoss,
    EnvelopeLoss,
    LevelLoss,
    LinesLoss,
    LoudnessLoss,
    PhaseLoss,
    SimilarityLoss,
    SpectrumLoss,
)
from ncodec.losses.table import LOSSES, LossTable
from ncodec.models.spectral import SpectralCodec
from ncodec.models.spectral_start import start_linear_path
from ncodec.quantize import ResidualVQ
from ncodec.train.codec_step import start_codebooks

RATE = 24000


def tone(frequency: float, seconds: float = 0.5, phase: float = 0.0) -> torch.Tensor:
    t = torch.arange(int(seconds * RATE)) / RATE
    return 0.3 * torch.sin(2 * math.pi * frequency * t + phase).view(1, 1, -1)


def speech_like(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = 0.2 * torch.randn(1, 1, RATE, generator=generator)
    t = torch.arange(RATE) / RATE
    return noise * (0.1 + torch.sin(2 * math.pi * 3 * t).clamp(min=0))


PERCEPTUAL = [BandLoss, LevelLoss, LoudnessLoss, EnvelopeLoss, PhaseLoss, SpectrumLoss, LinesLoss]
PERCEPTUAL += [SimilarityLoss]


@pytest.mark.parametrize("loss", PERCEPTUAL)
def test_a_perfect_copy_costs_nothing_and_noise_costs_more_the_louder_it_is(loss):
    x = speech_like()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    costs = [float(loss(RATE)(x + level * noise, x)) for level in (0, 0.01, 0.1)]
    assert costs[0] < 0.01
    assert costs[0] < costs[1] < costs[2]


@pytest.mark.parametrize("loss", PERCEPTUAL)
def test_gradients_stay_finite_at_silence(loss):
    fake = torch.zeros(2, 1, 12000, requires_grad=True)
    loss(RATE)(fake, torch.zeros(2, 1, 12000)).backward()
    assert bool(fake.grad.isfinite().all())


def test_only_the_phase_loss_hears_phase_and_that_mostly_low():
    low, high = (float(PhaseLoss(RATE)(-tone(f), tone(f))) for f in (500, 8000))
    assert low > 0.5
    assert low > 2 * high
    assert float(BandLoss(RATE)(-tone(500), tone(500))) == 0
    assert float(LoudnessLoss(RATE)(-tone(500), tone(500))) < 1e-3


def test_the_level_loss_hears_energy_and_not_where_in_time_it_is():
    x, loss = speech_like(), LevelLoss(RATE)
    assert float(loss(x.flip(-1), x)) < 0.05
    ten_db = float(loss(x / 10**0.5, x))
    assert ten_db == pytest.approx(0.95 + 2 * 0.95, rel=0.02)  # bands and all, less half of 1 dB


def test_small_errors_of_level_pull_little():
    x, loss = speech_like(), LevelLoss(RATE)
    fifth, whole, ten = (float(loss(x * 10 ** (-db / 20), x)) for db in (0.2, 1, 10))
    assert fifth < whole / 20
    assert ten > 15 * whole


def test_the_similarity_loss_is_nsim_over_nine_places():
    loss, x = SimilarityLoss(RATE), speech_like()
    y = 0.6 * x + 0.02 * speech_like(1)
    a, b = (10 * np.log10(loss.energies(Spectra(s))[0].numpy() + 1e-9) for s in (y, x))
    lowest = np.maximum(a, b).max() - 65
    a, b = (np.pad(np.maximum(s - lowest, 0), 1, "edge").astype(np.float64) for s in (a, b))
    side = np.exp(-np.square([-1, 0, 1]) / (2 * 0.5**2))
    weights = np.outer(side, side) / side.sum() ** 2
    found = []
    for i in range(a.shape[0] - 2):
        for k in range(a.shape[1] - 2):
            p, q = a[i : i + 3, k : k + 3], b[i : i + 3, k : k + 3]
            mp, mq = (weights * p).sum(), (weights * q).sum()
            vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
            both = (weights * (p - mp) * (q - mq)).sum()
            level = (2 * mp * mq + 0.45**2) / (mp**2 + mq**2 + 0.45**2)
            found.append(level * (both + 1.35**2 / 2) / (np.sqrt(vp * vq) + 1.35**2 / 2))
    assert float(loss(y, x)) == pytest.approx(1 - np.mean(found), abs=1e-4)


def test_the_spectrum_loss_hears_the_strongest_partial_most():
    x, loss = tone(1000) + 0.1 * tone(5000), SpectrumLoss(RATE)
    without = {f: float(loss(x - gain * tone(f), x)) for f, gain in ((1000, 1), (5000, 0.1))}
    assert without[1000] == pytest.approx(0.99, abs=0.02)
    assert without[5000] == pytest.approx(0.01, abs=0.01)
    assert float(loss(speech_like().flip(-1), speech_like())) < 0.01


@pytest.mark.parametrize("period", [320, 250])
def test_the_lines_loss_hears_noise_that_repeats_and_not_which_noise_it_is(period):
    def noise(seed: int, samples: int) -> torch.Tensor:
        return 0.1 * torch.randn(1, 1, samples, generator=torch.Generator().manual_seed(seed))

    loss = LinesLoss(RATE)
    real = noise(1, 2 * RATE)
    other = float(loss(noise(2, 2 * RATE), real))
    comb = float(loss(noise(3, period).repeat(1, 1, 2 * RATE // period + 1)[..., : 2 * RATE], real))
    assert other < 0.1
    assert comb > 10 * other
    assert float(loss(3 * real, real)) < 0.01  # whatever the level


def test_items_weigh_the_phase_loss():
    x = torch.cat([tone(500), tone(500)])
    y = torch.cat([tone(500), tone(500, phase=1.5)])
    loss = PhaseLoss(RATE)
    assert float(loss(y, x, torch.tensor([1.0, 0.0]))) < 0.01
    assert float(loss(y, x, torch.tensor([0.0, 2.0]))) == pytest.approx(2 * float(loss(y, x)))


def test_added_energy_is_louder_than_missing_energy():
    x, loss = speech_like(), LoudnessLoss(RATE)
    extra = x + 0.5 * tone(3000, seconds=1.0)
    assert float(loss(extra, x)) > 1.3 * float(loss(x, extra))


def test_the_envelope_loss_ignores_level_and_hears_a_flattened_envelope():
    x, loss = speech_like(), EnvelopeLoss(RATE)
    steady = 0.2 * torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(3))
    assert float(loss(0.5 * x, x)) < 0.01
    assert float(loss(steady, x)) > 0.5


def test_a_table_of_losses_gives_what_was_asked_for():
    x = torch.cat([speech_like(1), speech_like(2)])
    table = LossTable(dict.fromkeys(LOSSES, 1.0), RATE)
    losses = table(0.9 * x, x, torch.ones(2))
    assert set(losses) == set(LOSSES)
    assert all(loss.dim() == 0 for loss in losses.values())
    with pytest.raises(ArgumentError, match="must be positive"):
        LossTable({"mel": 0.0}, RATE)


@torch.no_grad()
def test_the_linear_start_already_codes_the_waveform():
    torch.manual_seed(0)
    model = SpectralCodec(SpectralCodec.config_type(decoder_depth=1, encoder_depth=1))
    audio = torch.cat([tone(f, seconds=0.8) for f in (220, 330, 550, 700, 900, 1200)])
    start_linear_path(model, [audio])
    y = model.from_latent(model.to_latent(audio))
    middle = slice(4000, 16000)
    a, b = audio[..., middle], y[..., middle]
    correlation = (a * b).sum() / (a.norm() * b.norm())
    assert correlation > 0.9


def test_codebooks_from_data_leave_less_with_each():
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2000, 6, generator=generator)
    quantizer = ResidualVQ(6, 4, 32)
    start_codebooks(quantizer, latents)
    z = latents.T[None]
    left = [
        float((z - quantizer.decode(quantizer.encode(z, n))).square().mean()) for n in range(1, 5)
    ]
    assert left == sorted(left, reverse=True)
    assert left[0] < 0.65
    assert left[3] < 0.25

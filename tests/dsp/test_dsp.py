"""Transforms that several rooms share: torch and NumPy agree, and values stay."""

import numpy as np
import pytest
import torch

from ncodec import metrics
from ncodec.dsp.erb import erb_bands
from ncodec.dsp.loudness import block_powers, gated_level
from ncodec.dsp.mdct import mdct_basis
from ncodec.dsp.mel import mel_filters
from ncodec.dsp.overlap_add import OverlapAdd, overlap_add
from ncodec.dsp.stft import Spectra, hann, power_spectra
from ncodec.losses.table import LOSSES

RATE = 24000


def signals() -> tuple[torch.Tensor, torch.Tensor]:
    """Two items of a second, and what a poor codec could make of them."""
    t = torch.arange(RATE) / RATE
    glide = 0.4 * torch.sin(2 * np.pi * (200 + 300 * t) * t) + 0.1 * torch.sin(6000 * np.pi * t)
    bell = 0.2 * torch.sin(2000 * np.pi * t) * torch.exp(-3 * t)
    real = torch.stack([glide, bell])[:, None]
    fake = 0.9 * real + 0.01 * torch.sin(1034 * np.pi * t) + 0.02 * real.roll(7, -1)
    return fake, real


@pytest.mark.parametrize("size", [64, 512])
@pytest.mark.parametrize("length", [512, 1000, 1003])
def test_torch_and_numpy_frame_alike(size, length):
    x = torch.randn(2, 1, length, generator=torch.Generator().manual_seed(0))
    ours = Spectra(x).power(size) - 1e-12
    theirs = power_spectra(x[:, 0].double().numpy(), size, size // 4, size, edges="reflect")
    assert ours.shape[1] == 1 + length // (size // 4)
    scaled = theirs.transpose(0, 2, 1) / np.square(hann(size)).sum()
    assert np.allclose(ours.numpy(), scaled, rtol=1e-4, atol=1e-5)


def test_a_frame_is_centred_on_its_sample():
    x = np.zeros((1, 64))
    x[0, 24] = 1
    power = power_spectra(x, 16, 4, 16)[0].sum(0)
    assert power.argmax() == 24 // 4


def test_widened_filters_take_their_nearest_bins_and_others_stay():
    plain = mel_filters(RATE, 1024, 80, equal_area=False)
    wide = mel_filters(RATE, 1024, 80, equal_area=False, widen=True)
    assert np.allclose(plain[30:], wide[30:], atol=1e-12)
    assert (wide >= plain - 1e-12).all()
    narrow = mel_filters(RATE, 256, 80, equal_area=False, widen=True)
    assert (narrow.sum(axis=1) > 0).all()
    areas = mel_filters(RATE, 256, 80, widen=True).sum(axis=1) * RATE / 256
    assert np.allclose(areas[60:], 1, atol=0.2)


# What each gave when it had a filter bank and frames of its own.
KEPT = {
    "l1": 0.0157963857,
    "mel": 0.2631506324,
    "stft": 0.1867306083,
    "complex": 0.0031226503,
    "si_snr": -23.474443,
    "bands": 0.3758655787,
    "level": 0.1320404559,
    "loudness": 0.2706112862,
    "envelope": 0.6852337122,
    "phase": 0.0732179731,
    "spectrum": 0.1911137104,
}


@pytest.mark.parametrize("name", KEPT)
def test_losses_are_what_they_were(name):
    value = LOSSES[name](RATE)(*signals())
    assert float(value) == pytest.approx(KEPT[name], rel=2e-5)


@pytest.mark.parametrize(
    ("rate", "mel", "resolutions"),
    [
        (8000, 0.3306920605, 0.1995118462),
        (16000, 0.5563909391, 0.2065418822),
        (24000, 0.7847580535, 0.2100076864),
        (48000, 0.8784461626, 0.2125427958),
    ],
)
def test_measures_are_what_they_were(rate, mel, resolutions):
    fake, real = (x[0].numpy() for x in signals())
    assert metrics.log_mel_distance(real, fake, rate) == pytest.approx(mel, rel=1e-6)
    distance = metrics.multi_resolution_stft_distance(real, fake, rate)
    assert distance == pytest.approx(resolutions, rel=1e-6)


def test_erb_bands_sum_to_one_and_the_mdct_is_orthonormal():
    assert torch.allclose(erb_bands(641, 24, RATE).sum(0), torch.ones(641))
    basis = mdct_basis(40).double()
    lapped = torch.zeros(160, 120, dtype=torch.float64)
    for i in range(3):
        lapped[40 * i : 40 * i + 80, 40 * i : 40 * i + 40] = basis
    assert torch.allclose(lapped.T @ lapped, torch.eye(120, dtype=torch.float64), atol=1e-6)


def test_overlap_add_of_pieces_is_that_of_the_whole():
    frames = torch.randn(1, 6, 12, generator=torch.Generator().manual_seed(0))
    whole, tail = overlap_add(frames, 4, torch.zeros(1, 8))
    first, between = overlap_add(frames[:, :1], 4, torch.zeros(1, 8))
    rest, end = overlap_add(frames[:, 1:], 4, between)
    assert torch.allclose(torch.cat([first, rest], 1), whole, atol=1e-6)
    assert torch.allclose(end, tail, atol=1e-6)
    state = OverlapAdd.start(1, 1, 3, None)
    ones, parts = torch.ones(1, 1, 4), []
    for _ in range(3):
        part, state = state.add(ones)
        parts.append(part)
    assert torch.allclose(torch.cat([*parts, state.rest()], -1), torch.ones(1, 1, 10))


def test_loudness_of_stretches_is_that_of_the_whole():
    x = 0.1 * np.random.default_rng(0).standard_normal((1, 8 * 8000))
    whole = gated_level(block_powers(x, 8000))
    halves = block_powers(x[:, :32000], 8000), block_powers(x[:, 24000:], 8000, skip=8000)
    assert gated_level(np.concatenate(halves)) == pytest.approx(whole, abs=0.02)
    assert metrics.loudness(x[0], 8000) == whole

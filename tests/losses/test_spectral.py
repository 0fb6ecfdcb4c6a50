"""Losses and mel scales on values known from elsewhere or by hand."""

import math

import numpy as np
import pytest
import torch

from ncodec.dsp.mel import hz_to_mel, mel_filters, mel_to_hz
from ncodec.errors import ArgumentError
from ncodec.losses.spectral import (
    CompressedSTFTLoss,
    L1Loss,
    MultiResolutionSTFTLoss,
    MultiScaleMelLoss,
    SISNRLoss,
    Spectra,
)

RATE = 24000
SPECTRAL = [
    MultiScaleMelLoss(RATE),
    MultiResolutionSTFTLoss(),
    CompressedSTFTLoss(),
    CompressedSTFTLoss(exponent=0.5, max_frequency=4000, sample_rate=RATE),
]
LOSSES = [L1Loss(), SISNRLoss(), *SPECTRAL]


def noise(seed: int = 0, length: int = 6000) -> torch.Tensor:
    return torch.randn(2, 1, length, generator=torch.Generator().manual_seed(seed)) * 0.1


def tone(hz: float, length: int = 6000) -> torch.Tensor:
    return 0.1 * torch.sin(2 * math.pi * hz * torch.arange(length) / RATE).reshape(1, 1, -1)


def test_htk_scale_has_its_published_values():
    # 2595 log10(1 + f / 700): 1000 Hz is 1000 mel but for rounding in the formula's constants
    assert hz_to_mel(1000, "htk") == pytest.approx(999.9855, abs=1e-3)
    assert hz_to_mel(6300, "htk") == pytest.approx(2595)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel([0, 440, 9000], "htk"), "htk"), [0, 440, 9000])


def test_slaney_scale_has_the_values_that_librosa_documents():
    # librosa.mel_frequencies(n_mels=40), as its documentation prints it
    centres = mel_to_hz(np.linspace(0, float(hz_to_mel(11025)), 40))
    known = {1: 85.317, 11: 938.49, 12: 1024.856, 13: 1119.114, 20: 2071.84, 38: 10096.408}
    for index, hz in known.items():
        assert centres[index] == pytest.approx(hz, abs=6e-4)


def test_slaney_filters_have_the_values_that_librosa_documents():
    # librosa.filters.mel(sr=22050, n_fft=2048) prints 0.016 at its second bin, zeros at the edges
    filters = mel_filters(22050, 2048, 128)
    assert filters[0, 0] == 0
    assert filters[0, 1] == pytest.approx(0.016, abs=5e-4)
    assert filters[1, 1] == 0
    assert filters[-1, -1] == 0


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_filters_are_triangles_of_peak_one_or_of_unit_area(scale):
    peaks = mel_filters(RATE, 8192, 20, scale=scale, equal_area=False)
    assert peaks.max(axis=1) == pytest.approx(np.ones(20), abs=0.05)
    # neighbours cross: between the first and last centres the triangles add up to one
    first, last = peaks[0].argmax(), peaks[-1].argmax()
    np.testing.assert_allclose(peaks.sum(axis=0)[first + 1 : last], 1, atol=1e-5)
    areas = mel_filters(RATE, 8192, 20, scale=scale).sum(axis=1) * RATE / 8192
    np.testing.assert_allclose(areas, 1, atol=0.01)


def test_filters_that_cannot_be_are_refused():
    with pytest.raises(ArgumentError, match=r"300 mel filters over n_fft 256.*no bin"):
        mel_filters(RATE, 256, 300)
    with pytest.raises(ArgumentError, match=r"fmin < fmax <= 12000"):
        mel_filters(RATE, 256, 10, fmax=13000)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_equal_signals_are_the_minimum(loss):
    x = noise()
    at_equality = loss(x, x.clone())
    if not isinstance(loss, SISNRLoss):
        assert at_equality == 0
    assert loss(x + 0.1 * noise(1), x) > at_equality


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_gradients_are_finite_everywhere_even_at_silence(loss):
    for real in (noise(), torch.zeros(2, 1, 6000)):
        for start in (torch.zeros(2, 1, 6000), real.clone()):
            fake = start.requires_grad_()
            (gradient,) = torch.autograd.grad(loss(fake, real), fake)
            assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("loss", SPECTRAL, ids=lambda loss: type(loss).__name__)
def test_shared_spectra_change_neither_value_nor_gradient(loss):
    fake, real = noise(1).requires_grad_(), noise(2)
    shared = Spectra(fake)
    values = loss(fake, real), loss(shared, Spectra(real))
    gradients = [torch.autograd.grad(value, fake)[0] for value in values]
    assert values[0] == values[1]
    torch.testing.assert_close(gradients[0], gradients[1])
    before = shared.stft(512)
    shared.stft(1024)
    assert shared.stft(512) is before


def test_noise_keeps_its_rms_at_every_window_length():
    spectra = Spectra(noise(length=48000))
    for n_fft in (64, 512, 2048):
        rms = spectra.power(n_fft)[..., 1:-1].mean().sqrt()
        assert rms == pytest.approx(0.1, rel=0.03)


def test_stft_agrees_with_torch():
    x = noise()
    window = torch.hann_window(512)
    theirs = torch.stft(x[:, 0], 512, 128, window=window, return_complex=True)
    theirs = theirs.transpose(1, 2) / window.square().sum().sqrt()
    torch.testing.assert_close(Spectra(x).stft(512), theirs, atol=1e-5, rtol=1e-4)


def test_twice_as_loud_is_ln_2_in_log_spectra():
    x = noise()
    assert MultiScaleMelLoss(RATE, floor=1e-9)(2 * x, x) == pytest.approx(math.log(2), rel=1e-3)
    # log part ln 2, spectral convergence | 2 - 1 |
    stft = MultiResolutionSTFTLoss(floor=1e-9)
    assert stft(2 * x, x) == pytest.approx(math.log(2) + 1, rel=1e-3)


def test_compressed_spectra_scale_with_the_exponent_and_hear_phase():
    x, loss = noise(), CompressedSTFTLoss(exponent=0.5, floor=1e-12)
    size = float(loss(x, torch.zeros_like(x)))
    assert size > 0
    assert loss(16 * x, x) == pytest.approx(3 * size, rel=1e-3)
    assert loss(-x, x) == pytest.approx(2 * size, rel=1e-3)
    assert MultiScaleMelLoss(RATE)(-x, x) == pytest.approx(0, abs=1e-6)


def test_exponent_one_is_the_plain_complex_difference():
    x, y = noise(1), noise(2)
    difference = torch.view_as_real(Spectra(x).stft(512) - Spectra(y).stft(512)).abs().mean()
    assert CompressedSTFTLoss([512], exponent=1)(x, y) == pytest.approx(float(difference), rel=1e-4)


def test_above_max_frequency_nothing_is_heard():
    low = CompressedSTFTLoss([1024], max_frequency=4000, sample_rate=RATE)
    everything = CompressedSTFTLoss([1024])
    # in the middle, where no reflected edge spreads the tone over all bins
    base = noise(length=8192)[:1] * torch.hann_window(8192)
    high, inside = (base + tone(hz, 8192) * torch.hann_window(8192) for hz in (9000, 2000))
    assert low(high, base) < 2e-2 * everything(high, base)
    assert low(inside, base) > everything(inside, base)


def test_si_snr_is_the_ratio_in_db_and_ignores_level_and_offset():
    real, other = tone(1000), tone(3000)
    fake = real + 0.1 * other  # orthogonal, 20 dB down
    loss = SISNRLoss()
    assert loss(fake, real) == pytest.approx(-20, abs=0.01)
    assert loss(3 * fake + 0.2, real) == pytest.approx(-20, abs=0.01)


def test_spectra_made_in_inference_mode_do_not_spoil_training():
    x, losses = noise(length=1200), (CompressedSTFTLoss([96]), MultiScaleMelLoss(RATE, [96]))
    with torch.inference_mode():
        for loss in losses:
            loss(x, x)
    for loss in losses:
        loss(x.clone().requires_grad_(), noise(1, 1200)).backward()


@pytest.mark.parametrize("loss", SPECTRAL, ids=lambda loss: type(loss).__name__)
def test_autocast_does_not_coarsen_spectra(loss):
    fake, real = noise(1), noise(2)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = loss(fake, real)
    assert coarse == loss(fake, real)


def test_l1_is_the_mean_difference():
    x = noise()
    assert L1Loss()(x + 0.25, x) == pytest.approx(0.25, rel=1e-5)


def test_misuse_is_named():
    with pytest.raises(ArgumentError, match=r"100 samples: n_fft 512"):
        CompressedSTFTLoss([512])(noise(length=100), noise(length=100))
    with pytest.raises(ArgumentError, match=r"\(2, 1, 600\) and real \(2, 1, 601\)"):
        L1Loss()(noise(length=600), noise(length=601))
    with pytest.raises(ArgumentError, match=r"must be \[B, C, T\]"):
        L1Loss()(torch.zeros(4), torch.zeros(4))
    with pytest.raises(ArgumentError, match=r"exponent 0"):
        CompressedSTFTLoss(exponent=0)
    with pytest.raises(ArgumentError, match=r"needs the second"):
        CompressedSTFTLoss(max_frequency=4000)
    with pytest.raises(ArgumentError, match=r"one for each"):
        MultiScaleMelLoss(RATE, n_mels=[80])
    with pytest.raises(ArgumentError, match=r"multiples of 4"):
        MultiResolutionSTFTLoss([])

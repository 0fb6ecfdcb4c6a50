"""The loss after PESQ: near the score itself, blind to level, and gradients that serve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from ncodec.losses.p862 import PesqLoss

ROOT = Path(__file__).resolve().parents[2]
CLIPS = sorted((ROOT / "benchmarks" / "clips").glob("speech_*.flac"))
RATE = 24000


def speech(path: Path) -> torch.Tensor:
    samples, rate = sf.read(path, dtype="float32")
    assert rate == RATE
    return torch.from_numpy(samples[None, None, : 4 * RATE])


def distorted(x: torch.Tensor, how: int) -> torch.Tensor:
    """Noise of three levels, clipping, and a spectrum whose magnitudes are wrong."""
    generator = torch.Generator().manual_seed(how)
    if how < 3:
        level = 10 ** (-(15 + 12 * how) / 20) * x.square().mean().sqrt()
        return x + level * torch.randn(x.shape, generator=generator)
    if how == 3:
        limit = float(x.abs().max()) * 0.15
        return x.clamp(-limit, limit)
    window = torch.hann_window(512)
    spectrum = torch.stft(x[0], 512, 128, window=window, return_complex=True)
    spectrum = spectrum * torch.exp(0.5 * torch.randn(spectrum.shape, generator=generator))
    return torch.istft(spectrum, 512, 128, window=window, length=x.shape[-1])[None]


def test_it_is_near_the_pesq_package() -> None:
    pytest.importorskip("pesq", reason="the extra `metrics` is not installed: no pesq")
    from ncodec import metrics

    loss = PesqLoss(RATE)
    ours, theirs = [], []
    for path in CLIPS:
        x = speech(path)
        for how in range(5):
            y = distorted(x, how)
            raw = 4.5 - float(loss(y, x))
            ours.append(0.999 + 4 / (1 + np.exp(-1.3669 * raw + 3.8224)))  # P.862.2's mapping
            theirs.append(metrics.pesq_wb(x[0, 0].numpy(), y[0, 0].numpy(), RATE))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.97
    assert abs(np.median(np.subtract(ours, theirs))) < 0.1


def test_equal_signals_are_without_disturbance_at_any_level() -> None:
    x = speech(CLIPS[0])
    loss = PesqLoss(RATE)
    assert float(loss(x, x)) < 1e-2
    assert float(loss(0.1 * x, x)) < 1e-2
    worse, same = (float(loss(g * distorted(x, 0), x)) for g in (1.0, 0.3))
    assert worse > 1
    assert worse == pytest.approx(same, rel=1e-3)


def test_gradients_are_finite_and_lower_it() -> None:
    x = speech(CLIPS[1])[..., :RATE]
    loss = PesqLoss(RATE)
    y = distorted(x, 0).requires_grad_()
    before = loss(y, x)
    before.backward()
    assert y.grad is not None
    assert bool(y.grad.isfinite().all())
    with torch.no_grad():
        after = loss(y - 0.02 * float(x.std()) * y.grad / y.grad.std(), x)
    assert float(after) < float(before.detach()) - 0.02


def test_silent_items_do_not_count() -> None:
    x = torch.cat([speech(CLIPS[0])[..., :RATE], torch.zeros(1, 1, RATE)])
    y = x.clone()
    y[1] = 0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    y.requires_grad_()
    value = PesqLoss(RATE)(y, x)
    value.backward()
    assert float(value.detach()) < 1e-2
    assert y.grad is not None
    assert bool(y.grad.isfinite().all())
    assert not bool(y.grad[1].any())

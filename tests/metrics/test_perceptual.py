"""PESQ, STOI and ViSQOL: known values, the packages' own figures, and errors without them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr

from ncodec import metrics

DATA = Path(__file__).parent.parent / "data"
SPEECH, RATE = sf.read(DATA / "speech.flac", dtype="float32")


def noisy(snr_db: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(SPEECH))
    return SPEECH + noise * SPEECH.std() * 10 ** (-snr_db / 20)


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        (metrics.pesq_wb, 4.644),
        (metrics.stoi, 1.0),
        (metrics.visqol_speech, 4.49),
        (metrics.visqol_audio, 4.732),
    ],
)
def test_identical_is_best_and_noise_costs(metric, best) -> None:
    same = metric(SPEECH, SPEECH, RATE)
    assert same == pytest.approx(best, abs=0.02)
    assert metric(SPEECH, noisy(0), RATE) < metric(SPEECH, noisy(30), RATE) < same


def test_figures_are_those_of_the_packages() -> None:
    import pesq
    import pystoi

    at16 = [soxr.resample(x.astype(np.float64), RATE, 16000) for x in (SPEECH, noisy(10))]
    assert metrics.pesq_wb(SPEECH, noisy(10), RATE) == pytest.approx(
        pesq.pesq(16000, *[x.astype(np.float32) for x in at16], "wb")
    )
    assert metrics.stoi(SPEECH, noisy(10), RATE) == pytest.approx(
        pystoi.stoi(SPEECH.astype(np.float64), noisy(10), RATE)
    )


def test_channels_are_averaged() -> None:
    left, right = noisy(5), noisy(20)
    both = metrics.stoi(np.stack([SPEECH, SPEECH]), np.stack([left, right]), RATE)
    each = [metrics.stoi(SPEECH, x, RATE) for x in (left, right)]
    assert both == pytest.approx(np.mean(each))


@pytest.mark.parametrize(
    "metric", [metrics.pesq_wb, metrics.stoi, metrics.visqol_speech, metrics.visqol_audio]
)
@pytest.mark.parametrize("signal", [np.zeros(3 * RATE), SPEECH[:1000]], ids=["silent", "short"])
def test_what_cannot_be_rated_is_nan(metric, signal) -> None:
    assert np.isnan(metric(signal, signal, RATE))


@pytest.mark.parametrize(
    ("metric", "module"),
    [
        (metrics.pesq_wb, "pesq"),
        (metrics.stoi, "pystoi"),
        (metrics.visqol_audio, "visqol"),
        (metrics.visqol_speech, "ai_edge_litert"),
    ],
)
def test_a_missing_package_names_the_extra(metric, module, monkeypatch) -> None:
    from ncodec.metrics import perceptual

    perceptual._visqol_api.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(metrics.MissingExtraError, match=r"not installed: pip install '"):
        metric(SPEECH, SPEECH, RATE)


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(metrics.MissingExtraError.__base__, match="align them first"):
        metrics.stoi(SPEECH, SPEECH[:-1], RATE)

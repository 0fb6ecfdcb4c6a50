"""Loudness of signals in pieces, and of what files decode to."""

import numpy as np
import pytest

from ncodec.codec.loudness import Meter
from ncodec.metrics import loudness

RATE = 2000


def sound(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    x = np.sin(2 * np.pi * 300 * time) * (0.1 + 0.05 * np.sin(time))
    return np.stack([x, 0.5 * x]).astype(np.float32)


def level_of(signal: np.ndarray, piece: int) -> float:
    meter = Meter(RATE)
    for at in range(0, signal.shape[1], piece):
        meter.push(signal[:, at : at + piece])
    return meter.level()


@pytest.mark.parametrize("seconds", [0.2, 1.0, 29.9])
def test_a_signal_within_one_stretch_measures_as_a_whole(seconds: float) -> None:
    signal = sound(seconds)
    assert level_of(signal, 333) == pytest.approx(loudness(signal, RATE), abs=1e-6)


@pytest.mark.parametrize("seconds", [30.0, 61.3])
@pytest.mark.parametrize("piece", [700, 10**6])
def test_long_signals_measure_alike_but_for_the_seams(seconds: float, piece: int) -> None:
    signal = sound(seconds)
    assert level_of(signal, piece) == pytest.approx(loudness(signal, RATE), abs=0.05)


def test_what_runs_the_filters_in_counts_once() -> None:
    signal = sound(60)
    signal[:, 29 * RATE : 30 * RATE] *= 3
    assert level_of(signal, 5000) == pytest.approx(loudness(signal, RATE), abs=0.05)


def test_pieces_make_no_difference() -> None:
    signal = sound(40)
    assert level_of(signal, 1234) == pytest.approx(level_of(signal, 50_000), abs=1e-9)


def test_nothing_and_silence_are_minus_infinity() -> None:
    assert Meter(RATE).level() == -np.inf
    assert level_of(np.zeros((1, 5000), np.float32), 1000) == -np.inf

"""Synthetic tones: chords, glides and calls, which recordings to train on hold too few of.

Coded as spectra, a steady tone needs phases that agree from frame to frame; noise and speech do not
teach that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_FREQUENCIES = (60.0, 6000.0)  # Hz, of fundamentals
_RMS_DB = (-32.0, -12.0)
_GLIDE = 0.15  # standard deviation of a glide's rate, in octaves a second
_FADE = 0.005  # seconds


def draw_tones(rng: np.random.Generator, samples: int, sample_rate: int) -> Samples:
    """Draw one to four notes, steady or gliding, pure or harmonic, held or dying: `[samples]`."""
    time = np.arange(samples) / sample_rate
    total = sum(_note(rng, time, sample_rate) for _ in range(rng.integers(1, 5)))
    rms = np.sqrt(np.mean(np.square(total))) + 1e-9
    return (total * (10 ** (rng.uniform(*_RMS_DB) / 20) / rms)).astype(np.float32)


def _note(rng: np.random.Generator, time: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    low, high = np.log2(_FREQUENCIES)
    octaves = rng.uniform(low, high) + rng.choice([0, 0, 1, 8]) * rng.normal(0, _GLIDE) * time
    if rng.random() < 0.3:  # vibrato
        octaves += rng.uniform(0.002, 0.03) * np.sin(2 * np.pi * rng.uniform(3, 8) * time)
    frequency = 2**octaves
    cycles = 2 * np.pi * np.cumsum(frequency) / rate
    partials = 1 if rng.random() < 0.4 else rng.integers(2, 12)
    fall = rng.uniform(0.5, 2.0)
    wave = np.zeros_like(time)
    for k in range(1, partials + 1):
        heard = np.clip(48 - 100 * k * frequency / rate, 0, 1)  # nothing folds back
        wave += heard * k**-fall * np.sin(k * cycles + rng.uniform(0, 2 * np.pi))
    return wave * _envelope(rng, time)


def _envelope(rng: np.random.Generator, time: NDArray[np.float64]) -> NDArray[np.float64]:
    start = rng.uniform(-0.5, 0.6) * time[-1]
    length = rng.uniform(0.1, 1.2) * time[-1]
    fades = np.minimum(time - start, start + length - time) / _FADE
    decay = rng.choice([0.0, rng.uniform(1, 12)])
    held = np.clip(fades, 0, 1) * np.exp(-decay * np.clip(time - start, 0, None))
    return held * 10 ** (rng.uniform(-15, 0) / 20)

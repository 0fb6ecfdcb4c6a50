"""Loudness after ITU-R BS.1770-4, of signals that may come in stretches.

Blocks of 400 ms, 100 ms apart, gated at -70 LUFS and then at 10 LU below the mean of what is left.
A signal of under 400 ms is one block. All channels weigh the same (mono and stereo).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK, STEP = 0.4, 0.1
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0


def block_powers(
    signal: NDArray[np.floating[Any]], sample_rate: int, *, skip: int = 0
) -> NDArray[np.float64]:
    """Return the weighted power of each block of `[C, T]`.

    `skip` samples at the start only run the filters in.

    The powers of stretches of a long signal, one after another, give `gated_level` its loudness but
    for the blocks across their seams.
    """
    weighted = _k_weighting(np.asarray(signal, dtype=np.float64), sample_rate)[:, skip:]
    size = min(round(BLOCK * sample_rate), weighted.shape[1])
    if size == 0:
        return np.zeros(0)
    starts = range(0, weighted.shape[1] - size + 1, max(1, round(STEP * sample_rate)))
    return np.array([np.mean(weighted[:, s : s + size] ** 2, axis=1).sum() for s in starts])


def gated_level(power: NDArray[np.float64]) -> float:
    """Return the loudness in LUFS of blocks of these powers, gated; -inf for silence."""
    power = power[_lufs(power) > ABSOLUTE_GATE]
    if power.size:
        power = power[_lufs(power) > _lufs(power.mean()) + RELATIVE_GATE]
    return float(_lufs(power.mean())) if power.size else float("-inf")


def _lufs(power: NDArray[np.float64] | np.float64) -> NDArray[np.float64] | np.float64:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-30))


def _k_weighting(x: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Filter `[C, T]` by the head's shelf and the high-pass of BS.1770, whatever the rate.

    The standard gives coefficients at 48 kHz only: these are the analogue prototypes behind them
    (shelf of 4 dB at 1682 Hz, high-pass at 38 Hz), brought to the rate by the bilinear transform.
    Applied to the spectrum, one second of zeros behind the signal taking the filters' tails.
    """
    size = 1 << (x.shape[1] + sample_rate - 1).bit_length()
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    response = np.ones_like(z)
    for b, a in (_shelf(sample_rate), _high_pass(sample_rate)):
        response *= (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)
    return np.fft.irfft(np.fft.rfft(x, size, axis=1) * response, size, axis=1)[:, : x.shape[1]]


Biquad = tuple[tuple[float, float, float], tuple[float, float, float]]


def _shelf(sample_rate: int) -> Biquad:
    k, q = np.tan(np.pi * 1681.974450955533 / sample_rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    return (
        (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k),
        (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k),
    )


def _high_pass(sample_rate: int) -> Biquad:
    k, q = np.tan(np.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    norm = 1 + k / q + k * k  # the standard's numerator is 1, -2, 1, not normalised
    return (norm, -2 * norm, norm), (norm, 2 * (k * k - 1), 1 - k / q + k * k)

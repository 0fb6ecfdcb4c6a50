"""Bring a decoded signal onto the reference's time line before the two are compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ncodec.metrics.signal import Signal, channels_of

COHERENT = 0.3
"""Least normalised correlation at which two waveforms count as the same."""

GAIN_DB = 1.0
"""What moving must gain, in the ratio of what correlates to the rest, or the delay is 0: a codec
that keeps time must not be moved by a beat or a period that happens to fit a little better."""


def delay(reference: Signal, decoded: Signal, sample_rate: int, longest: float = 0.5) -> int:
    """Return by how many samples `decoded` lags `reference` (negative: it leads).

    The lag with the highest cross-correlation of the waveforms, all channels mixed. A parametric or
    low-rate codec keeps no waveform: where the correlation stays under `COHERENT`, the envelopes
    (RMS of 1 ms) are correlated instead, and the answer is good to about a millisecond. 0 where a
    move would gain less than `GAIN_DB`.

    Args:
        reference: `[T]` or `[C, T]`.
        decoded: the same, possibly of another length.
        sample_rate: of both, in Hz.
        longest: the greatest delay that is looked for, in seconds.
    """
    a, b = (channels_of(x).mean(axis=0) for x in (reference, decoded))
    lag, coherence = _best_lag(a, b, round(longest * sample_rate))
    if coherence >= COHERENT:
        return lag
    block = max(1, sample_rate // 1000)
    lag, coherence = _best_lag(_envelope(a, block), _envelope(b, block), round(longest * 1000))
    return lag * block if coherence >= COHERENT else 0


def align(
    reference: Signal, decoded: Signal, sample_rate: int, longest: float = 0.5
) -> NDArray[np.float64]:
    """Return `decoded` moved by its delay, cut or filled with zeros to the reference's `[C, T]`.

    A mono signal is repeated onto the channels of the reference, several are mixed for a mono one.
    """
    lag = delay(reference, decoded, sample_rate, longest)
    shape = channels_of(reference).shape
    found = channels_of(decoded)
    if found.shape[0] != shape[0]:
        found = np.repeat(found.mean(axis=0, keepdims=True), shape[0], axis=0)
    found = found[:, lag:] if lag >= 0 else np.pad(found, ((0, 0), (-lag, 0)))
    found = found[:, : shape[1]]
    return np.pad(found, ((0, 0), (0, shape[1] - found.shape[1])))


def _best_lag(a: NDArray[np.float64], b: NDArray[np.float64], longest: int) -> tuple[int, float]:
    """Return the lag of b behind a within +-longest, and the normalised correlation there."""
    scale = np.sqrt(np.sum(a**2) * np.sum(b**2))
    if scale == 0:
        return 0, 0.0
    size = 1 << (len(a) + len(b) - 1).bit_length()
    product = np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size))
    correlation = np.fft.irfft(product, size)
    lags = np.arange(-min(longest, len(a) - 1), min(longest, len(b) - 1) + 1)
    best = int(lags[np.argmax(correlation[lags])])
    there, here = (float(max(correlation[lag], 0) / scale) for lag in (best, 0))
    return (best, there) if _ratio_db(there) - _ratio_db(here) >= GAIN_DB else (0, here)


def _ratio_db(correlation: float) -> float:
    share = min(max(correlation**2, 1e-12), 1 - 1e-12)
    return float(10 * np.log10(share / (1 - share)))


def _envelope(x: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    blocks = x[: len(x) // block * block].reshape(-1, block)
    level = np.sqrt(np.mean(blocks**2, axis=1))
    return level - level.mean() if len(level) else level

"""Mel scales and triangular mel filter banks.

Two scales are in use. HTK: `2595 log10(1 + f / 700)` (Young et al., The HTK Book). Slaney (Auditory
Toolbox, 1998): linear up to 1 kHz at 200 / 3 Hz a mel, above it 27 mels for each factor of 6.4.
"""

from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ncodec.errors import ArgumentError

MelScale: TypeAlias = Literal["htk", "slaney"]
_Array: TypeAlias = npt.NDArray[np.float64]

_SLANEY_HZ_PER_MEL = 200 / 3
_SLANEY_KNEE_HZ = 1000.0
_SLANEY_KNEE_MEL = _SLANEY_KNEE_HZ / _SLANEY_HZ_PER_MEL
_SLANEY_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: npt.ArrayLike, scale: MelScale = "slaney") -> _Array:
    """Frequencies in Hz on the mel scale."""
    f = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return 2595 * np.log10(1 + f / 700)
    above = np.log(np.maximum(f, _SLANEY_KNEE_HZ) / _SLANEY_KNEE_HZ) / _SLANEY_LOG_STEP
    return np.where(f < _SLANEY_KNEE_HZ, f / _SLANEY_HZ_PER_MEL, _SLANEY_KNEE_MEL + above)


def mel_to_hz(mel: npt.ArrayLike, scale: MelScale = "slaney") -> _Array:
    """The inverse of `hz_to_mel`."""
    m = np.asarray(mel, dtype=np.float64)
    if scale == "htk":
        return 700 * (10 ** (m / 2595) - 1)
    above = _SLANEY_KNEE_HZ * np.exp(_SLANEY_LOG_STEP * np.maximum(m - _SLANEY_KNEE_MEL, 0))
    return np.where(m < _SLANEY_KNEE_MEL, m * _SLANEY_HZ_PER_MEL, above)


@lru_cache(maxsize=64)
def mel_filters(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    *,
    fmin: float = 0.0,
    fmax: float | None = None,
    scale: MelScale = "slaney",
    equal_area: bool = True,
    widen: bool = False,
) -> _Array:
    """Triangular filters over the bins of a real FFT, equally spaced in mel.

    Args:
        sample_rate: in Hz.
        n_fft: FFT length in samples.
        n_mels: number of filters.
        fmin: lower edge of the first filter, in Hz.
        fmax: upper edge of the last filter, in Hz; None is `sample_rate / 2`.
        scale: "slaney" or "htk".
        equal_area: divide each triangle by half its width in Hz (Slaney); otherwise its peak is 1.
        widen: let a slope be at least as wide as the distance of two bins, so that a filter between
            two bins takes its nearest ones; otherwise such filters are an error.

    Returns:
        `[n_mels, n_fft // 2 + 1]`, read-only because it is cached.

    Raises:
        ArgumentError: for edges out of order, or when a filter is so narrow that it has no bin.
    """
    top = sample_rate / 2 if fmax is None else fmax
    if not 0 <= fmin < top <= sample_rate / 2:
        raise ArgumentError(
            f"mel filters from {fmin} to {top} Hz: must be 0 <= fmin < fmax <= {sample_rate / 2} Hz"
        )
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    edges = mel_to_hz(
        np.linspace(hz_to_mel(fmin, scale), hz_to_mel(top, scale), n_mels + 2), scale
    )[:, None]
    low, centres, high = edges[:-2], edges[1:-1], edges[2:]
    if widen:
        step = sample_rate / n_fft
        low, high = np.minimum(low, centres - step), np.maximum(high, centres + step)
    rising = (bins - low) / (centres - low)
    falling = (high - bins) / (high - centres)
    filters = np.maximum(np.minimum(rising, falling), 0)
    empty = int(np.count_nonzero(filters.sum(axis=1) == 0))
    if empty:
        raise ArgumentError(
            f"{n_mels} mel filters over n_fft {n_fft} at {sample_rate} Hz: {empty} contain no "
            "bin; use fewer filters or a longer FFT"
        )
    if equal_area:
        filters *= 2 / (high - low)
    filters.flags.writeable = False
    return filters

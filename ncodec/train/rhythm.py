"""How many onsets a second a recording has from place to place, and how fast its beat is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import Samples, mix_channels
from ncodec.errors import ArgumentError

_SIGMA = 0.75  # seconds, of the Gaussian that stands for an onset (0.5 to 1 serve)


def check_extra() -> None:
    """Check that librosa is there.

    Raises:
        ArgumentError: It is not; the message says what to install.
    """
    _librosa()


def _librosa() -> Any:
    try:
        import librosa
    except ImportError as error:
        raise ArgumentError(
            "conditions of density and tempo need librosa: pip install librosa"
        ) from error
    return librosa


def density_of(audio: Samples, rate: int, steps: int) -> NDArray[np.float32]:
    """Return the onsets a second `[steps]` around the middles of equal steps of audio `[C, T]`.

    Each onset that librosa finds counts as a Gaussian; what of it falls outside the audio, where
    nothing is known, does not lower the density there.

    Raises:
        ArgumentError: librosa is not there.
    """
    mono = mix_channels(audio, 1)[0]
    seconds = len(mono) / rate
    onsets = _librosa().onset.onset_detect(y=mono, sr=rate, units="time")
    times = (np.arange(steps) + 0.5) * seconds / steps
    return _smoothed(np.asarray(onsets, np.float64), times, seconds).astype(np.float32)


def _smoothed(
    onsets: NDArray[np.float64], times: NDArray[np.float64], seconds: float
) -> NDArray[np.float64]:
    grid = np.arange(0, seconds, 0.02)  # fine beside the Gaussian's width
    inside = _bells(grid, times).mean(1) * seconds
    return _bells(onsets, times).sum(1) / np.maximum(inside, 1e-9)


def _bells(centres: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-0.5 * ((times[:, None] - centres[None]) / _SIGMA) ** 2)


def tempo_of(audio: Samples, rate: int) -> float:
    """Return the beats a minute of audio `[C, T]`, as librosa estimates them.

    Raises:
        ArgumentError: librosa is not there.
    """
    mono = mix_channels(audio, 1)[0]
    return float(np.ravel(_librosa().feature.tempo(y=mono, sr=rate))[0])

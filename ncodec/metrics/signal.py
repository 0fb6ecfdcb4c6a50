"""What every metric takes: a reference and a decoded signal, `[T]` or `[C, T]`, at one rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError

Signal = NDArray[np.floating[Any]]
"""Samples, full scale at +-1, `[T]` or `[C, T]`."""


def channels_of(signal: Signal) -> NDArray[np.float64]:
    """Return `[C, T]` in float64 of a signal `[T]` or `[C, T]`.

    Raises:
        ArgumentError: another shape, or samples that are not finite.
    """
    samples = np.atleast_2d(np.asarray(signal, dtype=np.float64))
    if samples.ndim != 2:
        raise ArgumentError(f"a signal of shape {np.shape(signal)}: must be [T] or [C, T]")
    if not np.isfinite(samples).all():
        raise ArgumentError("a signal with samples that are not finite cannot be measured")
    return samples


def pair(reference: Signal, decoded: Signal) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both signals as `[C, T]` in float64.

    Raises:
        ArgumentError: the shapes differ (align the signals first), or there is no sample.
    """
    a, b = channels_of(reference), channels_of(decoded)
    if a.shape != b.shape:
        raise ArgumentError(
            f"reference {a.shape} and decoded {b.shape} differ in shape: align them first"
        )
    if a.shape[1] == 0:
        raise ArgumentError("a signal of no samples cannot be measured")
    return a, b


def resample(signal: NDArray[np.float64], old: int, new: int) -> NDArray[np.float64]:
    """Resample `[T]` or `[C, T]` from one rate to another (Hz), with soxr's high quality."""
    if old == new:
        return signal
    import soxr

    return np.asarray(soxr.resample(signal.T, old, new), dtype=np.float64).T

"""Loudness, and the difference of two signals' loudness."""

from __future__ import annotations

from ncodec.dsp.loudness import block_powers, gated_level
from ncodec.metrics.signal import Signal, channels_of


def loudness(signal: Signal, sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4) of `[T]` or `[C, T]`; -inf for silence.

    How it is measured, and gated, is in `ncodec.dsp.loudness`.
    """
    return gated_level(block_powers(channels_of(signal), sample_rate))


def loudness_difference(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    """Loudness of `decoded` less that of `reference`, in LU: 0 is best, any sign.

    0 where both are silent; infinite where one is.
    """
    a, b = (loudness(x, sample_rate) for x in (reference, decoded))
    return 0.0 if a == b else b - a

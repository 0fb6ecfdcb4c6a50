"""Lines at a frame rate: what a codec leaves that does the same in every frame."""

from __future__ import annotations

import numpy as np

from ncodec.metrics.signal import Signal, channels_of

_LOW, _HIGH = 1500.0, 5500.0  # Hz: above the harmonics of most voices
_NEAR = 5.0  # Hz
_SMOOTH = 1000  # bins of the running mean that takes the spectrum's shape away


def line_share(decoded: Signal, sample_rate: int, frame_rate: float = 75.0) -> float:
    """Return the share of energy near multiples of a frame rate, between 1.5 and 5.5 kHz.

    Sound that has nothing to do with the frames has the share of the bandwidth that is looked at,
    0.13 for 10 Hz of 75; a voice's harmonics add a little by chance. The spectrum is that of
    the whole signal, divided by its running mean.

    Args:
        decoded: samples `[T]` or `[C, T]`, seconds of them.
        sample_rate: in Hz.
        frame_rate: of the codec, in Hz; 75 is the embedded model's and EnCodec's at 24 kHz.

    Returns:
        The share, 0 to 1; not a number for silence or less than 0.2 s.
    """
    x = channels_of(decoded).mean(axis=0)
    if len(x) < 0.2 * sample_rate:
        return float("nan")
    power = np.abs(np.fft.rfft(x)) ** 2
    frequencies = np.fft.rfftfreq(len(x), 1 / sample_rate)
    mean = np.convolve(power, np.ones(_SMOOTH) / _SMOOTH, "same")
    looked_at = (frequencies > _LOW) & (frequencies < _HIGH) & (mean > 0)
    if not looked_at.any():
        return float("nan")
    flat = power[looked_at] / mean[looked_at]
    off = frequencies[looked_at] - frame_rate * np.round(frequencies[looked_at] / frame_rate)
    return float(flat[np.abs(off) <= _NEAR].sum() / flat.sum())

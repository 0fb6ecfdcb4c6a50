"""Distances between spectra: log-mel, and short-time spectra at several resolutions."""

from __future__ import annotations

import numpy as np

from ncodec.dsp.mel import mel_filters
from ncodec.dsp.stft import hann, power_spectra
from ncodec.metrics.signal import Signal, pair

MEL_BANDS = 80
MEL_FLOOR = 1e-8
"""Least power of a mel band that counts: 80 dB under a full-scale sine's."""

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""(FFT size, hop, window) in samples, from Parallel WaveGAN (Yamamoto et al. 2020), at 24 kHz."""


def log_mel_distance(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    """Mean absolute difference of log-mel spectra in dB: 0 (the same) upwards, lower is better.

    Power spectra of Hann windows of 43 ms (rounded to a power of two), a quarter apart, in 80 mel
    bands of Slaney's scale up to half the rate, floored at -80 dB of a full-scale sine. A gain of
    g dB alone makes g, where nothing reaches the floor. This is the usual spectrogram loss of
    neural codecs (DAC, Kumar et al. 2023), in dB.

    Raises:
        ArgumentError: the signals differ in shape or hold no sample.
    """
    size = 1 << round(np.log2(0.043 * sample_rate))
    bands = mel_filters(sample_rate, size, MEL_BANDS, equal_area=False, widen=True)
    gain = (hann(size).sum() / 2) ** 2  # power of a full-scale sine at its peak
    levels = [
        10 * np.log10(np.maximum(bands @ power_spectra(x, size, size // 4, size) / gain, MEL_FLOOR))
        for x in pair(reference, decoded)
    ]
    return float(np.mean(np.abs(levels[0] - levels[1])))


def multi_resolution_stft_distance(reference: Signal, decoded: Signal, sample_rate: int) -> float:
    """Spectral convergence plus log-magnitude distance, averaged over three resolutions.

    For each of `RESOLUTIONS` (scaled to the rate): |A - B|_F / |A|_F + mean |ln A - ln B|,
    magnitudes floored at 1e-7 (Yamamoto et al. 2020, equations 4 to 6). 0 (the same) upwards, lower
    is better; channels are averaged. NaN for a reference that is silent.

    Raises:
        ArgumentError: the signals differ in shape or hold no sample.
    """
    a, b = pair(reference, decoded)
    if not np.abs(a).max(axis=1).all():
        return float("nan")
    total = 0.0
    for resolution in RESOLUTIONS:
        size, hop, window = (round(n * sample_rate / 24000) for n in resolution)
        A, B = (np.sqrt(np.maximum(power_spectra(x, size, hop, window), 1e-14)) for x in (a, b))
        convergence = np.linalg.norm(A - B, axis=(1, 2)) / np.linalg.norm(A, axis=(1, 2))
        total += float(np.mean(convergence) + np.mean(np.abs(np.log(A / B))))
    return total / len(RESOLUTIONS)

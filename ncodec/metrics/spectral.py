"""Distances between spectra: log-mel, and short-time spectra at several resolutions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ncodec.metrics.signal import Signal, pair

Array = NDArray[np.float64]

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
    bands = mel_filters(sample_rate, size, MEL_BANDS)
    gain = (np.hanning(size + 1)[:-1].sum() / 2) ** 2  # power of a full-scale sine at its peak
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


def mel_filters(sample_rate: int, size: int, bands: int) -> Array:
    """Return triangular filters `[bands, size // 2 + 1]` on Slaney's mel scale, each of peak 1."""
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(sample_rate / 2), bands + 2))
    # At low frequencies a band can be narrower than a bin: then it takes at least its nearest ones.
    least = sample_rate / size
    rise = np.maximum(np.diff(edges), least)
    f = np.fft.rfftfreq(size, 1 / sample_rate)[None]
    up = 1 - (edges[1:-1, None] - f) / rise[:-1, None]
    down = 1 - (f - edges[1:-1, None]) / rise[1:, None]
    return np.clip(np.minimum(up, down), 0.0, 1.0)


def power_spectra(x: Array, size: int, hop: int, window: int) -> Array:
    """Return power spectra `[C, size // 2 + 1, frames]` of `[C, T]`, frames centred."""
    padded = np.pad(x, ((0, 0), (size // 2, size // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop]
    taper = np.zeros(size)
    start = (size - window) // 2
    taper[start : start + window] = np.hanning(window + 1)[:-1]
    return np.abs(np.fft.rfft(frames * taper, axis=-1).transpose(0, 2, 1)) ** 2


def _hz_to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else float(15 + 27 * np.log(hz / 1000) / np.log(6.4))


def _mel_to_hz(mel: Array) -> Array:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

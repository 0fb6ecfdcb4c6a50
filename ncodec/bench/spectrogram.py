"""Spectrograms as small PNG images."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ncodec.dsp.mel import mel_filters
from ncodec.dsp.stft import power_spectra
from ncodec.metrics.signal import Signal, channels_of

RANGE_DB = 80.0
LEVELS = 64
DIFFERENCE_DB = 20.0
# A perceptually even ramp from black over violet and orange to pale yellow, in RGB.
_RAMP = ((0, 0, 4), (60, 15, 110), (145, 40, 120), (220, 80, 75), (250, 160, 45), (250, 250, 165))
# From what is missing, blue, over black for what is equal, to what was added, orange.
_DIFFERENCES = ((90, 180, 255), (30, 80, 160), (0, 0, 4), (170, 70, 20), (255, 170, 70))


def spectrogram(signal: Signal, sample_rate: int, width: int = 480, height: int = 120) -> bytes:
    """Return a PNG of a signal `[T]` or `[C, T]`: time to the right, mel bands up, 80 dB of range.

    0 dB is a full-scale sine, so strips of one recording compare by eye. Channels are mixed.
    """
    return png(_shades(signal, sample_rate, width, height), palette(LEVELS))


def difference(
    signal: Signal, reference: Signal, sample_rate: int, width: int = 480, height: int = 120
) -> bytes:
    """Return a PNG of how much louder a signal is than the reference, -20 to 20 dB.

    Blue is missing, orange was added; what is below -80 dB in both counts as equal.
    """
    a, b = (
        np.maximum(_levels(x, sample_rate, width, height), -RANGE_DB) for x in (signal, reference)
    )
    shade = np.rint((np.clip((a - b) / DIFFERENCE_DB, -1, 1) + 1) / 2 * (LEVELS - 2))
    return png(shade[::-1].astype(np.uint8), palette(LEVELS - 1, _DIFFERENCES))


def strips(signals: Sequence[Signal], sample_rate: int, width: int = 960) -> bytes:
    """Return one PNG of the spectrograms of several signals, one under the other."""
    gap = np.full((4, width), LEVELS - 1, dtype=np.uint8)
    rows = [part for s in signals for part in (_shades(s, sample_rate, width, 160), gap)]
    return png(
        np.concatenate([np.pad(r, ((0, 0), (0, width - r.shape[1]))) for r in rows[:-1]]),
        palette(LEVELS),
    )


def _shades(signal: Signal, sample_rate: int, width: int, height: int) -> NDArray[np.uint8]:
    level = _levels(signal, sample_rate, width, height)
    shade = np.clip(np.rint((level / RANGE_DB + 1) * (LEVELS - 1)), 0, LEVELS - 1)
    return shade[::-1].astype(np.uint8)


def _levels(signal: Signal, sample_rate: int, width: int, height: int) -> NDArray[np.float64]:
    """Levels in dB full scale, `[height, width]`, low bands first."""
    mono = channels_of(signal).mean(axis=0, keepdims=True)
    size = 1 << round(np.log2(0.043 * sample_rate))
    hop = max(1, -(-mono.shape[1] // width))
    gain = (size / 4) ** 2  # of a full-scale sine in a Hann window
    power = mel_filters(sample_rate, size, height) @ power_spectra(mono, size, hop, size)[0] / gain
    return 10 * np.log10(np.maximum(power[:, :width], 1e-12))


def palette(levels: int, colours: Sequence[tuple[int, int, int]] = _RAMP) -> NDArray[np.uint8]:
    """Return the colours of a ramp, RGB `[levels, 3]`."""
    ramp = np.array(colours, dtype=np.float64)
    at = np.linspace(0, len(ramp) - 1, levels)
    steps = np.arange(len(ramp))
    return np.stack([np.interp(at, steps, ramp[:, i]) for i in range(3)], axis=1).astype(np.uint8)


def png(pixels: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
    """Return a PNG file (ISO/IEC 15948) of `[height, width]` indices into RGB colours `[n, 3]`."""
    height, width = pixels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colours.tobytes()),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

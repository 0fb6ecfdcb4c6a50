"""Samples as bytes and back: little-endian PCM, and the checks that samples must pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError

Samples = NDArray[np.float32]
"""Audio `[C, T]`, full scale at 1.0."""

BYTES = {"u8": 1, "s16": 2, "s24": 3, "s32": 4, "f32": 4, "f64": 8}
"""Bytes a sample of each encoding that is known here."""

MAX_CHANNELS = 8


@dataclass(frozen=True)
class RawFormat:
    """Samples without a header: what a pipe cannot tell."""

    encoding: str
    sample_rate: int
    channels: int

    def __post_init__(self) -> None:
        if self.encoding not in ("s16", "f32"):
            raise ArgumentError(f"raw encoding {self.encoding!r}: must be s16 or f32")
        check_format(self.sample_rate, self.channels)


def check_format(sample_rate: int, channels: int) -> None:
    """Raise ArgumentError unless the rate in Hz and the number of channels can be handled."""
    if not 100 <= sample_rate <= 1_000_000:
        raise ArgumentError(f"sample rate {sample_rate} Hz: must be 100 to 1000000")
    if not 1 <= channels <= MAX_CHANNELS:
        raise ArgumentError(f"{channels} channels: must be 1 to {MAX_CHANNELS}")


def check_finite(x: Samples, offset: int, rate: int, name: str) -> None:
    """Raise ArgumentError saying where the first NaN or infinity stands; x[:, 0] is `offset`."""
    if np.isfinite(x).all():
        return
    bad = ~np.isfinite(x)
    t = int(np.argmax(bad.any(axis=0)))
    c = int(np.argmax(bad[:, t]))
    kind = "not a number" if np.isnan(x[c, t]) else "infinite"
    at = offset + t
    raise ArgumentError(
        f"{name}: sample {at} of channel {c + 1} ({at / rate:.3f} s) is {kind}; "
        "samples must be finite"
    )


def decode_pcm(data: bytes, encoding: str, channels: int) -> Samples:
    """Turn whole interleaved frames into samples `[C, T]`."""
    if encoding == "u8":
        x = (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) / 128.0
    elif encoding == "s16":
        x = np.frombuffer(data, "<i2").astype(np.float32) / 32768.0
    elif encoding == "s24":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        x = (wide.view("<i4")[:, 0] / 2147483648.0).astype(np.float32)
    elif encoding == "s32":
        x = (np.frombuffer(data, "<i4") / 2147483648.0).astype(np.float32)
    else:
        x = np.frombuffer(data, {"f32": "<f4", "f64": "<f8"}[encoding]).astype(np.float32)
    return np.ascontiguousarray(x.reshape(-1, channels).T)


def count_clipped(x: Samples, bits: int) -> int:
    """Count the samples of `[C, T]` that whole numbers of so many bits cannot hold."""
    full = float(1 << (bits - 1))
    if not x.size or (x.max() <= 1 - 1 / full and x.min() >= -1):
        return 0
    over = (x > (full - 0.5) / full) | (x < -(full + 0.5) / full)
    return int(np.count_nonzero(over))


def quantize_pcm(x: Samples, bits: int) -> NDArray[np.int32]:
    """Round and clip to 16 or 24 bits; 1.0 is 2^(bits-1), so that reading back is exact."""
    full = float(1 << (bits - 1))
    return np.clip(np.rint(x.astype(np.float64) * full), -full, full - 1).astype(np.int32)


def encode_pcm(x: Samples, encoding: str) -> bytes:
    """Turn samples `[C, T]` into interleaved s16, s24 or f32 bytes."""
    frames = x.T
    if encoding == "f32":
        return frames.astype("<f4").tobytes()
    if encoding == "s16":
        return quantize_pcm(frames, 16).astype("<i2").tobytes()
    wide = np.ascontiguousarray(quantize_pcm(frames, 24).astype("<i4"))
    return wide.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()

"""Spectra of real frames: by PyTorch's FFT, and as matrix products, which every runtime has.

The products are one step of Cooley and Tukey's algorithm (1965): of a size `rows * columns`, the
transforms over rows, a twiddle, and those over columns. Of 1280 = 32 * 40 samples that is a tenth
of the whole matrix's work, and as exact in float32 as an FFT. Real signals need half of the first
transforms: the other bins are conjugates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_FEW = 1 << 13  # values below which one call is faster than five

Power = Callable[[Tensor], Tensor]
"""Frames `[..., N]` to the squared magnitudes of their windowed spectra, `[..., N // 2 + 1]`."""
Synthesis = Callable[[Tensor, Tensor], Tensor]
"""Magnitudes and phases `[..., N // 2 + 1]` to windowed frames `[..., N]`."""


def fft_power(size: int, window: Tensor) -> Power:
    """Return the power spectrum by PyTorch's FFT."""

    def run(frames: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(frames * window)
        return (spectrum * spectrum.conj()).real

    return run


def fft_synthesis(size: int, window: Tensor) -> Synthesis:
    """Return the inverse transform by PyTorch's FFT."""

    def run(magnitude: Tensor, phase: Tensor) -> Tensor:
        return torch.fft.irfft(torch.polar(magnitude, phase), n=size) * window

    return run


def fft_synthesis_in_parts(size: int, window: Tensor) -> Synthesis:
    """As `fft_synthesis`; of many frames sines and cosines are vectorised, which `polar` is not."""
    whole = fft_synthesis(size, window)

    def run(magnitude: Tensor, phase: Tensor) -> Tensor:
        if magnitude.numel() < _FEW:
            return whole(magnitude, phase)
        spectrum = torch.complex(phase.cos().mul_(magnitude), phase.sin().mul_(magnitude))
        return torch.fft.irfft(spectrum, n=size) * window

    return run


class Tables(NamedTuple):
    """What the products need for one size.

    Attributes:
        rows: Factor of the size next to its root, from below.
        columns: The other.
        half: Transforms over rows that are computed, `rows // 2 + 1`.
        over_rows: `[2 * half, rows]`, cosines, then negative sines.
        cosine: Of the twiddle, `[half, columns]`.
        sine: Of the twiddle.
        over_columns: `[2 * columns, 2 * columns]`: a complex transform of real and imaginary parts.
        bins: Where each of the `size // 2 + 1` bins or its conjugate stands in `[half * columns]`.
        back: Which bin stands at each of the `half * columns` places, itself or its conjugate.
        sign: -1 where it is the conjugate.
        from_rows: `[rows, 2 * half]`: what the places add to each row of samples.
    """

    rows: int
    columns: int
    half: int
    over_rows: Tensor
    cosine: Tensor
    sine: Tensor
    over_columns: Tensor
    bins: Tensor
    back: Tensor
    sign: Tensor
    from_rows: Tensor


@cache
def tables(size: int, device: torch.device) -> Tables:
    """Return the tables of a size, computed in double precision."""
    rows = next(n for n in range(math.isqrt(size), 0, -1) if size % n == 0)
    columns, half = size // rows, rows // 2 + 1
    k1, k2 = np.arange(half), np.arange(columns)
    across = 2 * np.pi * np.outer(k1, np.arange(rows)) / rows
    along = 2 * np.pi * np.outer(k2, k2) / columns
    twiddle = 2 * np.pi * np.outer(k1, k2) / size
    cosines, sines = np.cos(along), np.sin(along)
    k = np.arange(size // 2 + 1)
    kept = np.where(k % rows < half, k, (size - k) % size)
    place = (k1[:, None] + rows * k2).reshape(-1)
    mirrored = place > size // 2
    weight = np.where((k1 == 0) | (2 * k1 == rows), 1, 2)[:, None] / size

    def given(values: np.ndarray, kind: type = np.float32) -> Tensor:
        return torch.tensor(values.astype(kind), device=device)

    with torch.inference_mode(False):
        return Tables(
            rows,
            columns,
            half,
            given(np.concatenate([np.cos(across), -np.sin(across)])),
            given(np.cos(twiddle)),
            given(np.sin(twiddle)),
            given(np.block([[cosines, -sines], [sines, cosines]])),
            given(kept % rows * columns + kept // rows, np.int64),
            given(np.where(mirrored, size - place, place), np.int64),
            given(np.where(mirrored, -1.0, 1.0)),
            given(np.concatenate([weight * np.cos(across), -weight * np.sin(across)]).T),
        )


def power(size: int, window: Tensor) -> Power:
    """Return the power spectrum by products."""
    t = tables(size, window.device)

    def run(frames: Tensor) -> Tensor:
        outer = frames.shape[:-1]
        inner = t.over_rows @ (frames * window).reshape(*outer, t.rows, t.columns)
        real, imaginary = inner[..., : t.half, :], inner[..., t.half :, :]
        turned = [
            real * t.cosine + imaginary * t.sine,
            imaginary * t.cosine - real * t.sine,
        ]
        squares = (torch.cat(turned, dim=-1) @ t.over_columns).square()
        total = squares[..., : t.columns] + squares[..., t.columns :]
        return total.reshape(*outer, t.half * t.columns).index_select(-1, t.bins)

    return run


def synthesis(size: int, window: Tensor) -> Synthesis:
    """Return the inverse transform by products."""
    t = tables(size, window.device)
    backwards = t.over_columns.t()

    def run(magnitude: Tensor, phase: Tensor) -> Tensor:
        outer = magnitude.shape[:-1]
        shape = (*outer, t.half, t.columns)
        real = (magnitude * phase.cos()).index_select(-1, t.back).reshape(shape)
        imaginary = (magnitude * phase.sin()).index_select(-1, t.back) * t.sign
        inner = torch.cat([real, imaginary.reshape(shape)], dim=-1) @ backwards
        real, imaginary = inner[..., : t.columns], inner[..., t.columns :]
        turned = [
            real * t.cosine - imaginary * t.sine,
            imaginary * t.cosine + real * t.sine,
        ]
        samples = t.from_rows @ torch.cat(turned, dim=-2)
        return samples.reshape(*outer, t.rows * t.columns) * window

    return run

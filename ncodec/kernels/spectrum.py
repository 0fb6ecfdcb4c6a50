"""Frames of signals, and their spectra."""

from __future__ import annotations

import torch
from torch import Tensor

from ncodec.kernels.switch import is_portable
from ncodec.kernels.table import pack
from ncodec.kernels.transforms import Power, Synthesis


def frames_of(x: Tensor, size: int, hop: int) -> Tensor:
    """Cut signals `[B, T]` into frames of `size` samples, a multiple of `hop`, `hop` apart.

    A view, but where all is portable: other runtimes have no such views.
    """
    if not is_portable():
        return x.unfold(-1, size, hop)
    overlap = size // hop
    blocks = x[:, : x.shape[1] // hop * hop].reshape(x.shape[0], -1, hop)
    count = blocks.shape[1] - overlap + 1
    return torch.cat([blocks[:, i : i + count] for i in range(overlap)], dim=-1)


def add_to_start(frames: Tensor, x: Tensor) -> Tensor:
    """Add `x` `[..., n]` to the first n samples of frames, which nobody else may hold."""
    size = x.shape[-1]
    if not is_portable():
        frames[..., :size].add_(x)
        return frames
    return torch.cat([frames[..., :size] + x, frames[..., size:]], dim=-1)


def power_spectrum(size: int, window: Tensor) -> Power:
    """Return what squares the magnitudes of spectra, under a window of `size` values."""
    return pack("power spectrum", window.dtype)(size, window)


def inverse_spectrum(size: int, window: Tensor) -> Synthesis:
    """Return what makes frames of magnitudes and phases, under a window of `size` values."""
    return pack("inverse spectrum", window.dtype)(size, window)

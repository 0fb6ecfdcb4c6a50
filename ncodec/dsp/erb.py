"""Bands that are evenly spaced in ERB-rate, as hearing resolves frequency."""

from __future__ import annotations

import torch
from torch import Tensor


def erb_rate(frequency: Tensor) -> Tensor:
    """ERB-rate of frequencies in Hz (Glasberg and Moore, 1990)."""
    return 21.4 * torch.log10(1 + 0.00437 * frequency)


def erb_bands(bins: int, bands: int, sample_rate: int) -> Tensor:
    """Triangles `[bands, bins]` evenly spaced in ERB-rate, over bins from 0 Hz to half the rate.

    They sum to one at every bin: the lowest and the highest band reach to the edges.
    """
    rate = erb_rate(torch.linspace(0, sample_rate / 2, bins, dtype=torch.float64))
    first = float(erb_rate(torch.tensor(50.0)))
    centres = torch.linspace(first, float(rate[-1]) - 0.5, bands, dtype=torch.float64)[:, None]
    weights = (1 - (rate - centres).abs() / (centres[1] - centres[0])).clamp(min=0)
    weights[0, rate < centres[0]] = 1
    weights[-1, rate > centres[-1]] = 1
    return weights.float()

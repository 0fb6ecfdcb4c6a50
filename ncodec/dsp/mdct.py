"""The modified discrete cosine transform."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mdct_basis(hop: int) -> Tensor:
    """The MDCT with a sine window as an orthonormal lapped transform, `[2 * hop, hop]`."""
    n = torch.arange(2 * hop, dtype=torch.float64)
    k = torch.arange(hop, dtype=torch.float64)
    window = torch.sin(math.pi / (2 * hop) * (n + 0.5))
    phase = math.pi / hop * torch.outer(n + 0.5 + hop / 2, k + 0.5)
    return (math.sqrt(2 / hop) * window[:, None] * torch.cos(phase)).float()

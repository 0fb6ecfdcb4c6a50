"""k-means by matrix products: memory is a block's scores, never rows x entries x width."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_ROWS = 8192
ROWS_PER_CLUSTER = 64
"""More rows than this for each cluster do not make better centres, only later ones."""


def sample_rows(x: Tensor, n: int) -> Tensor:
    """Draw `n` rows of `x` `[N, D]`, without replacement where N allows it."""
    if len(x) >= n:
        return x[torch.randperm(len(x), device=x.device)[:n]]
    return x[torch.randint(len(x), (n,), device=x.device)]


def cluster_sums(x: Tensor, codes: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Count and sum the rows of each cluster: float32 `[bins]` and `[bins, D]`."""
    counts = torch.bincount(codes, minlength=bins).float()
    sums = torch.zeros(bins, x.shape[1], device=x.device)
    return counts, sums.index_add_(0, codes, x.float())


def kmeans(x: Tensor, bins: int, steps: int) -> Tensor:
    """Return `bins` centres `[bins, D]` of rows `[N, D]`; empty clusters restart at random rows."""
    x = sample_rows(x.float(), min(len(x), bins * ROWS_PER_CLUSTER))
    centres = sample_rows(x, bins)
    for _ in range(steps):
        codes = torch.cat([_nearest(rows, centres) for rows in x.split(BLOCK_ROWS)])
        counts, sums = cluster_sums(x, codes, bins)
        means = sums / counts.clamp(min=1)[:, None]
        centres = torch.where(counts[:, None] > 0, means, sample_rows(x, bins))
    return centres


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    return torch.addmm(-0.5 * centres.square().sum(1), x, centres.t()).argmax(1)

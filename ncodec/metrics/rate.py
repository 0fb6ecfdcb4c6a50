"""What is paid: bits on disk, and how well the codes use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError


def real_bitrate(size: int, duration: float) -> float:
    """Return kbps of `size` bytes (the whole file, headers included) for `duration` seconds.

    Raises:
        ArgumentError: the duration is not positive.
    """
    if duration <= 0:
        raise ArgumentError(f"a duration of {duration} s has no bitrate: it must be positive")
    return size * 8 / duration / 1000


@dataclass(frozen=True)
class CodebookStatistics:
    """How evenly codes fall on each codebook's entries.

    Attributes:
        usage: per codebook, the share of its entries that occur: 0 to 1.
        entropy: per codebook, bits of the empirical distribution: 0 to log2(size).
        efficiency: sum of the entropies over the bits that are stored ("bitrate efficiency" in DAC,
            Kumar et al. 2023): 0 to 1. At least size x 10 frames are needed for a fair figure.
    """

    usage: tuple[float, ...]
    entropy: tuple[float, ...]
    efficiency: float


def codebook_statistics(
    codes: NDArray[np.integer[Any]], sizes: tuple[int, ...]
) -> CodebookStatistics:
    """Count codes `[K, F]` or `[B, K, F]`, one row a codebook, of `sizes` entries each.

    Raises:
        ArgumentError: no frame, sizes and rows that differ in number, or a code out of range.
    """
    if codes.ndim not in (2, 3) or codes.shape[-2] != len(sizes) or codes.size == 0:
        raise ArgumentError(
            f"codes {codes.shape} for {len(sizes)} codebooks: must be [K, F], F > 0"
        )
    rows = np.moveaxis(np.atleast_3d(codes.T), 1, 0).reshape(len(sizes), -1)
    usage, entropy = list[float](), list[float]()
    for row, size in zip(rows, sizes, strict=True):
        if row.min() < 0 or row.max() >= size:
            raise ArgumentError(
                f"code {row.max()} in a codebook of {size}: must be 0 to {size - 1}"
            )
        share = np.bincount(row, minlength=size) / row.size
        share = share[share > 0]
        usage.append(len(share) / size)
        entropy.append(float(-np.sum(share * np.log2(share))) + 0.0)
    stored = float(np.sum(np.log2(sizes)))
    return CodebookStatistics(tuple(usage), tuple(entropy), sum(entropy) / stored)

"""Frechet distance of two clouds of features: of their means and covariances, not of pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError

Rows = NDArray[np.float64]
COMPONENTS = 32
"""Directions that are kept: those in which the reference varies most."""
_SHARES = (1.0, 0.8, 0.6, 0.45)
_DRAWS = 4


def frechet_distance(
    rows: Rows, reference: Rows, *, components: int = COMPONENTS, seed: int = 0
) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of features, from 0 (alike) upwards.

    Both sides are cut to as many rows, and to the principal components of the reference, each
    divided by the same number, so that the reference varies by 1 in all. The estimate falls with
    the number of rows n, since covariances are uncertain: it is made of several n and led on to
    1 / n = 0 by a straight line (as FAD-infinity, Gui et al. 2024, arXiv:2311.01616).

    Args:
        rows: Features `[n, D]`.
        reference: Features `[m, D]` of what it shall be like.
        components: Directions, at most; few rows have fewer.
        seed: Of the draws of rows.

    Raises:
        ArgumentError: A side has fewer than 16 rows, or they are of different widths.
    """
    count = min(len(rows), len(reference))
    if count < 16 or rows.shape[1] != reference.shape[1]:
        raise ArgumentError(
            f"features {list(rows.shape)} and {list(reference.shape)}: must be 16 rows or more of "
            "one width"
        )
    mean = reference.mean(0)
    _, spread, directions = np.linalg.svd(reference - mean, full_matrices=False)
    kept = min(components, count // 4)
    unit = np.sqrt((spread**2).sum() / len(reference))
    rng = np.random.default_rng(seed)
    a, b = (
        (x[rng.permutation(len(x))[:count]] - mean) @ directions[:kept].T / unit
        for x in (rows, reference)
    )
    points = list[tuple[float, float]]()
    for share in _SHARES:
        some = max(8, round(share * count))
        found = [
            _distance(a[rng.permutation(count)[:some]], b[rng.permutation(count)[:some]])
            for _ in range(_DRAWS)
        ]
        points.append((1 / some, float(np.mean(found))))
    inverse, distance = np.array(points).T
    return max(0.0, float(np.polyfit(inverse, distance, 1)[1]))


def _distance(a: Rows, b: Rows) -> float:
    first, second = np.cov(a.T), np.cov(b.T)
    # The product of two covariances has real eigenvalues from 0 up, but for rounding.
    values = np.linalg.eigvals(first @ second).real.clip(min=0)
    apart = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    return apart + float(np.trace(first) + np.trace(second) - 2 * np.sqrt(values).sum())

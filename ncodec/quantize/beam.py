"""Beam search for residual codes: the first entry that is best need not lead to the best sum.

Greedy coding commits to the nearest entry at every stage. Following the best few partial sums
instead leaves less of the latent over, for codes that any decoder reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ncodec.kernels import argmax_rows
from ncodec.quantize.codebook import Codebook


def beam_search(books: Sequence[Codebook], rows: Tensor, width: int) -> Tensor:
    """Code rows `[N, D]` with one entry of each book: int64 `[N, K]`.

    After each book the `width` sums nearest to the row go on; width 1 is greedy coding.
    """
    residuals = rows[:, None]  # [N, paths, D]
    codes = rows.new_zeros(len(rows), 1, 0, dtype=torch.long)
    for k, book in enumerate(books):
        last = k + 1 == len(books)
        count, paths, _ = residuals.shape
        scores = book.scores(residuals.flatten(0, 1)).view(count, paths, -1)
        if paths > 1:  # |r - e|^2 = |r|^2 - 2 score, and the paths' residuals differ
            scores -= 0.5 * residuals.square().sum(2, keepdim=True)
        bins = scores.shape[2]
        best = _largest(scores.flatten(1), 1 if last else min(width, paths * bins))
        parents, entries = best // bins, best % bins
        codes = torch.cat([_of(parents, codes), entries[..., None]], dim=2)
        if not last:
            residuals = _of(parents, residuals) - book.decode(entries)
    return codes[:, 0]


def _of(parents: Tensor, values: Tensor) -> Tensor:
    """Values `[N, paths, X]` of the parents `[N, W]`: `[N, W, X]`."""
    return values.gather(1, parents[..., None].expand(-1, -1, values.shape[2]))


def _largest(scores: Tensor, count: int) -> Tensor:
    """Columns of the `count` largest values of each row, largest first, int64 `[N, count]`.

    Overwrites the scores. A few passes of the vectorised argmax are faster than one `topk`.
    """
    columns = [argmax_rows(scores)]
    while len(columns) < count:
        scores.scatter_(1, columns[-1][:, None], -torch.inf)
        columns.append(argmax_rows(scores))
    return torch.stack(columns, dim=1)

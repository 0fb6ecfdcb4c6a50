"""Search for residual codes: the first entry that is best need not lead to the best sum.

Greedy coding commits to the nearest entry at every stage. Following the best few partial sums
instead leaves less of the latent over, and weighing what codes cost leaves out bits that serve
little; any decoder reads either.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ncodec.kernels import argmax_rows
from ncodec.quantize.bits import CodeBits, Search
from ncodec.quantize.codebook import Codebook


def beam_search(
    books: Sequence[Codebook], rows: Tensor, search: Search, streams: int = 1
) -> Tensor:
    """Code rows `[N, D]`, the frames of so many streams in turn, with one entry of each book.

    After each book those sums go on that are nearest to the row, what their bits are worth counted
    as distance. With width 1 a code depends on the books up to its own only.

    Returns:
        int64 `[N, K]`.
    """
    residuals = rows[:, None]  # [N, paths, D]
    codes = rows.new_zeros(len(rows), 1, 0, dtype=torch.long)
    paid = _Paid(search.bits, search.price, rows, streams) if search.bits else None
    for k, book in enumerate(books):
        last = k + 1 == len(books)
        count, paths, _ = residuals.shape
        scores = book.scores(residuals.flatten(0, 1)).view(count, paths, -1)
        if paths > 1 or paid:  # |r - e|^2 = |r|^2 - 2 score, and the paths' residuals differ
            scores -= 0.5 * residuals.square().sum(2, keepdim=True)
        if paid:
            paid.charge(k, scores)
        bins = scores.shape[2]
        best = _largest(scores.flatten(1), 1 if last else min(search.width, paths * bins))
        parents, entries = best // bins, best % bins
        codes = torch.cat([_of(parents, codes), entries[..., None]], dim=2)
        if not last:
            residuals = _of(parents, residuals) - book.decode(entries)
            if paid:
                paid.follow(k, parents, entries)
    return codes[:, 0]


class _Paid:
    """The bits of each row's paths so far."""

    def __init__(self, bits: CodeBits, price: float, rows: Tensor, streams: int) -> None:
        self._bits, self._price = bits, price
        self._shape = streams, len(rows) // streams
        self._sums = rows.new_zeros(len(rows), 1, bits.width)
        self._spent = rows.new_zeros(len(rows), 1)
        self._costs = rows.new_zeros(0)

    def charge(self, layer: int, scores: Tensor) -> None:
        """Take what bits are worth off scores `[N, paths, bins]`, which are error by -1/2."""
        if layer >= self._bits.layers:
            return
        rows, paths, _ = scores.shape
        near, own = scores[:, 0].max(dim=1)
        left = -2 * near.view(self._shape).mean(dim=1).clamp(max=0)
        worth = (self._price * left).repeat_interleave(self._shape[1])
        sums = self._sums.view(*self._shape, paths, -1)
        costs = self._bits.costs(layer, sums, own.view(self._shape))
        self._costs = costs.view(rows, paths, -1) + self._spent[..., None]
        scores -= 0.5 * worth[:, None, None] * self._costs

    def follow(self, layer: int, parents: Tensor, entries: Tensor) -> None:
        """Go on with paths `[N, W]` and the entries that they take."""
        if layer >= self._bits.layers:
            return
        bins = self._costs.shape[2]
        self._spent = self._costs.flatten(1).gather(1, parents * bins + entries)
        self._sums = _of(parents, self._sums) + self._bits.embed(layer, entries)


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

"""What residual quantizers share: stages that each code what those before them left over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from ncodec.quantize.quantized import check_codes, check_count


class Stage(Protocol):
    """One codebook."""

    def encode(self, x: Tensor, /) -> Tensor:
        """Rows `[N, D]` to entries, int64 `[N]`."""
        ...

    def decode(self, codes: Tensor, /) -> Tensor:
        """Entries `[...]` to what they stand for, `[..., D]`."""
        ...


S = TypeVar("S", bound=Stage)


class ResidualQuantizer(nn.Module, Generic[S]):
    """Greedy coding by stage after stage, and the sum of their entries."""

    def __init__(self, stages: Iterable[S]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(cast(Iterable[nn.Module], stages))
        self.n_q = len(self.layers)

    def codebook(self, k: int) -> S:
        """Return codebook `k`."""
        return cast(S, self.layers[k])

    def __iter__(self) -> Iterator[S]:
        return cast("Iterator[S]", iter(self.layers))

    def encode(self, z: Tensor, n_q: int | None = None) -> Tensor:
        """Code latents `[B, D, F]` with the first `n_q` codebooks (all if None): int64 `[B, K, F]`.

        Raises:
            ArgumentError: `n_q` is not in 1..total.
        """
        count = check_count(n_q, self.n_q)
        batch, _, frames = z.shape
        if not batch * frames:
            return torch.zeros(batch, count, frames, dtype=torch.long, device=z.device)
        residual = rows_of(z)
        codes: list[Tensor] = []
        for k in range(count):
            book = self.codebook(k)
            codes.append(book.encode(residual))
            if k + 1 < count:
                residual = residual - book.decode(codes[-1])
        return torch.stack([c.view(batch, frames) for c in codes], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Sum the entries frame by frame: `[B, K, F]`, any K up to the total, to `[B, D, F]`.

        Raises:
            ArgumentError: The codes' shape is wrong.
        """
        check_codes(codes, self.n_q)
        parts = (book.decode(column) for book, column in zip(self, codes.unbind(1), strict=False))
        return reduce(torch.add, parts).transpose(1, 2)


def rows_of(z: Tensor) -> Tensor:
    """View `[B, D, F]` as rows `[B * F, D]`."""
    return z.transpose(1, 2).reshape(-1, z.shape[1])

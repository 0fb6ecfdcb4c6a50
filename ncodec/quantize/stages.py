"""What residual quantizers share: stages that each code what those before them left over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from ncodec.quantize.quantized import check_codes, check_count, check_latents, check_range


class Stage(Protocol):
    """One codebook."""

    @property
    def embed(self) -> Tensor:
        """Its entries `[bins, ...]`."""
        ...

    def encode(self, x: Tensor, /) -> Tensor:
        """Rows `[N, D]` to entries, int64 `[N]`."""
        ...

    def decode(self, codes: Tensor, /) -> Tensor:
        """Entries `[...]` to what they stand for, `[..., D]`."""
        ...


S = TypeVar("S", bound=Stage)


class ResidualQuantizer(nn.Module, Generic[S]):
    """Greedy coding by stage after stage, and the sum of their entries."""

    bins: int

    def __init__(self, dim: int, stages: Iterable[S]) -> None:
        super().__init__()
        self.dim = dim
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
            ArgumentError: `n_q` is not in 1..total, or the latents' shape, type or device is wrong.
        """
        count = self.check(z, n_q)
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
        return torch.stack(codes, dim=1).view(batch, frames, count).transpose(1, 2).contiguous()

    def decode(self, codes: Tensor) -> Tensor:
        """Sum the entries frame by frame: `[B, K, F]`, any K up to the total, to `[B, D, F]`.

        Raises:
            ArgumentError: The codes' shape, type or device is wrong; or on a CPU, where the look-up
                sees it, a code is no entry.
        """
        codes = check_codes(codes, self.n_q, next(iter(self)).embed)
        parts = (book.decode(column) for book, column in zip(self, codes.unbind(1), strict=False))
        try:
            return reduce(torch.add, parts).transpose(1, 2)
        except IndexError:
            check_range(codes, [len(book.embed) for book in self])
            raise

    def look_up(self, codes: Tensor) -> Tensor:
        """As `decode`, from one table: the number of codebooks is a size like any other.

        So graphs that are exported take any; here the table is made anew each time.
        """
        entries = torch.arange(self.bins, device=codes.device)
        table = torch.cat([book.decode(entries) for book in self])
        first = torch.arange(codes.shape[1], device=codes.device) * self.bins
        return torch.embedding(table, codes + first[:, None]).sum(dim=1).transpose(1, 2)

    def check(self, z: Tensor, n_q: int | None) -> int:
        """Check latents; return how many codebooks to use.

        Raises:
            ArgumentError: `n_q` is not in 1..total, or the latents' shape, type or device is wrong.
        """
        check_latents(z, self.dim, next(iter(self)).embed)
        return check_count(n_q, self.n_q)


def rows_of(z: Tensor) -> Tensor:
    """View `[B, D, F]` as rows `[B * F, D]`."""
    return z.transpose(1, 2).reshape(-1, z.shape[1])

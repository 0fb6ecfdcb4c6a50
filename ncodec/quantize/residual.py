"""Residual vector quantization: each codebook codes what those before it left over."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ncodec.arguments import check_whole
from ncodec.errors import ArgumentError
from ncodec.kernels import Derived, is_portable, parts_of
from ncodec.quantize.beam import beam_search
from ncodec.quantize.bits import Search
from ncodec.quantize.codebook import Codebook
from ncodec.quantize.quantized import Quantized
from ncodec.quantize.stages import ResidualQuantizer, rows_of

_FEW, _SMALL = 64, 256
"""Rows to code, and codes to look up, until which calls cost more than what they compute."""


class ResidualVQ(ResidualQuantizer[Codebook]):
    """Residual VQ with moving-average codebooks (Zeghidour et al. 2021, arXiv:2107.03312).

    Args:
        dim: Width D of the latents.
        n_q: Number of codebooks.
        bins: Entries of each.
        **codebook: Options of `Codebook`.

    Raises:
        ArgumentError: A size is below 1.
    """

    def __init__(self, dim: int, n_q: int, bins: int, **codebook: float) -> None:
        for what, size in (("dim", dim), ("codebooks", n_q), ("bins", bins)):
            check_whole(what, size, 1)
        super().__init__(dim, (Codebook(dim, bins, **codebook) for _ in range(n_q)))  # pyright: ignore[reportArgumentType]
        self.bins = bins
        self._table = Derived(_joined)

    def encode(self, z: Tensor, n_q: int | None = None, beam: int | Search = 1) -> Tensor:
        """As every residual quantizer; the search follows `beam` partial sums, 1 is greedy.

        A `Search` may weigh bits too.
        """
        count = self.check(z, n_q)
        search = beam if isinstance(beam, Search) else Search(beam)
        greedy, rows = search.width == 1 and search.bits is None, z.shape[0] * z.shape[2]
        few = 0 < rows <= _FEW and z.is_cpu and not is_portable()
        if (greedy and not few) or not rows:
            return super().encode(z, count)
        books = parts_of(self.layers)[:count]
        if not greedy:
            found = beam_search(books, rows_of(z), search, len(z))
            return found.view(z.shape[0], z.shape[2], -1).transpose(1, 2)
        left, codes = rows_of(z).detach(), list[NDArray[np.int64]]()
        for book in books:  # a step of a stream: half the calls
            code, left = book.nearest(left)
            codes.append(code)
        found = np.stack(codes, axis=1).reshape(z.shape[0], z.shape[2], count)
        return torch.from_numpy(found).transpose(1, 2).contiguous()

    def decode(self, codes: Tensor) -> Tensor:
        """As every residual quantizer; a step of a stream from one table, by two calls of NumPy."""
        small = isinstance(codes, Tensor) and codes.is_cpu and 0 < codes.numel() <= _SMALL  # pyright: ignore[reportUnnecessaryIsInstance]
        fits = small and codes.dtype == torch.int64 and codes.dim() == 3
        if fits and codes.shape[1] <= self.n_q and not is_portable():
            table, first = self._table(*(b._buffers["embed"] for b in parts_of(self.layers)))
            wanted = codes.numpy()
            if wanted.view(np.uint64).max() < self.bins:  # negative ones are large so
                rows = table[wanted.swapaxes(0, 1) + first[: wanted.shape[1]]]
                return torch.from_numpy(np.add.reduce(rows, axis=0)).mT
        return super().decode(codes)

    def forward(self, z: Tensor, n_q: int | None = None) -> Quantized:
        """Quantize `[B, D, F]` with the first `n_q` codebooks; in training mode they learn from it.

        Quantizer dropout: the caller draws `n_q` for each batch, by `draw_count` say.

        Raises:
            ArgumentError: In training, a latent is not finite: codebooks would stay so for good.
        """
        count = self.check(z, n_q)
        if self.training and not torch.isfinite(z).all():
            raise ArgumentError("a latent is not finite: codebooks cannot learn from it")
        batch, _, frames = z.shape
        residual = rows = rows_of(z)
        codes: list[Tensor] = []
        losses: list[Tensor] = []
        for k in range(count):
            book = self.codebook(k)
            if self.training:
                book.learn(residual.detach())
            codes.append(book.encode(residual.detach()))
            entries = book.decode(codes[-1]).detach()
            if self.training:
                book.follow(residual.detach(), codes[-1])
            losses.append(functional.mse_loss(residual, entries))
            residual = residual - entries  # keeps the input's gradient for every codebook's loss
        quantized = rows + (rows - residual - rows).detach()
        return Quantized(
            quantized.view(batch, frames, self.dim).transpose(1, 2),
            torch.stack([c.view(batch, frames) for c in codes], dim=1),
            torch.stack(losses).mean(),
            z.new_zeros(()),
        )


def _joined(*embeds: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the entries of all codebooks under each other, and where each begins `[K, 1, 1]`."""
    sizes = np.array([0, *(len(embed) for embed in embeds[:-1])])
    return torch.cat(embeds).numpy(), np.cumsum(sizes).reshape(-1, 1, 1)

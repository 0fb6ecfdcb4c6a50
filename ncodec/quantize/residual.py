"""Residual vector quantization: each codebook codes what those before it left over."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ncodec.arguments import check_whole
from ncodec.errors import ArgumentError
from ncodec.kernels import is_portable
from ncodec.quantize.beam import beam_search
from ncodec.quantize.bits import Search
from ncodec.quantize.codebook import Codebook
from ncodec.quantize.quantized import Quantized
from ncodec.quantize.stages import ResidualQuantizer, rows_of


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

    def encode(self, z: Tensor, n_q: int | None = None, beam: int | Search = 1) -> Tensor:
        """As every residual quantizer; the search follows `beam` partial sums, 1 is greedy.

        A `Search` may weigh bits too.
        """
        count = self.check(z, n_q)
        search = beam if isinstance(beam, Search) else Search(beam)
        greedy = search.width == 1 and search.bits is None
        single = z.shape[0] == z.shape[2] == 1 and z.is_cpu and not is_portable()
        if (greedy and not single) or not z.shape[0] * z.shape[2]:
            return super().encode(z, count)
        books = list(self)[:count]
        if not greedy:
            found = beam_search(books, rows_of(z), search, len(z))
            return found.view(z.shape[0], z.shape[2], -1).transpose(1, 2)
        row, codes = rows_of(z).detach(), list[int]()
        for book in books:  # a frame of a stream: half the calls
            code, row = book.nearest(row)
            codes.append(code)
        return torch.tensor(codes).view(1, -1, 1)

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

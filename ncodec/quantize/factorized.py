"""DAC's quantizer: residual VQ whose look-up is by angle in a narrow projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.arguments import check_whole
from ncodec.kernels import Derived, argmax_rows
from ncodec.quantize.quantized import Quantized
from ncodec.quantize.stages import ResidualQuantizer, rows_of


class FactorizedCodebook(nn.Module):
    """One layer: project to `codebook_dim`, find the entry of nearest direction, project back."""

    def __init__(self, dim: int, bins: int, codebook_dim: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(dim, codebook_dim)
        self.out_proj = nn.Linear(codebook_dim, dim)
        self.embed = nn.Parameter(torch.randn(bins, codebook_dim))
        self._directions = Derived(functional.normalize)

    def encode(self, x: Tensor) -> Tensor:
        """Return the entry of nearest direction for each row of `x` `[N, D]`: int64 `[N]`."""
        return self.nearest(self.in_proj(x))

    def nearest(self, narrow: Tensor) -> Tensor:
        """As `encode`, for rows that are projected already, `[N, codebook_dim]`."""
        return argmax_rows(self._by_angle(narrow.detach()))

    def scores(self, x: Tensor) -> Tensor:
        """Return what `encode` compares, `[N, bins]`: largest for the nearest direction."""
        return self._by_angle(self.in_proj(x))

    def _by_angle(self, narrow: Tensor) -> Tensor:
        # The row's own length scales all its scores alike, so only the entries need normalising.
        return narrow @ self._directions(self.embed).t().detach()

    def decode(self, codes: Tensor) -> Tensor:
        """Return the projected entries, `[...]` to `[..., D]`."""
        return self.out_proj(functional.embedding(codes, self.embed))


class FactorizedVQ(ResidualQuantizer[FactorizedCodebook]):
    """Residual quantizer of DAC (Kumar et al. 2023, arXiv:2306.06546), after Improved VQGAN.

    Args:
        dim: Width D of the latents.
        n_q: Number of codebooks.
        bins: Entries of each.
        codebook_dim: Width of the projection in which entries are looked up.

    Raises:
        ArgumentError: A size is below 1.
    """

    def __init__(self, dim: int, n_q: int, bins: int, codebook_dim: int = 8) -> None:
        sizes = {"dim": dim, "codebooks": n_q, "bins": bins, "codebook_dim": codebook_dim}
        for what, size in sizes.items():
            check_whole(what, size, 1)
        super().__init__(dim, (FactorizedCodebook(dim, bins, codebook_dim) for _ in range(n_q)))
        self.bins = bins

    def forward(self, z: Tensor, n_q: int | None = None) -> Quantized:
        """Quantize `[B, D, F]` with the first `n_q` codebooks; the losses are means over them."""
        count = self.check(z, n_q)
        batch, _, frames = z.shape
        residual = rows_of(z)
        latent = torch.zeros_like(residual)
        codes: list[Tensor] = []
        commitment = codebook = z.new_zeros(())
        for k in range(count):
            book = self.codebook(k)
            narrow = book.in_proj(residual)
            codes.append(book.nearest(narrow.detach()))
            entries = functional.embedding(codes[-1], book.embed)
            commitment = commitment + functional.mse_loss(narrow, entries.detach()) / count
            codebook = codebook + functional.mse_loss(entries, narrow.detach()) / count
            wide = book.out_proj(narrow + (entries - narrow).detach())
            latent, residual = latent + wide, residual - wide
        return Quantized(
            latent.view(batch, frames, self.dim).transpose(1, 2),
            torch.stack([c.view(batch, frames) for c in codes], dim=1),
            commitment,
            codebook,
        )

"""DAC's quantizer: residual VQ whose look-up is by angle in a narrow projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.derived import Derived
from ncodec.quantize.argmax import argmax_rows
from ncodec.quantize.quantized import Quantized, check_codes, check_count


class FactorizedCodebook(nn.Module):
    """One layer: project to `codebook_dim`, find the entry of nearest direction, project back."""

    def __init__(self, dim: int, bins: int, codebook_dim: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(dim, codebook_dim)
        self.out_proj = nn.Linear(codebook_dim, dim)
        self.embed = nn.Parameter(torch.randn(bins, codebook_dim))
        self._directions = Derived(functional.normalize)

    def encode(self, narrow: Tensor) -> Tensor:
        """Return the entry of nearest direction for rows `[N, codebook_dim]`: int64 `[N]`."""
        # The row's own length scales all its scores alike, so only the entries need normalising.
        return argmax_rows(narrow.detach() @ self._directions(self.embed).t().detach())

    def decode(self, codes: Tensor) -> Tensor:
        """Return the projected entries, `[...]` to `[..., D]`."""
        return self.out_proj(functional.embedding(codes, self.embed))


class FactorizedVQ(nn.Module):
    """Residual quantizer of DAC (Kumar et al. 2023, arXiv:2306.06546), after Improved VQGAN.

    Args:
        dim: Width D of the latents.
        n_q: Number of codebooks.
        bins: Entries of each.
        codebook_dim: Width of the projection in which entries are looked up.
    """

    def __init__(self, dim: int, n_q: int, bins: int, codebook_dim: int = 8) -> None:
        super().__init__()
        self.dim, self.n_q, self.bins = dim, n_q, bins
        self.layers = nn.ModuleList(FactorizedCodebook(dim, bins, codebook_dim) for _ in range(n_q))

    def codebook(self, k: int) -> FactorizedCodebook:
        """Return codebook `k`."""
        layer = self.layers[k]
        assert isinstance(layer, FactorizedCodebook)
        return layer

    def encode(self, z: Tensor, n_q: int | None = None) -> Tensor:
        """Code latents `[B, D, F]` with the first `n_q` codebooks (all if None): int64 `[B, K, F]`.

        Raises:
            ArgumentError: `n_q` is not in 1..total.
        """
        count = check_count(n_q, self.n_q)
        batch, _, frames = z.shape
        residual = z.transpose(1, 2).reshape(-1, self.dim)
        codes: list[Tensor] = []
        for k in range(count):
            book = self.codebook(k)
            codes.append(book.encode(book.in_proj(residual)))
            if k + 1 < count:
                residual = residual - book.decode(codes[-1])
        return torch.stack([c.view(batch, frames) for c in codes], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Sum the projected entries: `[B, K, F]`, any K up to the total, to `[B, D, F]`.

        Raises:
            ArgumentError: The codes' shape is wrong.
        """
        check_codes(codes, self.n_q)
        z = self.codebook(0).decode(codes[:, 0])
        for k in range(1, codes.shape[1]):
            z = z + self.codebook(k).decode(codes[:, k])
        return z.transpose(1, 2)

    def forward(self, z: Tensor, n_q: int | None = None) -> Quantized:
        """Quantize `[B, D, F]` with the first `n_q` codebooks; the losses are means over them."""
        count = check_count(n_q, self.n_q)
        batch, _, frames = z.shape
        residual = z.transpose(1, 2).reshape(-1, self.dim)
        latent = torch.zeros_like(residual)
        codes: list[Tensor] = []
        commitment = codebook = z.new_zeros(())
        for k in range(count):
            book = self.codebook(k)
            narrow = book.in_proj(residual)
            codes.append(book.encode(narrow.detach()))
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

"""Residual vector quantization: each codebook codes what those before it left over."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.quantize.beam import beam_search
from ncodec.quantize.codebook import Codebook
from ncodec.quantize.quantized import Quantized, check_codes, check_count


class ResidualVQ(nn.Module):
    """Residual VQ with moving-average codebooks (Zeghidour et al. 2021, arXiv:2107.03312).

    Args:
        dim: Width D of the latents.
        n_q: Number of codebooks.
        bins: Entries of each.
        **codebook: Options of `Codebook`.

    Attributes:
        beam: Partial sums that `encode` follows; 1 is greedy coding, which training always does.
    """

    def __init__(self, dim: int, n_q: int, bins: int, **codebook: float) -> None:
        super().__init__()
        self.dim, self.n_q, self.bins, self.beam = dim, n_q, bins, 1
        self.layers = nn.ModuleList(Codebook(dim, bins, **codebook) for _ in range(n_q))  # pyright: ignore[reportArgumentType]

    def codebook(self, k: int) -> Codebook:
        """Return codebook `k`."""
        layer = self.layers[k]
        assert isinstance(layer, Codebook)
        return layer

    def encode(self, z: Tensor, n_q: int | None = None) -> Tensor:
        """Code latents `[B, D, F]` with the first `n_q` codebooks (all if None): int64 `[B, K, F]`.

        Raises:
            ArgumentError: `n_q` is not in 1..total.
        """
        count = check_count(n_q, self.n_q)
        batch, _, frames = z.shape
        residual = _rows(z)
        if self.beam > 1:
            books = [self.codebook(k) for k in range(count)]
            found = beam_search(books, residual, self.beam)
            return found.view(batch, frames, count).transpose(1, 2)
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
        z = self.codebook(0).decode(codes[:, 0])
        for k in range(1, codes.shape[1]):
            z = z + self.codebook(k).decode(codes[:, k])
        return z.transpose(1, 2)

    def forward(self, z: Tensor, n_q: int | None = None) -> Quantized:
        """Quantize `[B, D, F]` with the first `n_q` codebooks; in training mode they learn from it.

        Quantizer dropout: the caller draws `n_q` for each batch, by `draw_count` say.
        """
        count = check_count(n_q, self.n_q)
        batch, _, frames = z.shape
        residual = rows = _rows(z)
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


def _rows(z: Tensor) -> Tensor:
    """View `[B, D, F]` as rows `[B * F, D]`."""
    return z.transpose(1, 2).reshape(-1, z.shape[1])

"""Codebooks' start from data, by k-means."""

from __future__ import annotations

import torch
from torch import Tensor

from ncodec.quantize import ResidualVQ
from ncodec.quantize.kmeans import kmeans


@torch.no_grad()
def start_codebooks(quantizer: ResidualVQ, latents: Tensor, steps: int = 8) -> None:
    """Make each codebook from what the ones before it leave of `latents` `[N, D]`, by k-means."""
    residual = latents
    for k in range(quantizer.n_q):
        book = quantizer.codebook(k)
        book.load_state_dict({"embed": kmeans(residual, quantizer.bins, steps)})
        residual = residual - book.decode(book.encode(residual))

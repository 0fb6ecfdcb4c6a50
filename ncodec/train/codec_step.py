"""The step of the codec itself: latents, quantizer dropout, codebooks that start from data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncodec.errors import NcodecError
from ncodec.models.records import Trainable
from ncodec.quantize import ResidualVQ
from ncodec.quantize.kmeans import kmeans
from ncodec.train.config import QuantizerSection
from ncodec.train.task import Place


class Coded(NamedTuple):
    """A batch through the codec.

    Attributes:
        audio: `[B, C, T]`.
        commitment: Scalar: squared distance of latents to their codes, summed over dimensions.
        counts: int64 `[B]`, how many codebooks each item was coded with; None without a quantizer.
    """

    audio: Tensor
    commitment: Tensor
    counts: Tensor | None


def draw_counts(options: QuantizerSection, total: int, batch: int, seed: tuple[int, ...]) -> Tensor:
    """Draw the number of codebooks of each item, int64 `[B]`."""
    choices = options.counts or tuple(range(1, total + 1))
    return torch.from_numpy(np.random.default_rng(seed).choice(choices, batch)).long()


def run_codec(
    parts: Trainable, audio: Tensor, counts: Tensor | None, most: int, place: Place
) -> Coded:
    """Code a batch with `counts[b]` codebooks for item b, or without a quantizer if None.

    `most` codebooks learn, the same number in all processes that share the run.

    Raises:
        NcodecError: A latent is not finite; the codebooks are as before.
    """
    with place.autocast():
        latent = parts.encode(audio)
    latent = latent.float()
    if counts is None:
        quantized, commitment = latent, latent.new_zeros(())
    else:
        if not latent.isfinite().all():
            raise NcodecError("latents are not finite")
        codes = parts.quantizer(latent.detach(), most).codes
        chosen = decode_counts(parts.quantizer, codes, counts)
        commitment = (latent - chosen).square().sum(1).mean()
        quantized = latent + (chosen - latent).detach()
    with place.autocast():
        decoded = parts.decode(quantized)
    return Coded(decoded.float()[..., : audio.shape[-1]], commitment, counts)


@torch.no_grad()
def recode(
    parts: Trainable, audio: Tensor, counts: Tensor | None, most: int, place: Place
) -> Tensor:
    """Return a batch as it sounds after the codec, for one more generation; nothing learns."""
    with place.autocast():
        latent = parts.encode(audio).float()
    if counts is not None:
        codes = parts.quantizer.encode(latent, most)
        latent = decode_counts(parts.quantizer, codes, counts)
    with place.autocast():
        decoded = parts.decode(latent)
    return decoded.float()[..., : audio.shape[-1]]


@torch.no_grad()
def decode_counts(quantizer: ResidualVQ, codes: Tensor, counts: Tensor) -> Tensor:
    """Sum the first `counts[b]` entries of item b: codes `[B, K, F]` to `[B, D, F]`."""
    parts = [quantizer.decode(c[None, :n]) for c, n in zip(codes, counts.tolist(), strict=True)]
    return torch.cat(parts)


@torch.no_grad()
def start_codebooks(quantizer: ResidualVQ, latents: Tensor, steps: int = 8) -> None:
    """Make each codebook from what the ones before it leave of `latents` `[N, D]`, by k-means."""
    residual = latents
    for k in range(quantizer.n_q):
        book = quantizer.codebook(k)
        book.load_state_dict({"embed": kmeans(residual, quantizer.bins, steps)})
        residual = residual - book.decode(book.encode(residual))

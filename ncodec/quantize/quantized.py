"""What a quantizer gives in training, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ncodec.arguments import whole
from ncodec.errors import ArgumentError
from ncodec_formats.bitrate import check_codebooks


class Quantized(NamedTuple):
    """A quantizer's output in training.

    Attributes:
        latent: `[B, D, F]`, the sum of the entries; its gradient is the input's (straight-through).
        codes: int64 `[B, K, F]`.
        commitment: Scalar, pulls the input towards its entries; the mean over the K codebooks.
        codebook: Scalar, pulls entries towards their inputs; zero where averages do that.
    """

    latent: Tensor
    codes: Tensor
    commitment: Tensor
    codebook: Tensor


def check_count(n_q: int | None, total: int) -> int:
    """Return how many codebooks to use: `n_q`, or all if None.

    Raises:
        ArgumentError: `n_q` is not in 1..total.
    """
    if n_q is None:
        return total
    return check_codebooks(whole("codebooks", n_q), total, "this quantizer")


def draw_count(total: int) -> int:
    """Draw how many codebooks a training batch uses, evenly from 1..total (quantizer dropout)."""
    return int(torch.randint(1, total + 1, ()))


def check_latents(z: Tensor, dim: int, like: Tensor) -> None:
    """Check that latents are floats `[B, D, F]` of width D = `dim`, where `like` is.

    Raises:
        ArgumentError: They are not.
    """
    if not isinstance(z, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"latents of type {type(z).__name__}: must be a tensor")
    if z.dim() != 3 or z.shape[1] != dim or not z.dtype.is_floating_point:
        raise ArgumentError(
            f"latents of shape {list(z.shape)} and type {z.dtype}: must be floats [B, {dim}, F]"
        )
    _check_device("latents", z, like)


def check_codes(codes: Tensor, total: int, like: Tensor) -> Tensor:
    """Return codes `[B, K, F]`, 1 <= K <= total, as int64; their values are not looked at.

    Raises:
        ArgumentError: They are no such integers, or not where `like` is.
    """
    if not isinstance(codes, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"codes of type {type(codes).__name__}: must be a tensor")
    kind = codes.dtype
    if kind.is_floating_point or kind.is_complex or kind == torch.bool:
        raise ArgumentError(f"codes of {kind}: must be integers")
    if codes.dim() != 3 or not 1 <= codes.shape[1] <= total:
        raise ArgumentError(
            f"codes must be [B, K, F] with K from 1 to {total}, not {list(codes.shape)}"
        )
    _check_device("codes", codes, like)
    return codes.long()


def check_range(codes: Tensor, sizes: Sequence[int]) -> None:
    """Check codes `[B, K, F]` against the codebooks' sizes.

    Raises:
        ArgumentError: One is no entry of its codebook.
    """
    if not codes.numel() or torch.compiler.is_compiling():
        return
    lowest, highest = (found.tolist() for found in codes.movedim(1, 0).flatten(1).aminmax(dim=1))
    for k, (low, high) in enumerate(zip(lowest, highest, strict=True)):
        if low < 0 or high >= sizes[k]:
            code = low if low < 0 else high
            raise ArgumentError(f"code {code} of codebook {k + 1}: must be 0 to {sizes[k] - 1}")


def _check_device(what: str, x: Tensor, like: Tensor) -> None:
    if x.device != like.device:
        raise ArgumentError(f"{what} on {x.device}: the quantizer is on {like.device}")

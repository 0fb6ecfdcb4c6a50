"""What a quantizer gives in training, and the checks that all of them share."""

from __future__ import annotations

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


def check_codes(codes: Tensor, total: int) -> None:
    """Check that codes are `[B, K, F]` with 1 <= K <= total.

    Raises:
        ArgumentError: They are not.
    """
    if codes.dtype.is_floating_point or codes.dtype == torch.bool:
        raise ArgumentError(f"codes of {codes.dtype}: must be integers")
    if codes.dim() != 3 or not 1 <= codes.shape[1] <= total:
        raise ArgumentError(
            f"codes must be [B, K, F] with K from 1 to {total}, not {list(codes.shape)}"
        )

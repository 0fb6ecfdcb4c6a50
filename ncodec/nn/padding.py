"""What stands before the first and after the last sample: zeros, the edge, or reflection."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

PadMode = Literal["constant", "replicate", "reflect"]


def samples_to_start(left: int, mode: PadMode) -> int:
    """Return how many samples must be known before the left padding is."""
    if left == 0 or mode == "constant":
        return 0
    return 1 if mode == "replicate" else left + 1


def pad_left(x: Tensor, left: int, mode: PadMode) -> Tensor:
    """Pad the start of `[B, T, C]`, whose first samples are the signal's."""
    if left == 0:
        return x
    edge = x[:, : left + 1].flip(1)  # the mirrored start, whose end is the signal's
    return torch.cat([_beyond(edge, left, mode).flip(1), x], dim=1)


def pad_right(x: Tensor, right: int, mode: PadMode) -> Tensor:
    """Pad the end of `[B, T, C]`, whose last samples are the signal's.

    A signal too short to reflect counts as followed by as many zeros as it lacks, as in EnCodec's
    `pad1d`: the padding then is those zeros, then the reflection, as far as it is wanted.
    """
    if right == 0:
        return x
    lacking = right + 1 - x.shape[1]
    if mode == "reflect" and lacking > 0:
        longer = _zeros_after(x, lacking)
        return pad_right(longer, right, mode)[:, : x.shape[1] + right]
    return torch.cat([x, _beyond(x, right, mode)], dim=1)


def pad_short(x: Tensor, left: int, right: int, mode: PadMode) -> Tensor:
    """Pad a whole signal `[B, T, C]`, T >= 1, that may be too short to reflect on the left.

    Each sample is fetched from where it stands, without a question about lengths: in a graph that
    is exported, they are not known.
    """
    zero = torch.zeros((), dtype=torch.long, device=x.device)
    length = zero + x.shape[1]
    places = torch.arange(left + x.shape[1] + right, device=x.device) - left
    if mode == "replicate":
        places = torch.minimum(places.clamp(min=0), length - 1)
    elif mode == "reflect":  # at 0, and at the last sample or the last zero that is lacking
        last = torch.maximum(length - 1, torch.maximum(zero + left, zero + right))
        places = places.abs()
        places = torch.where(places > last, 2 * last - places, places)
    else:
        places = torch.where(places < 0, length, places)
    return _zeros_after(x, 1).index_select(1, torch.minimum(places, length))


def _zeros_after(x: Tensor, count: int) -> Tensor:
    return torch.cat([x, x.new_zeros(x.shape[0], count, x.shape[2])], dim=1)


def _beyond(x: Tensor, count: int, mode: PadMode) -> Tensor:
    """Return the `count` samples that follow the end of `[B, T, C]`."""
    if mode == "constant":
        return x.new_zeros(x.shape[0], count, x.shape[2])
    if mode == "replicate":
        return x[:, -1:].expand(-1, count, -1)
    return x[:, -1 - count : -1].flip(1)

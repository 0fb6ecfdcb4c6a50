"""The column of each row's largest value."""

from __future__ import annotations

import torch
from torch import Tensor

from ncodec.kernels.table import function


def argmax_rows(scores: Tensor) -> Tensor:
    """Return int64 `[N]` for float scores `[N, M]`."""
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        return function("argmax", torch.float32)(scores)
    return scores.argmax(dim=1)

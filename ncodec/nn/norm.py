"""Normalisation over a whole segment: it must see the segment's end before it can begin."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec.streaming import State, Streamable, join_time


class SegmentNorm(Streamable):
    """Group norm with one group: zero mean and unit variance over channels and time together.

    All output comes from `flush`, so a model with this layer is fed one segment at a time.

    Args:
        channels: Channels of the input.
        epsilon: Added to the variance (PyTorch's default for group norm).
        trim: Samples cut from the start and the end once they have been counted.
    """

    def __init__(
        self, channels: int, epsilon: float = 1e-5, trim: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__()
        self.epsilon, self.trim = epsilon, trim
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the empty segment."""
        return torch.zeros(
            batch,
            len(self.weight),
            0,
            device=device if device is not None else self.weight.device,
            dtype=dtype if dtype is not None else self.weight.dtype,
        )

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Collect `x`; return nothing."""
        return x[..., :0], join_time(state, x.clone())

    def flush(self, state: State) -> Tensor:
        """Return the whole segment, normalised."""
        if state.shape[2] == 0:
            return state
        rows = state.transpose(1, 2).contiguous()
        # one group is one row of memory, which the library's layer norm reads vectorised
        unit = functional.layer_norm(rows.flatten(1), [rows[0].numel()], eps=self.epsilon)
        kept = unit.view_as(rows)[:, self.trim[0] : rows.shape[1] - self.trim[1]]
        out = None if torch.is_grad_enabled() else kept
        return torch.addcmul(self.bias, kept, self.weight, out=out).transpose(1, 2)

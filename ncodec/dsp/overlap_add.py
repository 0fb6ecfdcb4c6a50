"""Overlap-add, as pieces come: frames at a constant hop, and segments under weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor


def overlap_add(frames: Tensor, hop: int, tail: Tensor) -> tuple[Tensor, Tensor]:
    """Add frames `[B, F, r * hop]` at steps of `hop` on to `tail` `[B, (r - 1) * hop]`.

    Returns the F * hop samples that are final, and the new tail.
    """
    if frames.shape[1] == 1:
        flat = F.pad(tail, (0, hop)) + frames[:, 0]
        return flat[:, :hop], flat[:, hop:]
    parts = frames.split(hop, dim=2)
    later = len(parts) - 1
    total = F.pad(parts[0], (0, 0, 0, later))
    first = total[:, :later] + tail.reshape(-1, later, hop)
    total = torch.cat([first, total[:, later:]], dim=1)
    for i in range(1, later + 1):
        total = total + F.pad(parts[i], (0, 0, i, later - i))
    return total[:, :-later].flatten(1), total[:, -later:].flatten(1)


@dataclass(frozen=True)
class OverlapAdd:
    """Segments `stride` samples apart, weighted by triangles and divided by the weights' sum.

    A sample t of N has the weight 0.5 - |(t + 1) / (N + 1) - 0.5|, N being the first segment's
    length: EnCodec's rule, by which a last segment that is shorter keeps the others' slope.

    Attributes:
        total: `[B, C, n]`, the weighted sum from the next segment's start on.
        weight: `[n]`, the weights' sum.
        stride: Samples from segment to segment.
        length: N, or 0 before the first segment.
    """

    total: Tensor
    weight: Tensor = field(metadata={"row": None})  # all streams share it
    stride: int
    length: int

    @classmethod
    def start(
        cls, batch: int, channels: int, stride: int, device: torch.device | None
    ) -> OverlapAdd:
        """Return the state before the first segment."""
        empty = torch.zeros(batch, channels, 0, device=device)
        return cls(empty, torch.zeros(0, device=device), stride, 0)

    def add(self, segment: Tensor) -> tuple[Tensor, OverlapAdd]:
        """Add a segment `[B, C, n]`; return the samples before the next one's start."""
        count = segment.shape[2]
        length = max(self.length or count, count)
        t = torch.linspace(0, 1, length + 2, device=segment.device, dtype=segment.dtype)[1:-1]
        slope = (0.5 - (t - 0.5).abs())[:count]
        size = max(count, self.weight.shape[0])
        total = _extend(self.total.to(segment), size)
        weight = _extend(self.weight.to(segment), size)
        total[..., :count] += segment * slope
        weight[:count] += slope
        done, after = total[..., : self.stride], total[..., self.stride :]
        state = replace(
            self, total=after.clone(), weight=weight[self.stride :].clone(), length=length
        )
        return done / weight[: self.stride], state

    def rest(self) -> Tensor:
        """Return the samples after the last segment's stride."""
        return self.total / self.weight


def _extend(x: Tensor, size: int) -> Tensor:
    """Copy `[..., n]` into `[..., size]`, zeros after it."""
    longer = x.new_zeros(*x.shape[:-1], size)
    longer[..., : x.shape[-1]] = x
    return longer

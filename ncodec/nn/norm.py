"""Normalisation over a whole segment: it must see the segment's end before it can begin."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ncodec.streaming import State, Streamable, join_all

_TILE = 1 << 18  # values; smaller tiles cost more in calls, larger ones leave the caches
_TILE_ROWS = 1280  # at least: fewer cost more to read the weights of layers with many channels


@dataclass(frozen=True)
class Segment:
    """A segment so far.

    Attributes:
        parts: `[B, n, C]` each, as they came.
        sums: `[B]` each, the sum of each part's values.
        norms: `[B]` each, the root of the sum of their squares.
    """

    parts: tuple[Tensor, ...]
    sums: tuple[Tensor, ...]
    norms: tuple[Tensor, ...]


class SegmentNorm(Streamable):
    """Group norm with one group: zero mean and unit variance over channels and time together.

    All output comes from the segment's end, so a model with this layer is fed one segment at a
    time. What is fed is measured while it is in the cache and kept as it is: nobody may write to
    its memory any more. It is normalised tile by tile, as the layers that follow ask for it, in
    float32 at least.

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
        self.tile = max(_TILE_ROWS, _TILE // channels)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the empty segment."""
        device = device if device is not None else self.weight.device
        dtype = dtype if dtype is not None else self.weight.dtype
        empty = torch.zeros(batch, 0, len(self.weight), device=device, dtype=dtype)
        return Segment((empty,), (empty.sum((1, 2)),), (empty.sum((1, 2)),))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Collect `x`; return nothing."""
        assert isinstance(state, Segment)
        if x.shape[2] == 0:
            return x, state
        rows = x.transpose(1, 2).contiguous()
        values = rows.flatten(1)
        sums = (*state.sums, values.sum(1))
        norms = (*state.norms, torch.linalg.vector_norm(values, dim=1))
        return x[..., :0], Segment((*state.parts, rows), sums, norms)

    def flush(self, state: State) -> Tensor:
        """Return the whole segment, normalised."""
        return join_all(list(self.drain(state)))

    def drain(self, state: State) -> Iterator[Tensor]:
        """Yield the segment, normalised, tile by tile; lets go of what it has yielded."""
        assert isinstance(state, Segment)
        parts = deque(state.parts)
        length = sum(part.shape[1] for part in parts)
        if length == 0:
            yield parts[0].transpose(1, 2)
            return
        factor, offset = self._affine(state, length * len(self.weight))
        del state
        first, passed = self.trim[0], 0
        while first < length - self.trim[1]:
            last = min(length - self.trim[1], first + self.tile)
            while passed + parts[0].shape[1] <= first:
                passed += parts.popleft().shape[1]
            tile = [
                torch.addcmul(offset, x.to(offset.dtype), factor)
                for x in _between(parts, first - passed, last - passed)
            ]
            yield (tile[0] if len(tile) == 1 else torch.cat(tile, dim=1)).transpose(1, 2)
            first = last

    def _affine(self, state: Segment, count: int) -> tuple[Tensor, Tensor]:
        """Return the normalisation as a factor and an offset for each channel, `[B, 1, C]`."""
        mean = torch.stack(state.sums).double().sum(0) / count
        square = torch.stack(state.norms).double().square().sum(0) / count
        scale = (square - mean.square() + self.epsilon).rsqrt()
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        factor = scale[:, None, None].to(wide) * self.weight
        return factor, self.bias - mean[:, None, None].to(wide) * factor


def _between(parts: Iterable[Tensor], start: int, stop: int) -> Iterator[Tensor]:
    """Yield the samples `start` to `stop` of parts one after another."""
    for part in parts:
        length = part.shape[1]
        if start < length and stop > 0:
            whole = start <= 0 and stop >= length
            yield part if whole else part[:, max(0, start) : stop]
        start, stop = start - length, stop - length

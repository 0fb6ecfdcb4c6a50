"""What SpectralCodec learns with: a causal net over frames.

Everything here works on `[B, F, C]` (frames before channels), where a layer is one matrix product
and a stream of single frames costs no re-layout.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncodec.kernels import parts_of
from ncodec.nn.linear import Linear


class FrameBlock(nn.Module):
    """Causal residual block after ConvNeXt (Liu et al., 2022): taps over frames, then an MLP."""

    def __init__(self, width: int, expansion: int, kernel: int) -> None:
        super().__init__()
        self._memory = kernel - 1
        self.taps = nn.Parameter(torch.randn(kernel, width) / math.sqrt(kernel))
        self.norm = nn.LayerNorm(width)
        self.expand = Linear(width, expansion * width)
        self.reduce = Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.2))

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames `[B, F, C]`; `past` is the `kernel - 1` frames before them."""
        taps, scale, norm, expand, reduce = parts_of(self)
        memory, frames = self._memory, x.shape[1]
        joined = torch.cat([past, x], dim=1)
        if frames == 1:
            y = (joined * taps).sum(dim=1, keepdim=True)
        else:  # a sum of shifted products: on CPUs many times faster backwards than a grouped conv
            y = joined[:, memory:] * taps[memory]
            for i in range(memory):
                y = torch.addcmul(y, joined[:, i : i - memory], taps[i])
        y = reduce.forward(F.gelu(expand.forward(_normed(norm, y))))
        return torch.addcmul(x, scale, y), joined[:, -memory:] if memory else past


class FrameNet(nn.Module):
    """Linear in, causal blocks, linear out; the state is one tensor of past frames a block."""

    def __init__(
        self, inputs: int, width: int, depth: int, outputs: int, *, expansion: int, kernel: int
    ) -> None:
        super().__init__()
        self.input = Linear(inputs, width)
        self.blocks = nn.ModuleList([FrameBlock(width, expansion, kernel) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.output = Linear(width, outputs)
        self._past = (kernel - 1, width)

    def initial_state(self, batch: int, device: torch.device | None = None) -> tuple[Tensor, ...]:
        """Zeros: a stream begins as if zeros had always come."""
        return tuple(torch.zeros(batch, *self._past, device=device) for _ in self.blocks)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map frames `[B, F, inputs]` to `[B, F, outputs]`."""
        first, blocks, norm, last = parts_of(self)
        x = first.forward(x)
        after: list[Tensor] = []
        for block, past in zip(blocks, state, strict=True):
            x, newer = block.step(x, past)
            after.append(newer)
        return last.forward(_normed(norm, x)), tuple(after)


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    weight, bias = parts_of(norm)
    return torch.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)

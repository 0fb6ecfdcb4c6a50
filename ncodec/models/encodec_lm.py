"""The language model that entropy-codes EnCodec's `.ecdc` files of version 0.

A causal transformer gives, for every frame, one distribution a codebook from the frames before it;
an arithmetic coder turns them into bits. Writer and reader must compute the very same numbers, so
the operations and their order here are those of the `encodec` package, version 0.1.1. They are
floating-point all the same: a file made on another machine, or with another build of torch, may not
decode. `ncodec convert` rewrites such a file with plain bits where it does decode.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ncodec.config import EncodecLMConfig


class LMState(NamedTuple):
    """What the model has seen.

    Attributes:
        past: For each layer its inputs `[B, <= past_context, D]`; at the start one zero vector,
            which is attended to like any other.
        offset: Number of frames so far.
    """

    past: tuple[Tensor, ...]
    offset: int


class EncodecLM(nn.Module):
    """P(codes of a frame | frames before it), all codebooks of the frame at once."""

    config_type = EncodecLMConfig

    def __init__(self, config: EncodecLMConfig, name: str = "encodec_lm") -> None:
        """Build with random weights."""
        super().__init__()
        self.config = config
        self.name = name
        self.transformer = _Transformer(config)
        self.emb = nn.ModuleList(
            nn.Embedding(config.bins + 1, config.dim) for _ in range(config.codebooks)
        )
        self.linears = nn.ModuleList(
            nn.Linear(config.dim, config.bins) for _ in range(config.codebooks)
        )

    def initial_state(self, batch: int = 1, device: torch.device | None = None) -> LMState:
        """Return the state before the first frame."""
        zero = torch.zeros(batch, 1, self.config.dim, device=device)
        return LMState((zero,) * self.config.layers, 0)

    def step(self, previous: Tensor, state: LMState) -> tuple[Tensor, LMState]:
        """Predict the next frame.

        Args:
            previous: int64 `[B, K]`, the last frame's codes + 1; all 0 before the first frame.
            state: What has been seen before `previous`.

        Returns:
            Probabilities `[B, bins, K]` and the new state.
        """
        used = range(previous.shape[1])
        embedded = sum(
            (self.emb[k](previous[:, k : k + 1]) for k in used),
            torch.zeros((), device=previous.device),
        )
        hidden, state = self.transformer(embedded, state)
        logits = torch.stack([self.linears[k](hidden) for k in used], dim=1).permute(0, 3, 1, 2)
        return torch.softmax(logits, dim=1)[..., 0], state

    @torch.no_grad()
    def predict(self, previous: Tensor, state: LMState) -> tuple[NDArray[np.float32], LMState]:
        """Predict the next frame of one stream.

        Args:
            previous: int64 `[K]`, the last frame's codes + 1; all 0 before the first frame.
            state: What has been seen before `previous`.

        Returns:
            Probabilities float32 `[K, bins]`, and the new state.
        """
        probabilities, state = self.step(previous[None], state)
        return probabilities[0].T.cpu().numpy(), state


class _Transformer(nn.Module):
    """Post-norm layers over the past and the present frame."""

    def __init__(self, config: EncodecLMConfig) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(config.dim)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.past_context = config.past_context

    def forward(self, x: Tensor, state: LMState) -> tuple[Tensor, LMState]:
        """Map one frame `[B, 1, D]`."""
        x = self.norm_in(x) + _position(state.offset, x.shape[-1], x.device)
        past: list[Tensor] = []
        for layer, before in zip(self.layers, state.past, strict=True):
            past.append(torch.cat([before, x], dim=1)[:, -self.past_context :])
            x = layer(x, before)
        return x, LMState(tuple(past), state.offset + 1)


class _Layer(nn.Module):
    """Attention to the past and to itself, then a feed-forward pair; a norm after each sum."""

    def __init__(self, config: EncodecLMConfig) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(config.dim, config.heads, batch_first=True)
        self.linear1 = nn.Linear(config.dim, 4 * config.dim)
        self.linear2 = nn.Linear(4 * config.dim, config.dim)
        self.norm1 = nn.LayerNorm(config.dim)
        self.norm2 = nn.LayerNorm(config.dim)

    def forward(self, x: Tensor, past: Tensor) -> Tensor:
        keys = torch.cat([past, x], dim=1)
        # Nothing is masked, as the past is cut to the context; but with a mask torch takes another
        # kernel, whose sums round differently.
        mask = torch.zeros(1, keys.shape[1], dtype=torch.bool, device=x.device)
        attended, _ = self.self_attn(x, keys, keys, attn_mask=mask, need_weights=False)
        x = self.norm1(x + attended)
        return self.norm2(x + self.linear2(F.gelu(self.linear1(x))))


def _position(offset: int, dim: int, device: torch.device) -> Tensor:
    """Return cosines, then sines, of the position: `[1, 1, D]`, longest period 10000."""
    index = torch.arange(dim // 2, device=device).view(1, 1, -1)
    positions = torch.arange(1, device=device).view(1, -1, 1) + offset
    phase = positions / (10000 ** (index / (dim // 2 - 1)))
    return torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1)

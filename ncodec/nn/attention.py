"""A causal transformer with rotary positions and a bounded context, as a Streamable.

Keys are kept unrotated, and rotated by their place in the window at each use: rotary attention
depends on distances only, so a stream of any length has small angles and no counter that grows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncodec.streaming import Streamable


class KeyValues(NamedTuple):
    """One layer's last keys and values, `[B, heads, <= context - 1, width]` each."""

    keys: Tensor
    values: Tensor

    GROWS = 2


class Transformer(Streamable):
    """Pre-norm layers over `[B, C, T]`; each position sees itself and the `context - 1` before it.

    Signals are worked through in blocks of `context` positions, so memory does not grow with T.
    """

    def __init__(
        self,
        channels: int,
        *,
        layers: int,
        heads: int,
        feed_forward: int,
        context: int,
        rope_period: float = 10000.0,
    ) -> None:
        """Build with random weights.

        Args:
            channels: Width, a multiple of `heads`.
            layers: Number of layers.
            heads: Attention heads.
            feed_forward: Inner width of the feed-forward pairs.
            context: Positions that attention sees, its own included.
            rope_period: Longest period of the rotary positions, over 2 pi.
        """
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(channels, heads, feed_forward, context) for _ in range(layers)
        )
        self.context = context
        self._kv_shape = (heads, 0, channels // heads)
        width = channels // heads
        frequencies = rope_period ** -(torch.arange(0, width, 2) / width)
        self._frequencies = frequencies.double()  # no buffer: not all devices have doubles
        cosines, sines = self._angles(2 * context)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)
        self.cosines: Tensor
        self.sines: Tensor

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> tuple[KeyValues, ...]:
        """Return the state before the first position: nothing to attend to."""
        empty = torch.zeros(
            (batch, *self._kv_shape),
            device=self.cosines.device if device is None else device,
            dtype=self.cosines.dtype if dtype is None else dtype,
        )
        return (KeyValues(empty, empty),) * len(self.layers)

    def step(self, x: Tensor, state: tuple[KeyValues, ...]) -> tuple[Tensor, tuple[KeyValues, ...]]:
        """Map the next positions; every one comes out at once."""
        done: list[Tensor] = []
        positions = x.transpose(1, 2)
        few = x.shape[2] <= self.context
        for block in (positions,) if few else positions.split(self.context, dim=1):
            y = block
            after: list[KeyValues] = []
            for layer, before in zip(self.layers, state, strict=True):
                y, kept = layer(y, before, self.cosines, self.sines)
                after.append(kept)
            done.append(y)
            state = tuple(after)
        return torch.cat(done, dim=1).transpose(1, 2), state

    def end(self, x: Tensor, state: tuple[KeyValues, ...]) -> Tensor:
        """Map the last positions, any number of them at once: memory grows with its square."""
        y = x.transpose(1, 2)
        tables = [a.to(y) for a in self._angles(state[0].keys.shape[2] + y.shape[1])]
        for layer, before in zip(self.layers, state, strict=True):
            y, _ = layer(y, before, *tables)
        return y.transpose(1, 2)

    def _angles(self, count: int) -> tuple[Tensor, Tensor]:
        """Return cosines and sines by which each of so many places is turned."""
        places = torch.arange(count, device=self._frequencies.device).double()
        angles = (places[:, None] * self._frequencies).float().repeat(1, 2)
        return angles.cos(), angles.sin()

    def flush(self, state: tuple[KeyValues, ...]) -> Tensor:
        """Return nothing: no position is held back."""
        keys = state[0].keys
        heads, _, width = self._kv_shape
        return keys.new_zeros(keys.shape[0], heads * width, 0)


class TransformerLayer(nn.Module):
    """Attention, then a feed-forward pair; each normalised before and scaled after."""

    def __init__(self, channels: int, heads: int, feed_forward: int, context: int) -> None:
        """Build with random weights."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.output = nn.Linear(channels, channels, bias=False)
        self.attention_scale = nn.Parameter(torch.full((channels,), 0.01))
        self.feed_norm = nn.LayerNorm(channels)
        self.feed_in = nn.Linear(channels, feed_forward, bias=False)
        self.feed_out = nn.Linear(feed_forward, channels, bias=False)
        self.feed_scale = nn.Parameter(torch.full((channels,), 0.01))
        self.heads = heads
        self.context = context

    def forward(
        self, x: Tensor, before: KeyValues, cosines: Tensor, sines: Tensor
    ) -> tuple[Tensor, KeyValues]:
        """Map `[B, T, C]` after `before`, turned by tables as long as both; return what to keep."""
        attended, kept = self._attend(self.attention_norm(x), before, cosines, sines)
        x = x + self.attention_scale * attended
        return x + self.feed_scale * self._feed(self.feed_norm(x)), kept

    def _feed(self, x: Tensor) -> Tensor:
        return self.feed_out(F.gelu(self.feed_in(x)))

    def _attend(
        self, x: Tensor, before: KeyValues, cosines: Tensor, sines: Tensor
    ) -> tuple[Tensor, KeyValues]:
        queries = self._split(self.query(x))
        keys = torch.cat([before.keys, self._split(self.key(x))], dim=2)
        values = torch.cat([before.values, self._split(self.value(x))], dim=2)
        total, past = keys.shape[2], before.keys.shape[2]
        places = torch.arange(total, device=x.device)
        distance = places[past:, None] - places
        attended = F.scaled_dot_product_attention(
            rotate(queries, cosines[past:total], sines[past:total]),
            rotate(keys, cosines[:total], sines[:total]),
            values,
            attn_mask=(distance >= 0) & (distance < self.context),
        )
        last = slice(1 - self.context, None) if self.context > 1 else slice(0)
        kept = KeyValues(keys[:, :, last], values[:, :, last])
        return self.output(attended.transpose(1, 2).flatten(2)), kept

    def _split(self, x: Tensor) -> Tensor:
        batch, count, channels = x.shape
        return x.reshape(batch, count, self.heads, channels // self.heads).transpose(1, 2)


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair (i, i + half) of `[B, heads, T, width]` by its position's angles."""
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat([-second, first], dim=-1) * sines

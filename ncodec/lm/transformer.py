"""The decoder transformer of language models over codes: a Streamable, its keys in its state.

Keys and values lie in memory with room behind them, so that a step appends and copies nothing. A
state is still never changed: it is a view of the memory up to its own end, and who goes on from a
state that another has gone on from gets a copy.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.kernels import parts_of
from ncodec.models.lm_config import LMConfig
from ncodec.nn.linear import Linear
from ncodec.streaming import Streamable

_BLOCK = 512
"""Steps that go through the layers together, so that masks stay small."""
_ROOM = 256
"""Steps of room behind keys and values, at least."""


class Room:
    """Memory `[B, heads, capacity, width]` of keys and of values that is filled once, in order."""

    def __init__(self, keys: Tensor, values: Tensor, used: int) -> None:
        self.keys, self.values = keys, values
        self._used, self._lock = used, threading.Lock()

    def __eq__(self, other: object) -> bool:
        """Memory is no part of what a state says."""
        return isinstance(other, Room)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def claim(self, begin: int, count: int) -> bool:
        """Take the places from `begin`, if they are the next ones and there are so many."""
        with self._lock:
            free = begin == self._used and begin + count <= self.keys.shape[2]
            if free:
                self._used += count
            return free


@dataclass(frozen=True)
class KeyValues:
    """Keys and values so far, `[B, heads, n, width]` each; those of a bounded context only.

    Attributes:
        keys: Rotated by their positions, if positions are rotary.
        values: As they are.
        room: Where both lie, if more can be put behind them.
    """

    keys: Tensor
    values: Tensor
    room: Room | None = field(default=None, metadata={"row": None})

    def append(self, keys: Tensor, values: Tensor) -> KeyValues:
        """Return these and those of the next steps."""
        if torch.is_grad_enabled():
            return KeyValues(torch.cat([self.keys, keys], 2), torch.cat([self.values, values], 2))
        new, old = keys.shape[2], self.keys.shape[2]
        room, begin = self._claimed(new)
        if room is None:
            room, begin = self._moved(new), old
        room.keys.narrow(2, begin, new).copy_(keys)
        room.values.narrow(2, begin, new).copy_(values)
        seen = begin - old, old + new
        return KeyValues(room.keys.narrow(2, *seen), room.values.narrow(2, *seen), room)

    def last(self, keep: int | None) -> KeyValues:
        """Return the last `keep`, if that is given."""
        surplus = 0 if keep is None else self.keys.shape[2] - keep
        if surplus <= 0:
            return self
        kept = surplus, self.keys.shape[2] - surplus
        return KeyValues(self.keys.narrow(2, *kept), self.values.narrow(2, *kept), self.room)

    def _claimed(self, count: int) -> tuple[Room | None, int]:
        """Take the places behind these, if they lie in a room and nobody has gone on from here."""
        room, keys = self.room, self.keys
        if room is None or (room.keys.is_inference() and not torch.is_inference_mode_enabled()):
            return None, 0
        stride = int(room.keys.stride(2))
        offset = int(keys.storage_offset()) - int(room.keys.storage_offset())
        same = (
            keys.untyped_storage().data_ptr() == room.keys.untyped_storage().data_ptr()
            and keys.stride() == room.keys.stride()
            and keys.shape[0] == room.keys.shape[0]
        )
        begin = offset // stride + keys.shape[2]
        return (room, begin) if same and room.claim(begin, count) else (None, 0)

    def _moved(self, count: int) -> Room:
        """Copy these to a room of their own."""
        batch, heads, old, width = self.keys.shape
        capacity = old + count + max(_ROOM, old // 2)
        made = [x.new_empty(batch, heads, capacity, width) for x in (self.keys, self.values)]
        for room, x in zip(made, (self.keys, self.values), strict=True):
            room[:, :, :old] = x
        return Room(made[0], made[1], old + count)


@dataclass(frozen=True)
class DecoderState:
    """What the transformer has seen.

    Attributes:
        position: Steps so far.
        layers: Keys and values of each layer's self-attention.
        cross: Those of the condition in each layer, of the first rows; None without a condition.
        mask: Bool `[C, 1, 1, L]`, which of these count; None: all.
    """

    position: int
    layers: tuple[KeyValues, ...]
    cross: tuple[KeyValues, ...] | None = None
    mask: Tensor | None = None


class Decoder(Streamable):
    """Pre-norm layers over `[B, D, S]`: causal self-attention, attention to a condition, a pair.

    The condition `[C, L, D]` is that of the first C rows; the others have none, which is what a
    condition of zeros comes to where no layer has a bias.
    """

    def __init__(self, config: LMConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.config = config
        crossed = config.condition == "text"
        self.layers = nn.ModuleList(
            DecoderLayer(config, number, crossed=crossed) for number in range(config.layers)
        )
        self.out_norm = nn.LayerNorm(config.dim)
        self._keep = config.context - 1 if config.context else None
        if config.position == "sin":
            half = config.dim // 2
            exponents = torch.arange(half, dtype=torch.float64) / (half - 1)
        else:
            width = config.dim // config.heads
            exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
        self._frequencies = config.period**-exponents  # no buffer: not all devices have doubles

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        memory: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> DecoderState:
        """Return the state before the first step.

        Args:
            batch: Rows.
            device: Of the rows.
            dtype: Of the rows.
            memory: The condition `[C, L, D]` of the first C rows.
            mask: Bool `[C, L]`, which places of it count.
        """
        weight = self.out_norm.weight
        heads, width = self.config.heads, self.config.dim // self.config.heads
        empty = torch.zeros(
            (batch, heads, 0, width),
            device=weight.device if device is None else device,
            dtype=weight.dtype if dtype is None else dtype,
        )
        layers = (KeyValues(empty, empty),) * len(self.layers)
        if memory is None or not len(memory):
            return DecoderState(0, layers)
        if not 1 <= len(memory) <= batch:
            raise ArgumentError(f"{len(memory)} conditions: must be at most one for {batch} rows")
        cross = tuple(layer.cross_attn.remember(memory) for layer in self.layers)  # pyright: ignore
        seen = None if mask is None or bool(mask.all()) else mask[:, None, None]
        return DecoderState(0, layers, cross, seen)

    def step(self, x: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Map the next steps; every one comes out at once."""
        done: list[Tensor] = []
        for block in x.transpose(1, 2).split(_BLOCK, dim=1):
            y, state = self._block(block, state)
            done.append(y)
        joined = done[0] if len(done) == 1 else torch.cat(done, dim=1)
        return joined.transpose(1, 2), state

    def flush(self, state: DecoderState) -> Tensor:
        """Return nothing: no step is held back."""
        return state.layers[0].keys.new_zeros(len(state.layers[0].keys), self.config.dim, 0)

    def _block(self, x: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        count, end = x.shape[1], state.position + x.shape[1]
        angles = self._angles(state.position, count, x)
        if self.config.position == "sin":
            x = x + angles[0]
        mask = self._mask(count, state.layers[0].keys.shape[2], x.device)
        after: list[KeyValues] = []
        for number, (layer, before) in enumerate(zip(self.layers, state.layers, strict=True)):
            cross = None if state.cross is None else state.cross[number]
            x, kept = layer(x, before, angles, mask, cross, state.mask, self._keep)
            after.append(kept)
        return self.out_norm(x), DecoderState(end, tuple(after), state.cross, state.mask)

    def _mask(self, count: int, past: int, device: torch.device) -> Tensor | str | None:
        """Say which keys each step sees: None for all, "causal", or a mask `[count, keys]`."""
        context = self.config.context
        if count == 1:
            return None
        if past == 0 and (not context or count <= context):
            return "causal"
        places = torch.arange(past + count, device=device)
        distance = places[past:, None] - places
        seen = distance >= 0
        return seen & (distance < context) if context else seen

    def _angles(self, first: int, count: int, like: Tensor) -> tuple[Tensor, ...]:
        """Return the positions' terms: a sum's `[count, D]`, or what `_turned` takes.

        They are computed in float64: in float32 they would be off by 1e-4 after 2000 steps.
        """
        positions = torch.arange(first, first + count, dtype=torch.float64)[:, None]
        phase = positions * self._frequencies
        cosines, sines = phase.cos(), phase.sin()
        if self.config.position == "sin":
            return (torch.cat([cosines, sines], dim=1).to(like),)
        whole = torch.cat([cosines, cosines, -sines, sines], dim=1).to(like)
        return whole.chunk(2, dim=1)


class DecoderLayer(nn.Module):
    """Self-attention, attention to the condition if there is one, a feed-forward pair."""

    def __init__(self, config: LMConfig, number: int, *, crossed: bool) -> None:
        """Build layer `number`; the deeper it lies, the smaller are its first weights."""
        super().__init__()
        dim = config.dim
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attn = SelfAttention(dim, config.heads)
        self.norm_cross = nn.LayerNorm(dim) if crossed else None
        self.cross_attn = CrossAttention(dim, config.heads) if crossed else None
        self.linear1 = Linear(dim, config.feed_forward, bias=False)
        self.linear2 = Linear(config.feed_forward, dim, bias=False)
        for weight in self.parameters():
            if weight.dim() > 1:
                start(weight, depth=number + 1)

    def forward(  # noqa: PLR0917 - one call a layer and step
        self,
        x: Tensor,
        before: KeyValues,
        angles: tuple[Tensor, ...],
        mask: Tensor | str | None,
        cross: KeyValues | None,
        cross_mask: Tensor | None,
        keep: int | None,
    ) -> tuple[Tensor, KeyValues]:
        """Map `[B, S, D]` after `before`; return what to keep for the next steps too."""
        attended, kept = self.self_attn(_normed(self.norm1, x), before, angles, mask)
        x = x + attended
        if cross is not None:
            assert self.norm_cross is not None
            assert self.cross_attn is not None
            rows = len(cross.keys)
            seen = x[:rows]
            seen = seen + self.cross_attn(_normed(self.norm_cross, seen), cross, cross_mask)
            x = seen if rows == len(x) else torch.cat([seen, x[rows:]])
        inner = F.gelu(apply(self.linear1, _normed(self.norm2, x)))
        return x + apply(self.linear2, inner), kept.last(keep)


class SelfAttention(nn.Module):
    """Attention of several heads to what was before, without biases."""

    def __init__(self, dim: int, heads: int) -> None:
        """Build with random weights; queries, keys and values are of one matrix."""
        super().__init__()
        self.heads = heads
        self.in_proj = Linear(dim, 3 * dim, bias=False)
        self.out_proj = Linear(dim, dim, bias=False)

    def forward(
        self,
        x: Tensor,
        before: KeyValues,
        angles: tuple[Tensor, ...],
        mask: Tensor | str | None,
    ) -> tuple[Tensor, KeyValues]:
        """Attend from `[B, S, D]` to what was before and to itself; return the keys and values."""
        batch, steps, dim = x.shape
        heads = self.heads
        parts = apply(self.in_proj, x).view(batch, steps, 3 * heads, dim // heads).transpose(1, 2)
        if len(angles) == 2:
            led, values = parts.split([2 * heads, heads], dim=1)
            queries, keys = _turned(led, *angles).chunk(2, dim=1)
        else:
            queries, keys, values = parts.chunk(3, dim=1)
        seen = before.append(keys, values)
        attended = F.scaled_dot_product_attention(
            queries,
            seen.keys,
            seen.values,
            attn_mask=mask if isinstance(mask, Tensor) else None,
            is_causal=isinstance(mask, str),
        )
        return apply(self.out_proj, _joined(attended)), seen


class CrossAttention(nn.Module):
    """Attention of several heads to a condition, without biases."""

    def __init__(self, dim: int, heads: int) -> None:
        """Build with random weights."""
        super().__init__()
        self.heads = heads
        self.query = Linear(dim, dim, bias=False)
        self.key_value = Linear(dim, 2 * dim, bias=False)
        self.out_proj = Linear(dim, dim, bias=False)

    def remember(self, memory: Tensor) -> KeyValues:
        """Return keys and values of a condition `[C, L, D]`."""
        keys, values = apply(self.key_value, memory).chunk(2, dim=-1)
        return KeyValues(
            _split(keys, self.heads).contiguous(), _split(values, self.heads).contiguous()
        )

    def forward(self, x: Tensor, memory: KeyValues, mask: Tensor | None) -> Tensor:
        """Attend from `[C, S, D]` to a condition."""
        queries = _split(apply(self.query, x), self.heads)
        attended = F.scaled_dot_product_attention(
            queries, memory.keys, memory.values, attn_mask=mask
        )
        return apply(self.out_proj, _joined(attended))


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def _turned(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair (i, i + half) of `[B, heads, S, width]`; the first half's sines are less."""
    return x * cosines + x.roll(x.shape[3] // 2, 3) * sines


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """As calling the layer, in two thirds of the time where rows are few."""
    weight, bias = parts_of(norm)
    return torch.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)


def apply(layer: Linear, x: Tensor) -> Tensor:
    """Return a product in the type of `x`, whatever that of the weights.

    Of float32 without gradients by the shortest way: one takes as long here as a small product.
    """
    if torch.is_grad_enabled() or not x.is_cpu or x.dtype != torch.float32:
        return layer(x).to(x.dtype)
    packed = layer.packed
    return packed.few(x) if packed.weight.dtype == torch.float32 else layer(x).float()


def start(weight: Tensor, *, width: int | None = None, depth: int = 0) -> None:
    """Draw first weights as AudioCraft does: normal, cut at 3 deviations.

    The deviation is the root of 1 / width, the inputs by default, and of 1 / (2 depth) besides.
    """
    deviation = 1 / math.sqrt((width or weight.shape[1]) * (2 * depth or 1))
    nn.init.trunc_normal_(weight, std=deviation, a=-3 * deviation, b=3 * deviation)

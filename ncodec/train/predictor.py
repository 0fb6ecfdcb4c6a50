"""A predictor of codes while it learns: floats that are rounded to integer tables at the end.

For each layer, what the decoder knows of neighbouring frames becomes one hidden layer of clipped
units; from these come a logit for each block of entries, and one for each place in the block that
holds the code, in octaves. Embeddings and output weights are a linear map of the codebooks' own
vectors plus a free part: entries that lie near each other are likely in the same places, and need
not learn that one by one. The sum of both is what becomes tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel
from ncodec_formats.entropy import LayerTables, Tables
from ncodec_formats.entropy.toy import octave_weights

EMBEDDING, INPUT, UNIT, OUTPUT = 32.0, 64.0, 64.0, 32.0
"""Steps of a unit in the tables: embeddings, weights of the hidden layer, its units, logits."""
MOST = 127.0
"""Largest magnitude of all of them, in steps."""
MOST_DIMENSIONS = 80
"""Of codebooks' vectors; wider ones are turned to their principal directions."""
MOST_ENTRIES = 4096


@dataclass(frozen=True)
class Shape:
    """Sizes of a predictor.

    Attributes:
        layers: Codebooks, from the first on.
        entries: Of each.
        dimensions: Of their vectors.
        width: Of an embedding.
        units: Of the hidden layer.
        back: Frames before the present one that are seen.
        ahead: Frames after it, of which lower layers are known.
        own: Lowest layers that see their own past too.
    """

    layers: int
    entries: int
    dimensions: int
    width: int
    units: int
    back: int
    ahead: int
    own: int

    @property
    def inputs(self) -> int:
        """Width of a context."""
        return (1 + self.back + self.ahead) * self.width

    @property
    def blocks(self) -> int:
        """Blocks of entries, as many as each has places or fewer."""
        most = math.isqrt(self.entries)
        return next(n for n in range(most, 0, -1) if self.entries % n == 0)

    @property
    def table_bytes(self) -> int:
        """Size of the tables."""
        outputs = self.blocks + self.entries
        layer = self.units * (self.inputs + outputs + 4) + 4 * outputs
        return self.layers * (layer + self.entries * (self.width + 2))


class Predictor(nn.Module):
    """Bits of codes, given their neighbours.

    Args:
        shape: Sizes.
        entries: Vectors of the codebooks, `[layers, entries, dimensions]`; zeros if None, for
            weights that are loaded afterwards.
    """

    vectors: Tensor
    gains: Tensor
    places: Tensor

    def __init__(self, shape: Shape, entries: Tensor | None = None) -> None:
        super().__init__()
        self.shape = s = shape
        if entries is None:
            entries = torch.zeros(s.layers, s.entries, s.dimensions)
        entries = entries - entries.mean(dim=1, keepdim=True)
        spread = entries.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp(min=1e-9)
        entries = entries / spread
        power = entries.square().sum(2, keepdim=True)
        power = 2 * (power - power.mean(dim=1, keepdim=True)) / s.dimensions
        order = torch.stack([_in_blocks(book, s.blocks) for book in entries])
        self.register_buffer("vectors", torch.cat([entries, power], dim=2))
        self.register_buffer("gains", (spread / spread[:1]).sqrt())
        self.register_buffer("places", order.argsort(dim=1))
        features = s.dimensions + 1
        turn = torch.empty(s.dimensions, s.width)
        self.turn = nn.Parameter(nn.init.orthogonal_(turn) * 0.5)
        self.embedding = nn.Parameter(torch.zeros(s.layers, s.entries, s.width))
        weights = torch.randn(s.layers, s.inputs, s.units)
        self.inputs = nn.Parameter(0.8 / math.sqrt(s.inputs) * weights)
        self.input_bias = nn.Parameter(torch.full((s.layers, 1, s.units), 0.3))
        self.block_slopes = nn.Parameter(0.02 * torch.randn(s.layers, s.units, features))
        self.blocks = nn.Parameter(torch.zeros(s.layers, s.units, s.blocks))
        self.block_bias = nn.Parameter(torch.zeros(s.layers, s.blocks))
        self.entry_slopes = nn.Parameter(0.02 * torch.randn(s.layers, 1, s.units, features))
        count = s.entries // s.blocks
        self.entries = nn.Parameter(torch.zeros(s.layers, s.blocks, s.units, count))
        self.entry_bias = nn.Parameter(torch.zeros(s.layers, s.blocks, count))

    @torch.no_grad()
    def start(self, codes: Tensor) -> None:
        """Begin with how often each entry occurs in `codes` `[N, layers, F]`."""
        for k, places in enumerate(self.places):
            at = places[codes[:, k].flatten().long()]
            counts = torch.bincount(at, minlength=self.shape.entries) + 0.5
            counts = counts.view_as(self.entry_bias[k])
            in_block = counts.sum(dim=1, keepdim=True)
            self.entry_bias[k].copy_((counts / in_block).log2())
            self.block_bias[k].copy_((in_block / in_block.sum()).log2().squeeze(1))

    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sums of both parts.

        Returns:
            Embeddings `[layers, entries, width]`, and output weights of the blocks
            `[layers, units, blocks]` and the places in them `[layers, blocks, units, places]`.
        """
        s = self.shape
        embedding = self.gains * (self.vectors[..., :-1] @ self.turn) + self.embedding
        order = self.places.argsort(dim=1)[..., None].expand_as(self.vectors)
        vectors = self.vectors.gather(1, order).view(s.layers, s.blocks, -1, s.dimensions + 1)
        blocks = self.block_slopes @ vectors.mean(dim=2).transpose(1, 2) + self.blocks
        entries = self.entry_slopes @ vectors.transpose(2, 3) + self.entries
        return embedding, blocks, entries

    def forward(
        self, codes: Tensor, there: Tensor, *, rounded: bool, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Return the mean bits of the present frames' codes, one number a layer.

        Args:
            codes: int64 `[N, parts, layers]`: the present frame, those before it from the nearest
                on, those after it.
            there: bool `[N, parts]`: which of them the packet has.
            rounded: Compute as the integers will, with gradients as if they were not rounded.
            dtype: Of the products.
        """
        embedding, blocks, entries = self.weights()
        inputs = self.inputs
        if rounded:
            embedding, inputs = _round(embedding, EMBEDDING), _round(inputs, INPUT)
            blocks, entries = _round(blocks, OUTPUT), _round(entries, OUTPUT)
        context = self._context(codes, there, embedding).to(dtype)
        units = torch.bmm(context, inputs.to(dtype)).float() + self.input_bias
        units = units.clamp(0, MOST / UNIT)
        if rounded:
            units = _round(units, UNIT)
        bits = list[Tensor]()
        for k, places in enumerate(self.places):
            block = (blocks[k].to(dtype), self.block_bias[k])
            entry = (entries[k].to(dtype), self.entry_bias[k])
            found: Any = _Bits.apply(units[k].to(dtype), *block, *entry, places[codes[:, 0, k]])
            bits.append(found)
        return torch.stack(bits)

    def _context(self, codes: Tensor, there: Tensor, embedding: Tensor) -> Tensor:
        """Return the contexts of all layers, `[layers, N, parts * width]`."""
        s = self.shape
        offsets = torch.arange(s.layers, device=codes.device) * s.entries
        rows = nn.functional.embedding(codes + offsets, embedding.flatten(0, 1))
        sums = (rows * there[..., None, None]).cumsum(dim=2)
        sums = nn.functional.pad(sums, (0, 0, 1, 0))  # [N, parts, layers + 1, width]
        own = min(s.own, s.layers)
        parts = list[Tensor]()
        for part in range(sums.shape[1]):
            known = sums[:, part]
            if 1 <= part <= s.back:
                parts.append(torch.cat([known[:, 1 : own + 1], known[:, own : s.layers]], dim=1))
            else:
                parts.append(known[:, : s.layers])
        most = MOST / EMBEDDING
        return torch.cat(parts, dim=2).transpose(0, 1).clamp(-most, most)

    @torch.no_grad()
    def tables(self) -> Tables:
        """Return the integers."""
        s = self.shape
        embedding, blocks, entries = self.weights()
        flat = entries.transpose(1, 2).flatten(2)  # [layers, units, entries]
        made = zip(
            self.places.cpu().numpy(),
            _integers(self.inputs, INPUT, np.int8),
            _integers(self.input_bias[:, 0], EMBEDDING * INPUT, np.int32),
            _integers(blocks, OUTPUT, np.int8),
            _integers(self.block_bias, UNIT * OUTPUT, np.int32),
            _integers(flat, OUTPUT, np.int8),
            _integers(self.entry_bias.flatten(1), UNIT * OUTPUT, np.int32),
            strict=True,
        )
        embeddings = tuple(_integers(embedding, EMBEDDING, np.int8))
        layers = tuple(LayerTables(*layer) for layer in made)
        return Tables(s.back, s.ahead, s.own, octave_weights(), embeddings, layers)


class _Bits(torch.autograd.Function):
    """Mean bits of codes, by block and place; their gradient is made while the logits are near.

    The rows of a block lie side by side for the places' products: each row needs one block's.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        units, blocks, block_bias, entries, entry_bias, places = args
        count = entry_bias.shape[1]
        order = places.argsort()
        units, places = units[order], places[order]
        block, place = places // count, places % count
        ends = torch.bincount(block, minlength=len(entries)).cumsum(0).tolist()
        parts = [
            (b, slice(first, end))
            for b, (first, end) in enumerate(zip([0, *ends], ends, strict=False))
            if first < end
        ]
        slope, bits = _softmax((units @ blocks).float() + block_bias, block)
        logits = entry_bias[block]
        for b, rows in parts:
            logits[rows] += (units[rows] @ entries[b]).float()
        entry_slope, more = _softmax(logits, place)
        rough, entry_rough = slope.to(units.dtype), entry_slope.to(units.dtype)
        units_slope = (rough @ blocks.t()).float()
        entries_slope = torch.zeros_like(entries, dtype=torch.float32)
        for b, rows in parts:
            units_slope[rows] += (entry_rough[rows] @ entries[b].t()).float()
            entries_slope[b] = (units[rows].t() @ entry_rough[rows]).float()
        ctx.save_for_backward(
            torch.empty_like(units_slope).index_copy_(0, order, units_slope),
            (units.t() @ rough).float(),
            slope.sum(0),
            entries_slope,
            torch.zeros_like(entry_bias).index_add_(0, block, entry_slope),
        )
        return bits + more

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        units, blocks, block_bias, entries, entry_bias = ctx.saved_tensors
        made = (units, blocks, block_bias, entries, entry_bias)
        return (*(grads[0] * each for each in made), None)


def _softmax(logits: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient of the mean bits by logits in octaves `[N, C]`, and those bits."""
    logits = logits * math.log(2)
    total = logits.logsumexp(dim=1, keepdim=True)
    best = logits.gather(1, codes[:, None])
    slope = logits.sub_(total).exp_()
    slope.scatter_add_(1, codes[:, None], slope.new_full((len(codes), 1), -1.0))
    return slope.mul_(1 / len(codes)), (total - best).mean() / math.log(2)


def _in_blocks(vectors: Tensor, blocks: int) -> Tensor:
    """Return the entries `[N, D]` in an order in which the neighbours of each block lie close.

    Halved again and again, each half along the direction in which it spreads most.
    """
    order, parts = torch.arange(len(vectors)), [(0, len(vectors), blocks)]
    while parts:
        first, end, count = parts.pop()
        if count == 1:
            continue
        mine = order[first:end]
        own = (vectors[mine] - vectors[mine].mean(dim=0)).double()
        direction = torch.linalg.eigh(own.t() @ own)[1][:, -1]
        direction = direction * direction[direction.abs().argmax()].sign()
        order[first:end] = mine[(own @ direction).argsort(stable=True)]
        middle = first + (end - first) * (count // 2) // count
        parts += [(first, middle, count // 2), (middle, end, count - count // 2)]
    return order


def _round(x: Tensor, steps: float) -> Tensor:
    """Round to steps, half up, within what int8 holds; the gradient passes where it is within."""
    x = x.clamp(-MOST / steps, MOST / steps)
    return x + (torch.floor(x.detach() * steps + 0.5) / steps - x.detach())


def _integers(x: Tensor, steps: float, dtype: type[np.integer[Any]]) -> NDArray[Any]:
    y = np.floor(x.detach().cpu().double().numpy() * steps + 0.5)
    return (y.clip(-MOST, MOST) if dtype is np.int8 else y).astype(dtype)


def codebook_vectors(model: CompressionModel, layers: int) -> Tensor:
    """Return what each entry of the first codebooks adds to the latent, `[layers, entries, D]`.

    D is at most `MOST_DIMENSIONS`: of wider latents the directions with most of the power.

    Raises:
        ArgumentError: The codebooks are not of one size, or do not add up.
    """
    sizes = model.codebook_sizes[:layers]
    if len(set(sizes)) > 1 or sizes[0] > MOST_ENTRIES:
        raise ArgumentError(
            f"{model.name}: codebooks of {', '.join(map(str, sorted(set(sizes))))} entries; "
            f"a predictor needs codebooks of one size, at most {MOST_ENTRIES}"
        )
    books = list[Tensor]()
    with torch.no_grad():
        for k, size in enumerate(sizes):
            codes = torch.zeros(size, k + 1, 1, dtype=torch.long, device=model.device)
            codes[:, k, 0] = torch.arange(size)
            below = model.decode_latent(codes[:1, :k])[..., 0] if k else 0.0
            books.append(model.decode_latent(codes)[..., 0].float() - below)
        _check_sums(model, torch.stack(books))
    return _principal(torch.stack(books))


def _check_sums(model: CompressionModel, books: Tensor) -> None:
    """Refuse a model whose latent is not the sum of its entries."""
    layers, size, _ = books.shape
    codes = torch.arange(layers, device=books.device).add(1).remainder(size)
    whole = model.decode_latent(codes[None, :, None])[0, :, 0].float()
    summed = sum(books[k, code] for k, code in enumerate(codes.tolist()))
    if (whole - summed).norm() > 1e-3 * (1 + whole.norm()):
        raise ArgumentError(f"{model.name}: its codebooks are not residual: entries do not add up")


def _principal(books: Tensor) -> Tensor:
    if books.shape[2] <= MOST_DIMENSIONS:
        return books
    centred = books - books.mean(dim=1, keepdim=True)
    rows = centred.flatten(0, 1)
    _, directions = torch.linalg.eigh(rows.t() @ rows)
    return books @ directions[:, -MOST_DIMENSIONS:]

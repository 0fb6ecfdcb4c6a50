"""What codes cost where they are predicted, as the search for codes weighs it.

The arithmetic is that of the predictor, but for logits that are not rounded to steps: a choice
needs no exactness, as any decoder reads what was chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ncodec_formats.entropy import LayerTables, Tables

_MOST = 16.0  # bits of a block or a place whose frequency is 1, of about 2^16
_OCTAVE = 2.0**-11  # of a step of a logit
_UNIT = 2.0**-5  # of a step of a unit


class _Layer(NamedTuple):
    embedding: Tensor  # [N, D]
    inputs: Tensor  # [P, D, H]
    input_bias: Tensor  # [H]
    blocks: Tensor  # [H, B]
    block_bias: Tensor
    entries: Tensor  # [H, N], block by block
    entry_bias: Tensor
    places: Tensor  # of each code among them


class CodeBits:
    """Bits of all codes of a layer, frame by frame, given what stands around them."""

    def __init__(self, tables: Tables, device: torch.device) -> None:
        """Prepare tables for products on a device."""
        self.layers, self.own = len(tables.layers), tables.own
        self.width = tables.embeddings[0].shape[1]
        self._before, self._after = tables.before, tables.after
        pairs = zip(tables.embeddings, tables.layers, strict=True)
        self._layers = [self._prepared(*pair, device) for pair in pairs]

    @classmethod
    def of(cls, tables: Tables, device: torch.device) -> CodeBits:
        """Return what was made of tables before, or make it."""
        key = f"bits on {device}"
        if key not in tables.cache:
            tables.cache[key] = cls(tables, device)
        return tables.cache[key]

    def _prepared(self, embedding: Any, layer: LayerTables, device: torch.device) -> _Layer:
        def floats(table: Any, step: float = 1.0) -> Tensor:
            return torch.from_numpy(table.astype(np.float32) * np.float32(step)).to(device)

        inputs = floats(layer.inputs)
        return _Layer(
            floats(embedding),
            inputs.view(-1, self.width, inputs.shape[1]),
            floats(layer.input_bias) + 0.5 / _UNIT,  # units are rounded half up
            floats(layer.blocks, _OCTAVE),
            floats(layer.block_bias, _OCTAVE),
            floats(layer.entries, _OCTAVE),
            floats(layer.entry_bias, _OCTAVE),
            torch.from_numpy(layer.places.astype(np.int64)).to(device),
        )

    def embed(self, layer: int, codes: Tensor) -> Tensor:
        """Return the embeddings of codes, `[...]` to `[..., width]`."""
        return self._layers[layer].embedding[codes]

    def costs(self, layer: int, sums: Tensor, own: Tensor) -> Tensor:
        """Return the bits of all codes, `[B, F, paths, N]`.

        Args:
            layer: Whose codes.
            sums: Of the embeddings of the lower layers' codes, `[B, F, paths, width]`; the first
                path is what neighbours are taken to be.
            own: The codes that the layer is likely to have, `[B, F]`: of frames before.
        """
        its, below = self._layers[layer], sums[:, :, 0]
        past = below + its.embedding[own] if layer < self.own else below
        shared = its.input_bias
        for n in range(1, self._before + 1):
            moved = functional.pad(past, (0, 0, n, 0))[:, : past.shape[1]]
            shared = shared + moved.clamp(-127, 127) @ its.inputs[n]
        for n in range(1, self._after + 1):
            moved = functional.pad(below, (0, 0, 0, n))[:, n:]
            shared = shared + moved.clamp(-127, 127) @ its.inputs[self._before + n]
        units = sums.clamp(-127, 127) @ its.inputs[0] + shared[:, :, None]
        units = units.mul_(_UNIT).floor_().clamp_(0, 127)
        blocks = _bits_of(units @ its.blocks + its.block_bias)
        places = (units @ its.entries + its.entry_bias).unflatten(-1, (blocks.shape[-1], -1))
        bits = _bits_of(places) + blocks[..., None]
        return bits.flatten(-2).index_select(-1, its.places)


@dataclass(frozen=True)
class Search:
    """How codes are searched for.

    Attributes:
        width: Partial sums that are followed; 1 is greedy coding.
        price: Squared error that a bit is worth, as a part of the mean error that a layer leaves
            over, stream by stream: so quiet passages do not pay for loud ones.
        bits: What codes cost; None where it does not matter.
    """

    width: int = 1
    price: float = 0.0
    bits: CodeBits | None = field(default=None, repr=False)


def _bits_of(octaves: Tensor) -> Tensor:
    total = torch.logsumexp(octaves * math.log(2), dim=-1, keepdim=True) / math.log(2)
    return (total - octaves).clamp(max=_MOST)

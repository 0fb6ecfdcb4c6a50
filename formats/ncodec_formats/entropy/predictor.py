"""From the codes around a code to integer frequencies, the same to the bit on every machine.

All products are of whole numbers whose sums stay below 2^24, so float32 gives them exactly, in any
order and with any library.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ..errors import TablesError
from .tables import LayerTables, Tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Integers = NDArray[np.int64]

_GATHERED = 24
"""Rows up to which a block's weights are gathered row by row, and not rows block by block."""


class _Layer:
    """Tables of a layer, as products take them."""

    def __init__(self, tables: LayerTables) -> None:
        import numpy as np

        units, blocks = tables.blocks.shape
        self.places = tables.places.astype(np.int64)
        self.codes = np.argsort(self.places).astype(np.uint16)
        self.count = tables.entries.shape[1] // blocks
        self.inputs = tables.inputs.astype(np.float32)
        self.input_bias = tables.input_bias.astype(np.float32)
        self.blocks = tables.blocks.astype(np.float32)
        self.block_bias = tables.block_bias.astype(np.float32)
        entries = tables.entries.astype(np.float32).reshape(units, blocks, self.count)
        self.entries = np.ascontiguousarray(entries.transpose(1, 0, 2))
        self.entry_bias = tables.entry_bias.astype(np.float32).reshape(blocks, self.count)
        for matrix in (self.inputs, self.blocks, self.entries[0]):
            _check_exact(matrix)


def _check_exact(matrix: "Floats") -> None:
    """Sees that this machine multiplies as every other does: by reduced precision all is lost."""
    import numpy as np

    rows = (np.arange(4 * len(matrix)) * 37 % 255 - 127).reshape(4, -1)
    if not np.array_equal(rows.astype(np.float32) @ matrix, rows @ matrix.astype(np.int64)):
        raise TablesError(
            "NumPy's products in float32 are not exact on this machine: predicted codes can't be "
            "written or read here"
        )


class Predictor:
    """Computes with tables. Rows are streams of packets; none knows of the others."""

    def __init__(self, tables: Tables) -> None:
        """Prepares the tables for products."""
        import numpy as np

        self.tables = tables
        self.width = tables.embeddings[0].shape[1]
        self._embeddings = [table.astype(np.float32) for table in tables.embeddings]
        self.layers = [_Layer(layer) for layer in tables.layers]
        self._weights = np.asarray(tables.weights, np.float64)

    @classmethod
    def of(cls, tables: Tables) -> "Predictor":
        """Returns the predictor that was made of tables before, or a new one."""
        if "predictor" not in tables.cache:
            tables.cache["predictor"] = cls(tables)
        return tables.cache["predictor"]

    def sums(self, codes: "NDArray[np.integer]") -> "Floats":
        """Returns sums of embeddings `[R, F, D]` of layers of codes `[R, k, F]`."""
        import numpy as np

        rows, layers, frames = codes.shape
        total = np.zeros((rows, frames, self.width), np.float32)
        for k in range(layers):
            total += self._embeddings[k][codes[:, k]]
        return total

    def embed(self, layer: int, codes: "NDArray[np.integer]") -> "Floats":
        """Returns the embeddings of codes of a layer."""
        return self._embeddings[layer][codes]

    def context(
        self, below: "Floats", past: "Floats", begin: int = 0, stop: int | None = None
    ) -> "Floats":
        """Returns contexts `[R, F, P * D]`, of all frames or of those from `begin` to `stop`.

        Args:
            below: sums of the lower layers `[R, F, D]`.
            past: sums of what is known of the past: with the layer's own codes if it sees those.
            begin: first frame.
            stop: frame after the last.
        """
        import numpy as np

        rows, frames, width = below.shape
        last = frames if stop is None else stop
        tables = self.tables
        out = np.zeros((rows, last - begin, tables.parts, width), np.float32)
        out[:, :, 0] = below[:, begin:last]
        for n in range(1, tables.before + 1):
            if last > n:  # frames before the first are zeros
                out[:, max(n - begin, 0) :, n] = past[:, max(begin - n, 0) : last - n]
        for n in range(1, tables.after + 1):
            seen = below[:, begin + n : last + n]
            out[:, : seen.shape[1], tables.before + n] = seen
        return np.clip(out, -127, 127, out=out).reshape(rows, last - begin, -1)

    def units(self, layer: int, context: "Floats") -> "Floats":
        """Returns the units `[R, H]` of contexts `[R, P * D]`: whole numbers from 0 to 127."""
        import numpy as np

        its = self.layers[layer]
        x = context @ its.inputs
        x += its.input_bias + np.float32(16)
        x *= np.float32(2**-5)
        return np.clip(np.floor(x, out=x), 0, 127, out=x)

    def block_frequencies(self, layer: int, units: "Floats") -> "Integers":
        """Returns the frequencies `[R, B]` of the blocks."""
        its = self.layers[layer]
        return self._frequencies(units @ its.blocks + its.block_bias)

    def place_frequencies(
        self, layer: int, units: "Floats", blocks: "NDArray[np.integer]"
    ) -> "Integers":
        """Returns the frequencies `[R, N / B]` of the places in each row's block."""
        return self._frequencies(self.place_logits(layer, units, blocks))

    def place_logits(self, layer: int, units: "Floats", blocks: "NDArray[np.integer]") -> "Floats":
        """Returns the logits `[R, N / B]` of the places in each row's block."""
        import numpy as np

        its = self.layers[layer]
        if len(units) <= _GATHERED:
            return (units[:, None] @ its.entries[blocks])[:, 0] + its.entry_bias[blocks]
        out = np.empty((len(units), its.count), np.float32)
        order = np.argsort(blocks, kind="stable")
        ends = np.searchsorted(blocks[order], np.arange(len(its.entries) + 1))
        for block, (first, end) in enumerate(pairwise(ends.tolist())):
            if first < end:
                rows = order[first:end]
                out[rows] = units[rows] @ its.entries[block] + its.entry_bias[block]
        return out

    def _frequencies(self, logits: "Floats") -> "Integers":
        import numpy as np

        best = logits.max(axis=1, keepdims=True)
        steps = np.floor((best - logits + np.float32(64)) * np.float32(2**-7))
        weights = self._weights[np.minimum(steps, 255).astype(np.uint8)]
        total = weights.sum(axis=1).astype(np.int64)
        scale = ((1 << 42) // total) * 2.0**-26
        weights *= scale[:, None]
        return np.maximum(np.floor(weights, out=weights), 1).astype(np.int64)


def padded(rows: Sequence[bytes], more: int) -> "NDArray[np.uint8]":
    """Returns rows of bytes as a matrix, each followed by zeros, at least `more`."""
    import numpy as np

    out = np.zeros((len(rows), max(map(len, rows), default=0) + more), np.uint8)
    for row, data in zip(out, rows, strict=True):
        row[: len(data)] = np.frombuffer(data, np.uint8)
    return out

"""Kind 1: codes under frequencies that are predicted from what a packet has said before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .packed import PACKED
from .predictor import Predictor, padded
from .range_coder import FORBIDDEN, Decoder, Decoders, encode
from .tables import Tables, find

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..header import Header

    Codes = NDArray[np.uint16]

_FEW = 6
"""Packets up to which each code is decoded by itself: NumPy's calls cost more than they save."""
_AT_ONCE = 64
"""Packets side by side: more would leave the processor's cache."""


class Predicted:
    """The coding of one file's layers; what all files share is in `tables`.

    The symbols of a layer are blocks and places in blocks. A layer that sees its own past is coded
    frame by frame: the blocks of its streams, then their places; of another first all blocks, then
    all places, frame by frame, stream by stream. A layer that would not be shorter than packed bits
    is packed bits.
    """

    kind = 1

    def __init__(self, tables: Tables | bytes) -> None:
        """Takes tables, or the hash by which they will be found where codes are wanted."""
        self._tables = tables

    def of(self, header: "Header") -> "Predicted":
        """Returns the coding of a file's layers."""
        assert header.tables is not None
        return Predicted(header.tables)

    def size(self, frames: int, streams: int, codebook_size: int) -> None:
        """Lengths stand in heads."""

    def is_sound(self, data: bytes, frames: int, streams: int, codebook_size: int) -> bool:
        """Says whether bytes can be a layer."""
        most = PACKED.size(frames, streams, codebook_size)
        if len(data) == most:
            return PACKED.is_sound(data, frames, streams, codebook_size)
        return len(data) < most and not data.startswith(FORBIDDEN)

    def encode(self, codes: "Codes", layers: range, sizes: Sequence[int]) -> list[list[bytes]]:
        """Returns the bytes of layers of packets `[N, K, S, F]`, packet by packet."""
        out: list[list[bytes]] = []
        for first in range(0, len(codes), _AT_ONCE):
            out += self._encode(codes[first : first + _AT_ONCE], layers, sizes)
        return out

    def _encode(self, codes: "Codes", layers: range, sizes: Sequence[int]) -> list[list[bytes]]:
        import numpy as np

        predictor = self._predictor(sizes)
        count, _, streams, frames = codes.shape
        rows = codes.transpose(0, 2, 1, 3).reshape(count * streams, -1, frames)
        below = predictor.sums(rows[:, : layers.start])
        shares: list[NDArray[np.int64]] = []
        for k in layers:
            own = predictor.embed(k, rows[:, k])
            past = below + own if k < predictor.tables.own else below
            context = predictor.context(below, past)
            shares.append(self._shares(predictor, k, context, rows[:, k]))
            below = below + own
        # [layer, 3, packet, stream, frame, block or place]
        found = np.stack(shares).reshape(len(layers), 3, count, streams, frames, 2)
        order = [
            found[i].transpose(0, 1, 3, 4, 2) if k < predictor.tables.own
            else found[i].transpose(0, 1, 4, 3, 2)
            for i, k in enumerate(layers)
        ]  # fmt: skip
        steps = np.stack([one.reshape(3, count, -1) for one in order], axis=1)
        coded = encode(*steps.reshape(3, len(layers) * count, -1))
        chosen = [[coded[i * count + n] for i in range(len(layers))] for n in range(count)]
        for n, one in enumerate(chosen):
            for i, k in enumerate(layers):
                if len(one[i]) >= PACKED.size(frames, streams, sizes[k]):
                    one[i] = PACKED.pack(codes[n, k], sizes[k])
        return chosen

    def _shares(
        self,
        predictor: Predictor,
        layer: int,
        context: "NDArray[np.float32]",
        codes: "Codes",
    ) -> "NDArray[np.int64]":
        """Returns begins, widths and totals `[3, rows, frames, 2]` of the codes' symbols."""
        import numpy as np

        its = predictor.layers[layer]
        units = predictor.units(layer, context.reshape(-1, context.shape[-1]))
        blocks, places = np.divmod(its.places[codes.reshape(-1)], its.count)
        out = np.empty((3, len(units), 2), np.int64)
        for i, (symbols, frequencies) in enumerate(
            (
                (blocks, predictor.block_frequencies(layer, units)),
                (places, predictor.place_frequencies(layer, units, blocks)),
            )
        ):
            ends = frequencies.cumsum(axis=1, dtype=np.int64)
            rows = np.arange(len(symbols))
            out[1, :, i] = frequencies[rows, symbols]
            out[0, :, i] = ends[rows, symbols] - out[1, :, i]
            out[2, :, i] = ends[:, -1]
        return out.reshape(3, *codes.shape, 2)

    def decode(
        self, data: Sequence[Sequence[bytes]], codes: "Codes", layers: range, sizes: Sequence[int]
    ) -> None:
        """Decodes layers of packets into codes `[N, K, S, F]`, of which those below are there.

        Raises:
            TablesError: the tables are not on this machine.
        """
        for first in range(0, len(codes), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            self._decode(data[part], codes[part], layers, sizes)

    def _decode(
        self, data: Sequence[Sequence[bytes]], codes: "Codes", layers: range, sizes: Sequence[int]
    ) -> None:
        import numpy as np

        predictor = self._predictor(sizes)
        count, _, streams, frames = codes.shape
        rows = codes[:, : layers.start].transpose(0, 2, 1, 3)
        below = predictor.sums(rows.reshape(count * streams, -1, frames))
        for i, k in enumerate(layers):
            its = [one[i] for one in data]
            size = PACKED.size(frames, streams, sizes[k])
            is_packed = np.array([len(one) == size for one in its])
            for n in np.flatnonzero(is_packed):
                codes[n, k] = PACKED.unpack(its[n], frames, streams, sizes[k])
            coded = np.flatnonzero(~is_packed)
            if len(coded):
                mine = below.reshape(count, streams, frames, -1)[coded]
                found = self._decode_layer(predictor, k, mine, [its[n] for n in coded])
                codes[coded, k] = predictor.layers[k].codes[found]
            embedded = predictor.embed(k, codes[:, k])
            below = below + embedded.reshape(count * streams, frames, -1)

    def _decode_layer(
        self, predictor: Predictor, layer: int, below: "NDArray[np.float32]", data: list[bytes]
    ) -> "NDArray[np.int64]":
        """Returns the places `[n, S, F]` of packets' codes."""
        import numpy as np

        count, streams, frames, width = below.shape
        flat = below.reshape(count * streams, frames, width)
        reader: _Reader = _Many(data) if count > _FEW else _Few(data)
        if layer < predictor.tables.own:
            found = np.zeros((count, streams, frames), np.int64)
            _decode_own(predictor, layer, below, reader, found)
            return found
        context = predictor.context(flat, flat)
        units = predictor.units(layer, context.reshape(-1, context.shape[-1]))
        # [packet, frame, stream]: the order of the symbols
        order = np.arange(len(units)).reshape(count, streams, frames).transpose(0, 2, 1)
        order = order.reshape(count, -1)
        blocks = reader.pull(predictor.block_frequencies(layer, units)[order])
        by_row = np.empty(len(units), np.int64)
        by_row[order] = blocks
        places = reader.pull(predictor.place_frequencies(layer, units, by_row)[order])
        places += blocks * predictor.layers[layer].count
        return places.reshape(count, frames, streams).transpose(0, 2, 1)

    def _predictor(self, sizes: Sequence[int]) -> Predictor:
        if isinstance(self._tables, bytes):
            self._tables = find(self._tables)
        return Predictor.of(self._tables)


def _decode_own(
    predictor: Predictor,
    layer: int,
    below: "NDArray[np.float32]",
    reader: "_Reader",
    found: "NDArray[np.int64]",
) -> None:
    """Decodes a layer that sees its own past, frame by frame."""
    import numpy as np

    count, streams, frames, width = below.shape
    tables, its = predictor.tables, predictor.layers[layer]
    embeddings = np.zeros((len(its.codes), width), np.float32)
    embeddings[:] = predictor.embed(layer, its.codes)
    flat = below.reshape(count * streams, frames, width)
    # the past of frame t lies at t: so many frames of zeros come first
    past = np.zeros((count * streams, frames + tables.before, width), np.float32)
    context = predictor.context(flat, np.zeros_like(flat)).reshape(
        count * streams, frames, tables.parts, width
    )
    for t in range(frames):
        now = context[:, t]
        for n in range(1, tables.before + 1):
            np.clip(past[:, tables.before + t - n], -127, 127, out=now[:, n])
        units = predictor.units(layer, now.reshape(len(now), -1))
        blocks = reader.pull(predictor.block_frequencies(layer, units).reshape(count, streams, -1))
        places = reader.pull(
            predictor.place_frequencies(layer, units, blocks.reshape(-1)).reshape(
                count, streams, -1
            )
        )
        places += blocks * its.count
        found[:, :, t] = places
        past[:, tables.before + t] = flat[:, t] + embeddings[places.reshape(-1)]


class _Few:
    """Readers of a few codes, one after the other."""

    def __init__(self, data: list[bytes]) -> None:
        self._decoders = [Decoder(one) for one in data]

    def pull(self, frequencies: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Returns the next symbols `[n, T]` of each code, by frequencies `[n, T, N]`."""
        import numpy as np

        ends = frequencies.cumsum(axis=2, dtype=np.int64).tolist()
        return np.array(
            [
                [decoder.pull(row) for row in rows]
                for decoder, rows in zip(self._decoders, ends, strict=True)
            ],
            np.int64,
        )


class _Many:
    """Readers of many codes, side by side."""

    def __init__(self, data: list[bytes]) -> None:
        self._decoders = Decoders(padded(data, 4))

    def pull(self, frequencies: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Returns the next symbols `[n, T]` of each code, by frequencies `[n, T, N]`."""
        import numpy as np

        steps = range(frequencies.shape[1])
        return np.stack([self._decoders.pull(frequencies[:, t]) for t in steps], axis=1)


_Reader = _Few | _Many

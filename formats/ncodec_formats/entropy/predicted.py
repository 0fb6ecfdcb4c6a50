"""Kind 1: codes under frequencies that are predicted from what a packet has said before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import TablesError
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
_ROWS = 1 << 13
"""Codes of a layer that are predicted at once: bounds memory, however long packets are."""
CODES_A_BYTE = 256
"""A layer has a byte, its check counted, for so many codes: bounds the work that bytes can ask."""


class Predicted:
    """The coding of layers by the tables that a header names.

    The symbols of a layer are blocks and places in blocks. A layer that sees its own past is coded
    frame by frame: the blocks of its streams, then their places; of another first all blocks, then
    all places, frame by frame, stream by stream. A layer that would not be shorter than packed bits
    is packed bits.
    """

    kind = 1

    def __init__(self, tables: Tables | None = None, *, wanted: bytes | None = None) -> None:
        """Takes tables, or the hash by which they will be found where codes are wanted, or both."""
        self._tables, self._wanted = tables, wanted

    def of(self, header: "Header") -> "Predicted":
        """Returns the coding of a file's layers."""
        return Predicted(self._tables, wanted=header.tables)

    def size(self, frames: int, streams: int, codebook_size: int) -> None:
        """Lengths stand in heads."""

    def is_sound(self, data: bytes, frames: int, streams: int, codebook_size: int) -> bool:
        """Says whether bytes can be a layer."""
        most = PACKED.size(frames, streams, codebook_size)
        if len(data) == most:
            return PACKED.is_sound(data, frames, streams, codebook_size)
        return _least(frames, streams) <= len(data) < most and not data.startswith(FORBIDDEN)

    def encode(self, codes: "Codes", layers: range, sizes: Sequence[int]) -> list[list[bytes]]:
        """Returns the bytes of layers of packets `[N, K, S, F]`, packet by packet.

        Raises:
            TablesError: the tables are not on this machine, or are not for these codebooks.
        """
        predictor, out = self._predictor(layers, sizes), list[list[bytes]]()
        for part in _parts(codes):
            coded = _encode(predictor, codes[part], layers)
            out += [
                [_chosen(layer, packet[k], sizes[k]) for k, layer in zip(layers, its, strict=True)]
                for packet, its in zip(codes[part], coded, strict=True)
            ]
        return out

    def decode(
        self, data: Sequence[Sequence[bytes]], codes: "Codes", layers: range, sizes: Sequence[int]
    ) -> None:
        """Decodes layers of packets into codes `[N, K, S, F]`, of which those below are there.

        Raises:
            TablesError: the tables are not on this machine, or are not for these codebooks.
        """
        predictor = self._predictor(layers, sizes)
        for part in _parts(codes):
            _decode(predictor, data[part], codes[part], layers, sizes)

    def _predictor(self, layers: range, sizes: Sequence[int]) -> Predictor:
        tables = self._tables
        if tables is None or self._wanted not in (None, tables.hash):
            tables = self._tables = find(self._wanted or b"", tables)
        if tables.sizes[: layers.stop] != tuple(sizes[: layers.stop]):
            raise TablesError(
                f"prediction tables {tables.hash.hex()[:12]} are for codebooks of "
                f"{list(tables.sizes)}, not of {list(sizes)}"
            )
        return Predictor.of(tables)


def _least(frames: int, streams: int) -> int:
    """Returns the bytes that a layer has at least."""
    return -(-frames * streams // CODES_A_BYTE) - 1


def _chosen(coded: bytes, codes: "Codes", size: int) -> bytes:
    """Returns a layer `[S, F]` as it is written: as it was coded or, where not longer, packed."""
    streams, frames = codes.shape
    coded = coded.ljust(_least(frames, streams), b"\0")
    return coded if len(coded) < PACKED.size(frames, streams, size) else PACKED.pack(codes, size)


def _parts(codes: "Codes") -> list[slice]:
    """Returns which packets `[N, K, S, F]` go together."""
    count, _, streams, frames = codes.shape
    step = max(1, min(_AT_ONCE, _ROWS // (streams * frames)))
    return [slice(first, first + step) for first in range(0, count, step)]


def _spans(rows: int, frames: int) -> list[tuple[int, int]]:
    """Returns the frames, first and after the last, whose rows go together."""
    step = max(1, _ROWS // rows)
    return [(begin, min(begin + step, frames)) for begin in range(0, frames, step)]


def _encode(predictor: Predictor, codes: "Codes", layers: range) -> list[list[bytes]]:
    """Returns layers of packets `[N, K, S, F]`, packet by packet, none of them packed."""
    import numpy as np

    count, _, streams, frames = codes.shape
    rows = codes.transpose(0, 2, 1, 3).reshape(count * streams, -1, frames)
    below = predictor.sums(rows[:, : layers.start])
    steps = np.empty((3, len(layers), count, streams * frames * 2), np.int64)
    for i, k in enumerate(layers):
        own = predictor.embed(k, rows[:, k])
        past = below + own if k < predictor.tables.own else below
        shares = np.empty((3, count * streams, frames, 2), np.int64)
        for begin, stop in _spans(count * streams, frames):
            context = predictor.context(below, past, begin, stop)
            shares[:, :, begin:stop] = _shares(predictor, k, context, rows[:, k, begin:stop])
        # frame by frame, stream by stream; or all blocks and then all places so
        order = (0, 1, 3, 4, 2) if k < predictor.tables.own else (0, 1, 4, 3, 2)
        shares = shares.reshape(3, count, streams, frames, 2)
        steps[:, i] = shares.transpose(order).reshape(3, count, -1)
        below = below + own
    coded = encode(*steps.reshape(3, len(layers) * count, -1))
    return [coded[n::count] for n in range(count)]


def _shares(
    predictor: Predictor, layer: int, context: "NDArray[np.float32]", codes: "Codes"
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


def _decode(
    predictor: Predictor,
    data: Sequence[Sequence[bytes]],
    codes: "Codes",
    layers: range,
    sizes: Sequence[int],
) -> None:
    """Decodes packets side by side."""
    import numpy as np

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
            reader = _Many([its[n] for n in coded]) if len(coded) > _FEW else _Few(its, coded)
            decode = _decode_own if k < predictor.tables.own else _decode_layer
            codes[coded, k] = predictor.layers[k].codes[decode(predictor, k, mine, reader)]
        embedded = predictor.embed(k, codes[:, k])
        below = below + embedded.reshape(count * streams, frames, -1)


def _decode_layer(
    predictor: Predictor, layer: int, below: "NDArray[np.float32]", reader: "_Reader"
) -> "NDArray[np.int64]":
    """Returns the places `[n, S, F]` of a layer that does not see its own past."""
    import numpy as np

    count, streams, frames, width = below.shape
    flat, its = below.reshape(count * streams, frames, width), predictor.layers[layer]
    spans = _spans(count * streams, frames)
    units = np.empty((count * streams, frames, its.inputs.shape[1]), np.uint8)
    found = np.empty((count, streams, frames), np.int64)
    # twice frame by frame, stream by stream: first all blocks, then all places
    for begin, stop in spans:
        context = predictor.context(flat, flat, begin, stop)
        now = predictor.units(layer, context.reshape(-1, context.shape[-1]))
        units[:, begin:stop] = now.reshape(len(flat), stop - begin, -1)
        order = np.arange(len(now)).reshape(count, streams, -1).transpose(0, 2, 1)
        blocks = reader.pull(predictor.block_frequencies(layer, now)[order.reshape(count, -1)])
        found[:, :, begin:stop] = blocks.reshape(order.shape).transpose(0, 2, 1)
    for begin, stop in spans:
        now = units[:, begin:stop].reshape(-1, units.shape[2]).astype(np.float32)
        order = np.arange(len(now)).reshape(count, streams, -1).transpose(0, 2, 1)
        blocks = found[:, :, begin:stop].reshape(-1)
        frequencies = predictor.place_frequencies(layer, now, blocks)
        places = reader.pull(frequencies[order.reshape(count, -1)])
        found[:, :, begin:stop] *= its.count
        found[:, :, begin:stop] += places.reshape(order.shape).transpose(0, 2, 1)
    return found


def _decode_own(
    predictor: Predictor, layer: int, below: "NDArray[np.float32]", reader: "_Reader"
) -> "NDArray[np.int64]":
    """Returns the places `[n, S, F]` of a layer that sees its own past, frame by frame."""
    import numpy as np

    count, streams, frames, width = below.shape
    tables, its = predictor.tables, predictor.layers[layer]
    found = np.empty((count, streams, frames), np.int64)
    embeddings = predictor.embed(layer, its.codes)
    flat = below.reshape(count * streams, frames, width)
    # the past of frame t lies at t: so many frames of zeros come first
    past = np.zeros((count * streams, frames + tables.before, width), np.float32)
    nothing = np.zeros_like(flat)
    for begin, stop in _spans(count * streams, frames):
        contexts = predictor.context(flat, nothing, begin, stop)
        contexts = contexts.reshape(len(flat), stop - begin, tables.parts, width)
        for t in range(begin, stop):
            now = contexts[:, t - begin]
            for n in range(1, tables.before + 1):
                np.clip(past[:, tables.before + t - n], -127, 127, out=now[:, n])
            units = predictor.units(layer, now.reshape(len(now), -1))
            frequencies = predictor.block_frequencies(layer, units)
            blocks = reader.pull(frequencies.reshape(count, streams, -1))
            frequencies = predictor.place_frequencies(layer, units, blocks.reshape(-1))
            places = reader.pull(frequencies.reshape(count, streams, -1))
            places += blocks * its.count
            found[:, :, t] = places
            past[:, tables.before + t] = flat[:, t] + embeddings[places.reshape(-1)]
    return found


class _Few:
    """Readers of a few codes, one after the other."""

    def __init__(self, data: Sequence[bytes], wanted: "NDArray[np.integer]") -> None:
        self._decoders = [Decoder(data[n]) for n in wanted]

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

"""Tables of a predictor of codes: integers, their bytes, their hash, and where they are found.

The hash stands in the headers of files, so that codes are only ever decoded with the tables that
they were coded with.
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, BadFileError, LimitError, TablesError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAGIC = b"ECPT"
VERSION = 1
HASH_SIZE = 16
MAX_BYTES = 4 << 20
MAX_CONTEXT, MAX_WIDTH, MAX_UNITS, MAX_CODES = 8, 64, 256, 4096
MAX_LAYERS = 64
EXACT = 1 << 24
"""Whole numbers below this are exact in float32, whatever the order of a sum."""
_HEAD = struct.Struct("<4sBBBBBBH")
WEIGHTS = 256


@dataclass(frozen=True, eq=False)
class LayerTables:
    """What predicts the codes of one layer: a code is a place in a block.

    Attributes:
        places: int `[N]`: of each code, its block times the places of a block, plus its place.
        inputs: int8 `[P * D, H]`, and `input_bias` int32 `[H]`: from the context to the units.
        blocks: int8 `[H, B]`, and `block_bias` int32 `[B]`: from the units to the blocks.
        entries: int8 `[H, N]`, and `entry_bias` int32 `[N]`: to the places, block by block.
    """

    places: "NDArray[np.integer]"
    inputs: "NDArray[np.int8]"
    input_bias: "NDArray[np.int32]"
    blocks: "NDArray[np.int8]"
    block_bias: "NDArray[np.int32]"
    entries: "NDArray[np.int8]"
    entry_bias: "NDArray[np.int32]"


@dataclass(frozen=True, eq=False)
class Tables:
    """Predictors of the layers of one model's codes; SPEC.md has their arithmetic.

    Attributes:
        before: frames of the past that a prediction sees.
        after: frames of the future, in lower layers.
        own: layers that see their own past.
        weights: int `[256]`: the weight of a code whose logit lies so many sixteenths of an octave
            below the best.
        embeddings: int8 `[N, D]` for each layer.
        layers: the predictor of each layer.

    Raises:
        ArgumentError: shapes or values that do not fit.
        LimitError: more than the limits of the format.
    """

    before: int
    after: int
    own: int
    weights: "NDArray[np.integer]"
    embeddings: "tuple[NDArray[np.int8], ...]"
    layers: tuple[LayerTables, ...]
    cache: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """For who computes with them."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each codebook."""
        return tuple(len(table) for table in self.embeddings)

    @property
    def parts(self) -> int:
        """Frames in a context: this one, those before and those after."""
        return 1 + self.before + self.after

    @cached_property
    def data(self) -> bytes:
        """The tables as bytes, little-endian, in the one order that their hash is taken over."""
        width, units = self.embeddings[0].shape[1], self.layers[0].inputs.shape[1]
        counts = (len(self.layers), self.before, self.after, self.own, width, units)
        out = [_HEAD.pack(MAGIC, VERSION, *counts)]
        for layer in self.layers:
            out.append(struct.pack("<HH", len(layer.block_bias), len(layer.entry_bias)))
        out.append(self.weights.astype("<u4").tobytes())
        out += [table.tobytes() for table in self.embeddings]
        for layer in self.layers:
            out.append(layer.places.astype("<u2").tobytes())
            for matrix, bias in (
                (layer.inputs, layer.input_bias),
                (layer.blocks, layer.block_bias),
                (layer.entries, layer.entry_bias),
            ):
                out += [matrix.tobytes(), bias.astype("<i4").tobytes()]
        return b"".join(out)

    @cached_property
    def hash(self) -> bytes:
        """The first 16 bytes of the SHA-256 of `data`, as headers have it."""
        return hashlib.sha256(self.data).digest()[:HASH_SIZE]

    @classmethod
    def parse(cls, data: bytes) -> "Tables":
        """Reads `data`.

        Raises:
            BadFileError: it is something else, or damaged.
            LimitError: more than the limits of the format.
        """
        if len(data) > MAX_BYTES:
            raise LimitError(f"tables of {len(data)} bytes; at most {MAX_BYTES}")
        try:
            return _parse(data)
        except (ArgumentError, struct.error, ValueError) as error:
            raise BadFileError(f"the tables are wrong: {error}") from error


def _parse(data: bytes) -> Tables:
    import numpy as np

    magic, version, count, before, after, own, width, units = _HEAD.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise ValueError("they do not begin as tables of this version do")
    pos = _HEAD.size

    def take(kind: str, *shape: int) -> "NDArray[Any]":
        nonlocal pos
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        if pos + size > len(data):
            raise ValueError("they end early")
        pos += size
        return np.frombuffer(data[pos - size : pos], kind).reshape(shape)

    shapes = take("<u2", count, 2).tolist()
    weights = take("<u4", WEIGHTS).astype(np.int64)
    embeddings = tuple(take("i1", entries, width) for _, entries in shapes)
    context = (1 + before + after) * width
    layers: list[LayerTables] = []
    for blocks, entries in shapes:
        places = take("<u2", entries).astype(np.int64)
        values: list[NDArray[Any]] = []
        for rows, columns in ((context, units), (units, blocks), (units, entries)):
            values += [take("i1", rows, columns), take("<i4", columns).astype(np.int32)]
        layers.append(LayerTables(places, *values))
    if pos != len(data):
        raise ValueError(f"{len(data) - pos} bytes too many")
    return Tables(before, after, own, weights, embeddings, tuple(layers))


def _check(tables: Tables) -> None:
    import numpy as np

    count = len(tables.layers)
    if not 1 <= count <= MAX_LAYERS or len(tables.embeddings) != count:
        raise ArgumentError(f"tables of {count} layers and {len(tables.embeddings)} embeddings")
    width, units = tables.embeddings[0].shape[1], tables.layers[0].inputs.shape[1]
    numbers = {
        "frames in a context": (tables.parts, MAX_CONTEXT),
        "numbers a frame": (width, MAX_WIDTH),
        "units": (units, MAX_UNITS),
        "layers that see their own past": (tables.own + 1, MAX_LAYERS + 1),
    }
    for what, (value, most) in numbers.items():
        if not 1 <= value <= most:
            raise LimitError(f"{what}: {value}; at most {most}")
    weights = np.asarray(tables.weights)
    falling = bool((np.diff(weights.astype(np.int64)) <= 0).all())
    if weights.shape != (WEIGHTS,) or weights[0] != 1 << 16 or weights[-1] < 1 or not falling:
        raise ArgumentError("weights: must be 256 numbers that fall from 65536 to 1 or more")
    for table, layer in zip(tables.embeddings, tables.layers, strict=True):
        _check_layer(table, layer, (tables.parts * width, width, units))


def _check_layer(
    embedding: "NDArray[np.int8]", layer: LayerTables, shape: tuple[int, int, int]
) -> None:
    import numpy as np

    context, width, units = shape
    entries, blocks = len(layer.entry_bias), len(layer.block_bias)
    expected = ((entries, width), (context, units), (units, blocks), (units, entries))
    matrices = (embedding, layer.inputs, layer.blocks, layer.entries)
    if tuple(m.shape for m in matrices) != expected or len(layer.input_bias) != units:
        raise ArgumentError(f"matrices of {[m.shape for m in matrices]}; must be {expected}")
    if entries > MAX_CODES or not blocks or entries % blocks:
        raise LimitError(f"{entries} codes in {blocks} blocks; at most {MAX_CODES}, in equal ones")
    if not np.array_equal(np.sort(layer.places), np.arange(entries)):
        raise ArgumentError("places: must be each place once")
    for matrix in matrices:
        if matrix.dtype != np.int8 or int(matrix.min()) < -127:
            raise ArgumentError("matrices: must be of whole numbers from -127 to 127")
    for matrix, bias in (
        (layer.inputs, layer.input_bias),
        (layer.blocks, layer.block_bias),
        (layer.entries, layer.entry_bias),
    ):
        most = 127 * np.abs(matrix.astype(np.int64)).sum(axis=0) + np.abs(bias.astype(np.int64))
        if int(most.max()) >= EXACT:
            raise ArgumentError(f"a sum may reach {int(most.max())}; it must stay below {EXACT}")


Finder = Callable[[bytes], Tables | None]
_FINDERS: list[Finder] = []
_FOUND: dict[bytes, Tables] = {}


def register(finder: Finder) -> None:
    """Has a function asked for tables by their hash."""
    _FINDERS.append(finder)


def find(wanted: bytes, instead: Tables | None = None) -> Tables:
    """Returns the tables with a hash; `instead` are those that there are, for the error.

    Raises:
        TablesError: nobody has them.
    """
    if wanted not in _FOUND:
        for finder in _FINDERS:
            tables = finder(wanted)
            if tables is not None and tables.hash == wanted:
                _FOUND[wanted] = tables
                break
            instead = tables or instead
        else:
            here = f"those here are {instead.hash.hex()[:12]}" if instead else "none are here"
            raise TablesError(f"coded with prediction tables {wanted.hex()[:12]}; {here}")
    return _FOUND[wanted]

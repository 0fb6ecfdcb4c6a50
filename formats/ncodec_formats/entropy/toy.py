"""Tables of random numbers, for tests, vectors and examples."""

from typing import TYPE_CHECKING

from .tables import WEIGHTS, LayerTables, Tables

if TYPE_CHECKING:
    import numpy as np


def octave_weights() -> "np.ndarray":
    """Returns weights `[256]`: halved every sixteen steps, from 65536, rounded half up.

    No number lies within 0.001 of a tie, so every machine gives the same ones.
    """
    import numpy as np

    return np.floor(2.0 ** (16 - np.arange(WEIGHTS) / 16) + 0.5).astype(np.int64)


def toy_tables(
    sizes: tuple[int, ...] = (1024,) * 4,
    *,
    width: int = 4,
    units: int = 8,
    before: int = 2,
    after: int = 2,
    own: int = 2,
    seed: int = 0,
) -> Tables:
    """Returns tables of these sizes, drawn by `PCG64`: the same on every machine."""
    import numpy as np

    rng = np.random.Generator(np.random.PCG64(seed))

    def weights(*shape: int) -> "np.ndarray":
        return rng.integers(-127, 128, shape).astype(np.int8)

    def bias(count: int, most: int) -> "np.ndarray":
        return rng.integers(-most, most + 1, count).astype(np.int32)

    layers: list[LayerTables] = []
    embeddings = tuple(weights(size, width) for size in sizes)
    for size in sizes:
        blocks = max(n for n in range(1, int(size**0.5) + 1) if size % n == 0)
        layers.append(
            LayerTables(
                rng.permutation(size),
                weights((1 + before + after) * width, units),
                bias(units, 3000),
                weights(units, blocks),
                bias(blocks, 6000),
                weights(units, size),
                bias(size, 6000),
            )
        )
    return Tables(before, after, own, octave_weights(), embeddings, tuple(layers))

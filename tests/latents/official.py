"""What Musika's official code gave for weights and inputs by a formula.

`tests/data/musika.npz` was made once by marcoppasini/musika at b1e6e79 (models.py, layers.py,
utils.py), run under tensorflow 2.21 with tf_keras 2.21 on a CPU in float32: each net built at the
published sizes ("full", "full_small") and at small ones ("tiny", "tiny_small"), its weights set to
those of `layers_of`, and fed `numbers`. The noise of its layers was set to 0, and in a second run
of the tiny nets to `numbers`. Of long outputs every n-th number is kept (`kept`). `layers` has the
names and shapes of Keras's layers.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncodec.checkpoints.layouts.musika import keras_tensors
from ncodec.latents.musika.model import Musika
from ncodec.models.musika_config import MusikaConfig

GOLDEN = dict(np.load(Path(__file__).parents[1] / "data" / "musika.npz"))
LAYERS = json.loads(GOLDEN["layers"].tobytes())
NETS = ("enc", "enc2", "dec", "dec2", "gen", "critic")
TINY = MusikaConfig(hop=32, base=32, dim=16, coordinate=16, style=16, width=8)
TRANSPOSED = ("0c", "2c", "4c", "6c", "8c")
"""Of the generator's layers."""


def numbers(stream: int, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return numbers from -1 to 1."""
    key = np.array([stream, number], np.uint64)
    words = np.random.Philox(key=key).random_raw(int(np.prod(shape)))
    uniform = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-51 - 1.0
    return uniform.astype(np.float32).reshape(shape)


def layers_of(case: str, net: str) -> dict[str, tuple[Tensor, ...]]:
    """Return the weights that a net had, as Keras has them."""
    place = NETS.index(net) + 1
    return {
        name: tuple(
            torch.from_numpy(_weight(net, name, tuple(shape), place, 100 * i + j))
            for j, (_, shape) in enumerate(weights)
        )
        for i, (name, weights) in enumerate(LAYERS[case][net])
    }


def _weight(
    net: str, layer: str, shape: tuple[int, ...], stream: int, number: int
) -> NDArray[np.float32]:
    values = numbers(stream, number, shape)
    if len(shape) == 1:
        return values * np.float32(0.1)
    transposed = "transpose" in layer or (net == "gen" and layer in TRANSPOSED)
    fan = np.prod(shape[:2]) * shape[3] / 2 if transposed else np.prod(shape[:-1])
    return values * np.float32(np.sqrt(3.0 / fan) * 1.4)


def kept(values: Tensor, most: int) -> NDArray[np.float32]:
    """Return every n-th number, n odd, so that they are about `most`."""
    flat = values.detach().reshape(-1).numpy()
    every = max(1, -(-len(flat) // most))
    return flat[:: every + 1 - every % 2]


def tiny() -> Musika:
    """Return the model of the tiny nets, whose sound has about full scale."""
    model = Musika(TINY, "tiny").eval().requires_grad_(False)
    for part, net in (("generator", "gen"), ("first_decoder", "dec"), ("second_decoder", "dec2")):
        getattr(model, part).load_state_dict(keras_tensors(net, layers_of("tiny", net)))
    return model

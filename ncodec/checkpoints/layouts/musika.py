"""Musika's nets as Keras has saved them (marcoppasini/musika), one file each.

The generator's layers have names; those of the autoencoder are numbered by the session that wrote
them, so that their order tells what they are. Shapes are checked when the model is filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from ncodec.checkpoints.layouts.common import Layout, Tensors
from ncodec.errors import CheckpointError

_PARTS: Mapping[str, str] = {
    "gen_ema": "generator",
    "dec2": "second_decoder",
    "dec": "first_decoder",
    "enc": "first_encoder",
    "enc2": "second_encoder",
}
_REQUIRED = ("gen_ema", "dec2", "dec")


def _is_musika(content: Mapping[str, Any]) -> bool:
    return "gen_ema" in content.get("keras", ())


def _read_musika(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    nets = content["keras"]
    for stem in _REQUIRED:
        if stem not in nets:
            raise CheckpointError(f"no {stem}.h5 beside gen_ema.h5, or in ../ae")
    generator, encoders = nets["gen_ema"], "enc" in nets and "enc2" in nets
    decoder = list(nets["dec"].values())
    told = generator["00ai"][0].shape[2]
    config = {
        "hop": (decoder[-1][0].shape[3] - 1) // 2,
        "base": 4 * decoder[0][0].shape[2],
        "dim": generator["9c"][0].shape[3] // 2,
        "coordinate": told // 2,
        "style": told - told // 2,
        "width": generator["9c"][0].shape[2] // 2,
        "small": "res1c_small" in generator,
        "encoders": encoders,
    }
    tensors: Tensors = {}
    for stem, part in _PARTS.items():
        if stem in _REQUIRED or encoders:
            own = keras_tensors(stem.partition("_")[0], nets[stem])
            tensors |= {f"{part}.{key}": value for key, value in own.items()}
    return config, tensors


def keras_tensors(net: str, layers: Mapping[str, tuple[Tensor, ...]]) -> Tensors:
    """Return a net's weights under ncodec's keys.

    Args:
        net: "gen", "critic", "dec", "dec2", "enc" or "enc2".
        layers: Of it, in Keras's order.

    Raises:
        CheckpointError: There are more or fewer layers than the net has.
    """
    if net == "gen":
        return _generator(layers)
    places = _critic(layers) if net == "critic" else list(_IN_ORDER[net]())
    if len(places) != len(layers):
        raise CheckpointError(f"{net} of {len(layers)} layers: must be of {len(places)}")
    tensors: Tensors = {}
    for place, weights in zip(places, layers.values(), strict=True):
        tensors |= _layer(place, weights)
    return tensors


def _layer(place: str, weights: tuple[Tensor, ...]) -> Tensors:
    """Return a layer's weights.

    Convolutions [1, taps, in, out] are [out, in, taps] in PyTorch, transposed ones [1, taps, out,
    in] are [in, out, taps]: one permutation for both.
    """
    first = weights[0]
    if first.dim() == 4:
        first = first[0].permute(2, 1, 0)
    elif first.dim() == 2:
        first = first.T
    named = {f"{place}.weight": first.contiguous()}
    return named if len(weights) == 1 else {**named, f"{place}.bias": weights[1]}


def _generator(layers: Mapping[str, tuple[Tensor, ...]]) -> Tensors:
    small = "_small" if "res1c_small" in layers else ""
    tensors = _layer("start", layers["00d"]) | _layer("start_scale", layers["00ai"])
    noises = [layers["00n"][0]]
    for stage in range(4):
        ending = small if stage == 0 else ""
        for inner, name in enumerate(("first", "second")):
            own = f"{2 * stage + inner}{ending}"
            tensors |= _layer(f"stages.{stage}.{name}", layers[f"{own}c"])
            tensors |= _layer(f"stages.{stage}.{name}_scale", layers[f"{own}ai"])
            noises.append(layers[f"{own}r"][0])
        tensors |= _layer(f"stages.{stage}.skip", layers[f"res{stage + 1}c{ending}"])
    tensors |= _layer("last", layers["8c"]) | _layer("last_scale", layers["8ai"])
    noises.append(layers["8r"][0])
    tensors["noise"] = noises[0].new_tensor([float(noise) for noise in noises])
    return tensors | _layer("out", layers["9c"])


def _critic(layers: Mapping[str, tuple[Tensor, ...]]) -> list[str]:
    names = {"c0": "first", "c1": "second", "c3": "skip"}
    ends = {"1c": "first", "7c": "last", "7d": "out"}
    return [
        ends[layer] if layer in ends else f"blocks.{int(layer[0]) - 2}.{names[layer[1:]]}"
        for layer in layers
    ]


def _first_encoder() -> Iterator[str]:
    yield from (f"layers.{2 * i}" for i in range(6))


def _second_encoder() -> Iterator[str]:
    yield from (f"net.layers.{2 * i}" for i in range(8))


def _second_decoder() -> Iterator[str]:
    for i in range(7):
        yield f"layers.{i}.layers.0"
        yield f"layers.{i}.layers.1"
    yield "layers.7"


def _first_decoder() -> Iterator[str]:
    for part in ("g0", "g1", "g2", "g3", "u2"):
        yield from (f"{part}.layers.0", f"{part}.layers.1")
    for pair in (("u1", "v1"), ("u0", "v0")):  # two branches whose layers take turns
        yield from (f"{part}.layers.{i}" for i in range(2) for part in pair)
    yield from ("magnitude", "phase")


_IN_ORDER = {
    "enc": _first_encoder,
    "enc2": _second_encoder,
    "dec2": _second_decoder,
    "dec": _first_decoder,
}

MUSIKA = Layout("musika", "Musika (marcoppasini/musika)", "musika", _is_musika, _read_musika)

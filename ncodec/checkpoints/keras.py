"""Weights that Keras has saved as HDF5, read by h5py into tensors; converted once, then unused."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncodec.errors import CheckpointError

MAGIC = b"\x89HDF\r\n\x1a\n"
Layers = dict[str, tuple[Tensor, ...]]
"""The weights of a net's layers that have some, by the layers' names, in the net's order."""

_TOGETHER: Mapping[str, tuple[str, ...]] = {"gen_ema": ("dec", "dec2", "enc", "enc2")}
"""Files that belong to one: Musika keeps each net by itself."""
_ELSEWHERE = "../ae"
"""Where Musika's repository has those that several generators share."""


def read_keras(file: Path) -> Mapping[str, Any]:
    """Read a file and those that belong to it, as `{"keras": {stem: Layers}}`.

    Raises:
        CheckpointError: A file is no such thing, or damaged, or h5py is not installed.
    """
    found = {file.stem: _layers(file)}
    for stem in _TOGETHER.get(file.stem, ()):
        places = (file.with_name(f"{stem}.h5"), file.parent / _ELSEWHERE / f"{stem}.h5")
        beside = next((place for place in places if place.is_file()), None)
        if beside is not None:
            found[stem] = _layers(beside)
    return {"keras": found}


def _layers(path: Path) -> Layers:
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError:
        raise CheckpointError(f"{path}: HDF5 needs h5py: pip install h5py") from None
    size = path.stat().st_size
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            return {
                name: tensors
                for name in _names(root.attrs["layer_names"])
                if (tensors := _weights(h5py, root[name], size))
            }
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: no weights of Keras, or damaged ({error})") from error


def _weights(h5py: Any, group: Any, size: int) -> tuple[Tensor, ...]:
    return tuple(_tensor(h5py, group, name, size) for name in _names(group.attrs["weight_names"]))


def _names(listed: Sequence[Any]) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in listed]


def _tensor(h5py: Any, group: Any, name: str, size: int) -> Tensor:
    """Read one array: of this file, not larger than it, so that nothing is made of a few bytes."""
    parts = name.split("/")
    paths = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    if not all(isinstance(group.get(path, getlink=True), h5py.HardLink) for path in paths):
        raise KeyError(f"{name} is no array of this file")
    data = group[name]
    if data.is_virtual or data.external:
        raise ValueError(f"{name} is in another file")
    if data.dtype not in (np.float16, np.float32) or data.nbytes > size:
        raise ValueError(f"{name}: {data.nbytes} bytes of {data.dtype} in a file of {size}")
    return torch.from_numpy(np.asarray(data[()], np.float32))

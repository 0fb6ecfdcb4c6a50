"""`load`: any model, by the name it has in the registry or the cache, or by its file."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from ncodec.checkpoints.cache import model_path, stored_names
from ncodec.checkpoints.files import load_model_file
from ncodec.checkpoints.registry import DEFAULT_MODEL, REGISTRY
from ncodec.errors import CheckpointError
from ncodec.models.base import CompressionModel
from ncodec.runtime import in_precision

ModelLike = CompressionModel | str | os.PathLike[str] | None
"""A model, its name, or the path of its file; None means the default one."""

_PRETRAINED = Path(__file__).parent.parent / "pretrained"


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the model file of a name or a path.

    Raises:
        CheckpointError: There is no such model, or it has not been pulled.
    """
    text = os.fspath(name_or_path)
    if os.sep in text or text.endswith(".safetensors"):
        return Path(text)
    entry = REGISTRY.get(text)
    if entry is not None and entry.embedded:
        return _PRETRAINED / f"{text}.safetensors"
    path = model_path(text)
    if path.is_file():
        return path
    if entry is not None:
        raise CheckpointError(f"{text} is not on this machine: `ncodec models pull {text}` gets it")
    names = sorted({*REGISTRY, *stored_names()})
    raise CheckpointError(f"unknown model {text!r}; known: {', '.join(names)}")


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT_MODEL, device: str | torch.device = "cpu"
) -> CompressionModel:
    """Load a codec, ready for use on `device`.

    Args:
        name_or_path: A name of the registry, the name of an imported model, or the path of a model
            file (with a separator or the suffix `.safetensors`).
        device: Where the weights go.

    Raises:
        CheckpointError: No such model, or its file is damaged, or it is no codec.
    """
    model = load_any(name_or_path, device)
    if not isinstance(model, CompressionModel):
        raise CheckpointError(f"{name_or_path} is a {type(model).__name__}, not a codec")
    return model


def load_any(name_or_path: str | os.PathLike[str], device: str | torch.device = "cpu") -> nn.Module:
    """Load a model of any family, language models included; otherwise as `load`."""
    return load_model_file(find(name_or_path), device)


def find_model(
    model: ModelLike, named: str | None, device: str, precision: str = "float32"
) -> CompressionModel:
    """Return a model that was given, or load it by name or path, `named` by default.

    Raises:
        DeviceError: `precision` is "bf16", and the device cannot compute in it.
    """
    if isinstance(model, CompressionModel):
        return model
    return in_precision(load(os.fspath(model or named or DEFAULT_MODEL), device), precision, device)

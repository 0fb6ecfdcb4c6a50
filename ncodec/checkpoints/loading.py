"""`load`: any model, by the name it has in the registry or the cache, or by its file."""

from __future__ import annotations

import os

import torch
from torch import nn

from ncodec.checkpoints.cache import find
from ncodec.checkpoints.files import load_model_file
from ncodec.checkpoints.registry import DEFAULT_MODEL
from ncodec.errors import CheckpointError
from ncodec.models.base import CompressionModel
from ncodec.runtime import in_precision

ModelLike = CompressionModel | str | os.PathLike[str] | None
"""A model, its name, or the path of its file; None means the default one."""


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT_MODEL, device: str | torch.device = "cpu"
) -> CompressionModel:
    """Load a codec, ready for use on `device`.

    Args:
        name_or_path: As `find` takes it: a name of the registry or of the Hugging Face hub, the
            name of an imported model, or the path of a model file.
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

"""`load`: any model, by the name it has in the registry or the cache, or by its file."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from ncodec.checkpoints.cache import (
    UnknownModelError,
    earlier_weights,
    find,
    is_path,
    model_path,
    stored_names,
)
from ncodec.checkpoints.model_file import load_model_file
from ncodec.checkpoints.model_info import read_model_info
from ncodec.checkpoints.registry import DEFAULT_MODEL
from ncodec.errors import CheckpointError
from ncodec.models.base import CompressionModel
from ncodec.models.families import family_of
from ncodec.runtime import in_precision, pick_device

ModelLike = CompressionModel | str | os.PathLike[str] | None
"""A model, its name, or the path of its file; None means the default one."""


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT_MODEL, device: str | torch.device = "cpu"
) -> CompressionModel:
    """Load a codec, ready for use on `device`: it evaluates, and its weights are frozen.

    To fine-tune it call `model.requires_grad_().train()`.

    Args:
        name_or_path: As `find` takes it: a name of the registry or of the Hugging Face hub, the
            name of an imported model, or the path of a model file.
        device: Where the weights go; "auto" is the fastest that is there.

    Raises:
        ArgumentError: The name is no text and no path.
        CheckpointError: No such model, or its file is damaged, or it is no codec.
        DeviceError: This machine does not have the device.
    """
    model = load_any(name_or_path, device)
    if not isinstance(model, CompressionModel):
        raise CheckpointError(f"{name_or_path} is a {family_of(model).kind}, not a codec")
    return model


def load_any(name_or_path: str | os.PathLike[str], device: str | torch.device = "cpu") -> nn.Module:
    """Load a model of any family, language models included; otherwise as `load`."""
    path, there = find(name_or_path), pick_device(device)
    with torch.inference_mode(False):  # tensors made in it could never take part in training
        return load_model_file(path, there).requires_grad_(False)


def find_model(
    model: ModelLike,
    named: str | None,
    device: str,
    precision: str = "float32",
    fingerprint: bytes | None = None,
) -> CompressionModel:
    """Return a model that was given, or load it by name or path, `named` by default.

    Args:
        model: A model, a name, a path, or None.
        named: What a file or a command says by itself.
        device: Where to load it.
        precision: "float32" or "bf16".
        fingerprint: Of the weights that a file was made with: of the models on this machine, the
            one that has it is taken, whatever its name.

    Raises:
        CheckpointError: There is no such model here.
        DeviceError: `precision` is "bf16", and the device cannot compute in it.
    """
    if isinstance(model, CompressionModel):
        return model
    if model is None and named is not None and fingerprint is not None and any(fingerprint):
        loaded = _load_made_with(named, fingerprint.hex(), device)
    else:
        loaded = load((named or DEFAULT_MODEL) if model is None else model, device)
    return in_precision(loaded, precision, device)


def _load_made_with(named: str, fingerprint: str, device: str) -> CompressionModel:
    """Load the model that a file was made with, by its weights or else by its name.

    A file's word is never taken for a path.

    Raises:
        CheckpointError: It is not on this machine.
    """
    found = find_with_weights(fingerprint)
    if found is not None:
        return load(found, device)
    try:
        if not is_path(named):
            return load(named, device)
    except UnknownModelError:
        pass
    raise CheckpointError(
        f"made with weights {fingerprint[:12]} named {named!r}, which are not on this machine: "
        "model=FILE, or `ncodec models import FILE`"
    )


def find_with_weights(fingerprint: str) -> Path | None:
    """Return the file of a model that has these weights, whatever its name.

    It is one of an earlier release of ncodec, or an imported one.
    """
    for path in earlier_weights():
        if path.stem.endswith(f"-{fingerprint[:8]}"):
            return path
    paths = map(model_path, stored_names())
    return next((path for path in paths if _fingerprint(path) == fingerprint), None)


def _fingerprint(path: Path) -> str | None:
    """Return the fingerprint that a model file notes; None if it does not, or is damaged."""
    try:
        return read_model_info(path).notes.get("fingerprint")
    except CheckpointError:
        return None

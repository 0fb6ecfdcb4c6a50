"""A model on disk: safetensors, with its description as JSON in the metadata or beside it.

The description is `{"name", "family", "licence", "config", ...}`; `config` is what the family's
configuration class gives with `to_dict`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save as serialised
from torch import Tensor, nn

from ncodec.checkpoints.model_info import METADATA_KEY, ModelInfo, opened, read_model_info
from ncodec.errors import CheckpointError, DeviceError, NcodecError
from ncodec.export import is_export, read_description
from ncodec.files import atomic_output
from ncodec.models.families import RUNNERS, family_of, find_family, resolve

__all__ = [
    "ModelInfo",
    "assemble",
    "build",
    "family_config",
    "fingerprint_note",
    "load_model_file",
    "read_model_file",
    "read_model_info",
    "save",
    "serialise",
    "write_model_file",
]


def family_config(info: ModelInfo) -> Any:
    """Return the configuration that `info` describes as its family's dataclass."""
    config_type = find_family(info.family).config
    try:
        return config_type.from_dict(dict(info.config))
    except (NcodecError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{info.name}: bad {info.family} configuration: {error}") from error


def build(info: ModelInfo) -> nn.Module:
    """Build the model that `info` describes, with the weights of its constructor."""
    return find_family(info.family).model_class(family_config(info), name=info.name)


def assemble(info: ModelInfo, tensors: Mapping[str, Tensor], origin: str) -> nn.Module:
    """Build the model that `info` describes and fill it with `tensors`, every key of them."""
    model = build(info)
    try:
        model.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{origin}: weights do not fit {info.name}: {reason}") from error
    return model.eval()


def read_model_file(path: str | os.PathLike[str]) -> tuple[ModelInfo, dict[str, Tensor]]:
    """Read a model file in ncodec's own layout: its description and its tensors."""
    with opened(Path(path), "pt") as (info, file):
        return info, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def load_model_file(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> nn.Module:
    """Load a model file in ncodec's own layout, or exported graphs, ready for use on `device`."""
    if is_export(path):
        return opened_export(path, device)
    info, tensors = read_model_file(path)
    return assemble(info, tensors, str(path)).to(device)


def opened_export(path: str | os.PathLike[str], device: str | torch.device) -> nn.Module:
    """Open exported graphs, which run on the CPU."""
    kind = read_description(path).kind
    if kind not in RUNNERS:
        raise CheckpointError(f"{path}: graphs of a {kind}: this ncodec cannot run them")
    if torch.device(device).type != "cpu":
        raise DeviceError(f"{path}: graphs are run by onnxruntime on the CPU, not on {device}")
    return resolve(RUNNERS[kind])(path).eval()


def save(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    licence: str = "unknown",
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write `model` as a model file: its state dict, with its description in the metadata."""
    described: Any = model
    family = family_of(model).name
    notes = {**(notes or {}), **fingerprint_note(model)}
    info = ModelInfo(described.name, family, described.config.to_dict(), licence, notes)
    write_model_file(info, model.state_dict(), path)


def write_model_file(
    info: ModelInfo, tensors: Mapping[str, Tensor], path: str | os.PathLike[str]
) -> None:
    """Write a model file whole or not at all."""
    try:
        with atomic_output(path, force=True) as file:
            file.write(serialise(info, tensors))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot write ({error})") from error


def fingerprint_note(model: nn.Module) -> dict[str, str]:
    """Return what tells, without loading a model file, whether its weights made a coded file."""
    fingerprint: bytes | None = getattr(model, "fingerprint", None)
    return {} if fingerprint is None else {"fingerprint": fingerprint.hex()}


def serialise(info: ModelInfo, tensors: Mapping[str, Tensor]) -> bytes:
    """Return what a model file holds."""
    own = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    return serialised(own, metadata={METADATA_KEY: info.to_json()})

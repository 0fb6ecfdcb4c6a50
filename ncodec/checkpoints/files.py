"""A model on disk: safetensors, with its description as JSON in the metadata or beside it.

The description is `{"name", "family", "licence", "config", ...}`; `config` is what the family's
configuration class gives with `to_dict`.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn

from ncodec.errors import CheckpointError, NcodecError
from ncodec.files import atomic_output

METADATA_KEY = "ncodec"

FAMILIES: Mapping[str, tuple[str, str]] = {
    "dac": ("ncodec.models.dac", "DacModel"),
    "encodec": ("ncodec.models.encodec", "EncodecModel"),
    "encodec_lm": ("ncodec.models.encodec_lm", "EncodecLM"),
    "mimi": ("ncodec.models.mimi", "MimiModel"),
    "spectral": ("ncodec.models.spectral", "SpectralCodec"),
}
"""Model family -> module and class; imported only when a model of the family is built."""


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself.

    Attributes:
        name: The model's name, as files made with it carry it.
        family: Key of `FAMILIES`.
        config: The family's configuration as plain JSON types.
        licence: Licence of the weights.
        notes: Anything else worth keeping: source address, hash of the original file, layout.
    """

    name: str
    family: str
    config: Mapping[str, Any]
    licence: str = "unknown"
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> str:
        """Return the description as it stands in the metadata."""
        fields = {
            "name": self.name,
            "family": self.family,
            "licence": self.licence,
            "config": dict(self.config),
            "notes": dict(self.notes),
        }
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, origin: str) -> ModelInfo:
        """Parse a description; `origin` names the file in errors."""
        try:
            fields = json.loads(text)
            return cls(
                name=str(fields["name"]),
                family=str(fields["family"]),
                config=dict(fields["config"]),
                licence=str(fields.get("licence", "unknown")),
                notes=dict(fields.get("notes", {})),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{origin}: not a model description ({error!r})") from error


def family_class(family: str) -> Any:
    """Return the model class of `family`."""
    if family not in FAMILIES:
        raise CheckpointError(f"unknown model family {family!r}; known: {', '.join(FAMILIES)}")
    module, name = FAMILIES[family]
    return getattr(importlib.import_module(module), name)


def family_config(info: ModelInfo) -> Any:
    """Return the configuration that `info` describes as its family's dataclass."""
    model_class: Any = family_class(info.family)
    try:
        return model_class.config_type.from_dict(dict(info.config))
    except (NcodecError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{info.name}: bad {info.family} configuration: {error}") from error


def build(info: ModelInfo) -> nn.Module:
    """Build the model that `info` describes, with the weights of its constructor."""
    return family_class(info.family)(family_config(info), name=info.name)


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
    with _opened(Path(path)) as (info, file):
        return info, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def read_model_info(path: str | os.PathLike[str]) -> ModelInfo:
    """Read the description of a model file in ncodec's own layout."""
    with _opened(Path(path)) as (info, _):
        return info


@contextmanager
def _opened(path: Path) -> Generator[tuple[ModelInfo, Any]]:
    """Open a model file; give its description and the reader of its tensors."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            text = metadata.get(METADATA_KEY)
            beside = path.with_suffix(".json")
            if text is None and beside.is_file():
                text = beside.read_text("utf-8")
            if text is None:
                raise CheckpointError(
                    f"{path}: no ncodec description in it or beside it; "
                    f"`ncodec models import` reads other tools' layouts"
                )
            yield ModelInfo.from_json(text, str(path)), file
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from error


def load_model_file(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> nn.Module:
    """Load a model file in ncodec's own layout, ready for use on `device`."""
    info, tensors = read_model_file(path)
    return assemble(info, tensors, str(path)).to(device)


def save(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    licence: str = "unknown",
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write `model` as a model file: its state dict, with its description in the metadata."""
    described: Any = model
    family = _family_of(model)
    info = ModelInfo(described.name, family, described.config.to_dict(), licence, notes or {})
    write_model_file(info, model.state_dict(), path)


def write_model_file(
    info: ModelInfo, tensors: Mapping[str, Tensor], path: str | os.PathLike[str]
) -> None:
    """Write a model file whole or not at all."""
    own = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    try:
        with atomic_output(path, force=True) as file:
            file.write(serialised(own, metadata={METADATA_KEY: info.to_json()}))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot write ({error})") from error


def _family_of(model: nn.Module) -> str:
    ancestors = {(base.__module__, base.__name__) for base in type(model).__mro__}
    for family, place in FAMILIES.items():
        if place in ancestors:
            return family
    raise CheckpointError(f"{type(model).__name__} is of no known family: {', '.join(FAMILIES)}")

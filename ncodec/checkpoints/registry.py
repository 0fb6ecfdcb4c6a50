"""The models that are known by name, and `load`, which finds any model by name or path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ncodec.checkpoints.files import load_model_file
from ncodec.errors import CheckpointError
from ncodec.models.base import CompressionModel

DEFAULT_MODEL = "ncodec_24khz"
_PRETRAINED = Path(__file__).parent.parent / "pretrained"


@dataclass(frozen=True)
class Source:
    """Where a checkpoint can be had.

    Attributes:
        url: Address of the file.
        sha256: The whole digest in hex, or the first digits where only those are published.
    """

    url: str
    sha256: str = ""


@dataclass(frozen=True)
class Entry:
    """A model known by name.

    Attributes:
        name: As `--model` takes it and as files carry it.
        family: Key of `ncodec.checkpoints.files.FAMILIES`.
        config: The family's configuration as plain JSON types.
        sources: Where its weights can be had, best first; empty for the embedded model.
        licence: Licence of the weights.
        summary: One line on what it is for.
    """

    name: str
    family: str
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sources: tuple[Source, ...] = ()
    licence: str = "unknown"
    summary: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the weights come with the package."""
        return not self.sources


_ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name=DEFAULT_MODEL,
            family="spectral",
            licence="MIT",
            summary="24 kHz mono, 0.75 to 12 kbps, causal; comes with the package",
        ),
    )
}


def known() -> list[Entry]:
    """Return every entry of the registry, the embedded model first."""
    return list(_ENTRIES.values())


def lookup(name: str) -> Entry:
    """Return the entry called `name`."""
    if name not in _ENTRIES:
        raise CheckpointError(f"unknown model {name!r}; known: {', '.join(_ENTRIES)}")
    return _ENTRIES[name]


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT_MODEL, device: str | torch.device = "cpu"
) -> CompressionModel:
    """Load a model, ready for use on `device`.

    Args:
        name_or_path: A name of the registry or the path of a model file (with separator or suffix).
        device: Where the weights go.

    Raises:
        CheckpointError: No such model, or its file is damaged.
    """
    text = os.fspath(name_or_path)
    if os.sep in text or text.endswith(".safetensors"):
        return load_model_file(text, device)
    return load_model_file(_PRETRAINED / f"{lookup(text).name}.safetensors", device)

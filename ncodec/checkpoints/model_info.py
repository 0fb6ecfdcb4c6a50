"""What a model file says of itself, read without its weights and without PyTorch."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ncodec.errors import CheckpointError
from ncodec.export import is_export, read_description

METADATA_KEY = "ncodec"


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself.

    Attributes:
        name: The model's name, as files made with it carry it.
        family: Name of a `ncodec.models.families.Family`.
        config: The family's configuration as plain JSON types.
        licence: Licence of the weights.
        notes: Anything else worth keeping: source address, hash of the original file, layout.
    """

    name: str
    family: str
    config: Mapping[str, Any]
    licence: str = "unknown"
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def is_published(self) -> bool:
        """Whether it was made of a file that is known, by its SHA-256, to be the published one."""
        return self.notes.get("published") is True

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


def read_model_info(path: str | os.PathLike[str]) -> ModelInfo:
    """Read the description of a model file in ncodec's own layout, or of exported graphs."""
    if is_export(path):
        known = read_description(path)
        notes = {"fingerprint": known.fingerprint, "precision": known.precision}
        return ModelInfo(known.name, known.family, known.config, known.licence, notes)
    with opened(Path(path), "numpy") as (info, _):
        return info


@contextmanager
def opened(path: Path, framework: str) -> Generator[tuple[ModelInfo, Any]]:
    """Open a model file; give its description and the reader of its tensors ("pt", "numpy")."""
    if is_export(path):
        raise CheckpointError(
            f"{path}: exported graphs; this takes the model that they were made of"
        )
    if not path.is_file():
        raise CheckpointError(f"{path}: no such model file")
    try:
        with safe_open(path, framework=framework) as file:
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

"""Taking in other tools' checkpoints: `inspect` tells what a file is, `import_model` keeps it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncodec.checkpoints.cache import model_path
from ncodec.checkpoints.fetch import file_sha256
from ncodec.checkpoints.files import ModelInfo, assemble, read_model_file, write_model_file
from ncodec.checkpoints.layouts import LAYOUTS, Found
from ncodec.checkpoints.pickles import read_tensors
from ncodec.checkpoints.registry import REGISTRY, Entry
from ncodec.errors import ArgumentError, CheckpointError

_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "compression_state_dict.bin", "weights.pth")


@dataclass(frozen=True)
class Imported:
    """What has been taken in.

    Attributes:
        info: The model's description as it is kept.
        layout: What the file was found to be.
        path: Where the model is kept.
    """

    info: ModelInfo
    layout: str
    path: Path


def inspect(path: str | os.PathLike[str]) -> Found:
    """Tell what a checkpoint is: a file, or a folder with one of the usual names in it.

    A `config.json` beside the file is used for what the weights do not tell.

    Raises:
        CheckpointError: It can't be read safely, or is of no layout that is known.
    """
    file = _weights_file(Path(path))
    content = read_tensors(file)
    beside = _config_beside(file)
    for layout in LAYOUTS:
        if layout.matches(content):
            try:
                config, tensors = layout.read(content, beside)
            except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
                raise CheckpointError(
                    f"{file}: looks like {layout.description}, but is incomplete ({error!r})"
                ) from error
            return Found(layout.description, layout.family, config, tensors)
    keys = ", ".join(sorted(map(str, content))[:3]) or "none"
    raise CheckpointError(f"{file}: no layout that is known; its first keys: {keys}")


def import_model(
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    sample_rate: int | None = None,
    licence: str | None = None,
    notes: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Imported:
    """Convert a checkpoint and keep it in the cache folder, where `load` finds it by its name.

    Args:
        path: File or folder.
        name: Name to keep it under; that of the known model which it is, if None.
        sample_rate: Hz, for checkpoints that do not tell theirs.
        licence: Of the weights; a known model's own if None.
        notes: More to keep in the description.
        force: Replace a model of that name.

    Raises:
        CheckpointError: It can't be read, is of no known layout, or its weights do not fit.
        ArgumentError: A name or sample rate is needed, or the name is taken.
    """
    own = _read_own(Path(path))
    found = own or inspect(path)
    config = dict(found.config) | ({"sample_rate": sample_rate} if sample_rate else {})
    entry = REGISTRY.get(name or "") or _same_as(found.family, config)
    if entry is not None and fits(entry, found.family, config):
        config = {**entry.config, **config}
    elif entry is not None:
        raise CheckpointError(
            f"{path} is not {entry.name}: {difference(entry, found.family, config)}"
        )
    name = name or (entry.name if entry else None)
    if name is None:
        raise ArgumentError(f"{path}: {found.layout}, of no known model: it needs a name (--name)")
    if found.family != "encodec_lm" and "sample_rate" not in config:
        raise ArgumentError(f"{path}: its sample rate is not in the file: give it (--rate)")
    target = model_path(name)
    if target.exists() and not force:
        raise ArgumentError(f"model {name!r} exists already (--force replaces it)")
    info = ModelInfo(
        name,
        found.family,
        config,
        licence or (entry.licence if entry else "unknown"),
        {"layout": found.layout, **(notes or {"sha256": file_sha256(_weights_file(Path(path)))})},
    )
    # The whole model is built once: what is kept can be loaded.
    model = assemble(info, found.tensors, str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_model_file(info, model.state_dict(), target)
    return Imported(info, found.layout, target)


def fits(entry: Entry, family: str, config: Mapping[str, Any]) -> bool:
    """Say whether a checkpoint's configuration is that of a known model."""
    return not difference(entry, family, config)


def difference(entry: Entry, family: str, config: Mapping[str, Any]) -> str:
    """Return in words how a checkpoint differs from a known model; empty if it does not."""
    if family != entry.family:
        return f"it is of the family {family}, not {entry.family}"
    for key, value in config.items():
        # What a model was trained for does not make it another one.
        if key not in ("bandwidths", "overlap") and entry.config.get(key) != value:
            return f"its {key} is {value}, not {entry.config.get(key)}"
    return ""


def _same_as(family: str, config: Mapping[str, Any]) -> Entry | None:
    return next((e for e in REGISTRY.values() if fits(e, family, config)), None)


def _read_own(path: Path) -> Found | None:
    """Read a file of ncodec's own layout; None if it is something else."""
    try:
        info, tensors = read_model_file(path)
    except CheckpointError:
        return None
    return Found("ncodec", info.family, info.config, tensors)


def _weights_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in _WEIGHTS:
        if (path / name).is_file():
            return path / name
    raise CheckpointError(f"{path}: no checkpoint in this folder ({', '.join(_WEIGHTS)})")


def _config_beside(file: Path) -> dict[str, Any]:
    beside = file.with_name("config.json")
    if not beside.is_file():
        return {}
    try:
        config = json.loads(beside.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{beside}: not JSON ({error})") from error
    return config if isinstance(config, dict) else {}

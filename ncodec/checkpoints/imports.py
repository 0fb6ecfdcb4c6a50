"""Taking in other tools' checkpoints: `inspect` tells what a file is, `import_model` keeps it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ncodec.checkpoints.cache import model_path
from ncodec.checkpoints.companions import prepare_parts
from ncodec.checkpoints.fetch import file_sha256
from ncodec.checkpoints.layouts import Found
from ncodec.checkpoints.model_file import (
    assemble,
    fingerprint_note,
    read_model_file,
    write_model_file,
)
from ncodec.checkpoints.model_info import ModelInfo
from ncodec.checkpoints.pickles import read_tensors
from ncodec.checkpoints.recognise import recognise
from ncodec.checkpoints.registry import REGISTRY, Entry, canonical
from ncodec.checkpoints.tables import SUFFIX, keep_tables, read_tables_info
from ncodec.errors import ArgumentError, CheckpointError, OutputExistsError
from ncodec.models.families import find_family

_WEIGHTS = (
    *("model.safetensors", "pytorch_model.bin", "state_dict.bin", "compression_state_dict.bin"),
    *("weights.pth", "gen_ema.h5", "generator.ckpt", "generator.pth"),
)


@dataclass(frozen=True)
class Imported:
    """What has been taken in.

    Attributes:
        info: The model's description as it is kept.
        layout: What the file was found to be.
        path: Where the model is kept.
        tables: The files of tables beside it that predict its codes, where they are kept.
    """

    info: ModelInfo
    layout: str
    path: Path
    tables: tuple[Path, ...] = ()

    @property
    def codec(self) -> str | None:
        """Name of the codec whose codes a language model speaks."""
        return self.info.config.get("codec")


def inspect(path: str | os.PathLike[str]) -> Found:
    """Tell what a checkpoint is: a file, or a folder with one of the usual names in it.

    A `config.json` beside the file is used for what the weights do not tell.

    Raises:
        CheckpointError: It can't be read safely, or is of no layout that is known.
    """
    file = _weights_file(Path(path))
    content = read_tensors(file)
    beside = _config_beside(file)
    return recognise(content, beside, file)


def import_model(
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    sample_rate: int | None = None,
    licence: str | None = None,
    force: bool = False,
) -> Imported:
    """Convert a checkpoint and keep it in the cache folder, where `load` finds it by its name.

    Tables that predict its codes (`.tables`) are kept too, if they lie beside it.

    A known model's name and licence are given by themselves only to a file whose SHA-256 is the
    published one: any other of its shape may be something else.

    Args:
        path: File or folder.
        name: Name to keep it under; if None, that of the known model whose file it is, or the one
            that the file itself has.
        sample_rate: Hz, for checkpoints that do not tell theirs.
        licence: Of the weights; that of the known model, or of the file itself, if None.
        force: Replace a model of that name.

    Raises:
        CheckpointError: It can't be read, is of no known layout, or its weights do not fit.
        ArgumentError: A name or sample rate is needed, or the name is taken.
    """
    checkpoint = _examined(Path(path), sample_rate)
    chosen = _name(checkpoint, name)
    like = REGISTRY.get(chosen) or checkpoint.like
    found = _completed(checkpoint.found, like, path) if like else checkpoint.found
    if find_family(found.family).kind == "codec" and "sample_rate" not in found.config:
        raise ArgumentError(f"{path}: its sample rate is not in the file: give it (sample_rate=HZ)")
    if model_path(chosen).exists() and not force:
        raise OutputExistsError(f"model {chosen!r} exists already (force=True replaces it)")
    published, told = checkpoint.published, checkpoint.told
    licence = licence or (published or told or _as_shape(like)).licence
    found, notes, write_parts = prepare_parts(found, chosen, licence, Path(path))
    own = {} if told is None else told.notes
    notes |= {key: own[key] for key in _LASTING if key in own} | {
        "layout": found.layout,
        "sha256": checkpoint.sha256,
        "published": published is not None,
    }
    kept = _keep(ModelInfo(chosen, found.family, found.config, licence, notes), found, path)
    write_parts()
    return replace(kept, tables=_tables_beside(Path(path), kept.info))


def _tables_beside(path: Path, info: ModelInfo) -> tuple[Path, ...]:
    """Keep the tables that lie beside a checkpoint and were made for just its weights."""
    folder = path if path.is_dir() else path.parent
    kept = list[Path]()
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            if read_tables_info(file).fingerprint == info.notes.get("fingerprint"):
                kept.append(keep_tables(file)[0])
        except CheckpointError:
            continue
    return tuple(kept)


def take_in(path: Path, entry: Entry, notes: Mapping[str, Any]) -> Imported:
    """Convert the file of a known model and keep it under its name, in place of what is there.

    Raises:
        CheckpointError: It is not that model, or can't be read.
    """
    found = _completed(_read(path)[1], entry, path)
    notes = {"layout": found.layout, **notes}
    info = ModelInfo(entry.name, found.family, found.config, entry.licence, notes)
    return _keep(info, found, path)


@dataclass(frozen=True)
class _Checkpoint:
    """A checkpoint and what can be said of it.

    Attributes:
        path: As it was given.
        found: What it holds.
        told: What it says of itself, if it is a file of our own.
        sha256: The whole digest of the file of weights.
        published: The known model whose published file it is, by its digest.
        like: The known model of its shape.
    """

    path: Path
    found: Found
    told: ModelInfo | None
    sha256: str
    published: Entry | None
    like: Entry | None


_UNTOLD = ModelInfo("", "", {})


def _as_shape(like: Entry | None) -> ModelInfo:
    """Return what a file says of which nothing is known but its shape.

    A language model of a published one's shape is most likely that one, tuned or not, whose licence
    forbids commercial use: it is told, and `licence` says otherwise.
    """
    if like is None or find_family(like.family).kind != "generator":
        return _UNTOLD
    return ModelInfo("", "", {}, f"{like.licence} (as {like.name}, whose shape it has)")


def _examined(path: Path, sample_rate: int | None) -> _Checkpoint:
    told, found = _read(path)
    if sample_rate:
        found = replace(found, config={**found.config, "sample_rate": sample_rate})
    digest = file_sha256(_weights_file(path))
    published = next((e for e in REGISTRY.values() if e.publishes(digest)), None)
    like = published or _same_as(found.family, found.config)
    return _Checkpoint(path, found, told, digest, published, like)


def _name(checkpoint: _Checkpoint, asked: str | None) -> str:
    """Return the name to keep a checkpoint under.

    Raises:
        ArgumentError: It has none of its own, or one that is another's.
    """
    path, told, like = checkpoint.path, checkpoint.told, checkpoint.like
    if asked is not None:
        name = canonical(asked)
        if name in REGISTRY and REGISTRY[name].embedded:
            raise ArgumentError(f"{name} comes with the package; give another name=NAME")
        return name
    if checkpoint.published is not None:
        return checkpoint.published.name
    if told is not None and told.name not in REGISTRY:
        return told.name
    if told is not None:
        reason = f"calls itself {told.name}, which is another model's name"
    elif like is not None:
        reason = (
            f"has the shape of {like.name}, but its SHA-256 ({checkpoint.sha256[:8]}...) is not "
            "known to be that of the published file"
        )
    else:
        reason = f"{checkpoint.found.layout}, of no known model"
    raise ArgumentError(f"{path}: {reason}: it needs a name (name=NAME)")


def _completed(found: Found, entry: Entry, path: str | os.PathLike[str]) -> Found:
    """Add what a known model's checkpoint does not tell.

    Raises:
        CheckpointError: It is not that model.
    """
    differs = difference(entry, found.family, found.config)
    if differs:
        raise CheckpointError(f"{path} is not {entry.name}: {differs}")
    return replace(found, config={**entry.config, **found.config})


def _keep(info: ModelInfo, found: Found, path: str | os.PathLike[str]) -> Imported:
    """Write a model into the cache folder; built once before: what is kept can be loaded."""
    model = assemble(info, found.tensors, str(path))
    info = replace(info, notes={**info.notes, **fingerprint_note(model)})
    target = model_path(info.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_model_file(info, model.state_dict(), target)
    return Imported(info, found.layout, target)


_LASTING = ("codec_fingerprint", "told_by")
"""Notes of our own files that say what a language model goes with."""
_FREE = ("bandwidths", "overlap")


def fits(entry: Entry, family: str, config: Mapping[str, Any]) -> bool:
    """Say whether a checkpoint's configuration is that of a known model."""
    return not difference(entry, family, config)


def difference(entry: Entry, family: str, config: Mapping[str, Any]) -> str:
    """Return in words how a checkpoint differs from a known model; empty if it does not."""
    if family != entry.family:
        return f"it is of the family {family}, not {entry.family}"
    for key, value in config.items():
        # What a model was trained for does not make it another one.
        if key in _FREE or (entry.config and key not in entry.config):
            continue
        if entry.config.get(key) != value:
            return f"its {key} is {value}, not {entry.config.get(key)}"
    return ""


def _same_as(family: str, config: Mapping[str, Any]) -> Entry | None:
    if find_family(family).kind == "vocoder":
        return None  # many have one shape, and each its own mels
    return next((e for e in REGISTRY.values() if fits(e, family, config)), None)


def _read(path: Path) -> tuple[ModelInfo | None, Found]:
    """Return what a file says of itself, if it is our own, and what it holds."""
    try:
        info, tensors = read_model_file(_weights_file(path))
    except CheckpointError:
        return None, inspect(path)
    return info, Found("a model file of ncodec", info.family, info.config, tensors)


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

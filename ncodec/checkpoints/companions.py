"""What belongs to a language model: its codec, and the text encoder that came with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from safetensors.torch import save as serialised

from ncodec.checkpoints.cache import find, model_path, text_encoder_path
from ncodec.checkpoints.layouts import LAYOUTS, Found
from ncodec.checkpoints.layouts.common import Joined, Parts, Written
from ncodec.checkpoints.loading import find_with_weights
from ncodec.checkpoints.model_file import (
    assemble,
    family_config,
    fingerprint_note,
    read_model_file,
    write_model_file,
)
from ncodec.checkpoints.model_info import ModelInfo, read_model_info
from ncodec.checkpoints.recognise import recognise
from ncodec.checkpoints.registry import canonical
from ncodec.errors import CheckpointError
from ncodec.files import atomic_output
from ncodec.models.families import find_family

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"


def prepare_parts(
    found: Found, name: str, licence: str, path: Path
) -> tuple[Found, dict[str, Any], Callable[[], None]]:
    """Look at the codec and the text encoder that came with the language model `name`.

    A codec whose weights are on this machine already is used under the name that it has.

    Returns:
        The language model with the codec's name and rates, notes to keep with it, and what writes
        codec and text encoder into the cache folder.

    Raises:
        CheckpointError: The codec is none, or is damaged.
    """
    parts, notes, write = found.parts, dict[str, Any](), list[Callable[[], None]]()
    if parts.codec_name is not None:
        codec = canonical(parts.codec_name).rpartition("/")[2]
        found = replace(found, config={**found.config, "codec": codec})
    if parts.codec is not None:
        info, keep = _codec(parts.codec, f"{name}-codec", licence, path)
        write.append(keep)
        shape = find_family(info.family).config.from_dict(dict(info.config)).shape()
        told = {"codec": info.name, "sample_rate": shape.sample_rate, "hop": shape.hop}
        found = replace(found, config={**found.config, **told})
        notes["codec_fingerprint"] = info.notes["fingerprint"]
    if parts.text is not None:
        write.append(partial(_keep_text, parts, text_encoder_path(name)))

    def write_all() -> None:
        for each in write:
            each()

    return found, notes, write_all


def _codec(
    codec: tuple[Mapping[str, Any], Mapping[str, Any]], name: str, licence: str, path: Path
) -> tuple[ModelInfo, Callable[[], None]]:
    found = recognise(*codec, path)
    if find_family(found.family).kind != "codec":
        raise CheckpointError(f"{path}: its codec is {found.layout}, which is none")
    info = ModelInfo(name, found.family, found.config, licence, {"layout": found.layout})
    model = assemble(info, found.tensors, str(path))
    info = replace(info, notes={**info.notes, **fingerprint_note(model)})
    here = find_with_weights(str(info.notes["fingerprint"]))
    if here is not None:
        known = read_model_info(here)
        return replace(known, name=here.stem), lambda: None
    return info, lambda: write_model_file(info, model.state_dict(), model_path(name))


def _keep_text(parts: Parts, folder: Path) -> None:
    assert parts.text is not None
    tensors, config = parts.text
    own = {key: value.clone().contiguous() for key, value in tensors.items()}
    files = {
        **parts.tokenizer,
        _CONFIG: json.dumps(dict(config), indent=2, sort_keys=True).encode(),
        _WEIGHTS: serialised(own, metadata={"format": "pt"}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with atomic_output(folder / name, force=True) as file:
            file.write(content)


def joined_parts(info: ModelInfo, layout: str) -> Joined:
    """Return the codec and the text encoder of a language model in a tool's layout.

    Raises:
        CheckpointError: The codec is not on this machine, or has no such layout.
    """
    written = codec_export(info, layout)
    folder = text_encoder_path(str(info.notes.get("told_by", info.name)))
    text, files = None, dict[str, bytes]()
    if (folder / _WEIGHTS).is_file():
        files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != _WEIGHTS}
        text = load_file(folder / _WEIGHTS), json.loads(files.pop(_CONFIG))
    config = written.beside.get(_CONFIG, {})
    return Joined((written.content, config), text, files)


def codec_export(info: ModelInfo, layout: str = "audiocraft") -> Written:
    """Return the codec of a language model as another tool has it.

    Raises:
        CheckpointError: It is not on this machine, or has no such layout.
    """
    codec, tensors = read_model_file(_codec_file(info))
    for each in LAYOUTS:
        if (each.family, each.name) == (codec.family, layout) and each.write is not None:
            return each.write(family_config(codec), tensors)
    raise CheckpointError(f"{codec.name}: its family cannot be written as {layout}")


def _codec_file(info: ModelInfo) -> Path:
    """Return the file of a language model's codec, by its weights or else by its name."""
    fingerprint = info.notes.get("codec_fingerprint")
    here = find_with_weights(str(fingerprint)) if fingerprint else None
    return here or find(str(info.config["codec"]))

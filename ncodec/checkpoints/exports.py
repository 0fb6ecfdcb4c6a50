"""Giving models to other tools: the layouts of EnCodec, DAC and Hugging Face, with a model card."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialised

from ncodec.checkpoints.cache import find
from ncodec.checkpoints.companions import codec_export, joined_parts
from ncodec.checkpoints.layouts import LAYOUTS, Layout
from ncodec.checkpoints.layouts.common import Written
from ncodec.checkpoints.model_file import family_config, read_model_file, serialise
from ncodec.checkpoints.model_info import ModelInfo
from ncodec.errors import ArgumentError, OutputExistsError
from ncodec.export import Precision, export_whole
from ncodec.files import atomic_output
from ncodec.models.base import CompressionModel
from ncodec.models.families import family_of, find_family

OWN = "ncodec"
WHOLE_FAMILIES = ("dac", "mimi")
"""Which Transformers.js runs as graphs of whole signals (4.3.2: DacModel, MimiModel)."""


def layouts_of(family: str) -> list[str]:
    """Return the names of the layouts that a family can be written in."""
    written = [x.name for x in LAYOUTS if x.family == family and x.write is not None]
    return [OWN, *written]


def export_model(
    name_or_path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    layout: str | None = None,
    *,
    force: bool = False,
) -> list[Path]:
    """Write a model into `folder` as another tool expects it, with a model card.

    Args:
        name_or_path: As `load` takes it.
        folder: Made if missing.
        layout: "ncodec", "hf" (Hugging Face), "encodec" (the encodec package), "audiocraft",
            "dac" (descript-audio-codec) or "hifigan" (jik876/hifi-gan), as far as the family has
            it; "hf" or else "ncodec" if None.
        force: Overwrite files that exist.

    Returns:
        The files written.

    Raises:
        ArgumentError: The family has no such layout, or a file exists.
    """
    info, tensors = read_model_file(find(name_or_path))
    target = Path(folder)
    if layout is None:
        layout = "hf" if "hf" in layouts_of(info.family) else OWN
    if layout == OWN:
        weights, files = f"{info.name}.safetensors", {}
        content = serialise(info, tensors)
        description = "ncodec"
    else:
        chosen = _layout(info.family, layout)
        assert chosen.write is not None
        written = chosen.write(family_config(info), tensors)
        if chosen.join is not None:
            written = chosen.join(written, joined_parts(info, layout))
        weights, content = _file_name(info, written), _content(written)
        files = {name: _json(text) for name, text in written.beside.items()}
        files |= written.copied
        description = chosen.description
        if layout == "audiocraft" and find_family(info.family).kind == "generator":
            beside = codec_export(info)
            files[beside.file] = _content(beside)
    card = model_card(info, weights, description, for_transformers=layout == "hf")
    return _put(target, {weights: content, **files, "README.md": card.encode()}, force)


def export_whole_graphs(
    model: CompressionModel,
    folder: str | os.PathLike[str],
    *,
    dtype: Precision = "float32",
    force: bool = False,
) -> list[Path]:
    """Write a codec as ONNX graphs of whole signals, into a folder that Transformers.js loads.

    Args:
        model: DAC or Mimi, in float32 on the CPU.
        folder: Made if missing.
        dtype: Of the stored weights.
        force: Overwrite files that exist.

    Returns:
        The files written.

    Raises:
        ArgumentError: Transformers.js has no such models, or as `ncodec.export.export_whole`.
        OutputExistsError: The folder has files already.
    """
    family = family_of(model).name
    if family not in WHOLE_FAMILIES:
        raise ArgumentError(
            f"{model.name} is of the family {family}: Transformers.js has graphs of whole signals "
            f"for {' and '.join(WHOLE_FAMILIES)}"
        )
    write = _layout(family, "hf").write
    assert write is not None
    beside = write(model.config, model.state_dict()).beside
    return export_whole(model, folder, beside, dtype=dtype, force=force)


def _layout(family: str, name: str) -> Layout:
    for layout in LAYOUTS:
        if (layout.family, layout.name) == (family, name) and layout.write is not None:
            return layout
    raise ArgumentError(
        f"layout {name!r}: models of the family {family} can be written as "
        f"{', '.join(layouts_of(family))}"
    )


def _file_name(info: ModelInfo, written: Written) -> str:
    return f"{info.name}.th" if written.file.endswith(".th") else written.file


def _content(written: Written) -> bytes:
    if written.file.endswith(".safetensors"):
        own = {key: value.detach().clone().contiguous() for key, value in written.content.items()}
        return serialised(own, metadata={"format": "pt"})
    file = io.BytesIO()
    torch.save(dict(written.content), file)
    return file.getvalue()


def _json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(dict(values), indent=2, sort_keys=True) + "\n").encode()


_CARDS = {
    "codec": ("A neural audio codec", "audio-to-audio"),
    "generator": ("A language model over codes of audio", "text-to-audio"),
    "vocoder": ("A vocoder: mel spectrograms to sound", "text-to-audio"),
}
"""By the kind of model, what it is and the hub's word for what it does."""

_HUB_LICENCES = {
    "MIT": "mit",
    "Apache 2.0": "apache-2.0",
    "CC-BY 4.0": "cc-by-4.0",
    "CC-BY-NC 4.0": "cc-by-nc-4.0",
}
"""The hub's words for licences; it takes "other" for what it does not know."""


def model_card(info: ModelInfo, weights: str, layout: str, *, for_transformers: bool) -> str:
    """Return the README.md beside an export, with the header that the Hugging Face hub reads."""
    origin = str(info.notes.get("source") or info.notes.get("layout") or "trained with ncodec")
    digest = info.notes.get("sha256")
    what, task = _CARDS.get(find_family(info.family).kind, _CARDS["codec"])
    licence = _HUB_LICENCES.get(info.licence.partition(" (")[0], "other")
    header = [
        "---",
        f"license: {licence}",
        *(["library_name: transformers"] if for_transformers else []),
        f"pipeline_tag: {task}",
        "tags:",
        "- audio",
        *(["- hifigan"] if info.family == "hifigan" else ["- codec"]),
        "---",
    ]
    lines = [
        f"# {info.name}",
        "",
        f"{what} of the family {info.family}, exported by ncodec.",
        "",
        f"- Weights: `{weights}`, in the layout of {layout}",
        f"- Licence of the weights: {info.licence}",
        f"- Origin: {origin}",
        *([f"- SHA-256 of the original file: `{digest}`"] if digest else []),
        "",
        "## Configuration",
        "",
        "```json",
        json.dumps(dict(info.config), indent=2, sort_keys=True),
        "```",
        "",
    ]
    return "\n".join([*header, *lines])


def _put(folder: Path, files: Mapping[str, bytes], force: bool) -> list[Path]:
    """Write every file whole or not at all; none if one of them is there already."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in files]
    taken = [path for path in paths if path.exists()]
    if taken and not force:
        raise OutputExistsError(f"{taken[0]}: exists already (force=True overwrites)")
    for path, content in zip(paths, files.values(), strict=True):
        with atomic_output(path, force=force) as file:
            file.write(content)
    return paths

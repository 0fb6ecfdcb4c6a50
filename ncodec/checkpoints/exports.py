"""Giving models to other tools: the layouts of EnCodec, DAC and Hugging Face, with a model card."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save as serialised

from ncodec.checkpoints.files import ModelInfo, family_config, read_model_file, write_model_file
from ncodec.checkpoints.layouts import LAYOUTS, Layout
from ncodec.checkpoints.layouts.common import Written
from ncodec.checkpoints.loading import find
from ncodec.errors import ArgumentError

OWN = "ncodec"


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
        layout: "ncodec", "hf" (Hugging Face), "encodec" (the encodec package) or "dac"
            (descript-audio-codec), as far as the family has it; "hf" or else "ncodec" if None.
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
        files = {f"{info.name}.safetensors": lambda p: write_model_file(info, tensors, p)}
        return _put(target, files | _card(info, f"{info.name}.safetensors", "ncodec"), force)
    chosen = _layout(info.family, layout)
    config = family_config(info)
    assert chosen.write is not None
    written = chosen.write(config, tensors)
    files = {_file_name(info, written): lambda p: _save(written, p)}
    if written.config is not None:
        text = json.dumps(dict(written.config), indent=2, sort_keys=True) + "\n"
        files["config.json"] = lambda p: _write_text(p, text)
    return _put(target, files | _card(info, _file_name(info, written), chosen.description), force)


Writer = Callable[[Path], object]


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


def _save(written: Written, path: Path) -> None:
    if written.file.endswith(".safetensors"):
        own = {key: value.detach().clone().contiguous() for key, value in written.content.items()}
        path.write_bytes(serialised(own, metadata={"format": "pt"}))
    else:
        torch.save(dict(written.content), path)


def _card(info: ModelInfo, weights: str, layout: str) -> dict[str, Writer]:
    origin = str(info.notes.get("source") or info.notes.get("layout") or "trained with ncodec")
    digest = info.notes.get("sha256")
    lines = [
        f"# {info.name}",
        "",
        f"A neural audio codec of the family {info.family}, exported by ncodec.",
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
    return {"README.md": lambda p: _write_text(p, "\n".join(lines))}


def _put(folder: Path, files: dict[str, Writer], force: bool) -> list[Path]:
    """Write every file under another name first; none is left half-written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in files]
    taken = [path for path in paths if path.exists()]
    if taken and not force:
        raise ArgumentError(f"{taken[0]}: exists already (--force overwrites)")
    for path, write in zip(paths, files.values(), strict=True):
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            write(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return paths


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")

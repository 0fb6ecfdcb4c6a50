"""`convert`: the codes of one file as another kind of file; and `compress_as`."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from ncodec.codec.loudness import at_own_level, measured_level
from ncodec.codec.whole_files import Compressed, compress
from ncodec.containers import Content, load_any, read_content
from ncodec.containers.arrays import write_arrays
from ncodec.containers.dac import windowed_as, write_dac_content
from ncodec.containers.ecdc import LoadModel, write_ecdc0, write_ecdc1
from ncodec.errors import ArgumentError
from ncodec.files import PathOrFile, ReadableFile, open_readable, reading, writing
from ncodec.models.base import CompressionModel

KINDS = {"ecdc": ".ecdc", "encodec": ".ecdc", "dac": ".dac", "npz": ".npz", "safetensors": ""}
"""What `convert` writes: "encodec" is `.ecdc` version 0."""


@dataclass(frozen=True)
class Converted:
    """What `convert` did.

    Attributes:
        source: Kind of the source: "ecdc", "ecdc0", "dac", "npz" or "safetensors".
        target: Kind written, a key of `KINDS`.
        model: Name of the model.
        lost: What the target has no place for, in words.
        lm: Whether the source was LM-coded.
    """

    source: str
    target: str
    model: str
    lost: tuple[str, ...]
    lm: bool


def kind_of_name(path: str | os.PathLike[str]) -> str:
    """Return the kind that a file's name asks for.

    Raises:
        ArgumentError: It asks for none.
    """
    ending = Path(path).suffix.lower()
    kinds = {".ecdc": "ecdc", ".dac": "dac", ".npz": "npz", ".safetensors": "safetensors"}
    if ending not in kinds:
        raise ArgumentError(f"{path}: its name must end in {', '.join(kinds)}, or give to=KIND")
    return kinds[ending]


def convert(
    source: ReadableFile,
    target: PathOrFile,
    *,
    to: str | None = None,
    model: str | None = None,
    lm: bool = False,
    force: bool = False,
    load: LoadModel | None = None,
) -> Converted:
    """Write the codes of one file as another kind of file; no code changes.

    Args:
        source: Path, seekable file, or the bytes themselves.
        target: Path, which is then whole or absent, or a file.
        to: A key of `KINDS`; by the target's name if None.
        model: Name of the model, where the source does not say it.
        lm: Code version 0 with the language model; it then decodes only where a computer gives
            the very same numbers.
        force: Overwrite.
        load: Gives models by name; `ncodec.checkpoints.load_any` if None.

    Raises:
        NcodecError: The source is damaged or cut, or the target has no place for its codes.
    """
    to = to or kind_of_name(_path_of(target))
    if to not in KINDS:
        raise ArgumentError(f"kind {to!r}: must be one of {', '.join(KINDS)}")
    if lm and to != "encodec":
        raise ArgumentError("LM coding is for .ecdc version 0 only (to='encodec')")
    if not hasattr(source, "read"):
        with reading(source, seekable=True) as file:
            return convert(file, target, to=to, model=model, lm=lm, force=force, load=load)
    find = load or load_any
    content = read_content(open_readable(source), model, find)
    _check_pair(content, to, lm=lm)
    if content.kind == "dac" and to == "ecdc":
        model_of_it = windowed_as(content, find(content.header.model))
        content = replace(content, header=at_own_level(content, model_of_it))
    with writing(target, force=force) as file:
        lost = _write(content, file, to, find, lm=lm)
    was_lm = bool(content.notes.get("lm"))
    return Converted(content.kind, to, content.header.model, tuple(lost), was_lm)


def compress_as(
    source: Any, target: BinaryIO, *, to: str, model: CompressionModel, **options: Any
) -> Compressed:
    """Code audio straight to another tool's kind of file.

    Args:
        source: As `ncodec.codec.compress` takes it.
        target: An open file.
        to: "encodec" (`.ecdc` version 0) or "dac".
        model: One that the format knows.
        **options: As `ncodec.codec.compress` takes them.
    """

    def find(name: str) -> Any:
        return model if name == model.name else load_any(name)

    with tempfile.TemporaryFile() as copy:
        done = compress(source, copy, model=model, **{**options, "entropy": "none"})
        copy.seek(0)
        convert(copy, target, to=to, load=find)
        return done


def _write(content: Content, file: BinaryIO, to: str, load: LoadModel, *, lm: bool) -> list[str]:
    if to == "ecdc":
        return write_ecdc1(content, file, load)
    if to == "encodec":
        return write_ecdc0(content, file, load, lm=lm)
    if to == "dac":
        return write_dac_content(content, file, measured_level, load)
    return write_arrays(content, file, to)


def _check_pair(content: Content, to: str, *, lm: bool) -> None:
    same = {"ecdc": "ecdc", "dac": "dac", "npz": "npz", "safetensors": "safetensors"}
    if same.get(content.kind) == to:
        raise ArgumentError(f"the source is {to} already")
    if content.kind == "ecdc0" and to == "encodec" and lm == bool(content.notes.get("lm")):
        raise ArgumentError("the source is .ecdc version 0 already, coded in that way")
    if content.notes.get("windowed") and to in ("ecdc", "encodec"):
        raise ArgumentError(
            "a .dac file of several windows: their frames overlap, so they make no stream; "
            "decompress it and compress the audio"
        )


def _path_of(target: str | os.PathLike[str] | BinaryIO) -> str:
    if isinstance(target, (str, os.PathLike)):
        return os.fspath(target)
    raise ArgumentError("the kind to write must be given for a file without a name (to=KIND)")

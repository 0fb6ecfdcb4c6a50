"""`convert`: the codes of one file as another kind of file; and `compress_as`."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ncodec.codec.layout import predicted_kinds
from ncodec.codec.loudness import at_own_level, measured_level
from ncodec.codec.options import ENTROPY, PREDICTED_FROM
from ncodec.codec.whole_files import Compressed, compress
from ncodec.containers import Content, load_any, read_content
from ncodec.containers.arrays import write_arrays
from ncodec.containers.dac import windowed_as, write_dac_content
from ncodec.containers.ecdc import LoadModel, write_ecdc0, write_ecdc1
from ncodec.errors import ArgumentError
from ncodec.files import PathOrFile, ReadableFile, open_readable, reading, writing
from ncodec.models.base import CompressionModel
from ncodec_formats import Header, repack

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
    entropy: str | None = None,
    force: bool = False,
    load: LoadModel | None = None,
) -> Converted:
    """Write the codes of one file as another kind of file; no code changes.

    An `.ecdc` file of version 1 becomes another one if `entropy` says how its codes shall be
    written; all else in it stays, and both ways and back give the same bytes.

    Args:
        source: Path, seekable file, or the bytes themselves.
        target: Path, which is then whole or absent, or a file.
        to: A key of `KINDS`; by the target's name if None.
        model: Name of the model, where the source does not say it.
        lm: Code version 0 with the language model; it then decodes only where a computer gives
            the very same numbers.
        entropy: Of `.ecdc` version 1: "auto" predicts codes where the model has tables for it,
            which makes the file smaller; "none" packs them.
        force: Overwrite.
        load: Gives models by name; `ncodec.checkpoints.load_any` if None.

    Raises:
        NcodecError: The source is damaged or cut, or the target has no place for its codes.
    """
    to = to or kind_of_name(_path_of(target))
    _check_choice(to, entropy, lm=lm)
    if not hasattr(source, "read"):
        with reading(source, seekable=True) as file:
            return convert(
                file, target, to=to, model=model, lm=lm, entropy=entropy, force=force, load=load
            )
    find = load or load_any
    file = open_readable(source)
    begin = file.tell()
    content = read_content(file, model, find)
    if content.kind == to == "ecdc" and entropy is not None:
        file.seek(begin)
        with writing(target, force=force) as out:
            repack(file, out, partial(_planned, entropy=entropy, must=True))
        return Converted("ecdc", "ecdc", content.header.model, (), False)
    _check_pair(content, to, lm=lm)
    if content.kind == "dac" and to == "ecdc":
        model_of_it = windowed_as(content, find(content.header.model))
        content = replace(content, header=at_own_level(content, model_of_it))
    with writing(target, force=force) as out:
        lost = _write(content, out, to, find, lm=lm, entropy=entropy or "auto")
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
        options["entropy"] = "none"
        done = compress(source, copy, model=model, **options)
        copy.seek(0)
        convert(copy, target, to=to, load=find)
        return done


def _check_choice(to: str, entropy: str | None, *, lm: bool) -> None:
    if to not in KINDS:
        raise ArgumentError(f"kind {to!r}: must be one of {', '.join(KINDS)}")
    if lm and to != "encodec":
        raise ArgumentError("LM coding is for .ecdc version 0 only (to='encodec')")
    if entropy not in (None, *ENTROPY) or (entropy and to != "ecdc"):
        raise ArgumentError(
            f"entropy {entropy!r}: must be one of {', '.join(ENTROPY)}, and is for .ecdc version 1"
        )


def _planned(header: Header, entropy: str, *, must: bool) -> Header:
    """Return a header with its codes written in another way.

    Raises:
        ArgumentError: They must be predicted, and there is nothing to do it with.
    """
    if entropy == "none":
        return replace(header, kinds=(), tables=None)
    kinds, tables = predicted_kinds(header.model_hash, header.packet_frames, header.codebook_sizes)
    if tables is not None:
        return replace(header, kinds=kinds, tables=tables)
    if must and header.tables is None:
        raise ArgumentError(
            f"{header.packet_frames} frames a packet: prediction pays from {PREDICTED_FROM} on"
            if header.packet_frames < PREDICTED_FROM
            else f"no tables that predict the codes of {header.model} "
            f"({header.model_hash.hex()[:12]}) are on this machine"
        )
    return header


def _write(
    content: Content, file: BinaryIO, to: str, load: LoadModel, *, lm: bool, entropy: str
) -> list[str]:
    if to == "ecdc":
        return write_ecdc1(
            content, file, load, lambda header: _planned(header, entropy, must=False)
        )
    if to == "encodec":
        return write_ecdc0(content, file, load, lm=lm)
    if to == "dac":
        return write_dac_content(content, file, measured_level, load)
    return write_arrays(content, file, to)


def _check_pair(content: Content, to: str, *, lm: bool) -> None:
    same = {"ecdc": "ecdc", "dac": "dac", "npz": "npz", "safetensors": "safetensors"}
    if same.get(content.kind) == to:
        hint = "; entropy says how its codes are to be written" if to == "ecdc" else ""
        raise ArgumentError(f"the source is {to} already{hint}")
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

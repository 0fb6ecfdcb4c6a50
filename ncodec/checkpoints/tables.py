"""Tables that predict a model's codes: files beside the models, found by the hash in coded files.

A file is safetensors: the tables' bytes, and in the metadata which weights they were made for. Old
ones stay where they are, so that whatever was coded with them can be read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialised

from ncodec.checkpoints.cache import PRETRAINED, cache_folder
from ncodec.errors import CheckpointError, NcodecError
from ncodec.files import atomic_output
from ncodec_formats.entropy.tables import Tables

SUFFIX = ".tables"
_KEY, _DATA = "ncodec", "tables"


@dataclass(frozen=True)
class TablesInfo:
    """What a file of tables says of itself.

    Attributes:
        model: Name of the model whose codes they predict.
        fingerprint: Of its weights, in hexadecimal.
        hash: Of the tables, in hexadecimal, as headers of coded files have it.
        layers: Codebooks that they predict, from the first on.
        notes: How they were made.
    """

    model: str
    fingerprint: str
    hash: str
    layers: int
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])


def write_tables(
    tables: Tables,
    path: str | os.PathLike[str],
    *,
    model: str,
    fingerprint: str,
    notes: Mapping[str, Any] | None = None,
) -> TablesInfo:
    """Write tables for the model of a name and a fingerprint, whole or not at all."""
    layers = len(tables.layers)
    info = TablesInfo(model, fingerprint, tables.hash.hex(), layers, dict(notes or {}))
    fields = {"model": model, "fingerprint": fingerprint, "hash": info.hash, "layers": layers}
    text = json.dumps({**fields, "notes": info.notes}, sort_keys=True)
    content = serialised({_DATA: np.frombuffer(tables.data, np.uint8)}, metadata={_KEY: text})
    with atomic_output(path, force=True) as file:
        file.write(content)
    return info


def read_tables_info(path: str | os.PathLike[str]) -> TablesInfo:
    """Read what a file of tables says of itself.

    Raises:
        CheckpointError: It is no such file.
    """
    return _read(path, with_data=False)[0]


def read_tables(path: str | os.PathLike[str]) -> tuple[TablesInfo, Tables]:
    """Read a file of tables.

    Raises:
        CheckpointError: It is no such file, or damaged.
    """
    info, data = _read(path, with_data=True)
    try:
        tables = Tables.parse(data)
    except NcodecError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if tables.hash.hex() != info.hash:
        raise CheckpointError(f"{path}: damaged: these are not the tables that it names")
    return info, tables


def _read(path: str | os.PathLike[str], *, with_data: bool) -> tuple[TablesInfo, bytes]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            fields = json.loads(metadata[_KEY])
            info = TablesInfo(
                str(fields["model"]),
                str(fields["fingerprint"]),
                str(fields["hash"]),
                int(fields["layers"]),
                dict(fields["notes"]),
            )
            return info, file.get_tensor(_DATA).tobytes() if with_data else b""
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: no tables of ncodec's ({error})") from error


def tables_files(fingerprint: str | None, name: str | None = None) -> list[tuple[Path, TablesInfo]]:
    """Return the files of tables on this machine for weights of a fingerprint, the newest first.

    Where the fingerprint is not known, those for a model of a name.
    """
    mine = [
        (path, info)
        for path, info in _files()
        if (info.model == name if fingerprint is None else info.fingerprint == fingerprint)
    ]
    own = cache_folder() / "models"  # what a user has taken in goes before what came along
    return sorted(mine, key=lambda x: (x[0].parent == own, x[0].stat().st_mtime), reverse=True)


def tables_for(fingerprint: bytes) -> Tables | None:
    """Return the tables to code with, for a model of a fingerprint; None where there are none."""
    for path, _ in tables_files(fingerprint.hex()):
        try:
            return read_tables(path)[1]
        except CheckpointError:
            continue
    return None


def keep_tables(path: str | os.PathLike[str]) -> tuple[Path, TablesInfo]:
    """Copy a file of tables to where imported models are, under its model's name and its hash.

    Raises:
        CheckpointError: It is no such file, or damaged.
    """
    info, _ = read_tables(path)
    folder = cache_folder() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{info.fingerprint[:12]}-{info.hash[:12]}{SUFFIX}"
    with atomic_output(target, force=True) as file:
        file.write(Path(path).read_bytes())
    return target, info


def _files() -> Iterator[tuple[Path, TablesInfo]]:
    for folder in (cache_folder() / "models", PRETRAINED):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                yield path, read_tables_info(path)
            except CheckpointError:
                continue


def tables_by_hash(wanted: bytes) -> Tables | None:
    """Return the tables with a hash, if they are on this machine."""
    for path, info in _files():
        if info.hash == wanted.hex():
            return read_tables(path)[1]
    return None

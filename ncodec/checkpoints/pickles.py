"""Reading other tools' checkpoint files without running anything that is in them.

`torch.load(weights_only=True)` is the restricted unpickler: it rebuilds tensors and plain
containers and refuses every other global. Scalars of numpy, which some training
tools leave in the metadata, are allowed besides: they hold bytes only.
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.serialization import safe_globals

from ncodec.checkpoints.keras import MAGIC, read_keras
from ncodec.errors import CheckpointError

_NUMPY_SCALARS: list[Any] = [
    np.dtype,
    *{type(np.dtype(code)) for code in ("b1", "i4", "i8", "f4", "f8")},
    # The same function under the module names that numpy 2 and numpy 1 write.
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
]


_MAGIC = (b"PK", b"\x80")
"""What PyTorch's files begin with: a zip, or the pickle of older versions."""


def read_tensors(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Read a checkpoint file, safetensors, torch's pickle or HDF5, as the mapping that it holds.

    Raises:
        CheckpointError: The file is missing, is no checkpoint, or holds more than tensors and plain
            values (a pickle that would run code is refused before anything of it runs).
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            head = opened.read(9)
    except OSError as error:
        raise CheckpointError(f"{file}: cannot read ({error.strerror})") from error
    # safetensors: u64 length of the header, then its JSON.
    if head[8:9] == b"{":
        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file}: damaged safetensors file ({error})") from error
    if head[:8] == MAGIC:
        return read_keras(file)
    return _read_pickle(file, head)


def _read_pickle(file: Path, head: bytes) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings(), safe_globals(_NUMPY_SCALARS):
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its zip, pickle and storage readers raise
        refused = isinstance(error, pickle.UnpicklingError)
        if refused and (head.startswith(_MAGIC) or "GLOBAL" in str(error)):
            raise CheckpointError(f"{file}: refused: {_reason(error)}") from error
        if head.startswith(_MAGIC):
            raise CheckpointError(f"{file}: damaged checkpoint ({_first_line(error)})") from error
        raise CheckpointError(
            f"{file}: no checkpoint: neither safetensors nor a file that PyTorch has saved"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file}: holds {type(content).__name__}, not a mapping of tensors")
    return content


def _reason(error: Exception) -> str:
    """Return the one sentence of torch's long explanation that names the refused global."""
    for sentence in str(error).splitlines():
        text = sentence.strip()
        if "GLOBAL" in text or "nsupported" in text:
            return text.split(" was not an allowed")[0].split(". Please use")[0]
    return _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

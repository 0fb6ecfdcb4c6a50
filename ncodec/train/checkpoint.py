"""Checkpoints: all that a run needs to go on as if it had never stopped, and the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ncodec.errors import CheckpointError
from ncodec.files import atomic_output

_PATTERN = "checkpoint-*.pt"


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write `checkpoint-STEP.pt`, whole or not at all, and remove all but the newest `keep`."""
    path = folder / f"checkpoint-{step:08d}.pt"
    save_tensors(state, path)
    for old in sorted(folder.glob(_PATTERN))[: -max(1, keep)]:
        old.unlink()
    return path


def save_tensors(state: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values, whole or not at all, over what is there."""
    with atomic_output(path, force=True) as file:
        torch.save(state, file)


def latest_checkpoint(folder: Path) -> Path:
    """Return the newest checkpoint in `folder`.

    Raises:
        CheckpointError: There is none.
    """
    found = sorted(folder.glob(_PATTERN))
    if not found:
        raise CheckpointError(f"{folder}: no checkpoint to go on from")
    return found[-1]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values, nothing that could run code.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch and pickle raise is not one family
        raise CheckpointError(f"{path}: not a checkpoint of a training run: {error}") from error

"""Going on with a run from its last checkpoint, perhaps with some settings changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ncodec.errors import ArgumentError, CheckpointError
from ncodec.train.checkpoint import latest_checkpoint, load_checkpoint
from ncodec.train.config import TrainConfig, apply_changes, home
from ncodec.train.loop import Trainer


def resume(
    folder: str | Path,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    *,
    changes: Sequence[str] = (),
) -> Trainer:
    """Return the run whose checkpoints lie in `folder`, as it was at the last one.

    `changes` of the form `section.key=value` hold from there on. What is new in them, such as an
    average of the weights or discriminators, starts afresh, which the run says; what is done
    already, such as the model, cannot change.

    Raises:
        CheckpointError: There is no checkpoint, or it cannot be read.
        ArgumentError: A change names no setting, has a wrong value, or comes too late.
    """
    folder = home(folder)
    path = latest_checkpoint(folder)
    state = load_checkpoint(path)
    try:
        was = TrainConfig.from_dict(state["config"])
    except (ArgumentError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint of this version: {error}") from error
    config = TrainConfig.from_dict(apply_changes(was.to_dict(), changes))
    if config.output == was.output:  # the folder may have been moved, or be named from elsewhere
        config = replace(config, output=str(folder))
    _check(config, was, state, folder)
    return Trainer(config, device, rank, world, state=state)


def _check(config: TrainConfig, was: TrainConfig, state: dict[str, Any], folder: Path) -> None:
    """Refuse what a run cannot change any more."""
    if home(config.output).absolute() != folder.absolute():
        raise ArgumentError(
            f"output = {config.output!r}: a run that goes on stays in its folder, {folder}"
        )
    if config.model != was.model:
        raise ArgumentError(f"{folder}: the model of a run cannot change; start one from its file")
    for name in ("free_steps", "start_batches"):
        value = getattr(config.quantizer, name)
        if state["quantizing"] and value != getattr(was.quantizer, name):
            raise ArgumentError(
                f"quantizer.{name} = {value}: the codebooks of this run were made before step "
                f"{state['step']}; it cannot change any more"
            )
    if config.adversarial.discriminators and state["critics"] is not None:
        for name in ("discriminators", "start"):
            if getattr(config.adversarial, name) != getattr(was.adversarial, name):
                raise ArgumentError(
                    f"adversarial.{name}: this run's discriminators go on as they are; "
                    "adversarial.discriminators={} drops them"
                )

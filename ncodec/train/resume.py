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
from ncodec.train.tasks import find_task
from ncodec.train.trainer import Trainer


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
    try:
        state = _with_task(load_checkpoint(path))
        was = TrainConfig.from_dict(state["config"])
    except (ArgumentError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint of this version: {error}") from error
    config = TrainConfig.from_dict(apply_changes(was.to_dict(), changes))
    if config.output == was.output:  # the folder may have been moved, or be named from elsewhere
        config = replace(config, output=str(folder))
    _check(config, was, state, folder)
    return Trainer.create(config, device, rank, world, state=state)


def _check(config: TrainConfig, was: TrainConfig, state: dict[str, Any], folder: Path) -> None:
    """Refuse what a run cannot change any more."""
    if home(config.output).absolute() != folder.absolute():
        raise ArgumentError(
            f"output = {config.output!r}: a run that goes on stays in its folder, {folder}"
        )
    if (config.task, config.model) != (was.task, was.model):
        raise ArgumentError(f"{folder}: the model of a run cannot change; start one from its file")
    find_task(config.task.name).check_changes(config, was, state["task"])


_OF_THE_TRAINER = ("config", "step", "elapsed", "model", "optimizer", "averaged")


def _with_task(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state as it is written now: before there were tasks, theirs lay among the rest."""
    if "task" in state:
        return state
    own = {key: state[key] for key in _OF_THE_TRAINER}
    return {**own, "task": {key: value for key, value in state.items() if key not in own}}

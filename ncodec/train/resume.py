"""Going on with a run from its last checkpoint, perhaps with some settings changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ncodec.errors import ArgumentError
from ncodec.train.checkpoint import latest_checkpoint, load_checkpoint
from ncodec.train.config import TrainConfig, apply_changes
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

    `changes` of the form `section.key=value` hold from there on. What the model is cannot change.

    Raises:
        CheckpointError: There is no checkpoint, or it cannot be read.
        ArgumentError: A change names no setting, has a wrong value, or is of the model's section.
    """
    state = load_checkpoint(latest_checkpoint(Path(folder)))
    was = TrainConfig.from_dict(state["config"])
    config = TrainConfig.from_dict(apply_changes(was.to_dict(), changes))
    if config.model != was.model:
        raise ArgumentError(f"{folder}: the model of a run cannot change; start one from its file")
    trainer = Trainer(replace(config, output=str(folder)), device, rank, world)
    trainer.restore(state)
    return trainer

"""What `ncodec train` can teach, by name; each task is a module here."""

from __future__ import annotations

import importlib
from typing import Any

from ncodec.errors import ArgumentError

TASKS = {
    "codec": "ncodec.train.tasks.codec:CodecTask",
    "latent_gan": "ncodec.train.tasks.latent_gan:LatentGanTask",
    "lm": "ncodec.train.tasks.lm:LMTask",
    "musika": "ncodec.train.tasks.musika:MusikaTask",
    "predictor": "ncodec.train.tasks.predictor:PredictorTask",
    "second_level": "ncodec.train.tasks.second_level:SecondLevelTask",
    "vocoder": "ncodec.train.tasks.vocoder:VocoderTask",
}
"""Name, as `[task] name` has it -> module and class, a `Task`; imported when a run is of it."""


def find_task(name: str) -> Any:
    """Return the class of a task.

    Raises:
        ArgumentError: There is none of this name.
    """
    if name not in TASKS:
        raise ArgumentError(f"task.name = {name!r}: must be one of {', '.join(TASKS)}")
    module, cls = TASKS[name].split(":")
    return getattr(importlib.import_module(module), cls)

"""Task: what a run teaches. The `Trainer` steps it, and knows nothing of what it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ncodec.train.config import TrainConfig


@dataclass(frozen=True)
class Place:
    """Where a run computes.

    Attributes:
        device: Of this process.
        rank: Its number among the processes that share the run.
        world: How many those are.
        dtype: What nets compute in, by autocast where it is not float32.
    """

    device: torch.device
    rank: int = 0
    world: int = 1
    dtype: torch.dtype = torch.float32

    def autocast(self) -> torch.autocast:
        """Compute in `dtype` inside."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


class Losses(NamedTuple):
    """What a step found.

    Attributes:
        values: Scalars by name, to be reported; all must be finite for the step to count.
        backward: Sends gradients to the parameters of the task's module.
    """

    values: dict[str, Tensor]
    backward: Callable[[], None]


@dataclass(frozen=True)
class Validation:
    """What was measured on audio that is never trained on.

    Attributes:
        scores: By name, such as `6kbps/speech/pesq`.
        details: More of them, for logs alone.
        audio: By name, `[C, T]`, for whoever wants to listen.
        sample_rate: Of that, in Hz.
    """

    scores: Mapping[str, float]
    sample_rate: int
    details: Mapping[str, float] = field(default_factory=dict[str, float])
    audio: Mapping[str, NDArray[np.float32]] = field(default_factory=dict[str, NDArray[np.float32]])


class Task(ABC):
    """A module, what it learns from, and how a step goes.

    What it draws must depend on the run's seed and the step alone, so that a run that goes on has
    the losses that it would have had; `torch`'s generator is seeded so before each step.

    Attributes:
        config_type: The dataclass of a run of it.
        module: What the optimizer moves, and what is averaged and saved.
        seconds: Audio in one process's batch.
        description: One line on what is trained, and on what.
    """

    config_type: ClassVar[type[TrainConfig]]
    module: nn.Module
    seconds: float
    description: str

    @abstractmethod
    def __init__(self, config: Any, place: Place, state: Mapping[str, Any] | None) -> None:
        """Make it from a configuration of `config_type`.

        `state`, what `state` gave, is taken back by `load_state` later; here it says what need not
        be read or loaded anew.

        Raises:
            ArgumentError: The configuration names something that does not exist.
        """

    @abstractmethod
    def batches(self, step: int) -> Iterator[Any]:
        """Yield this process's batches from step `step` on."""

    def before_step(self, step: int) -> bool:
        """Prepare, before the step's losses; say whether the weights were made anew."""
        return False

    @abstractmethod
    def step(self, batch: Any, step: int) -> Losses:
        """Return the losses of a batch."""

    def state(self) -> dict[str, Any]:
        """Return what a run that goes on needs besides the module's weights."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> list[str]:
        """Take back what `state` gave; returns what starts afresh, in words."""
        return []

    @classmethod
    def check_changes(cls, config: Any, was: Any, state: Mapping[str, Any]) -> None:
        """Refuse what cannot change any more in a run that goes on.

        Raises:
            ArgumentError: Something did; the message holds the setting and why.
        """
        return

    def validate(self, module: nn.Module) -> Validation | None:
        """Measure a copy of `module` with averaged weights; None where there is nothing to."""
        return None

    @abstractmethod
    def write(self, module: nn.Module, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write such a copy as its users want it, with notes on the run; returns its main file."""


def size_of(*modules: nn.Module) -> str:
    """Say how many weights modules have together."""
    count = sum(parameter.numel() for module in modules for parameter in module.parameters())
    return f"{count / 1e6:.2f} M weights"

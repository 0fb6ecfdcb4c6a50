"""A task that is no codec: the trainer needs no more of it than `Task` says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ncodec.train.config import TrainConfig
from ncodec.train.resume import resume
from ncodec.train.task import Losses, Place, Task, Validation
from ncodec.train.tasks import TASKS
from ncodec.train.trainer import Trainer

CPU = torch.device("cpu")


@dataclass(frozen=True)
class SumConfig(TrainConfig):
    """What only this task has."""

    numbers: int = 3


class SumTask(Task):
    """Learns to add."""

    config_type = SumConfig
    seconds = 1.0
    description = "an adder"

    def __init__(self, config: SumConfig, place: Place, state: Mapping[str, Any] | None) -> None:
        self.module = nn.Sequential(nn.Linear(config.numbers, 8), nn.Dropout(0.1), nn.Linear(8, 1))
        self.config, self.seen = config, 0

    def batches(self, step: int) -> Iterator[torch.Tensor]:
        while True:
            drawn = torch.Generator().manual_seed(step)
            yield torch.randn(16, self.config.numbers, generator=drawn)
            step += 1

    def step(self, batch: torch.Tensor, step: int) -> Losses:
        self.seen += len(batch)
        loss = (self.module(batch)[:, 0] - batch.sum(1)).square().mean()
        return Losses({"error": loss}, loss.backward)

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state(self, state: Mapping[str, Any]) -> list[str]:
        self.seen = state["seen"]
        return []

    def validate(self, module: nn.Module) -> Validation:
        return Validation({"at zero": module(torch.zeros(1, self.config.numbers)).item()}, 8000)

    def write(self, module: nn.Module, folder: Path, notes: Mapping[str, Any]) -> Path:
        path = folder / "adder.txt"
        path.write_text(f"{notes['steps']} steps")
        return path


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """A run of seven steps."""
    monkeypatch.setitem(TASKS, "sum", f"{__name__}:SumTask")
    values = {"task": {"name": "sum"}, "numbers": 5, "output": str(tmp_path / "run")}
    report = {"every": 100, "validation": 7, "tensorboard": False}
    optim = {"steps": 7, "lr": 0.1, "warmup": 0, "ema": 0.5}
    return TrainConfig.from_dict({**values, "report": report, "optim": optim})


def test_another_task_runs_and_writes_what_it_makes(config, capsys):
    assert isinstance(config, SumConfig)
    Trainer.create(config, CPU).run()
    assert (Path(config.output) / "adder.txt").read_text() == "7 steps"
    said = capsys.readouterr().err
    assert said.startswith("training an adder, on cpu in float32, into ")
    assert "step 7  at zero " in said


def test_four_steps_and_three_are_seven(config):
    straight = Trainer.create(config, CPU)
    straight.folder.mkdir()
    batches = straight.task.batches(0)
    for _ in range(4):
        straight.train_step(next(batches))
    straight.save()
    wanted = [straight.train_step(next(batches)) for _ in range(3)]
    again = resume(config.output, CPU)
    batches = again.task.batches(4)
    assert [again.train_step(next(batches)) for _ in range(3)] == wanted
    assert again.task.seen == straight.task.seen == 7 * 16
    for key, value in straight.averaged.weights.items():
        assert torch.equal(again.averaged.weights[key], value), key

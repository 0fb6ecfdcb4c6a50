"""Training over latents: the second level, exact resumption, what is measured and refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ncodec import checkpoints
from ncodec.checkpoints.loading import load_any
from ncodec.errors import ArgumentError
from ncodec.latents.second_level import SecondLevel
from ncodec.train.config import TrainConfig
from ncodec.train.resume import resume
from ncodec.train.trainer import Trainer

from .test_trainer import assert_equal, run_steps

CPU = torch.device("cpu")


def second_level(recordings: Path, codec: Path, output: Path, **more: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "output": str(output),
        "task": {"name": "second_level"},
        "model": {
            "name": "second",
            "config": {"dim": 4, "widths": [8, 12, 16], "codebooks": 3},
        },
        "second_level": {"codec": str(codec), "sound_from": 2},
        "losses": {"mel": 0.1},
        "data": {"sources": [str(recordings)], "seconds": 0.64, "batch": 2},
        "optim": {"steps": 8, "warmup": 2, "lr": 2e-3},
        "report": {"every": 100, "checkpoint": 4, "validation": 0, "tensorboard": False},
    }
    for section, changes in more.items():
        values[section] = {**values.get(section, {}), **changes}
    return TrainConfig.from_dict(values)


def test_four_steps_of_a_second_level_and_three_are_seven(recordings, codec, tmp_path) -> None:
    config = second_level(recordings, codec, tmp_path / "run")
    straight = Trainer.create(config, CPU)
    straight.folder.mkdir()
    first = run_steps(straight, 4)
    assert ("mel" in first[1], "mel" in first[2]) == (False, True)
    straight.save()
    wanted = run_steps(straight, 3)
    again = resume(config.output, CPU)
    assert run_steps(again, 3) == wanted
    assert_equal(again.state(), {**straight.state(), "elapsed": again.elapsed})


def test_a_second_level_learns_and_leaves_a_model(recordings, codec, tmp_path) -> None:
    changes = {"steps": 60, "lr": 5e-3, "ema": 0.9}
    held_out = {"validation": [str(recordings)]}
    config = second_level(recordings, codec, tmp_path / "run", optim=changes, data=held_out)
    trainer = Trainer.create(config, CPU)
    losses = run_steps(trainer, 60)
    assert losses[0]["error"] > 0.8
    assert np.mean([each["error"] for each in losses[-5:]]) < 0.6 * losses[0]["error"]
    mels = [each["mel"] for each in losses if "mel" in each]
    assert np.mean(mels[-5:]) < np.mean(mels[:5])
    found = trainer.task.validate(trainer.evaluated())
    assert found is not None
    scores = found.scores
    assert scores["all/error"] < scores["all/error_coded"]
    assert scores["all/error"] < 0.8
    assert {"all/codec/mel", "all/made/mel", "all/made/si_sdr"} <= set(scores)
    trainer.folder.mkdir()
    made = load_any(trainer.save())
    assert isinstance(made, SecondLevel)
    assert (made.config.codec, made.config.latent, made.config.hop) == ("tiny", 12, 80)
    assert not torch.equal(made.deviation, torch.ones(12))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"config": {"latent": 3}}}, "model.config.latent: follows from the codec"),
        ({"model": {"config": {"codebooks": 5}}}, "codebooks = 5: tiny has 4"),
        ({"model": {"start": "x"}}, "model.start"),
        ({"model": {"config": {"kernel": 1, "codebooks": 3}}}, "kernel 1"),
        ({"losses": {"loud": 1.0}}, "losses"),
    ],
)
def test_what_a_second_level_refuses(recordings, codec, tmp_path, change, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        Trainer.create(second_level(recordings, codec, tmp_path / "run", **change), CPU)


def test_another_codec_is_refused(recordings, codec, tmp_path) -> None:
    config = second_level(recordings, codec, tmp_path / "run")
    trainer = Trainer.create(config, CPU)
    trainer.folder.mkdir()
    trainer.save()
    with pytest.raises(ArgumentError, match=r"second_level\.codec"):
        resume(config.output, CPU, changes=["second_level.codec=other"])
    other = load_any(codec)
    other.name = "tiny"
    with torch.no_grad():
        next(other.parameters()).add_(1)
    checkpoints.save(other, codec)
    with pytest.raises(ArgumentError, match="tiny has other weights than when this run began"):
        resume(config.output, CPU)

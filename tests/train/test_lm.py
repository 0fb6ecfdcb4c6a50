"""Training of language models: audio and shards, conditions by item, exact resumption, bits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ncodec.datasets import tokenize
from ncodec.errors import ArgumentError, NcodecError
from ncodec.lm import load_generator
from ncodec.train.config import TrainConfig
from ncodec.train.resume import resume
from ncodec.train.trainer import Trainer

from .test_trainer import assert_equal, run_steps

CPU = torch.device("cpu")


@pytest.fixture
def manifest(recordings: Path) -> Path:
    rows = [f"{n}.wav,{'low' if n < 2 else 'high'},steady tone" for n in range(4)]
    (recordings / "all.csv").write_text("\n".join(["path,kind,note", *rows]))
    return recordings / "all.csv"


@pytest.fixture(params=["audio", "shards"])
def speaking(request, manifest: Path, tmp_path: Path, codec: Path) -> TrainConfig:
    values = {
        "output": str(tmp_path / "speaking"),
        "task": {"name": "lm"},
        "model": {
            "name": "speaker",
            "config": {"dim": 32, "heads": 2, "layers": 2, "feed_forward": 64, "context": 20},
        },
        "lm": {"codec": str(codec), "codebooks": 3, "words": ["low", "high", "tone"]},
        "data": {"sources": [str(manifest)], "seconds": 0.5, "batch": 2},
        "optim": {"steps": 8, "warmup": 2, "lr": 5e-3},
        "report": {"every": 100, "checkpoint": 4, "validation": 0, "tensorboard": False},
    }
    if request.param == "shards":
        tokenize([manifest], tmp_path / "codes", model=codec, codebooks=4, format="webdataset")
        values["lm"]["shards"] = str(tmp_path / "codes")
    return TrainConfig.from_dict(values)


def test_four_steps_and_three_are_seven(speaking) -> None:
    straight = Trainer.create(speaking, CPU)
    straight.folder.mkdir()
    run_steps(straight, 4)
    straight.save()
    wanted = run_steps(straight, 3)
    again = resume(speaking.output, CPU)
    assert run_steps(again, 3) == wanted
    assert_equal(again.state(), {**straight.state(), "elapsed": again.elapsed})


def test_a_run_leaves_a_model_that_speaks(speaking) -> None:
    trainer = Trainer.create(speaking, CPU)
    trainer.run()
    made = load_generator(Path(speaking.output) / "model.safetensors")
    assert made.lm.config.tags == ("low", "high", "tone")
    made.set_generation_params(duration=0.3)
    assert made.generate(["low tone", None]).shape == (2, 1, 2400)


def test_bits_fall(speaking) -> None:
    changed = {**speaking.to_dict(), "optim": {"steps": 40, "warmup": 2, "lr": 1e-2}}
    trainer = Trainer.create(TrainConfig.from_dict(changed), CPU)
    losses = run_steps(trainer, 40)
    assert losses[0]["bits"] < 3 * 8
    assert np.mean([x["bits"] for x in losses[-5:]]) < 0.8 * losses[0]["bits"]


def test_a_model_of_ones_own_is_gone_on_from(speaking, tmp_path) -> None:
    """With its codec and tags, which need not be named; its own text of them is refused."""
    Trainer.create(speaking, CPU).run()
    values = speaking.to_dict()
    values |= {"output": str(tmp_path / "more"), "lm": {"shards": values["lm"]["shards"]}}
    values["model"] = {"name": "more", "start": f"{speaking.output}/model.safetensors"}
    trainer = Trainer.create(TrainConfig.from_dict(values), CPU)
    first = load_generator(values["model"]["start"]).lm.state_dict()
    assert all(torch.equal(v, first[k]) for k, v in trainer.task.model.state_dict().items())
    assert trainer.task.model.config.tags == ("low", "high", "tone")
    run_steps(trainer, 1)
    trainer.folder.mkdir()
    trainer.save()
    again = resume(values["output"], CPU)
    assert run_steps(again, 2) == run_steps(trainer, 2)
    with pytest.raises(ArgumentError, match=r"lm.words: .* was told low, high, tone"):
        Trainer.create(TrainConfig.from_dict({**values, "lm": {"words": ["a"]}}), CPU)


def test_tags_are_those_of_each_item_and_dropped_by_themselves(speaking) -> None:
    task = Trainer.create(speaking, CPU).task
    batch = next(task.batches(0))
    assert all("steady tone" in name for name in batch.names)
    rng = np.random.default_rng(0)
    told = [task._telling.kept(["low", "tone"], rng) for _ in range(2000)]
    assert set(told) == {(), ("low",), ("tone",), ("low", "tone")}
    nothing = told.count(()) / 2000
    assert abs(nothing - (0.12 + 0.88 * 0.01)) < 0.03
    assert abs(told.count(("low", "tone")) / 2000 - 0.88 * 0.81) < 0.04


@pytest.mark.parametrize("speaking", ["shards"], indirect=True)
def test_short_recordings_are_padded_and_padding_is_not_learned(speaking) -> None:
    longer = TrainConfig.from_dict(
        {**speaking.to_dict(), "data": {**speaking.to_dict()["data"], "seconds": 5.0}}
    )
    task = Trainer.create(longer, CPU).task
    batch = next(task.batches(0))
    cut = batch._replace(frames=batch.frames - torch.tensor([0, 150]))
    other = cut._replace(codes=cut.codes.clone())
    other.codes[1, :, 50:] = 7
    assert batch.codes.shape == (2, 3, 200)
    assert task.step(cut, 0).values == task.step(other, 0).values


def test_validation_counts_the_bits_of_a_frame(speaking, manifest) -> None:
    data = {**speaking.to_dict()["data"], "validation": [str(manifest)]}
    trainer = Trainer.create(TrainConfig.from_dict({**speaking.to_dict(), "data": data}), CPU)
    run_steps(trainer, 1)
    found = trainer.task.validate(trainer.evaluated())
    assert set(found.scores) == {"low/bits", "high/bits"}
    assert 3 < found.scores["low/bits"] < 3 * 8
    assert len(found.details) == 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lm": {"codebooks": 9}}, "lm.codebooks = 9: tiny has fewer"),
        ({"model": {"config": {"bins": 3}}}, "model.config.bins: follows"),
        ({"model": {"start": "none"}}, "unknown model 'none'"),
        ({"model": {"config": {"dim": 33}}}, "multiple of heads"),
    ],
)
def test_what_is_refused(manifest, codec, tmp_path, change, said: str) -> None:
    values = {
        "output": str(tmp_path / "x"),
        "task": {"name": "lm"},
        "data": {"sources": [str(manifest)]},
        **change,
    }
    values["lm"] = {"codec": str(codec), **change.get("lm", {})}
    with pytest.raises(NcodecError, match=said):
        Trainer.create(TrainConfig.from_dict(values), CPU)

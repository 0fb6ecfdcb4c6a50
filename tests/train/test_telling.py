"""Training on descriptions: nets of MusicGen's kind, tuned and begun anew, and a tiny T5."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tests.oracle.reference  # noqa: F401 - transformers then does without torchaudio
from ncodec.checkpoints import import_model
from ncodec.checkpoints.cache import model_path, text_encoder_path
from ncodec.datasets import tokenize
from ncodec.errors import NcodecError
from ncodec.lm import load_generator
from ncodec.train.config import TrainConfig
from ncodec.train.resume import resume
from ncodec.train.telling import Descriptions
from ncodec.train.trainer import Trainer

from .test_trainer import assert_equal, run_steps

pytest.importorskip("transformers", reason="needs transformers, of the extra text")

CPU = torch.device("cpu")
NET = {
    "dim": 32,
    "heads": 2,
    "layers": 2,
    "feed_forward": 64,
    "position": "sin",
    "context": 0,
    "text_width": 48,
    "window": 2.0,
    "stride": 1.0,
    "style": "music",
}


@pytest.fixture
def manifest(recordings: Path) -> Path:
    said = ["slow rain", "wind in the window", "", "a dog"]
    rows = [f"{n}.wav,{text}" for n, text in enumerate(said)]
    (recordings / "all.csv").write_text("\n".join(["path,description", *rows]))
    return recordings / "all.csv"


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Import a net of MusicGen's kind as `tiny`, its codec and text encoder with it."""
    from tests.oracle.musicgen import musicgen, save

    torch.manual_seed(0)
    with torch.no_grad():
        folder = save(musicgen(), tmp_path / "hf")
    import_model(folder, "tiny", licence="CC-BY-NC 4.0")
    return folder


def run_of(manifest: Path, tmp_path: Path, **changes: dict[str, Any]) -> TrainConfig:
    values: dict[str, Any] = {
        "output": str(tmp_path / "told"),
        "task": {"name": "lm"},
        "model": {"name": "tuned", "start": "tiny"},
        "lm": {"text": "description", "drop": 0.3, "drop_each": 0.1},
        "data": {"sources": [str(manifest)], "seconds": 0.3, "batch": 3},
        "optim": {"steps": 8, "warmup": 2, "lr": 3e-3},
        "report": {"every": 100, "checkpoint": 4, "validation": 0, "tensorboard": False},
    }
    for section, settings in changes.items():
        values[section] = {**values[section], **settings}
    return TrainConfig.from_dict(values)


BEGINNINGS = ["tuned", "tuned on shards", "tuned stereo", "anew"]


@pytest.fixture(params=BEGINNINGS)
def told(request, music: Path, manifest: Path, tmp_path: Path) -> TrainConfig:
    if request.param == "tuned on shards":
        tokenize([manifest], tmp_path / "codes", model="tiny-codec", format="parquet")
        return run_of(manifest, tmp_path, lm={"shards": str(tmp_path / "codes")})
    if request.param == "tuned stereo":
        from tests.oracle.musicgen import musicgen, save

        with torch.no_grad():
            folder = save(musicgen(codebooks=8, channels=2), tmp_path / "stereo")
        import_model(folder, "wide", licence="MIT")
        return run_of(manifest, tmp_path, model={"start": "wide"})
    if request.param == "anew":
        net = {"dim": 32, "heads": 2, "layers": 2, "feed_forward": 64, "position": "sin"}
        net |= {
            "context": 0,
            "text_encoder": str(text_encoder_path("tiny")),
            "text_width": 48,
            "style": "music",
        }
        net |= {"window": 2.0, "stride": 1.0}
        model = {"start": None, "config": net}
        return run_of(manifest, tmp_path, model=model, lm={"codec": "tiny-codec"})
    return run_of(manifest, tmp_path)


def test_four_steps_and_three_are_seven(told) -> None:
    """Also where what was gone on from is no longer there."""
    straight = Trainer.create(told, CPU)
    straight.folder.mkdir()
    run_steps(straight, 4)
    straight.save()
    wanted = run_steps(straight, 3)
    model_path("tiny").unlink()
    again = resume(told.output, CPU)
    assert run_steps(again, 3) == wanted
    assert_equal(again.state(), {**straight.state(), "elapsed": again.elapsed})


@pytest.mark.parametrize("told", ["tuned", "anew"], indirect=True)
def test_what_comes_of_it_is_told_and_keeps_its_licence(told, music: Path) -> None:
    Trainer.create(told, CPU).run()
    file = Path(told.output) / "model.safetensors"
    made = load_generator(file)
    made.set_generation_params(duration=0.3, seed=1, cfg_coef=3.0)
    assert made.generate(["slow rain", None]).shape == (2, 1, 4800)
    tuned = told.model.start is not None
    assert made.licence == ("CC-BY-NC 4.0" if tuned else "unknown")
    import_model(file, "mine")
    assert load_generator("mine").lm.told_by == ("tiny" if tuned else "tuned")


@pytest.mark.parametrize("told", ["anew"], indirect=True)
def test_bits_fall_and_the_text_encoder_stays(told) -> None:
    changed = {**told.to_dict(), "optim": {"steps": 30, "warmup": 2, "lr": 1e-2}}
    trainer = Trainer.create(TrainConfig.from_dict(changed), CPU)
    telling = trainer.task._telling
    assert isinstance(telling, Descriptions)
    before = telling._encoder(["rain"])[0].clone()
    losses = run_steps(trainer, 30)
    assert np.mean([x["bits"] for x in losses[-5:]]) < 0.9 * losses[0]["bits"]
    telling._encoder._known.clear()
    assert torch.equal(telling._encoder(["rain"])[0], before)
    learned = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert learned == {id(p) for p in trainer.task.model.parameters()}


@pytest.mark.parametrize("told", ["tuned"], indirect=True)
def test_a_tuned_model_begins_as_it_was(told) -> None:
    task = Trainer.create(told, CPU).task
    start = load_generator("tiny").lm.state_dict()
    assert all(torch.equal(value, start[key]) for key, value in task.model.state_dict().items())
    assert all(p.requires_grad for p in task.model.parameters())


@pytest.mark.parametrize("told", ["tuned"], indirect=True)
def test_items_are_dropped_by_themselves(told) -> None:
    task = Trainer.create(told, CPU).task
    names = [name for n in range(9) for name in next(task.batches(n)).names]
    assert set(names) <= {"slow rain", "wind in the window", "", "a dog"}
    rng, model, telling = np.random.default_rng(0), task.model, task._telling
    kept = [" ".join(telling.kept(["slow", "rain"], rng)) for _ in range(2000)]
    assert set(kept) == {"", "slow", "rain", "slow rain"}
    assert abs(kept.count("") / 2000 - (0.3 + 0.7 * 0.01)) < 0.04
    order, conditions = telling.tell(model, ["", "rain", "", "a dog"], None)
    assert order == [1, 3, 0, 2]
    assert conditions.memory.shape[0] == 2
    sequence = torch.randint(64, (2, 4, 9))
    nothing = telling.tell(model, ["", ""], None)[1]
    rows = [
        model(sequence, each) for each in (None, nothing, telling.tell(model, ["rain"], None)[1])
    ]
    assert torch.allclose(rows[0], rows[1], atol=1e-6)
    assert (rows[2] - rows[0])[0].abs().max() > 0.01
    assert torch.allclose(rows[2][1], rows[0][1], atol=1e-6)
    rows[1].sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("told", ["tuned"], indirect=True)
def test_validation_is_told(told, manifest) -> None:
    data = {**told.to_dict()["data"], "validation": [str(manifest)]}
    trainer = Trainer.create(TrainConfig.from_dict({**told.to_dict(), "data": data}), CPU)
    with_text = trainer.task.validate(trainer.evaluated()).scores["all/bits"]
    manifest.write_text(manifest.read_text().replace("rain", "dog"))
    again = Trainer.create(TrainConfig.from_dict({**told.to_dict(), "data": data}), CPU)
    assert again.task.validate(again.evaluated()).scores["all/bits"] != with_text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lm": {"text": None}}, "lm.text = None: tuned takes descriptions"),
        ({"lm": {"text": "caption"}}, "lm.text = 'caption': no recording has this label"),
        ({"lm": {"words": ["rain"]}}, "lm.words: tiny was told none"),
        ({"model": {"start": "tiny-codec"}}, "tiny-codec: is no language model"),
        (
            {"model": {"start": None, "config": NET}, "lm": {"codec": "tiny-codec"}},
            "text encoder t5-base is not on this machine",
        ),
        (
            {
                "model": {"start": None, "config": {**NET, "text_encoder": "hf"}},
                "lm": {"codec": "tiny-codec"},
            },
            "hf: cannot be loaded as a text encoder .*missing",
        ),
    ],
)
def test_what_is_refused(music, manifest, tmp_path, monkeypatch, change, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NcodecError, match=said):
        Trainer.create(run_of(manifest, tmp_path, **change), CPU)

"""Training over latents: second levels and GANs, exact resumption, what is measured and refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from ncodec import checkpoints
from ncodec.checkpoints.loading import load_any
from ncodec.errors import ArgumentError
from ncodec.latents.second_level import SecondLevel
from ncodec.train.config import TrainConfig
from ncodec.train.resume import resume
from ncodec.train.rhythm import density_of, tempo_of
from ncodec.train.trainer import Trainer
from ncodec.train.vectors import Stretches, Windows
from ncodec_cli.decompress import decompress
from ncodec_cli.generate import generate

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
    assert losses[0]["error"] < 0.8  # of the linear paths alone
    assert np.mean([each["error"] for each in losses[-5:]]) < 0.9 * losses[0]["error"]
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


@pytest.fixture
def learned(recordings: Path, codec: Path, tmp_path: Path) -> Path:
    """A second level that has hardly begun."""
    trainer = Trainer.create(second_level(recordings, codec, tmp_path / "second"), CPU)
    run_steps(trainer, 2)
    trainer.folder.mkdir()
    return trainer.save() or Path()


def latent_gan(recordings: Path, second: Path, output: Path, **more: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "output": str(output),
        "task": {"name": "latent_gan"},
        "model": {
            "name": "endless",
            "config": {"coordinates": 6, "style": 4, "noise": 2, "generator": [16, 16, 16]},
        },
        "latent_gan": {
            "second_level": str(second),
            "codec": str(second.parent.parent / "tiny.safetensors"),
            "steps": 16,
            "critic": [16, 16],
        },
        "data": {"sources": [str(recordings)], "seconds": 1.6, "batch": 4},
        "optim": {"steps": 6, "warmup": 2, "lr": 2e-3, "weight_decay": 0.0},
        "report": {"every": 100, "checkpoint": 4, "validation": 0, "tensorboard": False},
    }
    for section, changes in more.items():
        values[section] = {**values.get(section, {}), **changes}
    return TrainConfig.from_dict(values)


def test_four_steps_of_a_latent_gan_and_three_are_seven(recordings, learned, tmp_path) -> None:
    config = latent_gan(recordings, learned, tmp_path / "run")
    straight = Trainer.create(config, CPU)
    run_steps(straight, 4)
    straight.save()
    wanted = run_steps(straight, 3)
    assert wanted[-1]["switch"] == pytest.approx(-1 + 7e-4)
    again = resume(config.output, CPU)
    assert run_steps(again, 3) == wanted
    assert_equal(again.state(), {**straight.state(), "elapsed": again.elapsed})
    assert len(list(Path(config.output).glob("vectors-*"))) == 1


def test_what_is_made_comes_nearer_to_what_is_real(
    recordings, learned, tmp_path, monkeypatch
) -> None:
    more = {
        "optim": {"steps": 60, "lr": 5e-3, "ema": 0.0},
        "latent_gan": {"lr": 5e-3, "penalty": 0.0},
    }
    config = latent_gan(recordings, learned, tmp_path / "run", **more)
    trainer = Trainer.create(config, CPU)
    found = trainer.task._stretches()
    real = 0.5 + 0.2 * found.vectors
    monkeypatch.setattr(trainer.task, "_stretches", lambda: Stretches(real, found.told))

    def distance() -> float:
        task = trainer.task
        with torch.no_grad():
            made = task.source.made(task._inputs(torch.zeros(8, 0, 16), 10_000))
        return float((made.mean((0, 2)) - real.mean((0, 2))).norm())

    before = distance()
    batch, made = real[:8, :, :16], torch.zeros(8, 4, 16)
    losses = [float(trainer.task._teach_critic(batch, made)["critic"]) for _ in range(40)]
    assert losses[-1] < 0.8 * losses[0]
    run_steps(trainer, 60)
    assert distance() < 0.5 * before


def test_conditions_are_of_the_recording_and_dropped_by_themselves(
    recordings, learned, tmp_path, monkeypatch
) -> None:
    task = "ncodec.train.vector_sources"
    monkeypatch.setattr(f"{task}.check_extra", lambda: None)
    monkeypatch.setattr(f"{task}.tempo_of", lambda audio, rate: 240.0)
    monkeypatch.setattr(f"{task}.density_of", lambda audio, rate, n: np.full(n, 3.0, np.float32))
    more = {
        "model": {"config": {"generator": [8, 8], "conditions": "tempo density"}},
        "latent_gan": {"drop": 0.5},
    }
    trainer = Trainer.create(latent_gan(recordings, learned, tmp_path / "run", **more), CPU)
    vectors, told = next(trainer.task.batches(0))
    assert (vectors.shape, told.shape) == ((4, 4, 16), (4, 4, 16))
    values, masks = told[:, :2], told[:, 2:]
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    assert not values[masks == 0].any()
    assert torch.allclose(values, masks * torch.tensor([1, np.log(4)])[:, None].float())
    drawn = torch.cat([next(trainer.task.batches(n))[1][:, 2:, 0] for n in range(10)])
    assert len(drawn.unique(dim=0)) == 4
    assert "critic" in run_steps(trainer, 1)[0]
    assert trainer.task.source.whole(trainer.evaluated()).conditions == ("tempo", "density")


def test_what_is_made_follows_what_is_told(
    recordings: Path, learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ncodec.train.vector_sources.check_extra", lambda: None)
    more: dict[str, Any] = {
        "model": {"config": {"generator": [16, 16], "coordinates": 4, "conditions": "density"}},
        "latent_gan": {"lr": 5e-3, "penalty": 0.0, "drop": 0.0},
        "optim": {"steps": 80, "lr": 5e-3, "ema": 0.0},
        "data": {"batch": 16},
    }
    trainer = Trainer.create(latent_gan(recordings, learned, tmp_path / "run", **more), CPU)
    task: Any = trainer.task
    values = torch.linspace(-1, 1, 32)[:, None, None].expand(-1, 1, 24)  # as if of recordings
    noise = 0.1 * torch.randn(32, 4, 24, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(task, "_stretches", lambda: Stretches(0.5 * values + noise, values))

    def told(value: float) -> float:
        rows = torch.tensor([value, 1.0])[None, :, None].expand(8, -1, 16)
        with torch.no_grad():
            return float(task.source.made(task._inputs(rows, 10_000)).mean())

    run_steps(trainer, 80)
    assert told(0.8) - told(-0.8) > 0.3  # 0.8 of recordings


def test_two_channels_change_sides(recordings, learned, tmp_path) -> None:
    more = {"model": {"config": {"generator": [8, 8], "channels": 2}}}
    trainer = Trainer.create(latent_gan(recordings, learned, tmp_path / "run", **more), CPU)
    stretches = trainer.task._stretches()
    different = Stretches(
        torch.cat([stretches.vectors[:, :4], stretches.vectors[:, 4:] + 9], 1), stretches.told
    )
    windows = Windows(different, 16, channels=2, drop=0.0, seed=0)
    sides = [bool(windows[n][0][0].mean() > 4) for n in range(40)]
    assert 5 < sum(sides) < 35
    assert run_steps(trainer, 1)[0]["switch"] > -1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"config": {"dim": 9}}}, "model.config.dim: follows from the second level"),
        ({"latent_gan": {"steps": 18, "critic": [8]}}, "steps = 18: must be a multiple of 4"),
        ({"latent_gan": {"critic": [8] * 5}}, "16 steps: must be a multiple of 32"),
        ({"data": {"seconds": 0.5}}, "stretches of 6 vectors: a window has 16"),
    ],
)
def test_what_a_latent_gan_refuses(recordings, learned, tmp_path, change, said: str) -> None:
    config = latent_gan(recordings, learned, tmp_path / "run", **change)
    with pytest.raises(ArgumentError, match=said):
        run_steps(Trainer.create(config, CPU), 1)


def test_a_second_level_is_what_it_must_be(recordings, codec, tmp_path) -> None:
    (tmp_path / "second").mkdir()
    config = latent_gan(recordings, tmp_path / "second" / "model.safetensors", tmp_path / "run")
    codec.rename(tmp_path / "second" / "model.safetensors")
    with pytest.raises(ArgumentError, match="is no second level"):
        Trainer.create(config, CPU)


def test_density_counts_onsets_and_tempo_is_of_the_beat() -> None:
    pytest.importorskip("librosa")
    rate, seconds = 8000, 8
    clicks = np.zeros((1, rate * seconds), np.float32)
    clicks[0, rate * 4 :: rate // 4] = 1  # silence, then four a second
    clicks = np.apply_along_axis(np.convolve, 1, clicks, np.hanning(40), "same").astype(np.float32)
    density = density_of(clicks, rate, 75)
    assert density.shape == (75,)
    assert density[:20].max() < 0.5
    assert 3 < density[50:].mean() < 5
    assert tempo_of(clicks, rate) == pytest.approx(120, rel=0.05)


def test_trained_generated_and_decompressed(recordings, learned, tmp_path, monkeypatch) -> None:
    config = latent_gan(recordings, learned, tmp_path / "run", optim={"steps": 2})
    Trainer.create(config, CPU).run()
    monkeypatch.chdir(tmp_path)

    def call(command: Any, *arguments: str) -> None:
        CliRunner().invoke(command, list(arguments), catch_exceptions=False)

    made = ["--model", "run/model.safetensors", "--seed", "7", "--quiet"]
    call(generate, "-o", "a.ecdc", "--duration", "2.1234", *made)
    call(generate, "-o", "b.ecdc", "--duration", "2.1234", *made)
    assert Path("a.ecdc").read_bytes() == Path("b.ecdc").read_bytes()
    call(decompress, "a.ecdc", "a.wav")
    call(generate, "-o", "b.wav", "--duration", "2.1234", *made)
    decoded, rate = soundfile.read("a.wav")
    heard, _ = soundfile.read("b.wav")
    assert (len(decoded), len(heard), rate) == (16987, 16987, 8000)
    assert np.abs(decoded - heard).max() < 1e-3  # to the end

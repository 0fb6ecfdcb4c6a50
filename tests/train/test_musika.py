"""Training of Musika: both levels of its autoencoder, its GAN, and the whole way to sound."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from ncodec.adversarial import MultiSpectrumDiscriminator
from ncodec.adversarial.spectrum import SpectrumDiscriminator
from ncodec.checkpoints.layouts.musika import keras_tensors
from ncodec.checkpoints.loading import load_any
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.latents import Directions
from ncodec.latents.musika.adversaries import Critic
from ncodec.latents.musika.layers import Noise
from ncodec.latents.musika.model import Musika
from ncodec.losses.spectral import LogDistanceLoss
from ncodec.train.config import TrainConfig
from ncodec.train.resume import resume
from ncodec.train.tasks.latent_gan import load_critic
from ncodec.train.trainer import Trainer
from ncodec_cli.generate import generate
from tests.latents.official import TINY, layers_of

from .test_trainer import assert_equal, run_steps

CPU = torch.device("cpu")
SIZES = {
    "sample_rate": 8000,
    "hop": 16,
    "base": 16,
    "dim": 4,
    "coordinate": 6,
    "style": 4,
    "width": 4,
    "small": True,
}


def autoencoder(recordings: Path, output: Path, **more: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "output": str(output),
        "task": {"name": "musika"},
        "model": {"name": "tiny", "config": SIZES},
        "musika": {"first_phase": 3},
        "adversarial": {
            "discriminators": {"spectrum": {"n_ffts": [64], "filters": 4, "depth": 2}},
            "features": 0.0,
        },
        "data": {"sources": [str(recordings)], "seconds": 0.3, "batch": 2},
        "optim": {"steps": 8, "warmup": 2, "lr": 2e-3},
        "report": {"every": 100, "checkpoint": 4, "validation": 0, "tensorboard": False},
    }
    for section, changes in more.items():
        values[section] = {**values.get(section, {}), **changes}
    return TrainConfig.from_dict(values)


@pytest.fixture
def first_level(recordings: Path, tmp_path: Path) -> Path:
    """A first level that has hardly begun."""
    trainer = Trainer.create(autoencoder(recordings, tmp_path / "first"), CPU)
    run_steps(trainer, 2)
    trainer.folder.mkdir()
    return trainer.save() or Path()


@pytest.mark.parametrize("level", [1, 2])
def test_runs_go_on_exactly_through_both_phases(
    recordings: Path, first_level: Path, tmp_path: Path, level: int
) -> None:
    start = {"start": str(first_level)} if level == 2 else {}
    config = autoencoder(
        recordings, tmp_path / "run", musika={"level": level, "first_phase": 2}, model=start
    )
    straight = Trainer.create(config, CPU)
    straight.folder.mkdir()
    first = run_steps(straight, 4)
    assert ("adversarial" in first[1], "adversarial" in first[2]) == (False, True)
    straight.save()
    wanted = run_steps(straight, 3)
    again = resume(config.output, CPU)
    assert run_steps(again, 3) == wanted
    assert_equal(again.state(), {**straight.state(), "elapsed": again.elapsed})


@pytest.mark.parametrize("level", [1, 2])
def test_each_phase_moves_its_own_nets(
    recordings: Path, first_level: Path, tmp_path: Path, level: int
) -> None:
    start = {"start": str(first_level)} if level == 2 else {}
    config = autoencoder(
        recordings, tmp_path / "run", musika={"level": level, "first_phase": 2}, model=start
    )
    trainer = Trainer.create(config, CPU)

    def moved(steps: int) -> set[str]:
        before = {k: v.clone() for k, v in trainer.task.module.state_dict().items()}
        run_steps(trainer, steps)
        after = trainer.task.module.state_dict()
        return {k.split(".")[0] for k, v in before.items() if not torch.equal(v, after[k])}

    name = "first" if level == 1 else "second"
    assert moved(2) == {f"{name}_encoder", f"{name}_decoder"}
    assert moved(1) == {f"{name}_decoder"}
    averaged, kept = trainer.evaluated().state_dict(), trainer.task.module.state_dict()
    encoder = [k for k in kept if k.startswith(f"{name}_encoder")]
    assert all(torch.equal(averaged[k], kept[k]) for k in encoder)


def test_both_phases_lower_their_losses(recordings: Path, tmp_path: Path) -> None:
    more = {
        "musika": {"first_phase": 30},
        "optim": {"steps": 60, "lr": 4e-3, "ema": 0.9},
        "data": {"validation": [str(recordings)]},
    }
    trainer = Trainer.create(autoencoder(recordings, tmp_path / "run", **more), CPU)
    losses = run_steps(trainer, 30)
    assert np.mean([x["magnitude"] for x in losses[-5:]]) < 0.5 * losses[0]["magnitude"]
    before = trainer.task.validate(trainer.evaluated())
    by_sound = run_steps(trainer, 30)
    distances = [x["log_distance"] for x in by_sound]
    assert np.mean(distances[-5:]) < np.mean(distances[:5]) - 0.3
    after = trainer.task.validate(trainer.evaluated())
    assert before is not None
    assert after is not None
    assert after.scores["all/mel"] < before.scores["all/mel"]
    assert after.scores["all/decibels"] < 30


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"musika": {"level": 3}}, r"musika\.level = 3: must be 1 or 2"),
        ({"musika": {"level": 2}}, r"musika\.level = 2: needs model\.start"),
        ({"model": {"config": {**SIZES, "encoders": True}}}, "encoders: are always learned"),
        ({"model": {"config": {**SIZES, "base": 6}}}, "base 6: must be a multiple of 4"),
    ],
)
def test_what_an_autoencoder_refuses(
    recordings: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ArgumentError, match=said):
        Trainer.create(autoencoder(recordings, tmp_path / "run", **change), CPU)


def test_what_is_done_cannot_change(recordings: Path, first_level: Path, codec: Path) -> None:
    folder = first_level.parent
    with pytest.raises(ArgumentError, match=r"musika\.level = 2: it cannot change"):
        resume(folder, CPU, changes=["musika.level=2"])
    trainer = resume(folder, CPU, changes=["musika.first_phase=2"])
    run_steps(trainer, 1)
    trainer.save()
    with pytest.raises(ArgumentError, match=r"musika\.first_phase = 9: it cannot change"):
        resume(folder, CPU, changes=["musika.first_phase=9"])
    other = autoencoder(folder, folder / "run", model={"start": str(codec)})
    with pytest.raises(ArgumentError, match="is no Musika with encoders"):
        Trainer.create(other, CPU)


def test_a_whole_signal_is_what_a_stream_makes_of_it(first_level: Path) -> None:
    model = load_any(first_level)
    assert isinstance(model, Musika)
    net = model.first_decoder
    latents = torch.randn(2, model.config.latent, 32)
    y, state = net.step(latents[..., :19], net.initial_state(2))
    streamed = torch.cat([y, net.end(latents[..., 19:], state)], dim=2)
    torch.testing.assert_close(net(latents), streamed, atol=1e-5, rtol=0)
    for part in net.modules():
        if isinstance(part, Noise):
            torch.nn.init.ones_(part.weight)
    assert torch.equal(net(latents), net(latents))
    noisy = net.train()(latents)
    assert not torch.allclose(noisy, streamed, atol=1e-3)


def test_a_log_distance_falls_alike_for_alike_gains() -> None:
    torch.manual_seed(0)
    real, other = torch.randn(1, 1, 4096), torch.randn(1, 1, 4096)
    loss = LogDistanceLoss()
    far, near = (loss(real + gain * other, real) for gain in (1e-1, 1e-2))
    assert float(far - near) == pytest.approx(np.log(10), abs=0.1)
    assert torch.isfinite(loss(real, real))


def test_spectra_are_judged_in_decibels() -> None:
    bank = MultiSpectrumDiscriminator([64], filters=4, depth=2)
    one, x = cast(SpectrumDiscriminator, bank.discriminators[0]), torch.randn(2, 1, 640)
    spectrum = one.prepare(x)
    assert spectrum.shape == (2, 1, 37, 33)
    assert torch.allclose(one.prepare(0.1 * x), spectrum - 20 / 75, atol=1e-3)
    logits, features = bank(x)
    assert (len(logits), len(features[0])) == (1, 2)
    with pytest.raises(ArgumentError, match="n_fft 64 needs as many"):
        bank(x[..., :63])


def gan(recordings: Path, autoencoder: Path, output: Path, **more: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "output": str(output),
        "task": {"name": "latent_gan"},
        "model": {"name": "endless"},
        "latent_gan": {"second_level": str(autoencoder), "steps": 128, "times": 2.0},
        "data": {"sources": [str(recordings)], "seconds": 5.0, "batch": 4},
        "optim": {"steps": 6, "warmup": 2, "lr": 2e-3, "weight_decay": 0.0},
        "report": {"every": 100, "checkpoint": 4, "validation": 0, "tensorboard": False},
    }
    for section, changes in more.items():
        values[section] = {**values.get(section, {}), **changes}
    return TrainConfig.from_dict(values)


def test_a_gan_over_musika_goes_on_exactly_and_moves_the_generator_alone(
    recordings: Path, first_level: Path, tmp_path: Path
) -> None:
    config = gan(recordings, first_level, tmp_path / "run")
    straight = Trainer.create(config, CPU)
    run_steps(straight, 2)
    straight.save()
    wanted = run_steps(straight, 2)
    again = resume(config.output, CPU)
    assert run_steps(again, 2) == wanted
    assert_equal(again.state(), {**straight.state(), "elapsed": again.elapsed})
    made, level = load_any(straight.save() or Path()), load_any(first_level)
    assert isinstance(made, Musika)
    learned, began = made.state_dict(), level.state_dict()
    same = {k for k in began if torch.equal(learned[k], began[k])}
    assert {k for k in began if not k.startswith("generator.")} <= same
    assert not {"generator.start.weight", "generator.noise", "generator.out.weight"} & same


def test_windows_of_training_are_those_of_the_stream(
    recordings: Path, first_level: Path, tmp_path: Path
) -> None:
    trainer = Trainer.create(gan(recordings, first_level, tmp_path / "run"), CPU)
    source = cast(Any, trainer.task).source
    inputs = source.inputs(5, 3 * 64, torch.zeros(0, 128))
    model = source.model
    told = list[torch.Tensor]()

    def heard(_: Any, arguments: tuple[Any, ...]) -> None:
        told.append(arguments[0])

    with model.generator.register_forward_pre_hook(heard):
        model._window(Directions(5, variation=float("inf")), 7)  # half windows apart
    torch.testing.assert_close(inputs[None, :, :64], told[0])


def test_two_sides_are_coded_apart(recordings: Path, first_level: Path, tmp_path: Path) -> None:
    trainer = Trainer.create(gan(recordings, first_level, tmp_path / "run"), CPU)
    source = cast(Any, trainer.task).source
    audio = torch.randn(2, 2, (16 * 4 + 3) * 16)
    vectors, told = source.vectors_of(audio)
    assert (vectors.shape, told.shape) == ((2, 8, 4), (2, 0, 4))
    torch.testing.assert_close(vectors[:, 4:], source.model.encode(audio[:, 1:]))


def critic_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return cast(Any, trainer.task).critic.state_dict()


def test_a_generator_and_a_critic_go_on_from_files(
    recordings: Path, first_level: Path, tmp_path: Path
) -> None:
    began = Trainer.create(gan(recordings, first_level, tmp_path / "a"), CPU)
    run_steps(began, 1)
    file = began.save() or Path()
    critic = file.with_name("discriminators.pt")
    start = {"latent_gan": {"second_level": str(first_level), "steps": 128, "start": str(critic)}}
    again = gan(recordings, first_level, tmp_path / "b", model={"start": str(file)}, **start)
    trainer = Trainer.create(again, CPU)
    assert_equal(critic_of(trainer), critic_of(began))
    kept = cast(Musika, load_any(file)).generator.state_dict()
    assert_equal(trainer.task.module.state_dict(), kept)


def test_an_official_critic_is_read(
    recordings: Path, first_level: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = layers_of("tiny_small", "critic")
    monkeypatch.setattr(
        "ncodec.train.tasks.latent_gan.read_keras", lambda path: {"keras": {"critic": layers}}
    )
    path = tmp_path / "critic.h5"
    critic = Critic(replace(TINY, small=True))
    load_critic(critic, path)
    assert_equal(dict(critic.state_dict()), keras_tensors("critic", layers))
    start = {"second_level": str(first_level), "steps": 128, "start": str(path)}
    config = gan(recordings, first_level, tmp_path / "run", latent_gan=start)
    with pytest.raises(CheckpointError, match=r"critic\.h5: is no critic of these sizes"):
        Trainer.create(config, CPU)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latent_gan": {"steps": 64}}, r"latent_gan\.steps = 64: must be 128"),
        ({"model": {"config": {"hop": 8}}}, r"model\.config\.hop: follows from the second level"),
        ({"model": {"config": {"width": 8}, "start": "AE"}}, "no generator of these sizes"),
    ],
)
def test_what_a_gan_over_musika_refuses(
    recordings: Path, first_level: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    change = {section: dict(values) for section, values in change.items()}
    if "start" in change.get("model", {}):
        change["model"]["start"] = str(first_level)
    if "latent_gan" in change:
        change["latent_gan"]["second_level"] = str(first_level)
    with pytest.raises(ArgumentError, match=said):
        Trainer.create(gan(recordings, first_level, tmp_path / "run", **change), CPU)


def test_trained_from_nothing_to_sound(recordings: Path, tmp_path: Path) -> None:
    steps = {"steps": 2}
    Trainer.create(
        autoencoder(recordings, tmp_path / "one", musika={"first_phase": 1}, optim=steps), CPU
    ).run()
    second = {"level": 2, "first_phase": 1}
    start = {"start": str(tmp_path / "one" / "model.safetensors")}
    Trainer.create(
        autoencoder(recordings, tmp_path / "two", musika=second, model=start, optim=steps), CPU
    ).run()
    levels = tmp_path / "two" / "model.safetensors"
    Trainer.create(gan(recordings, levels, tmp_path / "gan", optim=steps), CPU).run()
    made = ["--model", str(tmp_path / "gan" / "model.safetensors"), "--seed", "7", "--quiet"]
    target = tmp_path / "a.wav"
    CliRunner().invoke(
        generate, ["-o", str(target), "--duration", "2.5", *made], catch_exceptions=False
    )
    sound, rate = soundfile.read(target)
    assert (sound.shape, rate) == ((20000, 2), 8000)
    assert np.isfinite(sound).all()
    assert sound.std() > 1e-4

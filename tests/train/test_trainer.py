import errno
import json
import lzma
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from ncodec import checkpoints
from ncodec.errors import ArgumentError, CheckpointError, NcodecError
from ncodec.train.checkpoint import latest_checkpoint
from ncodec.train.codec_step import decode_counts
from ncodec.train.config import ModelSection, TrainConfig
from ncodec.train.resume import resume
from ncodec.train.stopping import SIGNALS, StopRequest
from ncodec.train.trainer import Trainer

CPU = torch.device("cpu")
ADVERSARIAL = {"discriminators": {"msstftd": {"n_ffts": [256], "filters": 4}}, "from_step": 3}


def run_steps(trainer: Trainer, steps: int) -> list[dict[str, float]]:
    audio = trainer.task.batches(trainer.step)
    return [trainer.train_step(next(audio)) for _ in range(steps)]


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"balance": True, "adversarial": ADVERSARIAL},
        {"quantizer": {"free_steps": 4, "start_batches": 2}},  # the codebooks are made just there
        {"again": 0.5},
    ],
)
def test_four_steps_and_three_are_seven(config, extra):
    config = TrainConfig.from_dict({**config.to_dict(), **extra})
    straight = Trainer.create(config, CPU)
    straight.folder.mkdir()
    run_steps(straight, 4)
    straight.save()
    wanted = run_steps(straight, 3)
    again = resume(config.output, CPU)
    assert again.step == 4
    assert run_steps(again, 3) == wanted
    assert_equal(again.state(), {**straight.state(), "elapsed": again.elapsed})
    for theirs, ours in zip(again.task.batches(7), straight.task.batches(7), strict=True):
        assert torch.equal(theirs, ours)
        break


def test_a_batch_that_is_coded_again_is_heard_as_the_codec_gives_it_back(config, monkeypatch):
    trainer = Trainer.create(replace(config, again=1.0), CPU)
    run_steps(trainer, 3)
    heard: list[torch.Tensor] = []
    encode = trainer.task.parts.encode
    parts = trainer.task.parts._replace(encode=lambda x: heard.append(x) or encode(x))
    monkeypatch.setattr(trainer.task, "parts", parts)
    audio = next(trainer.task.batches(3))
    losses = trainer.task.step(audio, 3)
    assert torch.equal(heard[0], audio)
    assert heard[1].shape == audio.shape
    assert not torch.equal(heard[1], audio)
    assert len(heard) == 2
    assert losses.values["mel"] > 0


def assert_equal(a: Any, b: Any) -> None:
    """Compare states, tensors bit for bit."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


def test_a_resumed_run_can_change_its_settings_but_not_its_model(config):
    first = Trainer.create(config, CPU)
    first.folder.mkdir()
    first.save()
    again = resume(config.output, CPU, changes=["optim.lr=0.5", "losses.mel=7"])
    assert (again.config.optim.lr, again.config.losses["mel"]) == (0.5, 7.0)
    assert again.config.output == config.output
    assert again.config.data == config.data
    with pytest.raises(ArgumentError, match="model of a run cannot change"):
        resume(config.output, CPU, changes=["model.name=other"])
    with pytest.raises(ArgumentError, match="no such setting"):
        resume(config.output, CPU, changes=["optim.rate=1"])
    with pytest.raises(ArgumentError, match="'elsewhere': a run that goes on stays in its folder"):
        resume(config.output, CPU, changes=["output=elsewhere"])


def test_options_of_the_optimizers_hold_from_where_a_run_goes_on(config):
    config = TrainConfig.from_dict({**config.to_dict(), "adversarial": ADVERSARIAL})
    first = Trainer.create(config, CPU)
    first.folder.mkdir()
    run_steps(first, 4)
    first.save()
    changes = ["optim.weight_decay=0.5", "optim.betas=[0.5, 0.6]", "optim.scales.encoder=0.1"]
    again = resume(config.output, CPU, changes=[*changes, "adversarial.lr=0.25"])
    groups = {g["scale"]: g for g in again.optimizer.param_groups}
    assert sorted(groups) == [0.1, 1.0]
    for group in groups.values():
        assert (group["weight_decay"], group["betas"]) == (0.5, (0.5, 0.6))
    assert {g["lr"] for g in again.task.adversary.optimizer.param_groups} == {0.25}
    before = dict(first.task.model.named_parameters())
    for name, parameter in again.task.model.named_parameters():
        moments = first.optimizer.state[before[name]]
        for key, value in again.optimizer.state[parameter].items():
            assert torch.equal(value, moments[key]), (name, key)
    encoder = {id(p) for n, p in again.task.model.named_parameters() if n.startswith("encoder")}
    assert {id(p) for p in groups[0.1]["params"]} == encoder


def test_what_a_resumed_run_had_not_starts_afresh_and_is_said(config, capsys):
    bare = replace(config, optim=replace(config.optim, ema=0.0))
    first = Trainer.create(bare, CPU)
    first.folder.mkdir()
    run_steps(first, 4)
    first.save()
    changes = ["optim.ema=0.9", "balance=true", "adversarial.discriminators.msstftd.n_ffts=[256]"]
    again = resume(config.output, CPU, changes=changes)
    for key, value in again.averaged.weights.items():
        assert torch.equal(value, first.task.model.state_dict()[key])
    again.run()
    said = capsys.readouterr().err
    for part in ("average of the weights", "balancer", "discriminators"):
        assert f"{part}: afresh" in said
    assert "going on after step 4 with tiny" in said


@pytest.mark.parametrize(
    "change",
    [
        "quantizer.free_steps=5",
        "quantizer.start_batches=5",
        "adversarial.discriminators.msstftd.filters=2",
        "adversarial.start=discriminators.pt",
    ],
)
def test_what_comes_too_late_for_a_run_is_refused(config, change):
    first = Trainer.create(
        TrainConfig.from_dict({**config.to_dict(), "adversarial": ADVERSARIAL}), CPU
    )
    first.folder.mkdir()
    first.task.quantizing = True
    first.save()
    with pytest.raises(ArgumentError, match=change.split("=")[0].removesuffix(".msstftd.filters")):
        resume(config.output, CPU, changes=[change])


def test_a_fine_tuned_run_goes_on_without_the_model_that_it_started_from(config, tmp_path):
    start = tmp_path / "start.safetensors"
    checkpoints.save(Trainer.create(config, CPU).task.model, start)
    section = ModelSection("tuned", "encodec", start=str(start))  # the start says what it is
    first = Trainer.create(replace(config, model=section), CPU)
    first.folder.mkdir()
    first.save()
    start.unlink()
    again = resume(config.output, CPU)
    assert again.task.model.name == "tuned"
    for key, value in first.task.model.state_dict().items():
        assert torch.equal(again.task.model.state_dict()[key], value), key


def test_a_checkpoint_of_version_0_1_0_still_goes_on(recordings, tmp_path):
    """Written before runs were made of tasks, by 4 steps with balancer and discriminators."""
    folder = tmp_path / "old"
    folder.mkdir()
    kept = Path(__file__).parent / "old_run" / "checkpoint-00000004.pt.xz"
    (folder / "checkpoint-00000004.pt").write_bytes(lzma.decompress(kept.read_bytes()))
    again = resume(folder, CPU, changes=[f"data.sources=['{recordings}']"])
    state = torch.load(folder / "checkpoint-00000004.pt", weights_only=True)
    for key, value in state["model"].items():
        assert torch.equal(again.task.model.state_dict()[key], value), key
    for key, value in state["averaged"].items():
        assert torch.equal(again.averaged.weights[key], value), key
    for key, value in state["critics"].items():
        assert torch.equal(again.task.adversary.discriminator.state_dict()[key], value), key
    assert again.task.balancer.state_dict() == state["balancer"]
    again.run()
    assert again.step == 8
    assert (folder / "model.safetensors").is_file()


def test_a_run_says_what_it_trains_and_soon_how_long_it_takes(config, capsys):
    optim = replace(config.optim, precision="bfloat16")
    Trainer.create(replace(config, optim=optim), CPU).run()
    first, *lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"training tiny \(0\.0\d M weights\), 4 recordings, 0\.1 min, on cpu in "
        rf"(float32|bfloat16), into {re.escape(config.output)}",
        first,
    )
    assert any(re.match(r"step 1/8  \d+:\d\d left  ", line) for line in lines)
    resume(config.output, CPU).run()
    assert "at its end after step 8; --set optim.steps=N" in capsys.readouterr().err


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_is_used_where_the_processor_has_it_and_its_lack_is_said(
    config, able, monkeypatch
):
    monkeypatch.setattr("ncodec.train.trainer.has_bf16", lambda device: able)
    trainer = Trainer.create(
        replace(config, optim=replace(config.optim, precision="bfloat16")), CPU
    )
    assert trainer.place.dtype == (torch.bfloat16 if able else torch.float32)
    assert trainer.config.optim.precision == "bfloat16"
    assert any("float32 is used" in note for note in trainer.notes) is not able


@pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be sent on Windows")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_run_after_its_step_with_a_checkpoint(config, number, capsys):
    trainer = Trainer.create(config, CPU)
    step = trainer.train_step

    def signalled(audio: torch.Tensor) -> dict[str, float]:
        if trainer.step == 2:
            os.kill(os.getpid(), number)
        return step(audio)

    trainer.train_step = signalled
    handler = signal.getsignal(number)
    with pytest.raises((KeyboardInterrupt, SystemExit)) as raised:
        trainer.run()
    assert signal.getsignal(number) is handler
    if number != signal.SIGINT:
        assert raised.value.code == 128 + number
    assert f"go on with: ncodec train --resume {config.output}" in capsys.readouterr().err
    assert resume(config.output, CPU).step == 3


def test_a_second_signal_ends_at_once(config):
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_checkpoints_are_written_by_minutes_too(config):
    report = replace(config.report, checkpoint=1000, checkpoint_minutes=1e-9, keep=100)
    Trainer.create(replace(config, report=report), CPU).run()
    assert len(list(Path(config.output).glob("checkpoint-*.pt"))) == 8


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(config, monkeypatch):
    trainer = Trainer.create(config, CPU)
    trainer.folder.mkdir()
    trainer.save()
    before = {p: p.read_bytes() for p in trainer.folder.iterdir()}

    def full(state: object, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.save()
    assert {p: p.read_bytes() for p in trainer.folder.iterdir()} == before


def test_a_run_without_recordings_to_validate_on_does_not_end_there(config):
    trainer = Trainer.create(replace(config, report=replace(config.report, validation=2)), CPU)
    trainer.run()
    assert trainer.step == 8


def test_one_group_with_a_huge_gradient_does_not_hold_the_others_back(config):
    config = replace(config, optim=replace(config.optim, scales={"analysis": 0.1}, clip=1.0))
    trainer = Trainer.create(config, CPU)
    for name, parameter in trainer.task.model.named_parameters():
        huge = name.startswith("analysis")
        parameter.grad = torch.full_like(parameter, 1e6 if huge else 1e-6)
    wanted = {n: p.grad.clone() for n, p in trainer.task.model.named_parameters()}
    norm = trainer._clip()
    assert norm > 1e6
    for name, parameter in trainer.task.model.named_parameters():
        if name.startswith("analysis"):
            assert float(parameter.grad.norm()) <= 1.001
        else:
            assert torch.equal(parameter.grad, wanted[name]), name


def test_a_whole_run_leaves_a_model_that_loads_and_codes(config):
    trainer = Trainer.create(config, CPU)
    trainer.run()
    assert trainer.step == 8
    model = checkpoints.load(Path(config.output) / "model.safetensors")
    assert model.name == "tiny"
    codes, _ = model.encode(torch.zeros(1, 1, 800))
    assert codes.shape == (1, 4, 10)
    averaged = trainer.averaged.weights
    for key, value in model.state_dict().items():
        assert torch.equal(value, averaged[key]), key


def test_training_lowers_the_loss_on_the_same_segments(config):
    optim = replace(config.optim, steps=50, lr=1e-2)
    trainer = Trainer.create(replace(config, optim=optim, losses={"mel": 1.0}), CPU)
    run_steps(trainer, 3)  # the codebooks are there then
    audio = torch.stack([trainer.task.segments[i] for i in range(4)])
    before = trainer.train_step(audio)["mel"]
    run_steps(trainer, 40)
    assert trainer.train_step(audio)["mel"] < 0.8 * before


def test_old_checkpoints_go_and_the_newest_is_found(config):
    report = replace(config.report, checkpoint=2, keep=2)
    trainer = Trainer.create(replace(config, report=report), CPU)
    trainer.run()
    names = sorted(p.name for p in Path(config.output).glob("checkpoint-*"))
    assert names == ["checkpoint-00000006.pt", "checkpoint-00000008.pt"]
    assert latest_checkpoint(Path(config.output)).name == names[-1]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_last_checkpoint(config):
    trainer = Trainer.create(config, CPU)
    trainer.folder.mkdir()
    run_steps(trainer, 3)
    with pytest.raises(NcodecError, match="no checkpoint has been written yet"):
        trainer.train_step(torch.full((4, 1, 4000), math.nan))
    trainer.save()
    before = {k: v.clone() for k, v in trainer.task.model.named_parameters()}
    with pytest.raises(NcodecError, match=r"step 3: .*not finite.*checkpoint-00000003\.pt"):
        trainer.train_step(torch.full((4, 1, 4000), math.nan))
    for key, value in trainer.task.model.named_parameters():
        assert torch.equal(value, before[key]), key
    trainer.task.quantizing = False
    section = replace(trainer.task.config.quantizer, free_steps=9)
    trainer.task.config = replace(trainer.task.config, quantizer=section)
    with pytest.raises(NcodecError, match=r"step 3: mel.*not finite.*checkpoint-00000003\.pt"):
        trainer.train_step(torch.full((4, 1, 4000), math.nan))


def test_the_schedule_warms_up_falls_and_ends_by_step_or_clock(config):
    trainer = Trainer.create(
        replace(config, optim=replace(config.optim, steps=100, warmup=10)), CPU
    )
    rates = []
    for trainer.step in range(100):
        rates.append(trainer.learning_rate())
    assert rates[0] == pytest.approx(0.1e-3, rel=0.01)
    assert max(rates) == rates[9]
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] < 0.03e-3
    trainer.config = replace(config, optim=replace(config.optim, minutes=10.0))
    trainer.step, trainer.elapsed = 1, 300.0
    assert trainer.progress() == 0.5


def test_parts_named_in_scales_learn_slower(config):
    optim = replace(config.optim, scales={"analysis": 0.0, "encoder": 0.5})
    trainer = Trainer.create(replace(config, optim=optim), CPU)
    trainer.task.before_step(0)
    before = {k: v.clone() for k, v in trainer.task.model.named_parameters()}
    run_steps(trainer, 2)
    after = dict(trainer.task.model.named_parameters())
    assert torch.equal(before["analysis.weight"], after["analysis.weight"])
    assert not torch.equal(before["decoder.input.weight"], after["decoder.input.weight"])
    assert not torch.equal(before["encoder.output.bias"], after["encoder.output.bias"])


def test_fine_tuning_starts_from_a_model_and_kept_discriminators(config):
    first = TrainConfig.from_dict({**config.to_dict(), "adversarial": ADVERSARIAL})
    Trainer.create(first, CPU).run()
    kept = Path(config.output) / "discriminators.pt"
    start = str(Path(config.output) / "model.safetensors")
    second = replace(
        first,
        output=config.output + "2",
        model=replace(first.model, start=start),
        adversarial=replace(first.adversarial, start=str(kept), from_step=0),
    )
    trainer = Trainer.create(second, CPU)
    weights = torch.load(kept, weights_only=True)
    for key, value in trainer.task.adversary.discriminator.state_dict().items():
        assert torch.equal(value, weights[key])
    for key, value in trainer.task.model.state_dict().items():
        assert torch.equal(value, checkpoints.load(start).state_dict()[key])
    values = run_steps(trainer, 1)[0]
    assert {"adversarial", "features"} <= set(values)


def test_validation_measures_each_bandwidth(config, recordings):
    data = replace(config.data, validation=(str(recordings / "0.wav"),))
    report = replace(config.report, kbps=(0.4, 1.6))
    trainer = Trainer.create(replace(config, data=data, report=report), CPU)
    run_steps(trainer, 3)
    result = trainer.task.validate(trainer.evaluated())
    assert result.scores["1.6kbps/all/si_sdr"] > result.scores["0.4kbps/all/si_sdr"]
    assert 0 < result.scores["codebooks/efficiency"] <= 1
    assert "codebooks/usage_04" in result.details
    assert result.audio["decoded/0"].shape == result.audio["original/0"].shape == (1, 16000)


def test_items_are_coded_with_their_own_number_of_codebooks(config):
    quantizer = Trainer.create(config, CPU).task.parts.quantizer
    codes = torch.randint(0, 16, (2, 4, 5))
    mixed = decode_counts(quantizer, codes, torch.tensor([1, 3]))
    assert torch.equal(mixed[0], quantizer.decode(codes[:1, :1])[0])
    assert torch.equal(mixed[1], quantizer.decode(codes[1:, :3])[0])


def test_what_cannot_be_trained_is_said(config):
    with pytest.raises(ArgumentError, match="beauty"):
        Trainer.create(replace(config, losses={"beauty": 1.0}), CPU)
    section = replace(config.adversarial, discriminators={"critic": {}})
    with pytest.raises(ArgumentError, match="discriminator 'critic'"):
        Trainer.create(replace(config, adversarial=section), CPU)
    with pytest.raises(ArgumentError, match="'poetry': must be one of codec"):
        TrainConfig.from_dict({"task": {"name": "poetry"}})
    with pytest.raises(CheckpointError, match="no checkpoint"):
        resume(config.output, CPU)


PROCESS = """
import sys, json, torch
from ncodec.train.config import TrainConfig
from ncodec.train.distributed import processes
from ncodec.train.trainer import Trainer
torch.set_num_threads(1)
config = TrainConfig.from_dict(json.load(open(sys.argv[1])))
with processes(torch.device("cpu")) as (rank, world):
    trainer = Trainer.create(config, torch.device("cpu"), rank, world)
    trainer.restore(torch.load(sys.argv[3], weights_only=True))
    audio = trainer.task.batches(trainer.step)
    losses = [trainer.train_step(next(audio)) for _ in range(4)]
    model = trainer.task.model.state_dict()
    torch.save({"losses": losses, "model": model}, f"{sys.argv[2]}{rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_stay_equal_and_train_as_one_with_the_doubled_batch(config, tmp_path):
    one = Trainer.create(replace(config, data=replace(config.data, batch=8)), CPU)
    one.folder.mkdir()
    run_steps(one, 4)
    one.save()
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    (tmp_path / "process.py").write_text(PROCESS)
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'formats'}"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += ["2", str(tmp_path / "process.py"), str(tmp_path / "config.json")]
    command += [str(tmp_path / "out"), str(latest_checkpoint(one.folder))]
    done = subprocess.run(command, env=env, timeout=240, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"out{r}.pt", weights_only=True) for r in range(2))
    assert first["losses"] == second["losses"]
    for key, value in first["model"].items():
        assert torch.equal(value, second["model"][key]), key
    for shared, alone in zip(first["losses"], run_steps(one, 4), strict=True):
        for name in ("mel", "phase", "commitment"):
            assert shared[name] == pytest.approx(alone[name], rel=0.01), name

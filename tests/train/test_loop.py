import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ncodec import checkpoints
from ncodec.errors import ArgumentError, CheckpointError, NcodecError
from ncodec.train.checkpoint import latest_checkpoint
from ncodec.train.config import TrainConfig
from ncodec.train.generator import decode_counts
from ncodec.train.loop import Trainer
from ncodec.train.resume import resume

CPU = torch.device("cpu")
ADVERSARIAL = {"discriminators": {"msstftd": {"n_ffts": [256], "filters": 4}}, "from_step": 3}


def run_steps(trainer: Trainer, steps: int) -> list[dict[str, float]]:
    audio = trainer._batches(trainer.step)
    return [trainer.train_step(next(audio)) for _ in range(steps)]


@pytest.mark.parametrize("extra", [{}, {"balance": True, "adversarial": ADVERSARIAL}])
def test_a_resumed_run_has_the_losses_of_one_that_never_stopped(config, extra):
    config = TrainConfig.from_dict({**config.to_dict(), **extra})
    straight = Trainer(config, CPU)
    straight.folder.mkdir()
    straight.start_from_data()
    run_steps(straight, 4)
    straight.save()
    wanted = run_steps(straight, 3)
    again = resume(config.output, CPU)
    assert again.step == 4
    assert run_steps(again, 3) == wanted
    for key, value in straight.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key], value), key


def test_a_resumed_run_can_change_its_settings_but_not_its_model(config):
    first = Trainer(config, CPU)
    first.folder.mkdir()
    first.save()
    again = resume(config.output, CPU, changes=["optim.lr=0.5", "losses.mel=7", "output=elsewhere"])
    assert (again.config.optim.lr, again.config.losses["mel"]) == (0.5, 7.0)
    assert again.config.output == config.output
    assert again.config.data == config.data
    with pytest.raises(ArgumentError, match="model of a run cannot change"):
        resume(config.output, CPU, changes=["model.name=other"])
    with pytest.raises(ArgumentError, match="no such setting"):
        resume(config.output, CPU, changes=["optim.rate=1"])


def test_one_group_with_a_huge_gradient_does_not_hold_the_others_back(config):
    config = replace(config, optim=replace(config.optim, scales={"analysis": 0.1}, clip=1.0))
    trainer = Trainer(config, CPU)
    for name, parameter in trainer.model.named_parameters():
        huge = name.startswith("analysis")
        parameter.grad = torch.full_like(parameter, 1e6 if huge else 1e-6)
    wanted = {n: p.grad.clone() for n, p in trainer.model.named_parameters()}
    norm = trainer._clip()
    assert norm > 1e6
    for name, parameter in trainer.model.named_parameters():
        if name.startswith("analysis"):
            assert float(parameter.grad.norm()) <= 1.001
        else:
            assert torch.equal(parameter.grad, wanted[name]), name


def test_a_whole_run_leaves_a_model_that_loads_and_codes(config):
    trainer = Trainer(config, CPU)
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
    trainer = Trainer(replace(config, optim=optim, losses={"mel": 1.0}), CPU)
    trainer.start_from_data()
    run_steps(trainer, 3)  # the codebooks are there then
    audio = torch.stack([trainer.segments[i] for i in range(4)])
    before = trainer.train_step(audio)["mel"]
    run_steps(trainer, 40)
    assert trainer.train_step(audio)["mel"] < 0.8 * before


def test_old_checkpoints_go_and_the_newest_is_found(config):
    report = replace(config.report, checkpoint=2, keep=2)
    trainer = Trainer(replace(config, report=report), CPU)
    trainer.run()
    names = sorted(p.name for p in Path(config.output).glob("checkpoint-*"))
    assert names == ["checkpoint-00000006.pt", "checkpoint-00000008.pt"]
    assert latest_checkpoint(Path(config.output)).name == names[-1]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_last_checkpoint(config):
    trainer = Trainer(config, CPU)
    trainer.folder.mkdir()
    trainer.start_from_data()
    run_steps(trainer, 3)
    with pytest.raises(NcodecError, match="no checkpoint has been written yet"):
        trainer.train_step(torch.full((4, 1, 4000), math.nan))
    trainer.save()
    before = {k: v.clone() for k, v in trainer.model.named_parameters()}
    with pytest.raises(NcodecError, match=r"step 3: .*mel.*not finite.*checkpoint-00000003\.pt"):
        trainer.train_step(torch.full((4, 1, 4000), math.nan))
    for key, value in trainer.model.named_parameters():
        assert torch.equal(value, before[key]), key


def test_the_schedule_warms_up_falls_and_ends_by_step_or_clock(config):
    trainer = Trainer(replace(config, optim=replace(config.optim, steps=100, warmup=10)), CPU)
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
    trainer = Trainer(replace(config, optim=optim), CPU)
    trainer.start_from_data()
    before = {k: v.clone() for k, v in trainer.model.named_parameters()}
    run_steps(trainer, 2)
    after = dict(trainer.model.named_parameters())
    assert torch.equal(before["analysis.weight"], after["analysis.weight"])
    assert not torch.equal(before["decoder.input.weight"], after["decoder.input.weight"])
    assert not torch.equal(before["encoder.output.bias"], after["encoder.output.bias"])


def test_fine_tuning_starts_from_a_model_and_kept_discriminators(config):
    first = TrainConfig.from_dict({**config.to_dict(), "adversarial": ADVERSARIAL})
    Trainer(first, CPU).run()
    kept = Path(config.output) / "discriminators.pt"
    start = str(Path(config.output) / "model.safetensors")
    second = replace(
        first,
        output=config.output + "2",
        model=replace(first.model, start=start),
        adversarial=replace(first.adversarial, start=str(kept), from_step=0),
    )
    trainer = Trainer(second, CPU)
    weights = torch.load(kept, weights_only=True)
    for key, value in trainer.critics.discriminator.state_dict().items():
        assert torch.equal(value, weights[key])
    for key, value in trainer.model.state_dict().items():
        assert torch.equal(value, checkpoints.load(start).state_dict()[key])
    values = run_steps(trainer, 1)[0]
    assert {"adversarial", "features"} <= set(values)


def test_validation_measures_each_bandwidth(config, recordings):
    data = replace(config.data, validation=(str(recordings / "0.wav"),))
    trainer = Trainer(replace(config, data=data), CPU)
    trainer.start_from_data()
    run_steps(trainer, 3)
    trainer.config = replace(trainer.config, report=replace(config.report, kbps=(0.4, 1.6)))
    result = trainer.validate()
    assert result.scores["1.6kbps/all/si_sdr"] > result.scores["0.4kbps/all/si_sdr"]
    assert 0 < result.scores["codebooks/efficiency"] <= 1
    assert "codebooks/usage_04" in result.scores
    assert result.decoded[0].shape == result.originals[0].shape == (1, 16000)


def test_items_are_coded_with_their_own_number_of_codebooks(config):
    quantizer = Trainer(config, CPU).parts.quantizer
    codes = torch.randint(0, 16, (2, 4, 5))
    mixed = decode_counts(quantizer, codes, torch.tensor([1, 3]))
    assert torch.equal(mixed[0], quantizer.decode(codes[:1, :1])[0])
    assert torch.equal(mixed[1], quantizer.decode(codes[1:, :3])[0])


def test_what_cannot_be_trained_is_said(config):
    with pytest.raises(ArgumentError, match="beauty"):
        Trainer(replace(config, losses={"beauty": 1.0}), CPU)
    with pytest.raises(ArgumentError, match="precision"):
        Trainer(replace(config, optim=replace(config.optim, precision="int4")), CPU)
    section = replace(config.adversarial, discriminators={"critic": {}})
    with pytest.raises(ArgumentError, match="discriminator 'critic'"):
        Trainer(replace(config, adversarial=section), CPU)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        resume(config.output, CPU)


PROCESS = """
import sys, json, torch
from ncodec.train.config import TrainConfig
from ncodec.train.distributed import processes
from ncodec.train.loop import Trainer
torch.set_num_threads(1)
config = TrainConfig.from_dict(json.load(open(sys.argv[1])))
with processes(torch.device("cpu")) as (rank, world):
    trainer = Trainer(config, torch.device("cpu"), rank, world)
    trainer.restore(torch.load(sys.argv[3], weights_only=True))
    audio = trainer._batches(trainer.step)
    losses = [trainer.train_step(next(audio)) for _ in range(4)]
    torch.save({"losses": losses, "model": trainer.model.state_dict()}, f"{sys.argv[2]}{rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_stay_equal_and_train_as_one_with_the_doubled_batch(config, tmp_path):
    one = Trainer(replace(config, data=replace(config.data, batch=8)), CPU)
    one.folder.mkdir()
    one.start_from_data()
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

"""Training of vocoders: HiFi-GAN's losses and recipes, mels from files, weights in two parts."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.nn.utils import remove_weight_norm, weight_norm  # the old ones, as published files have

from ncodec.adversarial import AdversarialLoss, CombinedDiscriminator
from ncodec.adversarial import HiFiGANScaleDiscriminator as Scales
from ncodec.adversarial import MultiPeriodDiscriminator as Periods
from ncodec.checkpoints.exports import export_model
from ncodec.config import HifiGanConfig
from ncodec.errors import ArgumentError, CheckpointError, NcodecError
from ncodec.nn.whole import whole
from ncodec.train.config import OptimSection, TrainConfig, load_config
from ncodec.train.discriminators import DISCRIMINATORS_FILE
from ncodec.train.resume import resume
from ncodec.train.schedule import learning_rate
from ncodec.train.tasks.codec import MODEL_FILE
from ncodec.train.trainer import Trainer
from ncodec.train.vocoding import LogMelLoss
from ncodec.vocoder import Vocoder

from .conftest import RATE
from .test_config import RECIPES
from .test_trainer import assert_equal, run_steps

CPU = torch.device("cpu")
NET = {
    "sample_rate": RATE,
    "bands": 10,
    "channels": 16,
    "rates": [5, 4, 4],
    "kernels": [10, 8, 8],
    "block_kernels": [3, 5],
    "dilations": [1, 2, 2, 3],
    "paired": False,
    "n_fft": 256,
    "window": 256,
    "fmax": 3000.0,
}
SMALL_CRITICS = {"mpd": {"filters": 2, "slope": 0.1}, "hifigan_msd": {"filters": 16}}
ADVERSARIAL = {
    "discriminators": SMALL_CRITICS,
    "loss": "mse",
    "sums": True,
    "betas": [0.8, 0.99],
    "from_step": 2,
}


@pytest.fixture
def vocoding(recordings: Path, tmp_path: Path) -> TrainConfig:
    """A run of eight steps."""
    return TrainConfig.from_dict(
        {
            "output": str(tmp_path / "vocoder"),
            "task": {"name": "vocoder"},
            "model": {"name": "tiny", "family": "hifigan", "config": NET},
            "data": {"sources": [str(recordings)], "seconds": 0.2, "batch": 2},
            "losses": {"log_mel": 45.0},
            "optim": {"steps": 8, "warmup": 2, "lr": 1e-3, "decay": 0.9},
            "report": {"every": 100, "checkpoint": 4, "validation": 0, "tensorboard": False},
        }
    )


def changed(config: TrainConfig, **sections: object) -> TrainConfig:
    own = config.to_dict()
    for name, values in sections.items():
        own[name] = {**own[name], **values} if isinstance(values, dict) else values
    return TrainConfig.from_dict(own)


def random_vocoder(**other: object) -> Vocoder:
    torch.manual_seed(1)
    return Vocoder(HifiGanConfig.from_dict({**NET, **other}))


@pytest.mark.parametrize(
    "extra",
    [
        {"model": {"config": {**NET, "normalize": True}}},
        {"weight_norm": True, "adversarial": ADVERSARIAL},
    ],
)
def test_four_steps_and_three_are_seven(vocoding, extra):
    config = changed(vocoding, **extra)
    straight = Trainer.create(config, CPU)
    straight.folder.mkdir()
    run_steps(straight, 4)
    straight.save()
    wanted = run_steps(straight, 3)
    again = resume(config.output, CPU)
    assert again.step == 4
    assert run_steps(again, 3) == wanted
    assert_equal(again.state(), {**straight.state(), "elapsed": again.elapsed})


@pytest.mark.parametrize("weight_norm", [False, True])
def test_a_run_leaves_a_vocoder_that_streams(vocoding, recordings, weight_norm):
    config = changed(
        vocoding,
        weight_norm=weight_norm,
        data={"validation": [str(recordings)]},
        report={"validation": 8, "perceptual": False},
        optim={"ema": 0.0},
    )
    trainer = Trainer.create(config, CPU)
    trainer.run()
    found = trainer.task.validate(trainer.evaluated())
    assert found is not None
    assert found.sample_rate == RATE
    assert all(np.isfinite(score) for score in found.scores.values())
    model = Vocoder.get_pretrained(trainer.folder / MODEL_FILE)
    mel = model.mel(torch.from_numpy(soundfile.read(recordings / "0.wav")[0]).float())
    with torch.inference_mode():
        state, parts = model.initial_state(), []
        for block in mel.split(7, dim=2):
            part, state = model.step(block, state)
            parts.append(part)
        streamed = torch.cat([*parts, model.flush(state)], dim=2)
        learned = whole(trainer.task.model.generator, mel)
    assert torch.allclose(streamed, learned, atol=1e-5)
    assert float(learned.std()) > 0


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "other",
    [{}, {"paired": True}, {"edges": "reflect"}, {"rates": [4, 5, 4], "kernels": [9, 11, 8]}],
)
def test_signals_as_wholes_are_those_of_streams(other, seed):
    model = random_vocoder(**other).requires_grad_(False)
    torch.manual_seed(seed)
    mel = torch.randn(2, 10, 12 + seed) - 4
    assert torch.allclose(whole(model.generator, mel), model.generator(mel), atol=1e-6)


def test_gradients_flow_through_wholes():
    model = random_vocoder()
    whole(model.generator, torch.randn(1, 10, 9)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_a_loss_reduces_over_discriminators_as_it_is_told():
    torch.manual_seed(0)
    critics = CombinedDiscriminator([Periods(filters=2, slope=0.1), Scales(filters=16)]).eval()
    fake, real = torch.randn(2, 2, 1, 2048)
    with torch.no_grad():
        logits, fakes = critics(fake)
        real_logits, reals = critics(real)
        pairs = [
            torch.nn.functional.l1_loss(a, b)
            for one, two, x, y in zip(fakes, reals, logits, real_logits, strict=True)
            for a, b in zip([*one, x], [*two, y], strict=True)
        ]
        adversarial = sum(float((1 - x).square().mean()) for x in logits)
        told = sum(
            float((1 - y).square().mean() + x.square().mean())
            for x, y in zip(logits, real_logits, strict=True)
        )
    assert len(pairs) == 54  # 5 periods of 6 maps and 3 scales of 8, as published
    optimizer = torch.optim.SGD(critics.parameters(), lr=0.0)
    sums = AdversarialLoss(critics, optimizer, "mse", sums=True)
    adv, features = sums(fake, real)
    assert float(adv) == pytest.approx(adversarial, rel=1e-5)
    assert float(features) == pytest.approx(float(sum(pairs)), rel=1e-5)
    assert float(sums.train_adv(fake, real)) == pytest.approx(told, rel=1e-5)
    means = AdversarialLoss(critics, optimizer, "mse")
    assert float(means(fake, real)[0]) == pytest.approx(adversarial / 8, rel=1e-5)
    assert float(means(fake, real)[1]) < float(features) / 40


def test_rates_decay_step_by_step():
    options = OptimSection(lr=2e-4, warmup=0, decay=0.5, final=0.0)
    assert learning_rate(options, 0, 0.0) == pytest.approx(2e-4)
    assert learning_rate(options, 3, 0.9) == pytest.approx(2.5e-5)
    with pytest.raises(ArgumentError, match=r"optim\.decay.*above 0"):
        TrainConfig.from_dict({"optim": {"decay": 0.0}})


def test_discriminators_decay_with_the_net(vocoding):
    trainer = Trainer.create(changed(vocoding, adversarial={**ADVERSARIAL, "lr": 0.5}), CPU)
    run_steps(trainer, 4)
    (group,) = trainer.task.adversary.optimizer.param_groups
    assert (group["lr"], group["betas"]) == (pytest.approx(0.5 * 0.9**3), (0.8, 0.99))


def test_the_loss_hears_above_the_mels():
    config = HifiGanConfig.from_dict(NET)
    t = torch.arange(RATE) / RATE
    high = 0.3 * torch.sin(2 * torch.pi * 3600 * t)[None, None]  # above fmax
    mels = Vocoder(config)
    heard = float((mels.mel(high) - mels.mel(0 * high)).abs().mean())
    assert float(LogMelLoss(config)(high, 0 * high)) > 2 * heard
    assert float(LogMelLoss(config)(high, high)) == 0


# Weights in two parts


def test_weights_in_two_parts_start_as_the_same_net_and_learn_otherwise(vocoding):
    plain = Trainer.create(vocoding, CPU)
    split = Trainer.create(changed(vocoding, weight_norm=True), CPU)
    first = next(plain.task.batches(0))
    own, other = (t.task.step(first, 0).values["total"] for t in (plain, split))
    assert torch.allclose(own, other, rtol=1e-4)
    conv = split.task.model.generator.layers[0]
    assert sorted(name for name, _ in conv.named_parameters()) == [
        "bias",
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    ]
    before = conv.weight.detach().clone()
    run_steps(split, 1)
    assert not torch.equal(conv.weight, before)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weights_in_two_parts_export_as_published(vocoding, tmp_path):
    trainer = Trainer.create(changed(vocoding, weight_norm=True, optim={"ema": 0.0}), CPU)
    trainer.folder.mkdir()
    run_steps(trainer, 2)
    path = trainer.save()
    folder = tmp_path / "official"
    export_model(path, folder, "hifigan")
    state = torch.load(folder / "generator.pth", weights_only=True)["generator"]
    up = torch.nn.ConvTranspose1d(16, 8, 10, 5)
    weight_norm(up)
    up.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("ups.0.")})
    remove_weight_norm(up)
    learned = trainer.task.model.generator.layers[1].layers[1].weight
    assert torch.allclose(up.weight, learned, atol=1e-7)
    again = Vocoder.get_pretrained(path)
    assert torch.allclose(up.weight, again.generator.layers[1].layers[1].weight, atol=1e-7)


def test_whether_weights_are_in_two_parts_cannot_change(vocoding):
    trainer = Trainer.create(vocoding, CPU)
    trainer.folder.mkdir()
    trainer.save()
    with pytest.raises(ArgumentError, match=r"weight_norm = true: .*cannot change"):
        resume(vocoding.output, CPU, changes=["weight_norm=true"])


# Discriminators as published


def published(critics: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a bank's weights under the names of HiFi-GAN's files, whose norms are the old ones."""
    ends = {
        "parametrizations.weight.original0": "weight_g",
        "parametrizations.weight.original1": "weight_v",
        "parametrizations.weight.original": "weight_orig",
        "parametrizations.weight.0._u": "weight_u",
        "parametrizations.weight.0._v": "weight_v",
    }
    state = {}
    for key, value in critics.state_dict().items():
        for ours, theirs in sorted(ends.items(), reverse=True):
            if key.endswith(f".{ours}"):
                key = key.removesuffix(ours) + theirs
                break
        state[key.replace(".layers.", ".convs.").replace(".post.", ".conv_post.")] = value
    return state


def test_published_discriminators_go_on(vocoding, tmp_path):
    torch.manual_seed(5)
    periods, scales = Periods(filters=2, slope=0.1), Scales(filters=16)
    path = tmp_path / "do_00000100"
    content = {"mpd": published(periods), "msd": published(scales)}
    assert "discriminators.0.convs.0.weight_g" in content["mpd"]
    assert "discriminators.0.convs.0.weight_orig" in content["msd"]
    torch.save({**content, "steps": 100, "epoch": 1}, path)
    options = {**ADVERSARIAL, "start": str(path)}
    task = Trainer.create(changed(vocoding, adversarial=options), CPU).task
    signal = torch.randn(1, 1, 2048)
    wanted = [*periods.eval()(signal)[0], *scales.eval()(signal)[0]]
    found = task.adversary.discriminator.eval()(signal)[0]
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a, b)
    swapped = dict(reversed(SMALL_CRITICS.items()))
    task = Trainer.create(
        changed(vocoding, adversarial={**options, "discriminators": swapped}), CPU
    ).task
    assert torch.equal(task.adversary.discriminator.eval()(signal)[0][0], wanted[5])
    wide = {**options, "discriminators": {**SMALL_CRITICS, "mpd": {"filters": 4}}}
    with pytest.raises(CheckpointError, match="does not fit these discriminators"):
        Trainer.create(changed(vocoding, adversarial=wide), CPU)


def test_discriminators_of_a_run_go_on_in_another(vocoding, tmp_path):
    first = Trainer.create(changed(vocoding, adversarial=ADVERSARIAL), CPU)
    first.folder.mkdir()
    run_steps(first, 3)
    first.save()
    start = {**ADVERSARIAL, "start": str(first.folder / DISCRIMINATORS_FILE)}
    second = Trainer.create(
        changed(vocoding, adversarial=start, output=str(tmp_path / "second")), CPU
    )
    states = [t.task.adversary.discriminator.state_dict() for t in (first, second)]
    assert_equal(*states)


# Mels from files


@pytest.fixture
def pairs(recordings: Path) -> Path:
    """Mels beside the recordings, each shifted by a number of its own."""
    model = random_vocoder()
    for number, path in enumerate(sorted(recordings.glob("*.wav"))):
        audio = torch.from_numpy(soundfile.read(path)[0]).float()
        np.save(path.with_suffix(".npy"), model.mel(audio)[0].numpy() + 0.25 * number)
    return recordings


def test_pairs_are_cut_alike(vocoding, pairs):
    config = changed(vocoding, data={"pairs": True, "batch": 8})
    task = Trainer.create(config, CPU).task
    audio, mel = next(task.batches(0))
    assert audio.shape == (8, 1, 20 * 80)
    assert mel.shape == (8, 10, 20)
    made = task.model.mel(audio)
    inner = slice(3, -3)  # the others see beyond the cut
    shifts = (mel - made)[..., inner].mean((1, 2))
    assert torch.allclose(shifts * 4, (shifts * 4).round(), atol=1e-3)
    assert len({round(float(x), 2) for x in shifts}) > 1
    run_steps(Trainer.create(config, CPU), 2)


def test_pairs_are_what_is_vocoded(vocoding, pairs):
    task = Trainer.create(changed(vocoding, data={"pairs": True}), CPU).task
    audio, mel = next(task.batches(0))
    own, _ = (task.step((audio, m), 0).values["log_mel"] for m in (mel, mel - 1))
    assert not torch.equal(own, task.step((audio, mel - 1), 0).values["log_mel"])


def test_a_manifest_says_where_mels_lie(vocoding, pairs, tmp_path):
    (pairs / "0.npy").rename(pairs / "predicted.npy")
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"path,mel\n{pairs / '0.wav'},predicted.npy\n")
    config = changed(vocoding, data={"pairs": True, "sources": [str(manifest)]})
    run_steps(Trainer.create(config, CPU), 1)


def test_short_recordings_end_in_silence(vocoding, pairs):
    for path in (*pairs.glob("[123].*"), pairs / "0.npy"):
        path.unlink()
    audio = 0.1 * np.random.default_rng(0).standard_normal(5 * 80)
    soundfile.write(pairs / "0.wav", audio, RATE)
    model = random_vocoder()
    np.save(pairs / "0.npy", model.mel(torch.from_numpy(audio).float())[0].numpy())
    task = Trainer.create(changed(vocoding, data={"pairs": True}), CPU).task
    sound, mel = next(task.batches(0))
    assert not bool(sound[..., 5 * 80 :].any())
    assert torch.allclose(mel[..., 5:], torch.tensor(1e-5).log(), atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: (p / "1.npy").unlink(), r"1\.wav: has no mels .*1\.npy"),
        (lambda p: np.save(p / "1.npy", np.zeros((10, 300), np.float32)), "300 frames, where"),
        (
            lambda p: np.save(p / "1.npy", np.zeros((80, 200), np.float32)),
            "80 bands: tiny takes",
        ),
        (lambda p: (p / "1.npy").write_bytes(b"\x93NUMPY"), r"1\.npy: no \.npy file of mels"),
        (lambda p: soundfile.write(p / "1.wav", np.zeros(4000), 2 * RATE), r"16000 Hz: .*8000 Hz"),
    ],
)
def test_pairs_that_do_not_fit_are_told(vocoding, pairs, spoil, said):
    spoil(pairs)
    with pytest.raises(NcodecError, match=said) as told:
        run_steps(Trainer.create(changed(vocoding, data={"pairs": True}), CPU), 8)
    assert len(str(told.value).splitlines()) == 1


# Recipes

SIZES = {
    "hifigan_v1": 13_926_017,
    "hifigan_v2": 925_985,
    "hifigan_v3": 1_462_273,
    "hifigan_24khz_small": 950_401,
}
"""Weights as published (folded), and of ours."""


@pytest.mark.parametrize("recipe", SIZES)
def test_recipes_make_a_step(recipe, recordings, tmp_path):
    config = load_config(RECIPES / f"{recipe}.toml")
    full = HifiGanConfig.from_dict(config.model.config)
    with torch.device("meta"):
        size = sum(p.numel() for p in Vocoder(full).generator.parameters())
    assert size == SIZES[recipe]
    critics = dict.fromkeys(config.adversarial.discriminators)
    narrow = {name: SMALL_CRITICS[name] for name in critics}
    small = changed(
        config,
        output=str(tmp_path / "run"),
        model={"config": {**config.model.config, "channels": 16}},
        data={"sources": [str(recordings)], "batch": 1, "kinds": {}},
        adversarial={"discriminators": narrow},
    )
    trainer = Trainer.create(small, CPU)
    (losses,) = run_steps(trainer, 1)
    assert losses["total"] > 0
    assert ("features" in losses) == bool(critics)
    split = trainer.task.model.generator.layers[0]
    assert hasattr(split, "parametrizations") == bool(critics)


def test_published_recipes_are_as_published():
    for name in ("hifigan_v1", "hifigan_v2", "hifigan_v3"):
        config = load_config(RECIPES / f"{name}.toml")
        model, adversarial = HifiGanConfig.from_dict(config.model.config), config.adversarial
        assert round(config.data.seconds * model.sample_rate / model.hop) * model.hop == 8192
        assert (config.optim.lr, config.optim.betas) == (2e-4, (0.8, 0.99))
        assert (adversarial.lr, adversarial.betas) == (2e-4, (0.8, 0.99))
        assert (adversarial.weight, adversarial.features, adversarial.loss) == (1, 2, "mse")
        assert config.losses == {"log_mel": 45.0}
        assert adversarial.sums
        assert config.weight_norm

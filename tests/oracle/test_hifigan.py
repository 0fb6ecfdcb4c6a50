"""HiFi-GAN: transformers' generator, and each package's layout of the same weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from ncodec.checkpoints import export_model, import_model, save
from ncodec.config import HifiGanConfig
from ncodec.errors import CheckpointError
from ncodec.vocoder import LogMel, Vocoder
from tests.oracle.reference import assert_close
from tests.vocoder.test_vocoder import V1, V3, mels, vocoder

from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig  # isort: skip
from transformers.audio_utils import mel_filter_bank  # isort: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("rates", [[8, 8, 2, 2], [4, 4, 4, 4]])
def test_transformers(tmp_path: Path, rates: list[int]) -> None:
    config = SpeechT5HifiGanConfig(
        upsample_initial_channel=32,
        upsample_rates=rates,
        upsample_kernel_sizes=[2 * rate for rate in rates],
    )
    theirs = SpeechT5HifiGan(config).eval()
    for parameter in theirs.parameters():
        parameter.data.normal_(std=0.08)
    theirs.mean.uniform_(-6, -4)
    theirs.scale.uniform_(1, 2)
    theirs.save_pretrained(tmp_path / "hf")
    import_model(tmp_path / "hf", "taken")
    ours = Vocoder.get_pretrained("taken")
    assert (ours.sample_rate, ours.config.log, ours.config.centred) == (16000, "log10", True)
    mel = torch.randn(1, 80, 40).clamp(-4, 1) - 3
    with torch.no_grad():
        want = theirs(mel.transpose(1, 2))
    assert_close(ours(mel)[:, 0], want)
    export_model("taken", tmp_path / "back", layout="hf")
    again = SpeechT5HifiGan.from_pretrained(tmp_path / "back").eval()
    with torch.no_grad():
        assert torch.equal(again(mel.transpose(1, 2)), want)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("log", ["ln", "log10"])
def test_the_front_end_is_the_published_one(centred: bool, log: str) -> None:
    """jik876/hifi-gan's meldataset.py and the centred form of the others, by torch.stft."""
    config = HifiGanConfig(centred=centred, log=log, power_floor=0.0 if centred else 1e-9)
    front_end = LogMel(config)
    bank = mel_filter_bank(513, 80, 0.0, 8000.0, 22050, norm="slaney", mel_scale="slaney")
    filters = torch.from_numpy(bank.T).float()
    for samples in (600, 767, 768, 769, 1023, 1024, 1025, 22050):
        x = 0.1 * torch.randn(1, samples)
        pad = 512 if centred else 384
        padded = functional.pad(x[:, None], (pad, pad), mode="reflect")[:, 0]
        window = torch.hann_window(1024)
        spectrum = torch.stft(padded, 1024, 256, window=window, center=False, return_complex=True)
        magnitude = (spectrum.real**2 + spectrum.imag**2 + config.power_floor).sqrt()
        want = (filters @ magnitude).clamp(min=1e-5)
        want = want.log() if log == "ln" else want.log10()
        assert torch.allclose(front_end(x[:, None]), want, atol=1e-4)


def official(model: Vocoder) -> dict[str, torch.Tensor]:
    """Return the weights by the official names, with weight norm as torch's own function has it."""
    from ncodec.checkpoints.layouts.hifigan import OFFICIAL

    assert OFFICIAL.write is not None
    written = OFFICIAL.write(model.config, dict(model.state_dict()))
    return dict(written.content["generator"])


def as_speechbrain(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {
        f"{key.rpartition('.')[0]}.conv.{key.rpartition('.')[2]}": value
        for key, value in state.items()
    }


def as_pwg(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    names = {"conv_pre": "input_conv", "conv_post": "output_conv.1"}
    out: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        stem, _, end = key.rpartition(".")
        parts = stem.split(".")
        if stem in names:
            stem = names[stem]
        elif parts[0] == "ups":
            stem = f"upsamples.{parts[1]}.1"
        else:
            inner = "convs1" if parts[2] == "convs" else parts[2]
            stem = f"blocks.{parts[1]}.{inner}.{parts[3]}.1"
        out[f"{stem}.{end}"] = value
    return {"model": {"generator": out}}


def as_coqui(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    out: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        stem, _, end = key.rpartition(".")
        ends = {"weight_g": "original0", "weight_v": "original1"}
        out[f"{stem}.parametrizations.weight.{ends[end]}" if end in ends else key] = value
    return {"model": out}


LAYOUTS = {
    "official": lambda state: {"generator": state},
    "coqui": as_coqui,
    "speechbrain": as_speechbrain,
    "pwg": as_pwg,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("config", [V1, V3], ids=["V1", "V3"])
def test_layouts(tmp_path: Path, layout: str, config: Any) -> None:
    model = vocoder(config)
    file = tmp_path / "generator.pth"
    torch.save(LAYOUTS[layout](official(model)), file)
    import_model(file, "taken", sample_rate=22050)
    ours = Vocoder.get_pretrained("taken")
    mel = mels(config, 30)
    if layout == "speechbrain":
        reflected = vocoder(type(config)(**{**vars(config), "edges": "reflect"}))
        reflected.load_state_dict(model.state_dict())
        model = reflected
    if ours.config.log == "log10":
        mel = mel / 2.302585
    assert_close(ours.generator(mel), model.generator(mel))


def test_the_official_layout_round_trips(tmp_path: Path) -> None:
    model = vocoder(V3)
    save(model, tmp_path / "v3.safetensors")
    import_model(tmp_path / "v3.safetensors", "v3")
    export_model("v3", tmp_path / "out", layout="hifigan")
    import_model(tmp_path / "out" / "generator.pth", "again")
    again = Vocoder.get_pretrained("again")
    assert again.config == V3
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def test_what_is_no_hifigan_is_told(tmp_path: Path) -> None:
    torch.save({"generator": {"ups.0.0.bias": torch.zeros(1)}}, tmp_path / "bigvgan.pt")
    with pytest.raises(CheckpointError, match="BigVGAN"):
        import_model(tmp_path / "bigvgan.pt", "x")
    odd = vocoder(type(V1)(**{**vars(V1), "block_kernels": (3, 7, 9)}))
    torch.save({"generator": official(odd)}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match="dilations"):
        import_model(tmp_path / "odd.pth", "x")

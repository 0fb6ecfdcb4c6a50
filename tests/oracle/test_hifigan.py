"""HiFi-GAN: transformers' generator, and each package's layout of the same weights."""

import http.server
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional

from ncodec.checkpoints import export_model, import_model, pull, save
from ncodec.checkpoints.front_ends import FRONT_ENDS
from ncodec.checkpoints.layouts.hifigan import HF_HIFIGAN, OFFICIAL
from ncodec.checkpoints.registry import REGISTRY
from ncodec.config import HifiGanConfig
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.vocoder import LogMel, Vocoder
from tests.oracle.reference import assert_close
from tests.vocoder.test_vocoder import V1, V3, mels, vocoder

from transformers import FastSpeech2ConformerHifiGan  # isort: skip
from transformers import FastSpeech2ConformerHifiGanConfig  # isort: skip
from transformers import SpeechT5FeatureExtractor  # isort: skip
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig  # isort: skip
from transformers.audio_utils import mel_filter_bank  # isort: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))


KINDS = {
    "SpeechT5": (SpeechT5HifiGan, SpeechT5HifiGanConfig, 16000, 0.0),
    "FastSpeech2": (FastSpeech2ConformerHifiGan, FastSpeech2ConformerHifiGanConfig, 22050, 1e-10),
}


@pytest.mark.parametrize("kind", KINDS)
def test_transformers(tmp_path: Path, kind: str) -> None:
    theirs_class, config_class, rate, least_power = KINDS[kind]
    theirs = theirs_class(config_class(upsample_initial_channel=32)).eval()
    for parameter in theirs.parameters():
        parameter.data.normal_(std=0.08)
    theirs.mean.uniform_(-6, -4)
    theirs.scale.uniform_(1, 2)
    theirs.save_pretrained(tmp_path / "hf")
    import_model(tmp_path / "hf", "taken")
    ours = Vocoder.get_pretrained("taken")
    assert (ours.sample_rate, ours.config.log, ours.config.centred) == (rate, "log10", True)
    assert ours.config.least_power == least_power
    mel = torch.randn(1, 80, 40).clamp(-4, 1) - 3
    with torch.no_grad():
        want = theirs(mel.transpose(1, 2))
    assert_close(ours(mel)[:, 0], want)
    export_model("taken", tmp_path / "back", layout="hf")
    again = theirs_class.from_pretrained(tmp_path / "back").eval()
    with torch.no_grad():
        assert torch.equal(again(mel.transpose(1, 2)), want)
    import_model(tmp_path / "back", "taken", force=True)
    assert Vocoder.get_pretrained("taken").config == ours.config


SIZES = {"V1": 512, "V2": 128}


@pytest.mark.parametrize("size", SIZES)
def test_published_sizes_are_those_of_transformers(size: str) -> None:
    """Of sound whose full scale is 1; what is left in float32 is rounding, as float64 shows."""
    torch.manual_seed(0)
    config = FastSpeech2ConformerHifiGanConfig(upsample_initial_channel=SIZES[size])
    theirs = FastSpeech2ConformerHifiGan(config).eval().requires_grad_(False)
    for weight in theirs.parameters():  # such that sound comes out that is heard
        weight.data.normal_(std=(0.5 / weight[0].numel()) ** 0.5 if weight.dim() > 1 else 0.01)
    ours = vocoder(HifiGanConfig(channels=SIZES[size]))
    _, weights = HF_HIFIGAN.read(theirs.state_dict(), config.to_dict())
    ours.load_state_dict(weights, strict=False)
    mel = mels(ours.config, 12) / 4
    want = theirs(mel.transpose(1, 2))
    assert 0.01 < want.abs().max() < 0.99
    for made in (ours(mel)[:, 0], ours.generator(mel)[:, 0]):
        assert (made - want).abs().max() < 1e-6
    with torch.inference_mode(False):
        exact = theirs.double()(mel.double().transpose(1, 2))
        found = ours.double().generator(mel.double())[:, 0]
    assert (found - exact).abs().max() < 1e-12


def test_mels_that_only_a_synthesiser_can_make(tmp_path: Path) -> None:
    """FastSpeech2's vocoder as published has the numbers 0 and 1: mels come normalised."""
    config = FastSpeech2ConformerHifiGanConfig(upsample_initial_channel=32)
    FastSpeech2ConformerHifiGan(config).save_pretrained(tmp_path / "hf")
    import_model(tmp_path / "hf", "taken")
    ours = Vocoder.get_pretrained("taken")
    with pytest.raises(ArgumentError, match="it makes none of audio"):
        ours.mel(torch.zeros(5000))
    assert ours(torch.full((1, 80, 3), 9.0)).shape == (1, 1, 768)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Give a second of speech, with its pauses."""
    file = Path(__file__).parents[1] / "data" / "speech.flac"
    return soundfile.read(file, frames=24000, dtype="float32")[0]


def by_torch(config: HifiGanConfig, x: np.ndarray) -> np.ndarray:
    """Mels as packages make them with torch.stft (jik876's, SpeechBrain's, ESPnet's)."""
    samples = torch.from_numpy(x)[None]
    if not config.centred:
        pad = (config.n_fft - config.hop) // 2
        samples = functional.pad(samples[:, None], (pad, pad), mode="reflect")[:, 0]
    spectrum = torch.stft(
        samples,
        config.n_fft,
        config.hop,
        config.window,
        torch.hann_window(config.window),
        center=config.centred,
        pad_mode="reflect",
        return_complex=True,
    )
    power = (spectrum.real**2 + spectrum.imag**2 + config.power_floor).clamp(config.least_power)
    mel = (torch.from_numpy(bank(config)).float() @ power.sqrt()).clamp(min=config.floor)
    return (mel.log() if config.log == "ln" else mel.log10())[0].numpy()


def by_numpy(config: HifiGanConfig, x: np.ndarray) -> np.ndarray:
    """Mels as librosa's STFT gives them, in float64 and kept as complex64 (Coqui's, PWG's)."""
    padded = np.pad(x, config.n_fft // 2, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.window) / config.window)
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft)[:: config.hop]
    magnitude = np.abs(np.fft.rfft(window * frames, axis=1).astype(np.complex64))
    mel = np.maximum(bank(config).astype(np.float32) @ magnitude.T, config.floor)
    return np.log(mel) if config.log == "ln" else np.log10(mel)


def by_transformers(config: HifiGanConfig, x: np.ndarray) -> np.ndarray:
    """SpeechT5's own feature extractor."""
    extractor = SpeechT5FeatureExtractor(
        sampling_rate=config.sample_rate,
        num_mel_bins=config.bands,
        hop_length=1000 * config.hop // config.sample_rate,  # milliseconds
        win_length=1000 * config.window // config.sample_rate,
        fmin=config.fmin,
        fmax=config.fmax,
        mel_floor=config.floor,
    )
    return extractor(audio_target=x, sampling_rate=16000, return_tensors="np").input_values[0].T


def bank(config: HifiGanConfig) -> np.ndarray:
    shape = config.n_fft // 2 + 1, config.bands, config.fmin, config.fmax, config.sample_rate
    return mel_filter_bank(*shape, norm="slaney", mel_scale="slaney").T


PUBLISHED = {
    "official": by_torch,
    "speecht5": by_transformers,
    "speechbrain": by_torch,
    "coqui": by_numpy,
    "pwg": by_numpy,
    "espnet": by_torch,
}


@pytest.mark.parametrize("package", FRONT_ENDS)
def test_the_front_end_is_the_published_one(package: str, speech: np.ndarray) -> None:
    """At lengths around a frame, a hop, a window and reflection; silence within and as a whole."""
    config = HifiGanConfig(**FRONT_ENDS[package])
    front_end = LogMel(config)
    gap = speech.copy()
    gap[8000:12000] = 0
    least = front_end.padding[0] + 1
    sizes = [least, least + 1, 767, 768, 769, 1023, 1024, 1025, 1279, 1280, 1281, 24000]
    for x in [*(speech[4000 : 4000 + n] for n in sizes), speech, gap, 0 * speech[:3000]]:
        want = PUBLISHED[package](config, x)
        mel = front_end(torch.from_numpy(x)[None, None])[0].numpy()
        assert mel.shape == want.shape
        assert np.abs(mel - want).max() < 1e-5


def official(model: Vocoder) -> dict[str, torch.Tensor]:
    """Return the weights by the official names, with weight norm as torch's own function has it."""
    assert OFFICIAL.write is not None
    config = replace(model.config, edges="zeros", centred=False)  # which no weight tells
    written = OFFICIAL.write(config, dict(model.state_dict()))
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


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A folder as the hub serves it: any repository's file lies under its own name."""

    def translate_path(self, path: str) -> str:
        return str(Path(self.directory) / path.rpartition("/")[2])

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("repository", "name", "licence"),
    [
        ("microsoft/speecht5_hifigan", "hifigan_speecht5", "MIT"),
        ("espnet/fastspeech2_conformer_hifigan", "hifigan_fastspeech2", "Apache 2.0"),
        ("speechbrain/tts-hifigan-ljspeech", "hifigan_ljspeech", "Apache 2.0"),
    ],
)
def test_vocoders_are_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str, name: str, licence: str
) -> None:
    """From a server on this machine, narrower nets than the published ones in their places."""
    entry = REGISTRY[name]
    narrow = replace(entry, config={**entry.config, "channels": 16})
    monkeypatch.setitem(REGISTRY, name, narrow)
    model = vocoder(HifiGanConfig.from_dict(narrow.config))
    if entry.sources[0].file == "generator.ckpt":
        state = as_speechbrain(official(model))
    else:
        state = dict(HF_HIFIGAN.write(model.config, dict(model.state_dict())).content)
    (tmp_path / "site").mkdir()
    torch.save(state, tmp_path / "site" / entry.sources[0].file)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site"))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no hub"))
    try:
        info = pull(repository)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert (info.name, info.licence) == (name, licence)
    ours = Vocoder.get_pretrained(repository)
    assert ours.config == model.config
    mel = mels(model.config, 10) / 3
    assert_close(ours(mel), model(mel))


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


@pytest.mark.parametrize(("layout", "config"), [("hifigan", V1), ("hifigan", V3), ("hf", V1)])
def test_exports_come_back(tmp_path: Path, layout: str, config: HifiGanConfig) -> None:
    model = vocoder(config)
    save(model, tmp_path / "own.safetensors")
    import_model(tmp_path / "own.safetensors", "own")
    export_model("own", tmp_path / "out", layout=layout)
    assert "A vocoder" in (tmp_path / "out" / "README.md").read_text("utf-8")
    import_model(tmp_path / "out", "again")
    again = Vocoder.get_pretrained("again")
    assert again.config == config
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

"""DAC and Mimi of transformers: our import of their folders gives their codes and their audio."""

import json
from pathlib import Path

import pytest
import torch

from ncodec.checkpoints import export_model, import_model, load
from tests.oracle.reference import assert_close, noise, randomise

from transformers import (  # isort: skip
    AutoFeatureExtractor,
    DacConfig,
    DacModel,
    MimiConfig,
    MimiModel,
)

SMALL_DAC = {
    "encoder_hidden_size": 8,
    "decoder_hidden_size": 48,
    "codebook_size": 64,
    "n_codebooks": 5,
}
RATIOS = {44100: [2, 4, 8, 8], 24000: [2, 4, 5, 8], 16000: [2, 4, 5, 8]}


def dac(rate: int) -> DacModel:
    config = DacConfig(**SMALL_DAC, downsampling_ratios=RATIOS[rate], sampling_rate=rate)
    model = DacModel(config).eval()
    for parameter in model.parameters():  # transformers starts so small that all codes are equal
        parameter.normal_(std=0.5 / max(1, parameter[0].numel()) ** 0.5)
    for key, parameter in model.named_parameters():
        if key.endswith("bias"):
            parameter.normal_(std=0.02)
        if key.endswith("alpha"):
            parameter.uniform_(0.3, 2.0)
        if "codebook" in key:
            parameter.normal_()
    return model


def mimi(context: int = 8) -> MimiModel:
    config = MimiConfig(
        hidden_size=32,
        num_filters=4,
        num_quantizers=6,
        codebook_size=32,
        codebook_dim=16,
        vector_quantization_hidden_dimension=16,
        num_hidden_layers=2,
        intermediate_size=64,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=8,
        upsample_groups=32,
        sliding_window=context,
        layer_scale_initial_scale=0.5,
    )
    model = MimiModel(config).eval()
    randomise(model)
    for key, buffer in model.named_buffers():
        if key.endswith("cluster_usage"):
            buffer.uniform_(0.5, 2.0)
    return model


def taken_in(model: torch.nn.Module, folder: Path, name: str = "taken"):
    model.save_pretrained(folder)
    import_model(folder, name)
    return load(name)


@pytest.mark.parametrize("rate", [44100, 24000, 16000])
@pytest.mark.parametrize("codebooks", [1, 5])
def test_dac(tmp_path: Path, rate: int, codebooks: int) -> None:
    theirs = dac(rate)
    ours = taken_in(theirs, tmp_path / "hf")
    assert (ours.sample_rate, ours.hop) == (rate, theirs.config.hop_length)
    ours.set_num_codebooks(codebooks)
    x = noise(0.3, rate, batch=2)[..., : 12 * ours.hop]
    expected = theirs.encode(x, n_quantizers=codebooks)
    codes, scale = ours.encode(x)
    assert scale is None
    assert torch.equal(codes, expected.audio_codes)
    assert codebooks == 1 or codes.unique().numel() > 8
    audio = theirs.decode(audio_codes=expected.audio_codes).audio_values[:, None]
    got = ours.decode(codes)
    assert got.shape == (2, 1, 12 * ours.hop)
    # Odd strides: theirs lacks the last samples, and near the end sees zeros where ours sees them.
    seen = audio.shape[-1] if rate == 44100 else 8 * ours.hop
    assert_close(got[..., :seen], audio[..., :seen])
    assert audio.shape[-1] == got.shape[-1] - (0 if rate == 44100 else 8)


def test_dac_features(tmp_path: Path) -> None:
    theirs = dac(44100)
    ours = taken_in(theirs, tmp_path / "hf")
    x = noise(0.2, 44100)[..., : 12 * 512]
    assert_close(ours.encoder(x), theirs.encoder(x))
    codes = theirs.encode(x).audio_codes
    latent = theirs.quantizer.from_codes(codes)[0]
    assert_close(ours.decode_latent(codes), latent)


@pytest.mark.parametrize("codebooks", [1, 2, 6])
@pytest.mark.parametrize("frames", [1, 3, 20])
def test_mimi(tmp_path: Path, codebooks: int, frames: int) -> None:
    """20 frames are 40 positions of the transformer: beyond its context of 8."""
    theirs = mimi()
    ours = taken_in(theirs, tmp_path / "hf")
    ours.set_num_codebooks(codebooks)
    x = noise(2.0, 24000, batch=2)[..., : frames * 1920 - 700]
    expected = theirs.encode(x, num_quantizers=codebooks).audio_codes
    codes, _ = ours.encode(x)
    assert torch.equal(codes, expected)
    audio = theirs.decode(expected).audio_values
    assert_close(ours.decode(codes), audio)


def test_mimi_features(tmp_path: Path) -> None:
    theirs = mimi()
    ours = taken_in(theirs, tmp_path / "hf")
    x = noise(2.0, 24000)[..., :30000]
    latent = theirs.encoder(x).latents
    assert_close(ours.encoder(x), latent)


@pytest.mark.parametrize("build", [lambda: dac(24000), mimi])
def test_export_goes_back_into_transformers(tmp_path: Path, build) -> None:
    theirs = build()
    taken_in(theirs, tmp_path / "hf")
    files = export_model("taken", tmp_path / "out")
    beside = {"config.json", "preprocessor_config.json", "README.md"}
    assert {f.name for f in files} == {"model.safetensors", *beside}
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "out")
    assert extractor.sampling_rate == theirs.config.sampling_rate
    assert json.loads((tmp_path / "out/config.json").read_text())["model_type"] in ("dac", "mimi")
    back, report = type(theirs).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    x = noise(0.5, 24000)[..., : 6 * 1920]
    assert torch.equal(back.eval().encode(x).audio_codes, theirs.encode(x).audio_codes)

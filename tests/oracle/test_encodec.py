"""EnCodec of the `encodec` package and of transformers, through every layout and back."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ncodec.checkpoints import export_model, import_model, inspect, load, load_any
from ncodec.config import EncodecLMConfig
from tests.oracle.reference import assert_close, noise, randomise

from encodec.model import EncodecModel, LMModel  # isort: skip
from transformers import AutoFeatureExtractor  # isort: skip
from transformers import EncodecConfig as HFConfig  # isort: skip
from transformers import EncodecModel as HFModel  # isort: skip

TINY = {"num_filters": 4, "hidden_size": 16, "codebook_size": 64}
STEREO = {
    "audio_channels": 2,
    "sampling_rate": 48000,
    "norm_type": "time_group_norm",
    "use_causal_conv": False,
    "normalize": True,
    "chunk_length_s": 1.0,
    "overlap": 0.01,
    "target_bandwidths": [3.6, 7.2],
}
MUSIC = {
    "sampling_rate": 32000,
    "upsampling_ratios": [8, 5, 4, 4],
    "use_causal_conv": False,
    "use_conv_shortcut": False,
    "target_bandwidths": [1.2],
}
SPEECH = {"target_bandwidths": [1.8, 3.6]}


def hf(**options: object) -> HFModel:
    model = HFModel(HFConfig(**TINY, **options)).eval()
    randomise(model, 0.3)
    return model


@pytest.fixture(scope="module")
def package() -> EncodecModel:
    """The package's own 24 kHz model at full size: its checkpoint is what the registry knows."""
    torch.manual_seed(0)
    model = EncodecModel.encodec_model_24khz(pretrained=False).eval()
    with torch.no_grad():
        randomise(model, 0.1)
    return model


@pytest.mark.parametrize("options", [SPEECH, MUSIC, STEREO], ids=["24", "32", "48"])
def test_transformers(tmp_path: Path, options: dict[str, object]) -> None:
    theirs = hf(**options)
    theirs.save_pretrained(tmp_path / "hf")
    import_model(tmp_path / "hf", "taken")
    ours = load("taken")
    rate = theirs.config.sampling_rate
    x = noise(1.4, rate, theirs.config.audio_channels)
    bandwidth = options["target_bandwidths"][-1]
    mask = torch.ones_like(x[:, 0], dtype=torch.bool)
    expected = theirs.encode(x, mask, bandwidth=bandwidth)
    codes, scale = ours.encode(x)
    frames = codes.shape[-1]
    theirs_codes = torch.cat(list(expected.audio_codes), dim=-1)[..., :frames]
    if "chunk_length_s" in options:
        # transformers fills the last segment up: what it adds beyond the source is no part of it
        assert torch.equal(codes[..., :150], theirs_codes[..., :150])
        assert_close(scale[:, 0], expected.audio_scales[0].reshape(-1))
        return
    assert torch.equal(codes, theirs_codes)
    audio = theirs.decode(expected.audio_codes, expected.audio_scales)[0]
    assert_close(ours.decode(codes), audio)


def test_the_file_of_the_package(tmp_path: Path, package: EncodecModel) -> None:
    path = tmp_path / "encodec_24khz-d7cc33bc.th"
    torch.save(package.state_dict(), path)
    taken = import_model(path, "encodec_24khz")
    assert not taken.info.is_published
    assert "encodec package" in taken.layout
    ours = load("encodec_24khz")
    x = noise(0.5, 24000)
    package.set_target_bandwidth(6.0)
    ours.set_num_codebooks(8)
    codes, _ = ours.encode(x)
    expected = package.encode(x)[0][0]
    assert torch.equal(codes, expected)
    assert_close(ours.decode(codes), package.decode([(expected, None)]))
    files = export_model("encodec_24khz", tmp_path / "out", "encodec")
    back = EncodecModel.encodec_model_24khz(pretrained=False).eval()
    back.load_state_dict(torch.load(files[0], weights_only=True))
    back.set_target_bandwidth(6.0)
    assert torch.equal(back.encode(x)[0][0], expected)


@pytest.mark.parametrize("options", [SPEECH, MUSIC, STEREO], ids=["24", "32", "48"])
def test_export_goes_back_into_transformers(tmp_path: Path, options: dict[str, object]) -> None:
    theirs = hf(**options)
    theirs.save_pretrained(tmp_path / "hf")
    import_model(tmp_path / "hf", "taken")
    export_model("taken", tmp_path / "out")
    back, report = HFModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    x = noise(1.0, theirs.config.sampling_rate, theirs.config.audio_channels)
    mask = torch.ones_like(x[:, 0], dtype=torch.bool)
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "out")
    shape = (extractor.sampling_rate, extractor.feature_size, extractor.chunk_length_s)
    settings = theirs.config
    assert shape == (settings.sampling_rate, settings.audio_channels, settings.chunk_length_s)
    a = theirs.encode(x, mask, bandwidth=options["target_bandwidths"][-1])
    b = back.eval().encode(x, mask, bandwidth=options["target_bandwidths"][-1])
    assert torch.equal(torch.as_tensor(a.audio_codes), torch.as_tensor(b.audio_codes))


def test_the_old_spelling_of_weight_norm(tmp_path: Path) -> None:
    """The hub's files say weight_g and weight_v."""
    theirs = hf(**SPEECH)
    theirs.save_pretrained(tmp_path / "hf")
    path = tmp_path / "hf" / "model.safetensors"
    new = ".parametrizations.weight.original"
    state = {
        key.replace(f"{new}0", ".weight_g").replace(f"{new}1", ".weight_v"): value
        for key, value in load_file(path).items()
    }
    a = inspect(path).tensors
    save_file(state, path)
    b = inspect(path).tensors
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_audiocraft(tmp_path: Path) -> None:
    """AudioCraft's keys are the package's; its settings come as YAML text."""
    theirs = hf(**MUSIC, pad_mode="constant")
    theirs.save_pretrained(tmp_path / "hf")
    import_model(tmp_path / "hf", "taken")
    exported = export_model("taken", tmp_path / "out", "encodec")[0]
    settings = (
        "sample_rate: 32000\nchannels: 1\nencodec:\n  causal: false\n  renormalize: false\n"
        "  sample_rate: ${sample_rate}\n"
        "seanet:\n  pad_mode: constant\n  causal: ${encodec.causal}\n"
    )
    path = tmp_path / "compression_state_dict.bin"
    state = torch.load(exported, weights_only=True)
    torch.save({"best_state": state, "xp.cfg": settings, "exported": True}, path)
    taken = import_model(path, "craft")
    assert "AudioCraft" in taken.layout
    assert taken.info.config["pad_mode"] == "constant"
    x = noise(0.3, 32000)
    assert torch.equal(load("craft").encode(x)[0], load("taken").encode(x)[0])


def test_language_model(tmp_path: Path) -> None:
    theirs = LMModel(n_q=32, card=1024, num_layers=5, dim=200, past_context=262).eval()
    path = tmp_path / "encodec_lm_24khz-1608e3c0.th"
    torch.save(theirs.state_dict(), path)
    assert import_model(path, "encodec_lm_24khz").info.config == EncodecLMConfig().to_dict()
    ours = load_any("encodec_lm_24khz")
    state = ours.initial_state()
    expected, _, _ = theirs(torch.zeros(1, 4, 1, dtype=torch.long))
    got, _ = ours.step(torch.zeros(1, 4, dtype=torch.long), state)
    assert torch.equal(got, expected[..., 0])

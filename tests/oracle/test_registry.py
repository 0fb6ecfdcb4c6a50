"""The registry's models at full size: their tools' tensors are ours, shape for shape."""

import pytest
import torch
from torch import nn

from ncodec.checkpoints import lookup
from ncodec.checkpoints.imports import difference
from ncodec.checkpoints.layouts import LAYOUTS
from ncodec.checkpoints.model_file import ModelInfo, build
from tests.oracle.reference import noise  # noqa: F401  (makes room for torchaudio)

import transformers as hf  # isort: skip
from encodec.model import EncodecModel, LMModel  # isort: skip

FACEBOOK_32 = {
    "sampling_rate": 32000,
    "num_filters": 64,
    "upsampling_ratios": [8, 5, 4, 4],
    "codebook_size": 2048,
    "use_causal_conv": False,
    "use_conv_shortcut": False,
    "target_bandwidths": [2.2],
}
FACEBOOK_48 = {
    "sampling_rate": 48000,
    "audio_channels": 2,
    "norm_type": "time_group_norm",
    "use_causal_conv": False,
    "normalize": True,
    "chunk_length_s": 1.0,
    "overlap": 0.01,
    "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
}


def dac(**options: object) -> nn.Module:
    return hf.DacModel(hf.DacConfig(**options))


MODELS = {
    ("encodec_24khz", "package"): lambda: EncodecModel.encodec_model_24khz(pretrained=False),
    ("encodec_48khz", "package"): lambda: EncodecModel.encodec_model_48khz(pretrained=False),
    ("encodec_24khz", "hub"): lambda: hf.EncodecModel(hf.EncodecConfig()),
    ("encodec_48khz", "hub"): lambda: hf.EncodecModel(hf.EncodecConfig(**FACEBOOK_48)),
    ("encodec_32khz", "hub"): lambda: hf.EncodecModel(hf.EncodecConfig(**FACEBOOK_32)),
    ("encodec_lm_24khz", "package"): lambda: LMModel(32, 1024, 200, past_context=262),
    ("encodec_lm_48khz", "package"): lambda: LMModel(16, 1024, 200, past_context=525),
    ("dac_44khz", "hub"): lambda: dac(sampling_rate=44100),
    ("dac_24khz", "hub"): lambda: dac(n_codebooks=32, downsampling_ratios=[2, 4, 5, 8]),
    ("dac_16khz", "hub"): lambda: dac(n_codebooks=12, downsampling_ratios=[2, 4, 5, 8]),
    ("mimi", "hub"): lambda: hf.MimiModel(hf.MimiConfig(frame_rate=12.5)),
}


@pytest.mark.parametrize("key", MODELS, ids=lambda key: "-".join(key))
def test_full_size(key: tuple[str, str]) -> None:
    """Without any config.json, as `pull` finds it."""
    entry = lookup(key[0])
    with torch.device("meta"):
        theirs = MODELS[key]().state_dict()
        layout = next(layout for layout in LAYOUTS if layout.matches(theirs))
        config, tensors = layout.read(theirs, {})
        assert difference(entry, layout.family, config) == ""
        ours = build(ModelInfo(entry.name, entry.family, entry.config))
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in tensors.items()
    }
    if hasattr(ours, "codebook_sizes"):
        assert ours.hop * ours.frame_rate == ours.sample_rate
        assert f"{round(max(ours.bandwidths), 2):g} kbps" in entry.summary


def test_16_kbps() -> None:
    """There is no package here to ask: the published configuration, by its sizes."""
    with torch.device("meta"):
        model = build(ModelInfo("x", "dac", lookup("dac_44khz_16kbps").config))
    assert model.total_codebooks == 18
    assert model.decoder.layers[0].weight.shape == (1536, 128, 7)
    assert model.bandwidths[-1] == pytest.approx(15.5, abs=0.01)

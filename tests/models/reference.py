"""The `encodec` package with random weights, and ours filled with the same."""

from __future__ import annotations

import sys
import types
from typing import Any

import torch
from torch import Tensor

from ncodec.checkpoints.layouts.common import fold_weight_norm
from ncodec.checkpoints.layouts.encodec_keys import to_own
from ncodec.config import EncodecConfig
from ncodec.models.encodec import EncodecModel

# The package imports torchaudio, which has no build for every torch, for file access alone.
sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))

STEREO = EncodecConfig(
    sample_rate=48000,
    channels=2,
    codebooks=16,
    norm="time_group_norm",
    causal=False,
    normalize=True,
    segment=1.0,
    bandwidths=(3.0, 6.0, 12.0, 24.0),
)
MUSIC = EncodecConfig(
    sample_rate=32000,
    filters=64,
    ratios=(8, 5, 4, 4),
    codebooks=4,
    bins=2048,
    causal=False,
    conv_shortcut=False,
    bandwidths=(2.2,),
)


def package_model(stereo: bool = False) -> Any:
    """Build the package's 24 kHz or 48 kHz model with random weights and scaled-up codebooks."""
    from encodec import EncodecModel as Package

    torch.manual_seed(0)
    build = Package.encodec_model_48khz if stereo else Package.encodec_model_24khz
    model = build(pretrained=False).eval()
    with torch.no_grad():
        for layer in model.quantizer.vq.layers:
            layer._codebook.embed.normal_(std=0.1)
            layer._codebook.inited.fill_(1)
    return model


def package_weights(model: Any, config: EncodecConfig) -> dict[str, Tensor]:
    """Return the package's weights under our keys."""
    folded = fold_weight_norm(dict(model.state_dict()))
    training = ("inited", "cluster_size", "embed_avg")
    return to_own(config, {k: v for k, v in folded.items() if not k.endswith(training)})


def ours(config: EncodecConfig, weights: dict[str, Tensor]) -> EncodecModel:
    """Build our model with the given weights."""
    model = EncodecModel(config)
    model.load_state_dict(weights)
    return model.eval()

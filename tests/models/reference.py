"""The `encodec` package with random weights, and ours filled with the same."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ncodec.checkpoints.layouts.common import fold_weight_norm
from ncodec.checkpoints.layouts.encodec_keys import to_own
from ncodec.config import EncodecConfig
from ncodec.models.encodec import EncodecModel
from tests.oracle.reference import randomise  # noqa: F401  (makes room for torchaudio)

import encodec  # isort: skip

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
    torch.manual_seed(0)
    build = encodec.EncodecModel.encodec_model_48khz
    if not stereo:
        build = encodec.EncodecModel.encodec_model_24khz
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


def hub_model(config: EncodecConfig) -> Any:
    """Build transformers' model of the same configuration with random weights."""
    from transformers import EncodecConfig as HubConfig
    from transformers import EncodecModel as HubModel

    torch.manual_seed(0)
    model = HubModel(
        HubConfig(
            sampling_rate=config.sample_rate,
            audio_channels=config.channels,
            num_filters=config.filters,
            upsampling_ratios=list(config.ratios),
            codebook_size=config.bins,
            norm_type=config.norm,
            use_causal_conv=config.causal,
            pad_mode=config.pad_mode,
            use_conv_shortcut=config.conv_shortcut,
            normalize=config.normalize,
            chunk_length_s=config.segment,
            overlap=config.overlap if config.segment else None,
            target_bandwidths=list(config.bandwidths),
        )
    ).eval()
    with torch.no_grad():
        for layer in model.quantizer.layers:
            layer.codebook.embed.normal_(std=0.1)
    return model

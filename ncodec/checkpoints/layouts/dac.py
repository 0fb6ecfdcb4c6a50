"""DAC: Descript's pickle of state dict and constructor arguments, and Hugging Face's folder.

Both are read by way of Descript's names with weight norm folded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ncodec.checkpoints.layouts.common import (
    Layout,
    Rules,
    Tensors,
    Written,
    count,
    fold_weight_norm,
    for_transformers,
    only_tensors,
    rename,
    shape,
    unfold_weight_norm,
)
from ncodec.config import DacConfig
from ncodec.errors import ArgumentError

_DESCRIPT_RATE = "sample_rate"
_HF_RATE = "sampling_rate"


def _matches_descript(content: Mapping[str, Any]) -> bool:
    state = content.get("state_dict", content)
    return (
        isinstance(state, Mapping)
        and any(key.startswith("quantizer.quantizers.0.in_proj") for key in state)
        and "encoder.block.0.bias" in state
    )


def _matches_hf(content: Mapping[str, Any]) -> bool:
    return "encoder.block.0.res_unit1.snake1.alpha" in content


def _read_descript(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    folded = fold_weight_norm(only_tensors(content.get("state_dict", content)))
    metadata = content.get("metadata")
    arguments = metadata.get("kwargs", {}) if isinstance(metadata, Mapping) else {}
    return _config(folded, arguments.get(_DESCRIPT_RATE)), _to_own(folded)


def _read_hf(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    folded = fold_weight_norm(only_tensors(content))
    blocks = count(folded, r"encoder\.block\.(\d+)\.conv1\.weight")
    descript = rename(folded, _from_hf(blocks))
    return _config(descript, beside.get(_HF_RATE)), _to_own(descript)


def _config(tensors: Tensors, sample_rate: object) -> dict[str, Any]:
    """Read the configuration off the shapes: configurations in circulation have wrong hops."""
    blocks = count(tensors, r"encoder\.block\.(\d+)\.block\.4\.weight") - 1
    bins, width = shape(tensors, "quantizer.quantizers.0.codebook.weight")
    strides = [
        shape(tensors, f"encoder.block.{i}.block.4.weight")[-1] // 2 for i in range(1, blocks + 1)
    ]
    config: dict[str, Any] = {
        "encoder_dim": shape(tensors, "encoder.block.0.weight")[0],
        "ratios": strides,
        "decoder_dim": shape(tensors, "decoder.model.0.weight")[0],
        "latent_dim": shape(tensors, "decoder.model.0.weight")[1],
        "codebooks": count(tensors, r"quantizer\.quantizers\.(\d+)\.codebook\.weight"),
        "bins": bins,
        "codebook_dim": width,
    }
    return config | ({"sample_rate": int(str(sample_rate))} if sample_rate else {})


_BLOCK = r"encoder\.block\.(\d+)\.block"
_MODEL = r"decoder\.model\.(\d+)\.block"
_DESCRIPT_TO_OWN: Rules = (
    (rf"{_BLOCK}\.(\d+)\.block\.(.*)", r"encoder.layers.\1.layers.\2.branch.layers.\3"),
    (rf"{_BLOCK}\.(.*)", r"encoder.layers.\1.layers.\2"),
    (r"encoder\.block\.(.*)", r"encoder.layers.\1"),
    (rf"{_MODEL}\.(\d+)\.block\.(.*)", r"decoder.layers.\1.layers.\2.branch.layers.\3"),
    (rf"{_MODEL}\.(.*)", r"decoder.layers.\1.layers.\2"),
    (r"decoder\.model\.(.*)", r"decoder.layers.\1"),
    (r"quantizer\.quantizers\.(\d+)\.codebook\.weight", r"quantizer.layers.\1.embed"),
    (r"quantizer\.quantizers\.(.*)", r"quantizer.layers.\1"),
)
_OWN_TO_DESCRIPT: Rules = (
    (
        r"encoder\.layers\.(\d+)\.layers\.(\d+)\.branch\.layers\.(.*)",
        r"encoder.block.\1.block.\2.block.\3",
    ),
    (r"encoder\.layers\.(\d+)\.layers\.(.*)", r"encoder.block.\1.block.\2"),
    (r"encoder\.layers\.(.*)", r"encoder.block.\1"),
    (
        r"decoder\.layers\.(\d+)\.layers\.(\d+)\.branch\.layers\.(.*)",
        r"decoder.model.\1.block.\2.block.\3",
    ),
    (r"decoder\.layers\.(\d+)\.layers\.(.*)", r"decoder.model.\1.block.\2"),
    (r"decoder\.layers\.(.*)", r"decoder.model.\1"),
    (r"quantizer\.layers\.(\d+)\.embed", r"quantizer.quantizers.\1.codebook.weight"),
    (r"quantizer\.layers\.(.*)", r"quantizer.quantizers.\1"),
)


def _to_own(descript: Tensors) -> Tensors:
    """The quantizer's 1 x 1 convolutions are linear maps here."""
    return {
        key: value.squeeze(-1) if "_proj.weight" in key else value
        for key, value in rename(descript, _DESCRIPT_TO_OWN).items()
    }


def _to_descript(own: Tensors) -> Tensors:
    return {
        key: value.unsqueeze(-1) if "_proj.weight" in key else value
        for key, value in rename(own, _OWN_TO_DESCRIPT).items()
    }


_UNIT = (("snake1", 0), ("conv1", 1), ("snake2", 2), ("conv2", 3))


def _pairs(blocks: int) -> list[tuple[str, str]]:
    """Return (Hugging Face's module, Descript's module) for a net of so many blocks."""
    pairs = [
        ("encoder.conv1", "encoder.block.0"),
        ("encoder.snake1", f"encoder.block.{blocks + 1}"),
        ("encoder.conv2", f"encoder.block.{blocks + 2}"),
        ("decoder.conv1", "decoder.model.0"),
        ("decoder.snake1", f"decoder.model.{blocks + 1}"),
        ("decoder.conv2", f"decoder.model.{blocks + 2}"),
    ]
    for i in range(blocks):
        hf, own = f"encoder.block.{i}", f"encoder.block.{i + 1}.block"
        pairs += [(f"{hf}.snake1", f"{own}.3"), (f"{hf}.conv1", f"{own}.4")]
        pairs += [
            (f"{hf}.res_unit{u + 1}.{name}", f"{own}.{u}.block.{j}")
            for u in range(3)
            for name, j in _UNIT
        ]
        hf, own = f"decoder.block.{i}", f"decoder.model.{i + 1}.block"
        pairs += [(f"{hf}.snake1", f"{own}.0"), (f"{hf}.conv_t1", f"{own}.1")]
        pairs += [
            (f"{hf}.res_unit{u + 1}.{name}", f"{own}.{u + 2}.block.{j}")
            for u in range(3)
            for name, j in _UNIT
        ]
    return pairs


def _from_hf(blocks: int) -> Rules:
    return tuple(
        (hf.replace(".", r"\.") + r"\.(weight|bias|alpha)", rf"{own}.\1")
        for hf, own in _pairs(blocks)
    )


def _to_hf(blocks: int) -> Rules:
    return tuple(
        (own.replace(".", r"\.") + r"\.(weight|bias|alpha)", rf"{hf}.\1")
        for hf, own in _pairs(blocks)
    )


def _write_descript(config: DacConfig, tensors: Tensors) -> Written:
    descript = _to_descript(tensors)
    stems = [key.removesuffix(".bias") for key in descript if key.endswith(".bias")]
    arguments = {
        "encoder_dim": config.encoder_dim,
        "encoder_rates": list(config.ratios),
        "latent_dim": config.latent_dim,
        "decoder_dim": config.decoder_dim,
        "decoder_rates": list(reversed(config.ratios)),
        "n_codebooks": config.codebooks,
        "codebook_size": config.bins,
        "codebook_dim": config.codebook_dim,
        "quantizer_dropout": False,
        _DESCRIPT_RATE: config.sample_rate,
    }
    state = unfold_weight_norm(descript, stems, old_spelling=True)
    return Written("weights.pth", {"state_dict": state, "metadata": {"kwargs": arguments}})


def _write_hf(config: DacConfig, tensors: Tensors) -> Written:
    if config.latent_dim != config.encoder_dim * 2 ** len(config.ratios):
        raise ArgumentError(
            f"latents of {config.latent_dim} channels: Hugging Face's DAC has as many as its "
            f"encoder's last layer; the layout dac takes any"
        )
    beside = {
        "architectures": ["DacModel"],
        "model_type": "dac",
        "encoder_hidden_size": config.encoder_dim,
        "downsampling_ratios": list(config.ratios),
        "upsampling_ratios": list(reversed(config.ratios)),
        "decoder_hidden_size": config.decoder_dim,
        "hidden_size": config.latent_dim,
        "n_codebooks": config.codebooks,
        "codebook_size": config.bins,
        "codebook_dim": config.codebook_dim,
        "quantizer_dropout": 0.0,
        _HF_RATE: config.sample_rate,
    }
    state = rename(_to_descript(tensors), _to_hf(len(config.ratios)))
    hop = math.prod(config.ratios)
    return for_transformers(state, beside, "DacFeatureExtractor", hop_length=hop)


DAC = Layout(
    name="dac",
    description="DAC (descript-audio-codec)",
    family="dac",
    matches=_matches_descript,
    read=_read_descript,
    write=_write_descript,
)
HF_DAC = Layout(
    name="hf",
    description="DAC (Hugging Face)",
    family="dac",
    matches=_matches_hf,
    read=_read_hf,
    write=_write_hf,
)

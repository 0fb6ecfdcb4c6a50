"""EnCodec: the `encodec` package, AudioCraft, Hugging Face, and the package's language models.

All go by way of the `encodec` package's keys, weight norm folded, and a codebook's table only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import yaml

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
from ncodec.checkpoints.layouts.encodec_keys import to_own, to_package
from ncodec.config import EncodecConfig, EncodecLMConfig
from ncodec.errors import CheckpointError
from ncodec_formats.bitrate import kbps

_EMBED = "._codebook.embed"
_TRAINING_ONLY = ("._codebook.inited", "._codebook.cluster_size", "._codebook.embed_avg")


def _is_encodec(content: Mapping[str, Any]) -> bool:
    return f"quantizer.vq.layers.0{_EMBED}" in content


def _is_audiocraft(content: Mapping[str, Any]) -> bool:
    state = content.get("best_state")
    return isinstance(state, Mapping) and _is_encodec(state.get("model", state))


def _is_hf(content: Mapping[str, Any]) -> bool:
    return "quantizer.layers.0.codebook.embed" in content


def _is_lm(content: Mapping[str, Any]) -> bool:
    return "transformer.layers.0.self_attn.in_proj_weight" in content and "emb.0.weight" in content


def _read_encodec(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    """The package has two kinds: a causal one, and one of normalised stereo segments."""
    tensors = _package_tensors(content)
    config = _config(tensors)
    if config["norm"] == "time_group_norm":
        config |= {"sample_rate": 48000, "causal": False, "normalize": True, "segment": 1.0}
    else:
        config |= {"sample_rate": 24000}
    return _with_own_keys(config | {"bandwidths": _bandwidths(config)}, tensors)


def _read_audiocraft(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    state = content["best_state"]
    tensors = _package_tensors(state.get("model", state))
    try:
        settings: dict[str, Any] = yaml.safe_load(content["xp.cfg"])
        seanet, encodec = settings["seanet"], settings["encodec"]
        config = _config(tensors) | {
            "sample_rate": int(settings["sample_rate"]),
            "causal": bool(encodec["causal"]),
            "normalize": bool(encodec.get("renormalize", False)),
            "pad_mode": str(seanet["pad_mode"]),
        }
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"AudioCraft checkpoint with unreadable xp.cfg: {error!r}") from error
    return _with_own_keys(config | {"bandwidths": _bandwidths(config)}, tensors)


def _read_hf(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    tensors = _package_tensors(rename(only_tensors(content), _hf_to_package(content)))
    config = _config(tensors)
    # What config.json does not tell stays open: a known model of these sizes may settle it.
    told = {own: beside[theirs] for theirs, own in _HF_FIELDS if beside.get(theirs) is not None}
    if config["norm"] == "time_group_norm":
        config |= {"causal": False, "normalize": True, "segment": 1.0}
    return _with_own_keys(config | told, tensors)


_HF_FIELDS = (
    ("sampling_rate", "sample_rate"),
    ("use_causal_conv", "causal"),
    ("pad_mode", "pad_mode"),
    ("normalize", "normalize"),
    ("chunk_length_s", "segment"),
    ("overlap", "overlap"),
    ("target_bandwidths", "bandwidths"),
)


def _with_own_keys(config: dict[str, Any], tensors: Tensors) -> tuple[dict[str, Any], Tensors]:
    return config, to_own(EncodecConfig.from_dict(config), tensors)


def _package_tensors(content: Mapping[str, Any]) -> Tensors:
    folded = fold_weight_norm(only_tensors(content))
    return {key: value for key, value in folded.items() if not key.endswith(_TRAINING_ONLY)}


def _config(tensors: Tensors) -> dict[str, Any]:
    """Read off the shapes all that they tell."""
    strides: list[int] = []
    for i in range(count(tensors, r"decoder\.model\.(\d+)\.convtr\.convtr\.weight")):
        weight = tensors.get(f"decoder.model.{i}.convtr.convtr.weight")
        if weight is not None:
            strides.append(weight.shape[-1] // 2)
    filters, channels, _ = shape(tensors, "encoder.model.0.conv.conv.weight")
    bins, latent_dim = shape(tensors, f"quantizer.vq.layers.0{_EMBED}")
    grouped = "encoder.model.0.conv.norm.weight" in tensors
    return {
        "channels": channels,
        "filters": filters,
        "ratios": strides,
        "latent_dim": latent_dim,
        "lstm_layers": count(tensors, r"decoder\.model\.1\.lstm\.weight_ih_l(\d+)"),
        "codebooks": count(tensors, r"quantizer\.vq\.layers\.(\d+)\._codebook\.embed"),
        "bins": bins,
        "norm": "time_group_norm" if grouped else "weight_norm",
        "conv_shortcut": "encoder.model.1.shortcut.conv.conv.weight" in tensors,
    }


def _bandwidths(config: Mapping[str, Any]) -> list[float]:
    """Return the bitrates of 2, 4, 8, ... and of all codebooks: the released models' own."""
    frame_rate = config["sample_rate"] / math.prod(config["ratios"])
    numbers = {2**i for i in range(1, 7) if 2**i < config["codebooks"]} | {config["codebooks"]}
    return [kbps([config["bins"]] * n, 1, frame_rate) for n in sorted(numbers)]


_PLACE = r"((?:block\.\d+|shortcut)\.)?"  # within a residual block, or not
_PACKAGE_TO_HF: Rules = (
    (r"quantizer\.vq\.layers\.(\d+)\._codebook\.(.*)", r"quantizer.layers.\1.codebook.\2"),
    (r"decoder\.model\.(\d+)\.convtr\.convtr\.(.*)", r"decoder.layers.\1.conv.\2"),
    (r"decoder\.model\.(\d+)\.convtr\.norm\.(.*)", r"decoder.layers.\1.norm.\2"),
    (rf"(\w+)\.model\.(\d+)\.{_PLACE}conv\.(conv|norm)\.(.*)", r"\1.layers.\2.\3\4.\5"),
    (r"(\w+)\.model\.(\d+)\.lstm\.(.*)", r"\1.layers.\2.lstm.\3"),
)


def _hf_to_package(keys: Iterable[str]) -> Rules:
    """Transposed convolutions have no name of their own: they are neither first nor last."""
    direct = sorted(int(m[1]) for key in keys if (m := _DECODER_BIAS.fullmatch(key)))
    upsampling = "|".join(str(i) for i in direct[1:-1])
    return (
        (r"quantizer\.layers\.(\d+)\.codebook\.(.*)", r"quantizer.vq.layers.\1._codebook.\2"),
        (rf"decoder\.layers\.({upsampling})\.conv\.(.*)", r"decoder.model.\1.convtr.convtr.\2"),
        (rf"decoder\.layers\.({upsampling})\.norm\.(.*)", r"decoder.model.\1.convtr.norm.\2"),
        (rf"(\w+)\.layers\.(\d+)\.{_PLACE}(conv|norm)\.(.*)", r"\1.model.\2.\3conv.\4.\5"),
        (r"(\w+)\.layers\.(\d+)\.lstm\.(.*)", r"\1.model.\2.lstm.\3"),
    )


_DECODER_BIAS = re.compile(r"decoder\.layers\.(\d+)\.conv\.bias")


def _buffers(tensors: Tensors) -> Tensors:
    """Add what the tools keep of a codebook for training, as if each entry had been used once."""
    complete = dict(tensors)
    for key, embed in tensors.items():
        if key.endswith(_EMBED):
            stem = key.removesuffix("embed")
            complete[f"{stem}inited"] = torch.ones(1)
            complete[f"{stem}cluster_size"] = torch.ones(len(embed))
            complete[f"{stem}embed_avg"] = embed
    return complete


def _write_encodec(config: EncodecConfig, tensors: Tensors) -> Written:
    return Written(
        "model.th", _normed(config, _buffers(to_package(config, tensors)), old_spelling=True)
    )


def _write_audiocraft(config: EncodecConfig, tensors: Tensors) -> Written:
    """AudioCraft's names are the package's; what they do not tell stands in the settings."""
    settings = {
        "sample_rate": config.sample_rate,
        "channels": config.channels,
        "compression_model": "encodec",
        "encodec": {"causal": config.causal, "renormalize": config.normalize},
        "seanet": {
            "ratios": list(config.ratios),
            "n_filters": config.filters,
            "dimension": config.latent_dim,
            "pad_mode": config.pad_mode,
            "true_skip": not config.conv_shortcut,
            "lstm": config.lstm_layers,
        },
        "rvq": {"n_q": config.codebooks, "bins": config.bins},
    }
    content = {
        "best_state": _write_encodec(config, tensors).content,
        "xp.cfg": yaml.safe_dump(settings, sort_keys=False),
        "version": "1.3.0",
        "exported": True,
    }
    return Written("compression_state_dict.bin", content)


def _write_hf(config: EncodecConfig, tensors: Tensors) -> Written:
    state = rename(
        _normed(config, _buffers(to_package(config, tensors)), old_spelling=False), _PACKAGE_TO_HF
    )
    beside = {
        "architectures": ["EncodecModel"],
        "model_type": "encodec",
        "sampling_rate": config.sample_rate,
        "audio_channels": config.channels,
        "num_filters": config.filters,
        "upsampling_ratios": list(config.ratios),
        "hidden_size": config.latent_dim,
        "codebook_dim": config.latent_dim,
        "num_lstm_layers": config.lstm_layers,
        "codebook_size": config.bins,
        "norm_type": config.norm,
        "use_causal_conv": config.causal,
        "pad_mode": config.pad_mode,
        "use_conv_shortcut": config.conv_shortcut,
        "normalize": config.normalize,
        "chunk_length_s": config.segment,
        "overlap": config.overlap if config.segment else None,
        "target_bandwidths": list(config.bandwidths),
    }
    chunks = {"chunk_length_s": beside["chunk_length_s"], "overlap": beside["overlap"]}
    return for_transformers(state, beside, "EncodecFeatureExtractor", **chunks)


def _normed(config: EncodecConfig, tensors: Tensors, *, old_spelling: bool) -> Tensors:
    if config.norm != "weight_norm":
        return tensors
    ends = (".conv.conv.weight", ".convtr.convtr.weight")
    stems = [key.removesuffix(".weight") for key in tensors if key.endswith(ends)]
    return unfold_weight_norm(tensors, stems, old_spelling=old_spelling)


def _read_lm(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    tensors = only_tensors(content)
    bins, dim = shape(tensors, "linears.0.weight")
    codebooks = count(tensors, r"emb\.(\d+)\.weight")
    # The context is 3.5 s: 75 frames a second for the model of 32 codebooks, 150 for the other.
    config = EncodecLMConfig(
        codebooks=codebooks,
        bins=bins,
        dim=dim,
        layers=count(tensors, r"transformer\.layers\.(\d+)\.linear1\.weight"),
        past_context=525 if codebooks == 16 else 262,
    )
    return config.to_dict(), tensors


def _write_lm(config: EncodecLMConfig, tensors: Tensors) -> Written:
    return Written("model.th", tensors)


ENCODEC = Layout(
    name="encodec",
    description="EnCodec (the encodec package)",
    family="encodec",
    matches=_is_encodec,
    read=_read_encodec,
    write=_write_encodec,
)
AUDIOCRAFT = Layout(
    name="audiocraft",
    description="EnCodec (AudioCraft, compression_state_dict.bin)",
    family="encodec",
    matches=_is_audiocraft,
    read=_read_audiocraft,
    write=_write_audiocraft,
)
HF_ENCODEC = Layout(
    name="hf",
    description="EnCodec (Hugging Face)",
    family="encodec",
    matches=_is_hf,
    read=_read_hf,
    write=_write_hf,
)
ENCODEC_LM = Layout(
    name="encodec",
    description="EnCodec's language model (the encodec package)",
    family="encodec_lm",
    matches=_is_lm,
    read=_read_lm,
    write=_write_lm,
)

"""Mimi in Hugging Face's layout: kyutai/mimi's flat keys and the nested ones of newer versions.

Both are read by way of the flat keys, each codebook as one table instead of sums and counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

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
    two_ways,
)
from ncodec.config import MimiConfig

_FLATTEN = (
    (r"encoder\.encoder_seanet\.(.*)", r"encoder.\1"),
    (r"encoder\.(encoder_transformer|downsample)\.(.*)", r"\1.\2"),
    (r"decoder\.decoder_seanet\.(.*)", r"decoder.\1"),
    (r"decoder\.(decoder_transformer|upsample)\.(.*)", r"\1.\2"),
)
_SEMANTIC = "quantizer.semantic_residual_vector_quantizer"
_ACOUSTIC = "quantizer.acoustic_residual_vector_quantizer"
_LEAST_USE = 1e-5  # below which a codebook entry counts as unused (transformers, MimiConfig)


def _matches(content: Mapping[str, Any]) -> bool:
    return f"{_SEMANTIC}.input_proj.weight" in content


def _read(content: Mapping[str, Any], beside: Mapping[str, Any]) -> tuple[dict[str, Any], Tensors]:
    tensors = rename(fold_weight_norm(only_tensors(content)), _FLATTEN)
    for key in [key for key in tensors if key.endswith(".codebook.embed_sum")]:
        stem = key.removesuffix("_sum")
        use = tensors.pop(stem.removesuffix("embed") + "cluster_usage")
        tensors[stem] = tensors.pop(key) / use.clamp(min=_LEAST_USE)[:, None]
        tensors.pop(stem.removesuffix("embed") + "initialized", None)
    own = rename(tensors, _FLAT_TO_OWN)
    return _config(tensors, beside), {
        key: value.squeeze(-1) if re.search(r"\.(input|output)\.weight$", key) else value
        for key, value in own.items()
    }


_SIDES = (("encoder", 0, 1), ("decoder", 2, 1))  # name, place of the SEANet, of the transformer
_MODULES = (
    ("self_attn.q_proj", "query"),
    ("self_attn.k_proj", "key"),
    ("self_attn.v_proj", "value"),
    ("self_attn.o_proj", "output"),
    ("input_layernorm", "attention_norm"),
    ("post_attention_layernorm", "feed_norm"),
    ("mlp.fc1", "feed_in"),
    ("mlp.fc2", "feed_out"),
)
_SCALES = (("self_attn_layer_scale", "attention_scale"), ("mlp_layer_scale", "feed_scale"))


def _both_ways() -> tuple[Rules, Rules]:
    """Return the rules from the flat keys to ours and back."""
    pairs = [
        ("downsample.conv.weight", "encoder.layers.2.weight"),
        ("upsample.conv.weight", "decoder.layers.0.weight"),
    ]
    for kind in ("semantic", "acoustic"):
        flat, own = f"quantizer.{kind}_residual_vector_quantizer", f"quantizer.{kind}"
        pairs += [
            (f"{flat}.input_proj.weight", f"{own}.input.weight"),
            (f"{flat}.output_proj.weight", f"{own}.output.weight"),
            (f"{flat}.layers.#.codebook.embed", f"{own}.rvq.layers.#.embed"),
        ]
    for side, seanet, transformer in _SIDES:
        own = f"{side}.layers.{seanet}.layers.#"
        pairs += [
            (f"{side}.layers.#.block.#.conv.$", f"{own}.branch.layers.#.$"),
            (f"{side}.layers.#.conv.$", f"{own}.$"),
        ]
        flat = f"{side}_transformer.layers.#"
        own = f"{side}.layers.{transformer}.layers.#"
        pairs += [(f"{flat}.{a}.$", f"{own}.{b}.$") for a, b in _MODULES]
        pairs += [(f"{flat}.{a}.scale", f"{own}.{b}") for a, b in _SCALES]
    return two_ways(pairs)


_FLAT_TO_OWN, _OWN_TO_FLAT = _both_ways()


def _config(tensors: Tensors, beside: Mapping[str, Any]) -> dict[str, Any]:
    """Read the configuration off the shapes; what has none is the released model's if not told."""
    last = count(tensors, r"decoder\.layers\.(\d+)\.conv\.weight") - 1
    ratios = [shape(tensors, f"decoder.layers.{i}.conv.weight")[-1] // 2 for i in range(2, last, 3)]
    semantic = count(tensors, rf"{_SEMANTIC}\.layers\.(\d+)\.codebook\.embed")
    acoustic = count(tensors, rf"{_ACOUSTIC}\.layers\.(\d+)\.codebook\.embed")
    bins, width = shape(tensors, f"{_SEMANTIC}.layers.0.codebook.embed")
    rope: Mapping[str, Any] = beside.get("rope_parameters") or {}
    return {
        "sample_rate": beside.get("sampling_rate", 24000),
        "filters": shape(tensors, "encoder.layers.0.conv.weight")[0],
        "ratios": ratios,
        "latent_dim": shape(tensors, "decoder.layers.0.conv.weight")[1],
        "frame_stride": shape(tensors, "downsample.conv.weight")[-1] // 2,
        "layers": count(tensors, r"encoder_transformer\.layers\.(\d+)\.mlp\.fc1\.weight"),
        "heads": beside.get("num_attention_heads", 8),
        "feed_forward": shape(tensors, "encoder_transformer.layers.0.mlp.fc1.weight")[0],
        "context": beside.get("sliding_window", 250),
        "rope_period": rope.get("rope_theta", beside.get("rope_theta", 10000.0)),
        "codebooks": semantic + acoustic,
        "semantic_codebooks": semantic,
        "bins": bins,
        "codebook_dim": width,
    }


def _write(config: MimiConfig, tensors: Tensors) -> Written:
    state: Tensors = {}
    for key, value in rename(tensors, _OWN_TO_FLAT).items():
        if key.endswith(".codebook.embed"):
            stem = key.removesuffix("embed")
            state[f"{stem}embed_sum"] = value
            state[f"{stem}cluster_usage"] = torch.ones(config.bins)
            state[f"{stem}initialized"] = torch.ones(1)
        else:
            linear = key.endswith("put_proj.weight")
            state[key] = value.unsqueeze(-1) if linear else value
    return for_transformers(state, _hf_config(config), "EncodecFeatureExtractor")


def _hf_config(config: MimiConfig) -> dict[str, Any]:
    hop = config.frame_stride
    for ratio in config.ratios:
        hop *= ratio
    return {
        "architectures": ["MimiModel"],
        "model_type": "mimi",
        "sampling_rate": config.sample_rate,
        "frame_rate": config.sample_rate / hop,
        "num_filters": config.filters,
        "upsampling_ratios": list(config.ratios),
        "hidden_size": config.latent_dim,
        "upsample_groups": config.latent_dim,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.latent_dim // config.heads,
        "intermediate_size": config.feed_forward,
        "sliding_window": config.context,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_period},
        "num_quantizers": config.codebooks,
        "num_semantic_quantizers": config.semantic_codebooks,
        "codebook_size": config.bins,
        "codebook_dim": config.codebook_dim,
        "vector_quantization_hidden_dimension": config.codebook_dim,
        "pad_mode": "constant",
        "use_causal_conv": True,
        "use_conv_shortcut": False,
    }


HF_MIMI = Layout(
    name="hf",
    description="Mimi (Hugging Face)",
    family="mimi",
    matches=_matches,
    read=_read,
    write=_write,
)

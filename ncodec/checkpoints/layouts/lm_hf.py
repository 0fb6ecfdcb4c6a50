"""MusicGen of Hugging Face: one file with the text encoder, the codec and the decoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ncodec.checkpoints.layouts.common import (
    Joined,
    Parts,
    Tensors,
    Written,
    count,
    only_tensors,
    rename,
    shape,
    two_ways,
)
from ncodec.errors import CheckpointError
from ncodec.models.lm_config import LMConfig

_TO_AUDIOCRAFT, _FROM_AUDIOCRAFT = two_ways(
    [
        ("model.decoder.embed_tokens.#.weight", "emb.#.weight"),
        (
            "model.decoder.layers.#.self_attn.$_proj.weight",
            "transformer.layers.#.self_attn.$_proj.weight",
        ),
        (
            "model.decoder.layers.#.encoder_attn.$_proj.weight",
            "transformer.layers.#.cross_attention.$_proj.weight",
        ),
        ("model.decoder.layers.#.self_attn_layer_norm.$", "transformer.layers.#.norm1.$"),
        ("model.decoder.layers.#.encoder_attn_layer_norm.$", "transformer.layers.#.norm_cross.$"),
        ("model.decoder.layers.#.final_layer_norm.$", "transformer.layers.#.norm2.$"),
        ("model.decoder.layers.#.fc1.weight", "transformer.layers.#.linear1.weight"),
        ("model.decoder.layers.#.fc2.weight", "transformer.layers.#.linear2.weight"),
        ("model.decoder.layer_norm.$", "out_norm.$"),
        ("lm_heads.#.weight", "linears.#.weight"),
        ("enc_to_dec_proj.$", "condition_provider.conditioners.description.output_proj.$"),
    ]
)
_ATTENTIONS = ("self_attn", "cross_attention")
_TOKENIZER = (
    *("tokenizer.json", "spiece.model", "tokenizer_config.json", "special_tokens_map.json"),
    "added_tokens.json",
)
_PROJECTED = "condition_provider.conditioners.description.output_proj.weight"


def matches(content: Mapping[str, Any]) -> bool:
    """Say whether it is MusicGen, whole or the decoder alone."""
    key = "model.decoder.embed_tokens.0.weight"
    return f"decoder.{key}" in content or (key in content and "lm_heads.0.weight" in content)


def read(content: Mapping[str, Any], beside: Mapping[str, Any]) -> tuple[dict[str, Any], Tensors]:
    """Return the configuration, and the decoder's weights under AudioCraft's names."""
    if beside.get("model_type") == "musicgen_melody" or "audio_enc_to_dec_proj.weight" in content:
        raise CheckpointError(
            "is MusicGen melody, conditioned on the chroma of a recording: AudioGen and MusicGen "
            "of text can be read, this cannot"
        )
    own = {
        key.removeprefix("decoder."): value
        for key, value in content.items()
        if not key.startswith(("audio_encoder.", "text_encoder."))
        and not key.endswith("embed_positions.weights")
    }
    tensors = _packed(rename(only_tensors(own), _TO_AUDIOCRAFT))
    decoder = beside.get("decoder") or (beside if "num_attention_heads" in beside else None)
    if decoder is None:
        raise CheckpointError("needs the config.json that belongs beside it")
    if decoder.get("scale_embedding") or decoder.get("activation_function", "gelu") != "gelu":
        raise CheckpointError("has scaled embeddings or an activation that no MusicGen has")
    return _config(decoder, beside, tensors), tensors


def _config(
    decoder: Mapping[str, Any], beside: Mapping[str, Any], tensors: Tensors
) -> dict[str, Any]:
    rows, dim = shape(tensors, "emb.0.weight")
    books, channels = count(tensors, r"emb\.(\d+)\.weight"), int(decoder.get("audio_channels", 1))
    codec, text = beside.get("audio_encoder") or {}, beside.get("text_encoder") or {}
    hop = 1
    for ratio in codec.get("upsampling_ratios", [8, 5, 4, 4]):
        hop *= int(ratio)
    return {
        "codebooks": books,
        "bins": rows - 1,
        "dim": dim,
        "heads": int(decoder["num_attention_heads"]),
        "layers": count(tensors, r"transformer\.layers\.(\d+)\..*"),
        "feed_forward": shape(tensors, "transformer.layers.0.linear1.weight")[0],
        "delays": [k // channels for k in range(books)],
        "text_encoder": str(text.get("_name_or_path") or "t5-base"),
        "text_width": shape(tensors, _PROJECTED)[1] if _PROJECTED in tensors else dim,
        "projection": _PROJECTED in tensors,
        "sample_rate": int(codec.get("sampling_rate", 32000)),
        "hop": hop,
        "channels": channels,
    }


def _packed(tensors: Tensors) -> Tensors:
    """Join queries, keys and values as AudioCraft has them."""
    packed = dict(tensors)
    for layer in range(count(tensors, r"transformer\.layers\.(\d+)\..*")):
        for kind in _ATTENTIONS:
            stem = f"transformer.layers.{layer}.{kind}"
            parts = [packed.pop(f"{stem}.{part}_proj.weight") for part in "qkv"]
            packed[f"{stem}.in_proj_weight"] = torch.cat(parts)
    return packed


def _unpacked(tensors: Tensors) -> Tensors:
    unpacked = dict(tensors)
    for layer in range(count(tensors, r"transformer\.layers\.(\d+)\..*")):
        for kind in _ATTENTIONS:
            stem = f"transformer.layers.{layer}.{kind}"
            parts = unpacked.pop(f"{stem}.in_proj_weight").chunk(3)
            for name, part in zip("qkv", parts, strict=True):
                unpacked[f"{stem}.{name}_proj.weight"] = part
    return unpacked


def parts(content: Mapping[str, Any], beside: Mapping[str, Any], folder: Path) -> Parts:
    """Return the codec and the text encoder, if they are in the file."""

    def within(prefix: str) -> dict[str, Any]:
        return {k.removeprefix(prefix): v for k, v in content.items() if k.startswith(prefix)}

    codec, text = within("audio_encoder."), within("text_encoder.")
    found = {name: folder / name for name in _TOKENIZER if (folder / name).is_file()}
    return Parts(
        codec=(codec, beside.get("audio_encoder") or {}) if codec else None,
        text=(text, beside.get("text_encoder") or {}) if text else None,
        tokenizer={name: path.read_bytes() for name, path in found.items()} if text else {},
    )


def write(config: LMConfig, tensors: Tensors) -> Written:
    """Write the decoder under its names; `join` adds the codec and the text encoder."""
    if not _has_place(config):
        raise CheckpointError("transformers' MusicGen has no such pattern, position or condition")
    renamed = rename(_unpacked(tensors), _FROM_AUDIOCRAFT)
    state = {
        key if key.startswith("enc_to_dec_proj.") else f"decoder.{key}": value
        for key, value in renamed.items()
    }
    whole = {
        "model_type": "musicgen",
        "architectures": ["MusicgenForConditionalGeneration"],
        "decoder": _decoder(config),
        "is_encoder_decoder": True,
    }
    generation = {
        "bos_token_id": config.bins,
        "pad_token_id": config.bins,
        "decoder_start_token_id": config.bins,
        "do_sample": True,
        "guidance_scale": config.guidance,
        "top_k": 250,
        "max_length": config.frames(config.window),
    }
    beside = {"config.json": whole, "generation_config.json": generation}
    return Written("model.safetensors", state, beside)


def _has_place(config: LMConfig) -> bool:
    """Say whether transformers' MusicGen can be such a model."""
    return (
        config.pattern == "delay"
        and config.position == "sin"
        and config.period == 10000.0
        and config.condition == "text"
        and not (config.flatten_first or config.empty_initial)
        and list(config.delays) == [k // config.channels for k in range(config.codebooks)]
    )


def _decoder(config: LMConfig) -> dict[str, Any]:
    return {
        "model_type": "musicgen_decoder",
        "vocab_size": config.bins,
        "hidden_size": config.dim,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "ffn_dim": config.feed_forward,
        "num_codebooks": config.codebooks,
        "audio_channels": config.channels,
        "activation_function": "gelu",
        "scale_embedding": False,
        "pad_token_id": config.bins,
        "bos_token_id": config.bins,
    }


def join(written: Written, joined: Joined) -> Written:
    """Add the codec and the text encoder, as the composite model has them.

    Raises:
        CheckpointError: The text encoder is not on this machine.
    """
    if joined.text is None:
        raise CheckpointError(
            "its text encoder is not kept with it, and belongs in a Hugging Face folder; "
            "import it from one, or export --layout audiocraft"
        )
    codec_state, codec_config = joined.codec
    text_state, text_config = joined.text
    state = {
        **written.content,
        **{f"audio_encoder.{key}": value for key, value in codec_state.items()},
        **{f"text_encoder.{key}": value for key, value in text_state.items()},
    }
    whole = {
        **written.beside["config.json"],
        "audio_encoder": dict(codec_config),
        "text_encoder": dict(text_config),
    }
    preprocessor = {
        "feature_extractor_type": "EncodecFeatureExtractor",
        "feature_size": 1,
        "sampling_rate": codec_config["sampling_rate"],
        "padding_side": "left",
        "padding_value": 0.0,
        "return_attention_mask": True,
    }
    return Written(
        written.file,
        state,
        {**written.beside, "config.json": whole, "preprocessor_config.json": preprocessor},
        dict(joined.tokenizer),
    )

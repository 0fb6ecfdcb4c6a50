"""Language models over codes: AudioCraft's `state_dict.bin`, and MusicGen of Hugging Face.

Both go by way of AudioCraft's names. What is no text-to-sound model is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from ncodec.checkpoints.layouts import lm_hf
from ncodec.checkpoints.layouts.common import (
    Layout,
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

_FROM_AUDIOCRAFT, _TO_AUDIOCRAFT = two_ways(
    [
        ("out_norm.$", "transformer.out_norm.$"),
        (
            "transformer.layers.#.self_attn.in_proj_weight",
            "transformer.layers.#.self_attn.in_proj.weight",
        ),
        (
            "transformer.layers.#.cross_attention.out_proj.weight",
            "transformer.layers.#.cross_attn.out_proj.weight",
        ),
        ("condition_provider.conditioners.description.output_proj.$", "text_projection.$"),
    ]
)
_CROSS = "transformer.layers.{}.cross_attention.in_proj_weight"
_OWN_CROSS = "transformer.layers.{}.cross_attn.{}.weight"
_PROJECTION = "condition_provider.conditioners.description.output_proj.weight"
_POINTED = "compression_state_dict.bin"


def _state(content: Mapping[str, Any]) -> Mapping[str, Any]:
    state = content.get("best_state") or content.get("fsdp_best_state") or {}
    return state.get("model", state) if isinstance(state, Mapping) else {}


def _is_audiocraft(content: Mapping[str, Any]) -> bool:
    """JASCO's have no tables of codes: their settings tell."""
    state, settings = _state(content), content.get("xp.cfg")
    named = isinstance(settings, str) and "lm_model:" in settings
    return "emb.0.weight" in state or (named and not any(k.startswith("quantizer.") for k in state))


def _read_audiocraft(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    try:
        settings = yaml.safe_load(content["xp.cfg"])
        assert isinstance(settings, dict)
    except (KeyError, AssertionError, yaml.YAMLError, AttributeError) as error:
        raise CheckpointError(f"AudioCraft checkpoint with unreadable xp.cfg: {error!r}") from error
    state = _state(content)
    _refuse_others(settings, state)
    tensors = {key.replace(".mha.", "."): value for key, value in only_tensors(state).items()}
    return _config(settings, tensors), to_own(tensors)


_OTHERS = {
    "chroma_stem": "MusicGen melody, conditioned on the chroma of a recording",
    "style": "MusicGen style, conditioned on a recording",
    "clap": "a model conditioned by CLAP",
}


_USUAL: Mapping[str, Any] = {
    "norm_first": True,
    "positional_embedding": "sin",
    "past_context": None,
    "layer_scale": None,
    "activation": "gelu",
    "kv_repeat": 1,
}
"""What all published models have."""


def _refuse_others(settings: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Raise of what is no text-to-sound model with a decoder transformer.

    Raises:
        CheckpointError: It is one of the others; the message has its name.
    """
    kind = str(settings.get("lm_model", "transformer_lm"))
    if "magnet" in kind:
        _refuse("MAGNeT, which fills masks and makes no sound in order")
    if "flow_matching" in kind:
        _refuse("JASCO, a flow in the codec's latents and no language model")
    for model in _conditioners(settings):
        if model in _OTHERS:
            _refuse(_OTHERS[model])
    if any(".self_wav." in key for key in state):
        _refuse(_OTHERS["chroma_stem"])
    fuser = _block(settings, "fuser")
    for way in ("prepend", "sum", "input_interpolate"):
        if fuser.get(way):
            _refuse(f"a model whose conditions go in by {way!r}")
    lm = _block(settings, "transformer_lm")
    for field, value in _USUAL.items():
        if lm.get(field, value) != value:
            _refuse(f"a model with {field} {lm[field]!r}, where published ones have {value!r}")


def _conditioners(settings: Mapping[str, Any]) -> list[str]:
    """Return the kinds of a model's conditioners."""
    blocks = _block(settings, "conditioners").items()
    return [str(x.get("model")) for name, x in blocks if name != "args" and isinstance(x, dict)]


def _block(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a block of the settings; an empty one if it is not there, or null."""
    block = settings.get(name)
    return block if isinstance(block, Mapping) else {}


def _refuse(what: str) -> None:
    raise CheckpointError(f"is {what}: AudioGen and MusicGen of text can be read, this cannot")


def _config(settings: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    """Read off the shapes what they tell, and the rest off the settings."""
    rows, dim = shape(tensors, "emb.0.weight")
    books = count(tensors, r"emb\.(\d+)\.weight")
    stereo = _block(settings, "interleave_stereo_codebooks")
    if stereo.get("per_timestep"):
        _refuse("a stereo model whose channels take turns in time")
    lm = _block(settings, "transformer_lm")
    conditioner = _block(_block(settings, "conditioners"), "description")
    crossed = "transformer.layers.0.cross_attention.in_proj_weight" in tensors
    return {
        "codebooks": books,
        "bins": rows - 1,
        "dim": dim,
        "heads": int(lm["num_heads"]),
        "layers": count(tensors, r"transformer\.layers\.(\d+)\..*"),
        "feed_forward": shape(tensors, "transformer.layers.0.linear1.weight")[0],
        "period": float(lm.get("max_period", 10000.0)),
        "condition": "text" if crossed else "none",
        "text_encoder": str(_block(conditioner, "t5").get("name", "t5-base")),
        "text_width": shape(tensors, _PROJECTION)[1] if _PROJECTION in tensors else dim,
        "projection": _PROJECTION in tensors,
        "channels": 2 if stereo.get("use") else 1,
        **_pattern(settings, books),
        **_generation(settings),
    }


def _generation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return rates, windows and defaults. All published models have 50 frames a second."""
    sample_rate = int(settings.get("sample_rate", 32000))
    window = float(_block(settings, "dataset").get("segment_duration", 30.0))
    sound = settings.get("solver") == "audiogen" or sample_rate == 16000
    guidance = _block(settings, "classifier_free_guidance").get("inference_coef", 3.0)
    return {
        "sample_rate": sample_rate,
        "hop": sample_rate // 50,
        "window": window,
        "stride": 2.0 if sound and window > 2 else 0.6 * window,  # AudioCraft: 2 of 10, 18 of 30
        "guidance": float(guidance),
        "style": "sound" if sound else "music",
        "codec": "encodec_16khz" if sample_rate == 16000 else "encodec_32khz",
    }


def _pattern(settings: Mapping[str, Any], books: int) -> dict[str, Any]:
    """Return the pattern's fields; old files have only the delays 0 to K - 1."""
    patterns = _block(settings, "codebooks_pattern")
    name = str(patterns.get("modeling") or "delay")
    block = _block(patterns, name)
    fields: dict[str, Any] = {"pattern": name, "delays": list(range(books))}
    if name == "delay":
        fields["flatten_first"] = int(block.get("flatten_first", 0))
        fields["empty_initial"] = int(block.get("empty_initial", 0))
    if name == "musiclm":
        fields["group"] = int(block.get("group_by", 2))
    if name in ("unroll", "coarse_first"):
        fields["delays"] = [0] * (books - (name == "coarse_first"))
    if name == "unroll":
        fields["flattening"] = list(block.get("flattening") or range(books))
    if block.get("delays"):
        fields["delays"] = list(block["delays"])
    return fields


def to_own(tensors: Tensors) -> Tensors:
    """Return AudioCraft's tensors under ncodec's names."""
    own = rename(tensors, _FROM_AUDIOCRAFT)
    for layer in range(count(tensors, r"transformer\.layers\.(\d+)\..*")):
        packed = own.pop(_CROSS.format(layer), None)
        if packed is not None:
            width = packed.shape[1]
            own[_OWN_CROSS.format(layer, "query")] = packed[:width]
            own[_OWN_CROSS.format(layer, "key_value")] = packed[width:]
    return own


def to_audiocraft(tensors: Tensors) -> Tensors:
    """Undo `to_own`."""
    theirs = dict(tensors)
    for layer in range(count(tensors, r"transformer\.layers\.(\d+)\..*")):
        keys = [_OWN_CROSS.format(layer, part) for part in ("query", "key_value")]
        if keys[0] in theirs:
            theirs[_CROSS.format(layer)] = torch.cat([theirs.pop(key) for key in keys])
    return rename(theirs, _TO_AUDIOCRAFT)


def _audiocraft_parts(content: Mapping[str, Any], beside: Mapping[str, Any], folder: Path) -> Parts:
    """The codec stands in a file beside: its weights, or its name on the hub."""
    from ncodec.checkpoints.pickles import read_tensors

    file = folder / _POINTED
    if not file.is_file():
        return Parts()
    codec = read_tensors(file)
    if isinstance(codec.get("pretrained"), str):
        return Parts(codec_name=str(codec["pretrained"]))
    return Parts(codec=(codec, {}))


def _write_audiocraft(config: LMConfig, tensors: Tensors) -> Written:
    lm = {
        "dim": config.dim,
        "num_heads": config.heads,
        "num_layers": config.layers,
        "hidden_scale": config.feed_forward // config.dim,
        "n_q": config.codebooks,
        "card": config.bins,
        "norm_first": True,
        "bias_ff": False,
        "bias_attn": False,
        "bias_proj": False,
        "activation": "gelu",
        "positional_embedding": config.position,
        "past_context": None,
    }
    settings = {
        "solver": "audiogen" if config.style == "sound" else "musicgen",
        "lm_model": "transformer_lm",
        "sample_rate": config.sample_rate,
        "channels": config.channels,
        "transformer_lm": lm,
        "codebooks_pattern": {"modeling": config.pattern, config.pattern: _pattern_block(config)},
        "conditioners": {
            "description": {"model": "t5", "t5": {"name": config.text_encoder, "finetune": False}}
        },
        "fuser": {"cross": ["description"], "prepend": [], "sum": [], "input_interpolate": []},
        "classifier_free_guidance": {"inference_coef": config.guidance},
        "dataset": {"segment_duration": config.window},
        "interleave_stereo_codebooks": {"use": config.channels == 2, "per_timestep": False},
    }
    content = {
        "best_state": to_audiocraft(tensors),
        "xp.cfg": yaml.safe_dump(settings, sort_keys=False),
        "version": "1.3.0",
        "exported": True,
    }
    return Written("state_dict.bin", content)


def _pattern_block(config: LMConfig) -> dict[str, Any]:
    block: dict[str, Any] = {"delays": list(config.delays)}
    if config.pattern == "delay":
        block |= {"flatten_first": config.flatten_first, "empty_initial": config.empty_initial}
    if config.pattern == "unroll":
        block |= {"flattening": list(config.flattening)}
    if config.pattern in ("musiclm", "parallel"):
        block = {"group_by": config.group} if config.pattern == "musiclm" else {}
    return block


def _read_hf(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    config, tensors = lm_hf.read(content, beside)
    return config, to_own(tensors)


def _write_hf(config: LMConfig, tensors: Tensors) -> Written:
    return lm_hf.write(config, to_audiocraft(tensors))


AUDIOCRAFT_LM = Layout(
    name="audiocraft",
    description="AudioGen or MusicGen (AudioCraft, state_dict.bin)",
    family="lm",
    matches=_is_audiocraft,
    read=_read_audiocraft,
    write=_write_audiocraft,
    parts=_audiocraft_parts,
)
HF_MUSICGEN = Layout(
    name="hf",
    description="MusicGen (Hugging Face)",
    family="lm",
    matches=lm_hf.matches,
    read=_read_hf,
    write=_write_hf,
    parts=lm_hf.parts,
    join=lm_hf.join,
)

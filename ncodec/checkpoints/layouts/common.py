"""What every layout is: how it is recognised, read and written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count as count_from
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ncodec.errors import CheckpointError

Tensors = dict[str, Tensor]
Rules = tuple[tuple[str, str], ...]
"""Regular expressions over whole keys with their replacements; the first that matches is used."""


@dataclass(frozen=True)
class Parts:
    """What else is in a checkpoint of a language model, or beside it.

    Attributes:
        codec: Content and configuration of the codec whose codes it speaks.
        codec_name: Of that codec, where only its name is told; perhaps the hub's.
        text: Content and configuration of its text encoder, as transformers has them.
        tokenizer: Files of the encoder's tokenizer by their names.
    """

    codec: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    codec_name: str | None = None
    text: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    tokenizer: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


@dataclass(frozen=True)
class Joined:
    """What an export of a language model takes in besides.

    Attributes:
        codec: Weights and configuration, in the same tool's layout.
        text: Likewise of the text encoder, if it is kept.
        tokenizer: Files of its tokenizer.
    """

    codec: tuple[Mapping[str, Any], Mapping[str, Any]]
    text: tuple[Mapping[str, Any], Mapping[str, Any]] | None
    tokenizer: Mapping[str, bytes]


@dataclass(frozen=True)
class Found:
    """What a checkpoint turned out to be.

    Attributes:
        layout: The layout's description.
        family: Name of a `ncodec.models.families.Family`.
        config: The family's configuration; no `sample_rate` if nothing in the file tells it.
        tensors: The weights under ncodec's keys.
        parts: What else a language model's checkpoint has.
    """

    layout: str
    family: str
    config: Mapping[str, Any]
    tensors: Tensors
    parts: Parts = Parts()


@dataclass(frozen=True)
class Layout:
    """One tool's way to store one family.

    Attributes:
        name: Short name, as `ncodec models export --layout` takes it.
        description: For people.
        family: Name of a `ncodec.models.families.Family`.
        matches: Tells the layout from a checkpoint's content.
        read: From the content and the configuration beside it (empty if there is none) to the
            family's configuration and the weights under ncodec's keys.
        write: From the configuration and ncodec's weights to the file name, the content of the
            weights' file and the JSON files beside it; None if the layout can only be read.
        parts: From the content, the configuration beside it and the folder to what else is there.
        join: Adds codec and text encoder to what `write` gave, where one file has them all.
    """

    name: str
    description: str
    family: str
    matches: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[dict[str, Any], Tensors]]
    write: Callable[[Any, Tensors], Written] | None = None
    parts: Callable[[Mapping[str, Any], Mapping[str, Any], Path], Parts] | None = None
    join: Callable[[Written, Joined], Written] | None = None


@dataclass(frozen=True)
class Written:
    """Files of an export.

    Attributes:
        file: Name of the weights' file; `.safetensors` or a suffix of torch's pickles.
        content: What it holds.
        beside: The JSON files that belong beside it, by their names.
        copied: Other files that belong beside it, by their names.
    """

    file: str
    content: Mapping[str, Any]
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    copied: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def for_transformers(
    state: Tensors, config: Mapping[str, Any], extractor: str, **more: object
) -> Written:
    """Return an export for Hugging Face's transformers: weights, model and feature extractor.

    Args:
        state: The weights under its keys.
        config: What `config.json` holds.
        extractor: Class of its feature extractor.
        more: What that takes besides the sampling rate and the number of channels.
    """
    preprocessor = {
        "feature_extractor_type": extractor,
        "feature_size": config.get("audio_channels", 1),
        "sampling_rate": config["sampling_rate"],
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
        **more,
    }
    beside = {"config.json": config, "preprocessor_config.json": preprocessor}
    return Written("model.safetensors", state, beside)


def only_tensors(content: Mapping[str, Any]) -> Tensors:
    """Return the float tensors of a state dict, as float32 where the file has them smaller."""
    return {
        key: value.float() if value.is_floating_point() else value
        for key, value in content.items()
        if isinstance(value, torch.Tensor)
    }


def rename(tensors: Tensors, rules: Rules) -> Tensors:
    """Rename every key by the first rule that matches it; keys of no rule stay as they are."""
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    renamed: Tensors = {}
    for key, value in tensors.items():
        for pattern, replacement in compiled:
            if match := pattern.fullmatch(key):
                renamed[match.expand(replacement)] = value
                break
        else:
            renamed[key] = value
    return renamed


def two_ways(pairs: Iterable[tuple[str, str]]) -> tuple[Rules, Rules]:
    """Return the rules of pairs of keys, and those back; "#" is any number, "$" any name."""
    listed = list(pairs)
    return (
        tuple((_pattern(a), _replacement(b)) for a, b in listed),
        tuple((_pattern(b), _replacement(a)) for a, b in listed),
    )


def _pattern(template: str) -> str:
    return re.escape(template).replace(r"\#", r"(\d+)").replace(r"\$", r"(\w+)")


def _replacement(template: str) -> str:
    number = count_from(1)
    return re.sub(r"[#$]", lambda _: rf"\{next(number)}", template)


_SPELLINGS = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)


def fold_weight_norm(tensors: Tensors) -> Tensors:
    """Replace each pair of magnitude g and direction v, in either spelling, by its weight."""
    folded = dict(tensors)
    for g_end, v_end in _SPELLINGS:
        for key in [key for key in tensors if key.endswith(g_end)]:
            stem = key.removesuffix(g_end)
            v = folded.pop(stem + v_end, None)
            if v is None:
                raise CheckpointError(f"{key} has no {stem}{v_end} beside it")
            # A magnitude belongs to an index of the first axis, in transposed convolutions too.
            folded[f"{stem}.weight"] = v * (folded.pop(key) / _magnitude(v))
    return folded


def _magnitude(direction: Tensor) -> Tensor:
    axes = tuple(range(1, direction.dim()))
    return torch.linalg.vector_norm(direction, dim=axes, keepdim=True)


def unfold_weight_norm(tensors: Tensors, stems: Iterable[str], *, old_spelling: bool) -> Tensors:
    """Split the weights of `stems` into magnitude and direction; folding gives the same bits."""
    g_end, v_end = _SPELLINGS[0 if old_spelling else 1]
    unfolded = dict(tensors)
    for stem in stems:
        weight = unfolded.pop(f"{stem}.weight")
        unfolded[stem + g_end] = _magnitude(weight)
        unfolded[stem + v_end] = weight
    return unfolded


def count(tensors: Mapping[str, Any], pattern: str) -> int:
    """Return one more than the highest number that `pattern`'s group matches in a key."""
    found = [int(m[1]) for key in tensors if (m := re.fullmatch(pattern, key))]
    return max(found, default=-1) + 1


def shape(tensors: Tensors, key: str) -> tuple[int, ...]:
    """Return a tensor's shape.

    Raises:
        CheckpointError: There is no such tensor.
    """
    if key not in tensors:
        raise CheckpointError(f"incomplete checkpoint: no {key}")
    return tuple(tensors[key].shape)

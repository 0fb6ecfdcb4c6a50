"""HiFi-GAN's generator: the official pickle, transformers, Coqui, SpeechBrain, ParallelWaveGAN.

All are read by way of the official names with weight norm folded. What the weights do not tell
(rate, mels, dilations) comes from the `config.json` beside them, or else is what is usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ncodec.checkpoints.front_ends import FRONT_ENDS
from ncodec.checkpoints.layouts.common import (
    Layout,
    Rules,
    Tensors,
    Written,
    count,
    fold_weight_norm,
    only_tensors,
    rename,
    shape,
    unfold_weight_norm,
)
from ncodec.config import HifiGanConfig
from ncodec.errors import ArgumentError, CheckpointError

_DILATIONS: Mapping[tuple[bool, tuple[int, ...]], tuple[int, ...]] = {
    (True, (3, 7, 11)): (1, 3, 5) * 3,
    (False, (3, 5, 7)): (1, 2, 2, 6, 3, 12),
}
"""Of V1, V2 and of V3, by paired convolutions and the blocks' kernels: no weight tells them."""

_MODEL_TYPES: Mapping[str, str] = {
    "speecht5_hifigan": "speecht5",
    "fastspeech2_conformer_hifigan": "espnet",
}
"""Whose mels a model of transformers takes."""


_OWN = "ncodec"
"""Of a `config.json` that was written here: what the field's own keys have no place for."""


def _config(
    tensors: Tensors, beside: Mapping[str, Any], front_end: str, *, edges: str = "zeros"
) -> dict[str, Any]:
    """Read the configuration off the folded weights, and what they do not tell off the file."""
    ups = count(tensors, r"ups\.(\d+)\.weight")
    paired = "resblocks.0.convs1.0.weight" in tensors
    inner = "convs1" if paired else "convs"
    blocks = count(tensors, rf"resblocks\.(\d+)\.{inner}\.0\.weight")
    if not ups or blocks % ups:
        raise CheckpointError(f"incomplete checkpoint: {blocks} blocks for {ups} levels")
    branches = blocks // ups
    kernels = [shape(tensors, f"ups.{i}.weight")[-1] for i in range(ups)]
    block_kernels = [shape(tensors, f"resblocks.{i}.{inner}.0.weight")[-1] for i in range(branches)]
    channels, bands, _ = shape(tensors, "conv_pre.weight")
    given = beside.get("resblock_dilation_sizes")
    if given is not None:
        dilations = [int(d) for branch in given for d in branch]
    else:
        dilations = list(_DILATIONS.get((paired, tuple(block_kernels)), ()))
    if not dilations:
        raise CheckpointError(
            f"blocks of {block_kernels}: their dilations are in no weight: a config.json with "
            "resblock_dilation_sizes must lie beside the file"
        )
    config: dict[str, Any] = {
        "bands": bands,
        "channels": channels,
        "rates": [int(r) for r in beside.get("upsample_rates", [k // 2 for k in kernels])],
        "kernels": kernels,
        "block_kernels": block_kernels,
        "dilations": dilations,
        "paired": paired,
        "edges": edges,
        **FRONT_ENDS[front_end],
    }
    return config | _told_of_mels(beside, config["rates"]) | dict(beside.get(_OWN, {}))


def _told_of_mels(beside: Mapping[str, Any], rates: list[int]) -> dict[str, Any]:
    """Return what a configuration says of the mels."""
    names = {
        "sampling_rate": "sample_rate",
        "sample_rate": "sample_rate",
        "n_fft": "n_fft",
        "fft_size": "n_fft",
        "win_size": "window",
        "win_length": "window",
        "fmin": "fmin",
        "mel_fmin": "fmin",
    }
    found: dict[str, Any] = {
        ours: beside[theirs] for theirs, ours in names.items() if beside.get(theirs) is not None
    }
    for key in ("fmax", "mel_fmax"):
        if key in beside:
            found["fmax"] = beside[key]
    for key in ("sample_rate", "n_fft", "window"):
        if key in found:
            found[key] = int(found[key])
    for key in ("fmin", "fmax"):
        if found.get(key) is not None:
            found[key] = float(found[key])
    if "n_fft" not in found:
        hop = 1
        for rate in rates:
            hop *= rate
        size = 1024 if hop <= 1024 else 1 << (hop - 1).bit_length()
        found |= {"n_fft": size, "window": size}
    return found


_TO_OWN_HEAD: Rules = ((r"conv_pre\.(.*)", r"generator.layers.0.\1"),)


def _to_own(tensors: Tensors, config: Mapping[str, Any]) -> Tensors:
    levels, branches = len(config["rates"]), len(config["block_kernels"])
    inner = r"generator.layers.{level}.layers.2.branches.{branch}.layers.\2.branch.layers.{at}.\3"
    rules = list(_TO_OWN_HEAD)
    for level in range(levels):
        rules.append((rf"ups\.{level}\.(.*)", rf"generator.layers.{level + 1}.layers.1.\1"))
        for branch in range(branches):
            n = level * branches + branch
            for name, at in (("convs1", 1), ("convs2", 3), ("convs", 1)):
                rules.append(
                    (
                        rf"resblocks\.{n}\.({name})\.(\d+)\.(.*)",
                        inner.format(level=level + 1, branch=branch, at=at),
                    )
                )
    rules.append((r"conv_post\.(.*)", rf"generator.layers.{levels + 2}.\1"))
    return rename(tensors, tuple(rules))


def _to_official(own: Tensors, config: HifiGanConfig) -> Tensors:
    levels, branches = len(config.rates), len(config.block_kernels)
    rules: list[tuple[str, str]] = [(r"generator\.layers\.0\.(.*)", r"conv_pre.\1")]
    for level in range(levels):
        layer = rf"generator\.layers\.{level + 1}\.layers"
        rules.append((rf"{layer}\.1\.(.*)", rf"ups.{level}.\1"))
        for branch in range(branches):
            n = level * branches + branch
            names = (("convs1", 1), ("convs2", 3)) if config.paired else (("convs", 1),)
            for name, at in names:
                rules.append(
                    (
                        rf"{layer}\.2\.branches\.{branch}\.layers\.(\d+)\.branch\.layers\.{at}\.(.*)",
                        rf"resblocks.{n}.{name}.\1.\2",
                    )
                )
    rules.append((rf"generator\.layers\.{levels + 2}\.(.*)", r"conv_post.\1"))
    return rename(own, tuple(rules))


def _described(config: HifiGanConfig) -> dict[str, Any]:
    per = len(config.dilations) // len(config.block_kernels)
    dilations = [
        list(config.dilations[i * per : (i + 1) * per]) for i in range(len(config.block_kernels))
    ]
    return {
        "resblock": "1" if config.paired else "2",
        "upsample_rates": list(config.rates),
        "upsample_kernel_sizes": list(config.kernels),
        "upsample_initial_channel": config.channels,
        "resblock_kernel_sizes": list(config.block_kernels),
        "resblock_dilation_sizes": dilations,
        "num_mels": config.bands,
        "n_fft": config.n_fft,
        "hop_size": config.hop,
        "win_size": config.window,
        "sampling_rate": config.sample_rate,
        "fmin": config.fmin,
        "fmax": config.fmax,
        _OWN: {
            key: getattr(config, key)
            for key in ("log", "floor", "power_floor", "least_power", "centred", "double")
        },
    }


def _is_official(content: Mapping[str, Any]) -> bool:
    state = content.get("generator")
    return isinstance(state, Mapping) and "conv_pre.bias" in state and "ups.0.bias" in state


def _read_official(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    folded = fold_weight_norm(only_tensors(content["generator"]))
    config = _config(folded, beside, "official")
    return config, _to_own(folded, config)


def _write_official(config: HifiGanConfig, tensors: Tensors) -> Written:
    if config.normalize or config.edges != "zeros" or config.log != "ln" or config.centred:
        raise ArgumentError(
            "the official layout has no place for normalised mels, reflected edges, log10 or "
            "centred frames"
        )
    official = _to_official(tensors, config)
    stems = [key.removesuffix(".bias") for key in official if key.endswith(".bias")]
    state = unfold_weight_norm(official, stems, old_spelling=True)
    return Written("generator.pth", {"generator": state}, {"config.json": _described(config)})


def _is_hf(content: Mapping[str, Any]) -> bool:
    return "upsampler.0.bias" in content and "conv_pre.bias" in content


def _read_hf(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    folded = fold_weight_norm(only_tensors(content))
    official = rename(folded, ((r"upsampler\.(.*)", r"ups.\1"),))
    config = _config(official, beside, _MODEL_TYPES.get(beside.get("model_type", ""), "official"))
    mean, scale = official.pop("mean", None), official.pop("scale", None)
    own = _to_own(official, config)
    if mean is not None and scale is not None and beside.get("normalize_before", True):
        config["normalize"] = True
        own |= {"mean": mean, "deviation": scale}
        if config.get("least_power") and not mean.any() and bool((scale == 1).all()):
            config["normalised_before"] = True  # as ESPnet's text models give them
    return config, own


def _write_hf(config: HifiGanConfig, tensors: Tensors) -> Written:
    if not config.paired or config.edges != "zeros":
        raise ArgumentError("transformers' HiFi-GAN has paired convolutions and zeros at its edges")
    own = dict(tensors)
    mean, deviation = own.pop("mean", None), own.pop("deviation", None)
    state = rename(_to_official(own, config), ((r"ups\.(.*)", r"upsampler.\1"),))
    bands = config.bands
    kind = "espnet" if config.least_power else "speecht5"
    model_type = next(key for key, each in _MODEL_TYPES.items() if each == kind)
    named = {"espnet": "FastSpeech2ConformerHifiGan", "speecht5": "SpeechT5HifiGan"}
    state["mean"] = state["conv_pre.bias"].new_zeros(bands) if mean is None else mean
    state["scale"] = state["conv_pre.bias"].new_ones(bands) if deviation is None else deviation
    beside = {
        **_described(config),
        "architectures": [named[kind]],
        "model_type": model_type,
        "model_in_dim": bands,
        "leaky_relu_slope": 0.1,
        "normalize_before": config.normalize,
    }
    return Written("model.safetensors", state, {"config.json": beside})


def _is_coqui(content: Mapping[str, Any]) -> bool:
    state = content.get("model")
    return isinstance(state, Mapping) and "ups.0.bias" in state and "conv_pre.bias" in state


def _read_coqui(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    state = only_tensors(content["model"])
    if any(key.startswith("cond_layer") for key in state):
        raise CheckpointError("a vocoder with conditions, which ncodec does not have")
    folded = fold_weight_norm(state)
    audio = beside.get("audio", {})
    if audio and (audio.get("spec_gain", 20) != 1 or audio.get("signal_norm", True)):
        raise CheckpointError(
            "its mels are in dB or normalised, which ncodec does not make: spec_gain must be 1, "
            "signal_norm false"
        )
    told = {**beside.get("generator_model_params", {}), **audio}
    config = _config(folded, told, "coqui")
    return config, _to_own(folded, config)


def _is_speechbrain(content: Mapping[str, Any]) -> bool:
    return "conv_pre.conv.bias" in content and "ups.0.conv.bias" in content


def _read_speechbrain(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    plain = {key.replace(".conv.", ".", 1): value for key, value in only_tensors(content).items()}
    folded = fold_weight_norm(plain)
    config = _config(folded, beside, "speechbrain", edges="reflect")
    return config, _to_own(folded, config)


def _is_pwg(content: Mapping[str, Any]) -> bool:
    state = content.get("model")
    generator = state.get("generator") if isinstance(state, Mapping) else None
    return isinstance(generator, Mapping) and "input_conv.bias" in generator


def _read_pwg(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    folded = fold_weight_norm(only_tensors(content["model"]["generator"]))
    single = not any(".convs2." in key for key in folded)
    official = rename(
        folded,
        (
            (r"input_conv\.(.*)", r"conv_pre.\1"),
            (r"upsamples\.(\d+)\.1\.(.*)", r"ups.\1.\2"),
            (
                r"blocks\.(\d+)\.convs1\.(\d+)\.1\.(.*)",
                r"resblocks.\1.convs.\2.\3" if single else r"resblocks.\1.convs1.\2.\3",
            ),
            (r"blocks\.(\d+)\.convs2\.(\d+)\.1\.(.*)", r"resblocks.\1.convs2.\2.\3"),
            (r"output_conv\.1\.(.*)", r"conv_post.\1"),
        ),
    )
    config = _config(official, beside, "pwg")
    return config, _to_own(official, config)


def _is_bigvgan(content: Mapping[str, Any]) -> bool:
    state = content.get("generator")
    return isinstance(state, Mapping) and "ups.0.0.bias" in state


def _refuse_bigvgan(
    content: Mapping[str, Any], beside: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    raise CheckpointError("a BigVGAN vocoder: its anti-aliased activations are not built here")


OFFICIAL = Layout(
    "hifigan",
    "HiFi-GAN (jik876/hifi-gan)",
    "hifigan",
    _is_official,
    _read_official,
    _write_official,
)
HF_HIFIGAN = Layout("hf", "HiFi-GAN (Hugging Face)", "hifigan", _is_hf, _read_hf, _write_hf)
COQUI = Layout("coqui", "HiFi-GAN (Coqui TTS)", "hifigan", _is_coqui, _read_coqui)
SPEECHBRAIN = Layout(
    "speechbrain", "HiFi-GAN (SpeechBrain)", "hifigan", _is_speechbrain, _read_speechbrain
)
PWG = Layout("pwg", "HiFi-GAN (ParallelWaveGAN)", "hifigan", _is_pwg, _read_pwg)
BIGVGAN = Layout("bigvgan", "BigVGAN", "hifigan", _is_bigvgan, _refuse_bigvgan)

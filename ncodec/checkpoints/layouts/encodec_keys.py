"""EnCodec's keys: ours against those of the `encodec` package (weight norm folded, tables only)."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from ncodec.config import EncodecConfig
from ncodec.models.encodec import EncodecModel
from ncodec.nn import ConvTranspose1d, SegmentNorm


def to_own(config: EncodecConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the package's tensors to ours; others keep their keys, so that loading names them."""
    own = {package: key for key, package in package_keys(config).items()}
    return {own.get(key, key): tensor for key, tensor in tensors.items()}


def to_package(config: EncodecConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename our tensors to the package's."""
    package = package_keys(config)
    return {package[key]: tensor for key, tensor in tensors.items()}


def package_keys(config: EncodecConfig) -> dict[str, str]:
    """Return our keys with the package's."""
    with torch.device("meta"):
        model = EncodecModel(config)
    return {key: _package_key(model, key) for key in model.state_dict()}


def _package_key(model: EncodecModel, key: str) -> str:
    if match := re.fullmatch(r"quantizer\.layers\.(\d+)\.embed", key):
        return f"quantizer.vq.layers.{match[1]}._codebook.embed"
    stem, _, leaf = key.rpartition(".")
    layer = model.get_submodule(stem)
    path = re.sub(r"^(\w+)\.layers\.(\d+)", r"\1.model.\2", stem)
    path = path.replace(".branch.layers.", ".block.")
    if path.endswith(".lstm"):
        return f"{path}.{leaf}"
    norm = isinstance(layer, SegmentNorm)
    if norm:  # a pair of a convolution and its norm
        layer = model.get_submodule(f"{stem.removesuffix('.1')}.0")
    path = re.sub(r"\.layers\.[01]$", "", path)
    wrapper = "convtr" if isinstance(layer, ConvTranspose1d) else "conv"
    return f"{path}.{wrapper}.{'norm' if norm else wrapper}.{leaf}"

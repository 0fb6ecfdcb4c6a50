"""Models by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from ncodec.models.base import CompressionModel


def load_model(
    name_or_path: str | os.PathLike[str] = "ncodec_24khz", device: str | torch.device = "cpu"
) -> CompressionModel:
    """Load a codec by name or path, ready for use.

    It is in evaluation mode and its weights take no gradients; to train it, call `model.train()`
    and `model.requires_grad_(True)`.

    >>> import ncodec, torch
    >>> model = ncodec.load_model()
    >>> model.sample_rate, model.hop, model.total_codebooks
    (24000, 320, 16)
    >>> codes, scale = model.encode(torch.zeros(1, 1, 24000))  # [B, C, T] to [B, K, F]
    >>> list(codes.shape)
    [1, 16, 75]
    >>> list(model.decode(codes, scale).shape)
    [1, 1, 24000]

    Args:
        name_or_path: one of `list_models()`, or the path of a model file (with a separator or the
            suffix `.safetensors`).
        device: "cpu", "cuda", "mps", or "auto" for the best that is there.

    Raises:
        ArgumentError: neither a name nor a path.
        CheckpointError: no such model, its file is damaged, or it has not been pulled.
        DeviceError: this machine has no such device.
    """
    from ncodec.checkpoints import load

    return load(name_or_path, device)


def list_models(*, local: bool = False) -> list[str]:
    """Return the names of the codecs that `load_model` knows, the embedded one first.

    >>> import ncodec
    >>> ncodec.list_models()[:2]
    ['ncodec_24khz', 'encodec_24khz']

    Args:
        local: only those whose weights are on this machine; `ncodec models pull NAME` fetches one.
    """
    from ncodec.checkpoints.cache import stored_names
    from ncodec.checkpoints.registry import REGISTRY

    stored = stored_names()
    entries = [*REGISTRY.values()]
    names = [entry.name for entry in entries if entry.is_codec]
    here = {*stored, *(entry.name for entry in entries if entry.embedded)}
    names += [name for name in stored if name not in REGISTRY]
    return [name for name in names if not local or name in here]

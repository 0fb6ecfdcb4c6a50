"""The reference packages, and what tests with random weights need."""

import importlib.machinery
import sys
import types

import numpy as np
import torch

# encodec and transformers import torchaudio, which does not load beside every torch; nothing of it
# is used here.
if "torchaudio" not in sys.modules:
    _stub = types.ModuleType("torchaudio")
    _stub.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    _stub.__version__ = "0.0.0"
    sys.modules["torchaudio"] = _stub


def randomise(model: torch.nn.Module, spread: float = 1.0) -> None:
    """Give every codebook distinct entries, as trained ones have."""
    for key, buffer in model.named_buffers():
        if key.endswith(("embed", "embed_sum", "embed_avg")):
            buffer.copy_(torch.randn_like(buffer) * spread)


def noise(seconds: float, rate: int, channels: int = 1, batch: int = 1) -> torch.Tensor:
    """Coloured noise `[B, C, T]`."""
    x = np.random.default_rng(1).standard_normal((batch, channels, round(seconds * rate)))
    return torch.from_numpy(np.cumsum(x, -1) * 0.02 % 1.0 - 0.5).float()


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal to 1e-5 of the largest value, with room for other processors."""
    assert ours.shape == theirs.shape
    worst = (ours - theirs).abs().max().item()
    assert worst <= 3e-5 * theirs.abs().max().item(), worst

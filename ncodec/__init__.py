"""ncodec: a streaming neural audio codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ncodec.models.base import CompressionModel

__version__ = "0.1.0"


def load_model(name_or_path: str = "ncodec_24khz", device: str = "cpu") -> CompressionModel:
    """Load a model by name or path, as `ncodec.checkpoints.load` does."""
    from ncodec.checkpoints import load

    return load(name_or_path, device)

"""What training needs of a model family: its way to a continuous latent and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel
from ncodec.models.encodec import EncodecModel
from ncodec.models.spectral import SpectralCodec
from ncodec.quantize import ResidualVQ


class Parts(NamedTuple):
    """Audio `[B, C, T]` to latents `[B, D, F]`, the quantizer, and latents to audio."""

    encode: Callable[[Tensor], Tensor]
    quantizer: ResidualVQ
    decode: Callable[[Tensor], Tensor]


def parts_of(model: CompressionModel) -> Parts:
    """Return the trainable parts of a model.

    Raises:
        ArgumentError: Models of this kind can be run but not trained.
    """
    if isinstance(model, SpectralCodec):
        return Parts(model.to_latent, model.quantizer, model.from_latent)
    if isinstance(model, EncodecModel) and model.segment is None:
        return Parts(model.encoder, model.quantizer, model.decoder)
    raise ArgumentError(
        f"{model.name} is a {type(model).__name__}, which cannot be trained; SpectralCodec and "
        "EncodecModel without segments can"
    )

"""What goes into and comes out of a model besides plain tensors, and what it needs of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ncodec.quantize import ResidualVQ
from ncodec.quantize.bits import Search
from ncodec.streaming import State


class Chunk(NamedTuple):
    """Codes that leave the encoder together.

    Attributes:
        codes: int64 `[B, K, F]`, one row a codebook, one column a frame.
        scale: float32 `[B]`, the gain taken out before coding, or None where the model has none.
    """

    codes: Tensor
    scale: Tensor | None


class Latents(NamedTuple):
    """What a family's encoder gives: float32 latents `[B, D, F]`, F > 0, and their scale."""

    values: Tensor
    scale: Tensor | None


def ready(latent: Tensor) -> list[Latents]:
    """Return latents `[B, D, F]` for the quantizer, if there are any."""
    return [Latents(latent.float(), None)] if latent.shape[2] else []


@dataclass(frozen=True)
class Streams:
    """What stays the same while streams run.

    Attributes:
        model: Class, name, configuration and precision of the model that they run through.
        batch: Number of streams.
        device: Where their tensors are.
        codebooks: How many codebooks the encoder uses; 0 in the decoder.
        search: How it searches for codes.
    """

    model: tuple[type, str, object, str]
    batch: int
    device: torch.device
    codebooks: int = 0
    search: Search = field(default_factory=Search)


@dataclass(frozen=True)
class EncoderState:
    """Streams on their way in, and the family's own state."""

    streams: Streams
    net: State


@dataclass(frozen=True)
class DecoderState:
    """Streams on their way out, and the family's own state."""

    streams: Streams
    net: State


class Quantizer(Protocol):
    """Latents `[B, D, F]` to codes `[B, K, F]` and back."""

    def encode(self, z: Tensor, n_q: int | None = None) -> Tensor:
        """Code with the first `n_q` codebooks."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Sum the entries of any number of codebooks."""
        ...


class Trainable(NamedTuple):
    """What training needs of a codec.

    Attributes:
        encode: Audio `[B, C, T]` to latents `[B, D, F]`, with gradients.
        quantizer: Of the latents.
        decode: Latents to audio, at least T samples.
        start: Starts the weights from batches of audio, without gradients; None where only chance
            does.
    """

    encode: Callable[[Tensor], Tensor]
    quantizer: ResidualVQ
    decode: Callable[[Tensor], Tensor]
    start: Callable[[Iterable[Tensor]], None] | None = None

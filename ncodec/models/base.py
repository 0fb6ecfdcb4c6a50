"""CompressionModel: the one interface that the codec, live audio and training see."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ncodec.streaming import State


class Chunk(NamedTuple):
    """Codes that leave the encoder together.

    Attributes:
        codes: int64 `[B, K, F]`, one row a codebook, one column a frame.
        scale: float32 `[B]`, the gain taken out before coding, or None where the model has none.
    """

    codes: Tensor
    scale: Tensor | None


class CompressionModel(nn.Module, ABC):
    """A neural audio codec: audio `[B, C, T]` to codes `[B, K, F]` and back.

    Models that code overlapping segments (EnCodec 48 kHz) set `segment = (length, stride)` in samples: then
    each chunk is one segment with its scale. All others emit chunks of any number of frames.
    """

    name: str
    sample_rate: int
    channels: int
    hop: int
    total_codebooks: int
    codebook_sizes: tuple[int, ...]
    bandwidths: tuple[float, ...]
    latency_samples: int
    receptive_field: int
    preroll_frames: int
    postroll_frames: int = 0
    segment: tuple[int, int] | None = None

    # ... see the abstract methods below; concrete shared parts (set_num_codebooks, frame_rate, fingerprint,
    # bandwidth arithmetic) belong here too.

    @abstractmethod
    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor | None]:
        """Code whole signals `[B, C, T]`: codes int64 `[B, K, F]`, K = `num_codebooks`, and the scale."""

    @abstractmethod
    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """Decode `[B, K, F]`, any 1 <= K <= `total_codebooks`, to audio `[B, C, F * hop]`."""

    @abstractmethod
    def decode_latent(self, codes: Tensor) -> Tensor:
        """Sum the codebook entries, frame by frame: `[B, K, F]` to the latent `[B, D, F]`; F may be 0."""

    @abstractmethod
    def encoder_state(
        self, batch: int, device: torch.device | None = None, codebooks: int | None = None
    ) -> State:
        """Return the encoder's state before the first sample of `batch` streams.

        `codebooks` is how many these streams use, `num_codebooks` if None: it belongs to the streams,
        since one model serves many at once.
        """

    @abstractmethod
    def encode_step(self, audio: Tensor, state: State) -> tuple[list[Chunk], State]:
        """Take the next samples; return the chunks that are ready (none is possible) and the new state."""

    @abstractmethod
    def encode_flush(self, state: State) -> list[Chunk]:
        """End the streams: return the last chunks; ceil(T / hop) frames have come out in all."""

    @abstractmethod
    def decoder_state(self, batch: int, device: torch.device | None = None) -> State:
        """Return the decoder's state before the first frame of `batch` streams."""

    def decode_step(self, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """Take the next chunk; return the audio that is final `[B, C, T]` and the new state."""
        return self.decode_latent_step(self.decode_latent(chunk.codes), chunk.scale, state)

    @abstractmethod
    def decode_latent_step(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Tensor, State]:
        """Take the next latents `[B, D, F]` (concealment makes its own); otherwise as decode_step."""

    @abstractmethod
    def decode_flush(self, state: State) -> Tensor:
        """End the streams: return the rest of the audio."""

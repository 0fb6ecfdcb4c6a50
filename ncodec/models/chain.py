"""Codecs made of an encoder, a quantizer and a decoder that are Streamables, one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ncodec.models.base import Chunk, CompressionModel
from ncodec.streaming import Sequential, State, join_time


class Quantizer(Protocol):
    """Latents `[B, D, F]` to codes `[B, K, F]` and back."""

    def encode(self, z: Tensor, n_q: int | None = None) -> Tensor:
        """Code with the first `n_q` codebooks."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Sum the entries of any number of codebooks."""
        ...


@dataclass(frozen=True)
class EncoderState:
    """Streams on their way in.

    Attributes:
        net: The encoder's state.
        batch: Number of streams.
        samples: Samples of the last frame, 1 to hop; 0 before the first.
        codebooks: How many codebooks these streams use.
    """

    net: State
    batch: int
    samples: int
    codebooks: int


@dataclass(frozen=True)
class DecoderState:
    """Streams on their way out: the decoder's state, how many, and whether a frame has come."""

    net: State
    batch: int
    begun: bool


class ChainCodec(CompressionModel):
    """A codec whose parts stream by themselves; families set the parts and describe themselves."""

    encoder: Sequential
    quantizer: Quantizer
    decoder: Sequential
    overlaps = True
    fills_last_frame = True
    """Whether zeros complete the last frame before the encoder's own padding follows."""

    def encode(self, audio: Tensor) -> tuple[Tensor, None]:
        """Code whole signals `[B, C, T]`: codes int64 `[B, num_codebooks, ceil(T / hop)]`."""
        chunks, state = self.encode_step(audio, self.encoder_state(audio.shape[0], audio.device))
        codes = [chunk.codes for chunk in [*chunks, *self.encode_flush(state)]]
        if not codes:
            shape = (audio.shape[0], state.codebooks, 0)
            return torch.zeros(shape, dtype=torch.long, device=audio.device), None
        return torch.cat(codes, dim=-1), None

    def encoder_state(
        self, batch: int, device: torch.device | None = None, codebooks: int | None = None
    ) -> EncoderState:
        """Return the state before the first sample."""
        count = self.num_codebooks if codebooks is None else codebooks
        return EncoderState(self.encoder.initial_state(batch, device), batch, 0, count)

    def encode_step(self, audio: Tensor, state: EncoderState) -> tuple[list[Chunk], EncoderState]:
        """Take the next samples `[B, C, T]`; return the frames that they complete."""
        if audio.shape[-1] == 0:
            return [], state
        latent, net = self.encoder.step(audio.to(self._dtype), state.net)
        samples = (state.samples + audio.shape[-1] - 1) % self.hop + 1
        return self._quantized(latent, state), replace(state, net=net, samples=samples)

    def encode_later(
        self, audio: Tensor, state: EncoderState
    ) -> tuple[Callable[[], list[Chunk]], EncoderState]:
        """Return the work of a step and the new state."""
        if audio.shape[-1] == 0:
            return list[Chunk], state
        work, net = self.encoder.later(audio.to(self._dtype), state.net)
        samples = (state.samples + audio.shape[-1] - 1) % self.hop + 1
        after = replace(state, net=net, samples=samples)
        return lambda: self._quantized(work(), state), after

    def encode_flush(self, state: EncoderState) -> list[Chunk]:
        """Complete the last frame and return the last chunks."""
        if state.samples == 0:
            return []
        missing = self.hop - state.samples
        if missing == 0 or not self.fills_last_frame:
            return self._quantized(self.encoder.flush(state.net), state)
        zeros = self._zeros(state.batch, missing).to(self._dtype)
        latent, net = self.encoder.step(zeros, state.net)
        return self._quantized(join_time(latent, self.encoder.flush(net)), state)

    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """Decode `[B, K, F]`, any 1 <= K <= `total_codebooks`, to audio `[B, C, F * hop]`."""
        state = self.decoder_state(codes.shape[0], codes.device)
        y, state = self.decode_latent_step(self.decode_latent(codes), None, state)
        return join_time(y, self.decode_flush(state))

    def decode_latent(self, codes: Tensor) -> Tensor:
        """Sum the entries, frame by frame: `[B, K, F]` to the latent `[B, D, F]`."""
        return self.quantizer.decode(codes)

    def decoder_state(self, batch: int, device: torch.device | None = None) -> DecoderState:
        """Return the state before the first frame."""
        return DecoderState(self.decoder.initial_state(batch, device), batch, begun=False)

    def decode_latent_step(
        self, latent: Tensor, scale: Tensor | None, state: DecoderState
    ) -> tuple[Tensor, DecoderState]:
        """Take the next latents `[B, D, F]`; return the audio that is final."""
        if latent.shape[-1] == 0:
            return self._zeros(state.batch, 0), state
        y, net = self.decoder.step(latent.to(self._dtype), state.net)
        return y.float(), replace(state, net=net, begun=True)

    def decode_latent_later(
        self, latent: Tensor, scale: Tensor | None, state: DecoderState
    ) -> tuple[Callable[[], Tensor], DecoderState]:
        """Return the work of a step and the new state."""
        if latent.shape[-1] == 0:
            return lambda: self._zeros(state.batch, 0), state
        work, net = self.decoder.later(latent.to(self._dtype), state.net)
        return lambda: work().float(), replace(state, net=net, begun=True)

    def decode_flush(self, state: DecoderState) -> Tensor:
        """End the streams: return the rest of the audio."""
        if not state.begun:
            return self._zeros(state.batch, 0)
        return self.decoder.flush(state.net).float()

    def _zeros(self, batch: int, samples: int) -> Tensor:
        device = next(self.parameters()).device
        return torch.zeros(batch, self.channels, samples, device=device)

    def _quantized(self, latent: Tensor, state: EncoderState) -> list[Chunk]:
        if latent.shape[-1] == 0:
            return []
        return [Chunk(self.quantizer.encode(latent.float(), state.codebooks), None)]

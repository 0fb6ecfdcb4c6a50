"""Codecs made of an encoder, a quantizer and a decoder that are Streamables, one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ncodec.models.base import CompressionModel
from ncodec.models.records import Latents, ready
from ncodec.streaming import State, TiledSequential, join_time


class Incoming(NamedTuple):
    """The encoder's state, and the samples of the last frame, 1 to hop; 0 before the first."""

    net: State
    samples: int


class Outgoing(NamedTuple):
    """The decoder's state, and whether a frame has come."""

    net: State
    begun: bool


class ComposedCodec(CompressionModel):
    """A codec whose parts stream by themselves; families set the parts and describe themselves."""

    encoder: TiledSequential
    decoder: TiledSequential
    overlaps = True
    fills_last_frame = True

    def _encoder_state(self, batch: int, device: torch.device) -> Incoming:
        return Incoming(self.encoder.initial_state(batch, device), 0)

    def _encode_step(self, audio: Tensor, state: Incoming) -> tuple[list[Latents], Incoming]:
        if audio.shape[-1] == 0:
            return [], state
        latent, net = self.encoder.step(audio.to(self.dtype), state.net)
        return ready(latent), Incoming(net, self._samples_after(audio, state))

    def _encode_later(
        self, audio: Tensor, state: Incoming
    ) -> tuple[Callable[[], list[Latents]], Incoming]:
        if audio.shape[-1] == 0:
            return list[Latents], state
        work, net = self.encoder.later(audio.to(self.dtype), state.net)
        return lambda: ready(work()), Incoming(net, self._samples_after(audio, state))

    def _samples_after(self, audio: Tensor, state: Incoming) -> int:
        return (state.samples + audio.shape[-1] - 1) % self.hop + 1

    def _encode_flush(self, state: Incoming, batch: int) -> list[Latents]:
        if state.samples == 0:
            return []
        missing = self.hop - state.samples
        if missing == 0 or not self.fills_last_frame:
            return ready(self.encoder.flush(state.net))
        zeros = self._zeros(batch, missing).to(self.dtype)
        latent, net = self.encoder.step(zeros, state.net)
        return ready(join_time(latent, self.encoder.flush(net)))

    def _encode_end(self, audio: Tensor, state: Incoming) -> Tensor:
        return self.encoder.end(audio.to(self.dtype), state.net).float()

    def _decode_end(self, latent: Tensor, state: Outgoing) -> Tensor:
        return self.decoder.end(latent.to(self.dtype), state.net).float()

    def _decoder_state(self, batch: int, device: torch.device) -> Outgoing:
        return Outgoing(self.decoder.initial_state(batch, device), begun=False)

    def _decode_step(
        self, latent: Tensor, scale: Tensor | None, state: Outgoing
    ) -> tuple[Tensor, Outgoing]:
        if latent.shape[-1] == 0:
            return self._zeros(latent.shape[0], 0), state
        y, net = self.decoder.step(latent.to(self.dtype), state.net)
        return y.float(), Outgoing(net, begun=True)

    def _decode_later(
        self, latent: Tensor, scale: Tensor | None, state: Outgoing
    ) -> tuple[Callable[[], Tensor], Outgoing]:
        if latent.shape[-1] == 0:
            return lambda: self._zeros(latent.shape[0], 0), state
        work, net = self.decoder.later(latent.to(self.dtype), state.net)
        return lambda: work().float(), Outgoing(net, begun=True)

    def _decode_flush(self, state: Outgoing, batch: int) -> Tensor:
        if not state.begun:
            return self._zeros(batch, 0)
        return self.decoder.flush(state.net).float()

    def _zeros(self, batch: int, samples: int) -> Tensor:
        return torch.zeros(batch, self.channels, samples, device=self.device)

"""EnCodec (Defossez et al. 2022, arXiv:2210.13438) in all its published configurations.

Keys of the state dict: `encoder.layers.{i}`, `decoder.layers.{i}` (i as in the `encodec` package),
`quantizer.layers.{k}.embed`; weight norm is folded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ncodec.config import EncodecConfig
from ncodec.models import seanet
from ncodec.models.base import Chunk, CompressionModel
from ncodec.models.segments import OverlapAdd
from ncodec.quantize import ResidualVQ
from ncodec.relay import Relay
from ncodec.streaming import State, join_time

_LSTM_MEMORY = 1.0
"""Seconds of frames to decode before a seek target; a choice: the LSTM's memory has no end."""


@dataclass(frozen=True)
class EncoderState:
    """Streams on their way in.

    Attributes:
        net: The encoder's state; for segments, the audio that waits `[B, C, n]`.
        codebooks: How many codebooks these streams use.
    """

    net: State
    codebooks: int


class EncodecModel(CompressionModel):
    """EnCodec. A model of segments gives one scale for each, in chunks of one segment.

    Causal models stream exactly, a frame as soon as its last sample is there; with padding by
    reflection the first frames wait for the samples that are reflected (7 frames at 24 kHz).
    Others stream as exactly, behind by their look-ahead.

    Args:
        config: The configuration.
        name: The model's name, which files carry.
    """

    config: EncodecConfig
    config_type: ClassVar[Any] = EncodecConfig
    overlaps = True

    def __init__(self, config: EncodecConfig, name: str = "encodec") -> None:
        super().__init__()
        self.config, self.name = config, name
        self.sample_rate, self.channels = config.sample_rate, config.channels
        self.hop = math.prod(config.ratios)
        self.total_codebooks, self.bandwidths = config.codebooks, config.bandwidths
        self.codebook_sizes = (config.bins,) * config.codebooks
        self.encoder = seanet.encoder(config)
        self.decoder = seanet.decoder(config)
        self.quantizer = ResidualVQ(config.latent_dim, config.codebooks, config.bins)
        self._describe(config)

    def _describe(self, config: EncodecConfig) -> None:
        if config.segment is not None:
            length = int(config.segment * config.sample_rate)
            stride = max(1, int((1 - config.overlap) * length))
            self.segment = (length, stride)
            self.latency_samples = self.receptive_field = length
            self.preroll_frames = self.postroll_frames = 0
            return
        lag = seanet.decoder_lag(config)
        reach = seanet.decoder_reach(config)
        self.latency_samples = seanet.encoder_lag(config) + lag
        self.postroll_frames = -(-lag // self.hop)
        self.preroll_frames = reach
        self.receptive_field = 2 * (reach + self.postroll_frames) * self.hop
        if config.lstm_layers:
            self.preroll_frames += round(_LSTM_MEMORY * self.frame_rate)
            self.receptive_field = 0

    def _nets(self) -> list[nn.Module]:
        return [self.encoder, self.decoder]

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor | None]:
        """Code whole signals `[B, C, T]`.

        Returns:
            Codes int64 `[B, num_codebooks, F]`, and None; for a model of segments the segments'
            codes one after another, and their scales `[B, segments]`.
        """
        chunks, state = self.encode_step(audio, self.encoder_state(len(audio), audio.device))
        chunks = [*chunks, *self.encode_flush(state)]
        empty = torch.zeros(len(audio), state.codebooks, 0, dtype=torch.int64, device=audio.device)
        codes = torch.cat([empty, *(chunk.codes for chunk in chunks)], dim=2)
        scales = [chunk.scale for chunk in chunks if chunk.scale is not None]
        return codes, torch.stack(scales, dim=1) if scales else None

    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """Decode what `encode` gave, with any number of its codebooks, to audio `[B, C, T]`.

        T is F * hop; segments overlap, so that theirs is less by the overlaps.
        """
        state = self.decoder_state(len(codes), codes.device)
        parts: list[Tensor] = []
        frames = codes.shape[2] if self.segment is None else -(-self.segment[0] // self.hop)
        for i, part in enumerate(codes.split(max(1, frames), dim=2)):
            chunk = Chunk(part, None if scale is None else scale[:, i])
            audio, state = self.decode_step(chunk, state)
            parts.append(audio)
        return torch.cat([*parts, self.decode_flush(state)], dim=2)

    def decode_latent(self, codes: Tensor) -> Tensor:
        """Sum the entries, frame by frame: `[B, K, F]` to the latent `[B, D, F]`."""
        return self.quantizer.decode(codes)

    def encoder_state(
        self, batch: int, device: torch.device | None = None, codebooks: int | None = None
    ) -> EncoderState:
        """Return the state before the first sample."""
        count = self.num_codebooks if codebooks is None else codebooks
        if self.segment is None:
            return EncoderState(self.encoder.initial_state(batch, device), count)
        return EncoderState(torch.zeros(batch, self.channels, 0, device=device), count)

    def encode_step(self, audio: Tensor, state: EncoderState) -> tuple[list[Chunk], EncoderState]:
        """Take the next samples `[B, C, T]`; return the chunk of frames that they complete."""
        if self.segment is not None:
            work, state = self._encode_segments(audio, state)
            return work(), state
        z, net = self.encoder.step(audio.to(self._dtype), state.net)
        return self._quantize(z, state.codebooks), replace(state, net=net)

    def encode_later(
        self, audio: Tensor, state: EncoderState
    ) -> tuple[Callable[[], list[Chunk]], EncoderState]:
        """Return the work of a step and the new state; see `CompressionModel`."""
        if self.segment is not None:
            return self._encode_segments(audio, state)
        work, net = self.encoder.later(audio.to(self._dtype), state.net)
        return lambda: self._quantize(work(), state.codebooks), replace(state, net=net)

    def encode_flush(self, state: EncoderState) -> list[Chunk]:
        """Return the last frames; of a model of segments, the last segment or two."""
        if self.segment is None:
            return self._quantize(self.encoder.flush(state.net), state.codebooks)
        chunks: list[Chunk] = []
        audio: Tensor = state.net
        while audio.shape[2]:
            chunks.append(self._encode_segment(audio, state.codebooks))
            audio = audio[..., self.segment[1] :]
        return chunks

    def _encode_segments(
        self, audio: Tensor, state: EncoderState
    ) -> tuple[Callable[[], list[Chunk]], EncoderState]:
        """Cut off the segments that are complete; return the work of coding them."""
        assert self.segment is not None
        length, stride = self.segment
        waiting, segments = join_time(state.net, audio), list[Tensor]()
        while waiting.shape[2] >= length:
            segments.append(waiting[..., :length])
            waiting = waiting[..., stride:]
        after = replace(state, net=waiting.clone())
        return lambda: [self._encode_segment(x, state.codebooks) for x in segments], after

    def _encode_segment(self, audio: Tensor, codebooks: int) -> Chunk:
        scale = None
        if self.config.normalize:
            # RMS of the mono mean; 1e-8 for silence, as the `encodec` package has it
            scale = audio.mean(dim=1).square().mean(dim=1).sqrt() + 1e-8
            audio = audio / scale[:, None, None]
        z = self.encoder(audio.to(self._dtype)).float()
        return Chunk(self.quantizer.encode(z, codebooks), scale)

    def _quantize(self, z: Tensor, codebooks: int) -> list[Chunk]:
        return [Chunk(self.quantizer.encode(z.float(), codebooks), None)] if z.shape[2] else []

    def decoder_state(self, batch: int, device: torch.device | None = None) -> State:
        """Return the state before the first frame."""
        if self.segment is None:
            return self.decoder.initial_state(batch, device)
        return (OverlapAdd.start(batch, self.channels, self.segment[1], device),)

    def decode_latent_step(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Tensor, State]:
        """Take the next latents `[B, D, F]`, of a model of segments all of one segment's."""
        if self.segment is None:
            audio, state = self.decoder.step(latent.to(self._dtype), state)
            return audio.float(), state
        work, state = self._decode_segment(latent, scale, state)
        return work(), state

    def decode_latent_later(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Callable[[], Tensor], State]:
        """Return the work of a step and the new state; see `CompressionModel`."""
        if self.segment is not None:
            return self._decode_segment(latent, scale, state)
        work, state = self.decoder.later(latent.to(self._dtype), state)
        return lambda: work().float(), state

    def decode_flush(self, state: State) -> Tensor:
        """Return the rest of the audio."""
        return self.decoder.flush(state).float() if self.segment is None else state[0].rest()

    def _decode_segment(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Callable[[], Tensor], State]:
        """Return the work of decoding a segment and adding it to those before it."""
        after = Relay(1)

        def work() -> Tensor:
            with after:
                audio = self.decoder(latent.to(self._dtype)).float()
                if scale is not None:
                    audio = audio * scale[:, None, None]
                done, following = state[0].add(audio)
                after.leave([following])
            return done

        return work, after

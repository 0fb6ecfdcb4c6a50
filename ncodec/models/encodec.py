"""EnCodec (Defossez et al. 2022, arXiv:2210.13438) in all its published configurations.

Keys of the state dict: `encoder.layers.{i}`, `decoder.layers.{i}` (i as in the `encodec` package),
`quantizer.layers.{k}.embed`; weight norm is folded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ncodec.config import EncodecConfig
from ncodec.dsp.overlap_add import OverlapAdd
from ncodec.models import seanet
from ncodec.models.base import CompressionModel
from ncodec.models.records import Latents, Trainable, ready
from ncodec.quantize import ResidualVQ
from ncodec.streaming import Relay, State, join_time

_LSTM_MEMORY = 1.0
"""Seconds of frames to decode before a seek target; a choice: the LSTM's memory has no end."""


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
        self.latent_dim = config.latent_dim
        self.scaled = config.normalize and config.segment is not None
        self.encoder = seanet.encoder(config)
        self.decoder = seanet.decoder(config)
        self.quantizer = ResidualVQ(config.latent_dim, config.codebooks, config.bins)
        self._describe(config)

    def _describe(self, config: EncodecConfig) -> None:
        self.segment = config.shape().segment
        if self.segment is not None:
            self.latency_samples = self.receptive_field = self.segment[0]
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

    def trainable(self) -> Trainable:
        """Return the parts; a model of segments has none, as their scales are no latents."""
        if self.segment is not None:
            return super().trainable()
        assert isinstance(self.quantizer, ResidualVQ)
        return Trainable(self.encoder, self.quantizer, self.decoder)

    def _nets(self) -> list[nn.Module]:
        return [self.encoder, self.decoder]

    def _encoder_state(self, batch: int, device: torch.device) -> State:
        """Return the encoder's state; for segments, the audio that waits `[B, C, n]`."""
        if self.segment is None:
            return self.encoder.initial_state(batch, device)
        return torch.zeros(batch, self.channels, 0, device=device)

    def _encode_step(self, audio: Tensor, state: State) -> tuple[list[Latents], State]:
        if self.segment is not None:
            work, state = self._encode_segments(audio, state)
            return work(), state
        z, state = self.encoder.step(audio.to(self.dtype), state)
        return ready(z), state

    def _encode_later(
        self, audio: Tensor, state: State
    ) -> tuple[Callable[[], list[Latents]], State]:
        if self.segment is not None:
            return self._encode_segments(audio, state)
        work, state = self.encoder.later(audio.to(self.dtype), state)
        return lambda: ready(work()), state

    def _encode_flush(self, state: State, batch: int) -> list[Latents]:
        """Return the last frames; of a model of segments, the last segment or two."""
        if self.segment is None:
            return ready(self.encoder.flush(state))
        segments: list[Latents] = []
        audio: Tensor = state
        while audio.shape[2]:
            segments.append(self._encode_segment(audio))
            audio = audio[..., self.segment[1] :]
        return segments

    def _encode_end(self, audio: Tensor, state: State) -> Tensor:
        return self.encoder.end(audio.to(self.dtype), state).float()

    def _decode_end(self, latent: Tensor, state: State) -> Tensor:
        return self.decoder.end(latent.to(self.dtype), state).float()

    def _encode_segments(
        self, audio: Tensor, state: Tensor
    ) -> tuple[Callable[[], list[Latents]], Tensor]:
        """Cut off the segments that are complete; return the work of coding them."""
        assert self.segment is not None
        length, stride = self.segment
        waiting, segments = join_time(state, audio), list[Tensor]()
        while waiting.shape[2] >= length:
            segments.append(waiting[..., :length])
            waiting = waiting[..., stride:]
        return lambda: [self._encode_segment(x) for x in segments], waiting.clone()

    def _encode_segment(self, audio: Tensor) -> Latents:
        scale = None
        if self.config.normalize:
            # RMS of the mono mean; 1e-8 for silence, as the `encodec` package has it
            scale = audio.mean(dim=1).square().mean(dim=1).sqrt() + 1e-8
            audio = audio / scale[:, None, None]
        return Latents(self.encoder(audio.to(self.dtype)).float(), scale)

    def _decoder_state(self, batch: int, device: torch.device) -> State:
        if self.segment is None:
            return self.decoder.initial_state(batch, device)
        return (OverlapAdd.start(batch, self.channels, self.segment[1], device),)

    def _decode_step(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Tensor, State]:
        """Take the next latents, of a model of segments all of one segment's."""
        if self.segment is None:
            audio, state = self.decoder.step(latent.to(self.dtype), state)
            return audio.float(), state
        done, following = self._add_segment(latent, scale, state)
        return done, (following,)

    def _decode_later(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Callable[[], Tensor], State]:
        if self.segment is None:
            work, state = self.decoder.later(latent.to(self.dtype), state)
            return lambda: work().float(), state
        after = Relay(1)

        def add() -> Tensor:
            with after:
                done, following = self._add_segment(latent, scale, state)
                after.leave([following])
            return done

        return add, after

    def _decode_flush(self, state: State, batch: int) -> Tensor:
        return self.decoder.flush(state).float() if self.segment is None else state[0].rest()

    def _add_segment(
        self, latent: Tensor, scale: Tensor | None, state: State
    ) -> tuple[Tensor, OverlapAdd]:
        """Decode a segment and add it to those before it."""
        if latent.shape[2] == 0:
            audio = latent.new_zeros(latent.shape[0], self.channels, 0)
        else:
            audio = self.decoder(latent.to(self.dtype)).float()
        if scale is not None:
            audio = audio * scale[:, None, None]
        return state[0].add(audio)

"""What a vocoder is to those who use it, beside `CompressionModel`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ncodec.checkpoints.loading import load_any
from ncodec.config import HifiGanConfig
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.kernels import is_portable
from ncodec.models.checks import as_samples
from ncodec.models.receptive_field import decoder_field_of
from ncodec.nn.fused import fused
from ncodec.runtime import check_precision
from ncodec.streaming import State
from ncodec.vocoder.generator import generator
from ncodec.vocoder.log_mel import LogMel

_BLOCK = 1000
"""Frames of whole mels that are made sound at once."""
_MARGIN = 1.5
"""Natural logarithms that mels may lie beyond what sound at full scale can give."""


class Vocoder(nn.Module):
    """HiFi-GAN: log mels `[B, bands, F]` to audio `[B, 1, F * hop]`.

    Steps and states are pure, as those of codecs: one model serves many streams.

    Attributes:
        name: Of the model.
        sample_rate: Of the audio in Hz.
        hop: Samples a frame.
        bands: Of a mel.
        latency_samples: Samples that a stream holds back.
        preroll_frames: Frames before one that its audio depends on; as many after it.
    """

    config_type: ClassVar[Any] = HifiGanConfig
    mean: Tensor
    deviation: Tensor

    def __init__(self, config: HifiGanConfig, name: str = "hifigan") -> None:
        super().__init__()
        self.config, self.name = config, name
        self.sample_rate, self.hop, self.bands = config.sample_rate, config.hop, config.bands
        self.generator = generator(config)
        self.front_end = LogMel(config)
        field = decoder_field_of(self.generator, config.hop)
        self.latency_samples = field.held
        self.preroll_frames, self.postroll_frames = field.preroll_frames, field.postroll_frames
        if config.normalize:
            self.register_buffer("mean", torch.zeros(config.bands))
            self.register_buffer("deviation", torch.ones(config.bands))

    @classmethod
    def get_pretrained(
        cls, name: str | os.PathLike[str], device: str | torch.device = "cpu"
    ) -> Vocoder:
        """Load a vocoder by its name or by its file, ready for use.

        Raises:
            CheckpointError: There is none, or it is something else.
        """
        model = load_any(name, device)
        if not isinstance(model, cls):
            raise CheckpointError(f"{name}: is no vocoder")
        return model

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def set_precision(self, precision: str) -> None:
        """Compute the net in "float32" or "bf16": faster where the device has it, less exact.

        There is no way back from "bf16".

        Raises:
            ArgumentError: The precision is unknown.
            DeviceError: The device has no bf16.
        """
        check_precision(precision, str(self.device))
        if precision == "bf16":
            self.generator.to(torch.bfloat16)

    def check_makes_mels(self) -> None:
        """Check that mels of audio are those that the model takes.

        Raises:
            ArgumentError: They would have to be normalised by numbers that the model does not have.
        """
        if self.config.normalised_before:
            raise ArgumentError(
                f"{self.name}: takes mels that are normalised already, by numbers that came with "
                "the synthesiser and not with it: it makes none of audio"
            )

    def mel(self, audio: Tensor) -> Tensor:
        """Return the mels `[B, bands, F]` of audio `[B, 1, T]`, `[B, T]` or `[T]`.

        Raises:
            ArgumentError: It is no audio, is not finite, or is too short for a frame; or the model
                takes other mels.
        """
        self.check_makes_mels()
        samples = as_samples(audio).to(self.device)
        if samples.dim() == 1:
            samples = samples[None]
        if samples.dim() == 2:
            samples = samples[:, None]
        if samples.dim() != 3 or samples.shape[1] != 1:
            raise ArgumentError(
                f"audio of shape {list(samples.shape)}: must be [batch, 1, samples]"
            )
        if not bool(samples.isfinite().all()):
            raise ArgumentError("audio: has samples that are not finite")
        with torch.no_grad():
            return self.front_end(samples)

    def forward(self, mel: Tensor) -> Tensor:
        """Return audio `[B, 1, F * hop]` of mels `[B, bands, F]`.

        Raises:
            ArgumentError: They are not mels of this model.
        """
        mel = self.prepared(mel)
        if self._learns(mel) or not self._fuses:
            return self.generator(mel).float()
        return torch.cat([y.float() for y in self._whole(mel)], dim=2)

    @torch.no_grad()
    def sound_of(self, mels: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the audio of mels that come in pieces `[B, bands, n]`: what steps and `flush` give.

        Best for pieces of a second and more, of which a processor makes sound faster than steps do:
        each is computed with the frames around it that it depends on.

        Raises:
            ArgumentError: They are not mels of this model.
        """
        if self._fuses:
            yield from (y.float() for y in self._blocks(self.prepared(mel) for mel in mels))
            return
        state: State = None
        for mel in mels:
            state = self.initial_state(mel.shape[0]) if state is None else state
            y, state = self.step(mel, state)
            yield y
        if state is not None:
            yield self.flush(state)

    def _learns(self, mel: Tensor) -> bool:
        weights = self.generator.parameters()
        return torch.is_grad_enabled() and (
            mel.requires_grad or any(w.requires_grad for w in weights)
        )

    @property
    def _fuses(self) -> bool:
        return self.device.type == "cpu" and not is_portable()

    def _whole(self, mel: Tensor) -> Iterator[Tensor]:
        """Yield the sound of mels that are all there: none of it is computed twice at their end."""
        frames = mel.shape[2]
        for first in range(0, max(1, frames), _BLOCK):
            last, start = min(frames, first + _BLOCK), max(0, first - self.preroll_frames)
            seen = mel[..., start : last + self.postroll_frames]
            yield self._between(seen, first - start, last - start)

    def _blocks(self, mels: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield sound as soon as the frames that it depends on are there, and the rest."""
        kept: Tensor | None = None
        first = 0  # of the frames kept, whose sound is still to come
        for mel in mels:
            kept = mel if kept is None else torch.cat([kept, mel], dim=2)
            ready = kept.shape[2] - self.postroll_frames
            if ready > first:
                yield self._between(kept, first, ready)
                gone = max(0, ready - self.preroll_frames)
                kept, first = kept[..., gone:], ready - gone
        if kept is not None:
            yield self._between(kept, first, kept.shape[2])

    def _between(self, mel: Tensor, first: int, last: int) -> Tensor:
        return fused(self.generator, mel)[..., first * self.hop : last * self.hop]

    def initial_state(self, batch: int = 1) -> State:
        """Return the state before the first frame of `batch` streams."""
        if batch < 1:
            raise ArgumentError(f"batch {batch}: must be positive")
        return self.generator.initial_state(batch, self.device)

    def step(self, mel: Tensor, state: State) -> tuple[Tensor, State]:
        """Take the next frames `[B, bands, F]`; return the samples that are final, and a state."""
        y, state = self.generator.step(self.prepared(mel), state)
        return y.float(), state

    def flush(self, state: State) -> Tensor:
        """End the streams: return the samples that were held back."""
        return self.generator.flush(state).float()

    def check_mel(self, mel: Tensor) -> Tensor:
        """Return mels `[B, bands, F]` as float32 where the model is.

        Raises:
            ArgumentError: Shape, type or values cannot be those of this model's mels.
        """
        if not mel.is_floating_point():
            raise ArgumentError(f"mels of {mel.dtype}: must be floats, logarithms of magnitudes")
        if mel.dim() != 3 or mel.shape[1] != self.bands:
            turned = mel.dim() == 3 and mel.shape[2] == self.bands
            hint = ": bands come before frames" if turned else ""
            raise ArgumentError(
                f"mels of shape {list(mel.shape)}: {self.name} takes "
                f"[batch, {self.bands}, frames]{hint}"
            )
        mel = mel.to(self.device, torch.float32)
        if mel.numel():
            self._check_range(mel)
        return mel

    def _check_range(self, mel: Tensor) -> None:
        if not bool(mel.isfinite().all()):
            raise ArgumentError("mels: have values that are not finite")
        config = self.config
        if config.normalised_before:
            return
        unit = 1.0 if config.log == "ln" else torch.tensor(10.0).log().item()
        low = float(torch.tensor(config.floor).log()) / unit
        # a sine at full scale: half the window's sum, and the filters' areas are below 0.1
        high = (float(torch.tensor(config.n_fft / 2).log()) + _MARGIN) / unit
        least, most = float(mel.min()), float(mel.max())
        if least < low - _MARGIN / unit or most > high:
            raise ArgumentError(
                f"mels from {least:.1f} to {most:.1f}: {self.name} takes {config.log} of "
                f"magnitudes, {low:.1f} (silence) to about {high:.1f}; are these in dB, or "
                "normalised?"
            )

    def normalised(self, mel: Tensor) -> Tensor:
        """Return mels as the generator takes them."""
        if not self.config.normalize:
            return mel
        return (mel - self.mean[:, None]) / self.deviation[:, None]

    def prepared(self, mel: Tensor) -> Tensor:
        """As `normalised`, checked as by `check_mel`, in the net's precision."""
        weights = next(self.generator.parameters())
        return self.normalised(self.check_mel(mel)).to(weights.dtype)

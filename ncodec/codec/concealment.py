"""What is heard where packets are lost: the sound before it goes on for a moment and fades."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ncodec.models.base import CompressionModel
from ncodec_formats import Header

FADE_SECONDS = 0.12
"""Time in which a bridged gap falls to silence."""
HISTORY_SECONDS = 0.08
"""How much of what was heard last is played, back and forth, while it fades."""

_silences: WeakKeyDictionary[CompressionModel, Tensor] = WeakKeyDictionary()


class Concealer:
    """Keep the last latents `[S, D, F]` of a stream, and continue them."""

    def __init__(self, model: CompressionModel, header: Header, device: torch.device) -> None:
        """Begin with silence."""
        rate = header.sample_rate / header.hop
        self._fade = max(1, round(FADE_SECONDS * rate))
        self._keep = max(2, round(HISTORY_SECONDS * rate))
        self._silent = silent_latent(model, device).expand(header.streams, -1, 1)
        self._scaled = header.segment is not None
        self._history = self._silent
        self._scale = torch.zeros(header.streams) if self._scaled else None
        self._since = self._fade

    def heard(self, latent: Tensor, scale: Tensor | None) -> None:
        """Take note of latents that were received."""
        joined = torch.cat([self._history, latent], dim=2) if self._since == 0 else latent
        self._history = joined[:, :, -self._keep :]
        self._scale = scale
        self._since = 0

    def continued(self, frames: int) -> tuple[Tensor, Tensor | None]:
        """Return latents and scale for the next `frames` frames of a gap."""
        place = torch.arange(self._since, self._since + frames)
        self._since += frames
        last = self._history.shape[2] - 1
        swing = place % (2 * last) if last else place * 0
        index = (last - swing).abs()
        # A cosine from 1 to 0 in the latents: the model turns them into a falling level.
        weight = 0.5 + 0.5 * torch.cos(torch.pi * (place / self._fade).clamp(max=1))
        weight = weight.to(self._history)
        moved = self._history[:, :, index.to(self._history.device)]
        latent = weight * moved + (1 - weight) * self._silent
        scale = None if self._scale is None else self._scale * weight.mean().cpu()
        return latent, scale

    def silence(self, frames: int) -> tuple[Tensor, Tensor | None]:
        """Return latents and scale of silence that was meant."""
        scale = torch.zeros(self._silent.shape[0]) if self._scaled else None
        return self._silent.expand(-1, -1, frames), scale


def silent_latent(model: CompressionModel, device: torch.device) -> Tensor:
    """Return the model's own idea of silence `[1, D, 1]`: the last frame of coded zeros."""
    if model not in _silences:
        with torch.inference_mode():
            samples = (model.preroll_frames + 16) * model.hop
            if model.segment is not None:
                samples = model.segment[0]
            state = model.encoder_state(1, device, model.total_codebooks)
            zeros = torch.zeros(1, model.channels, samples, device=device)
            chunks, state = model.encode_step(zeros, state)
            codes = [*chunks, *model.encode_flush(state)][0 if model.segment else -1].codes
            _silences[model] = model.decode_latent(codes[:, :, -1:])
    return _silences[model].to(device)

"""What is heard where packets are lost: the sound around the gap, continued into it, and silence.

Latents are what is continued, so the model itself makes the sound. Where the far side of the gap
is known, the last latent before it turns into the first one behind it, along a cosine; a live
listener, who cannot wait, hears the last one go on. Both fade to the model's own silence away from
what was received.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ncodec.models.base import CompressionModel
from ncodec_formats import Header

FADE_SECONDS = 0.2
"""Time in which what is continued falls to silence; shorter and longer ones scored lower."""
CROSSFADE_SECONDS = 0.002
"""From a bridge made blindly to one that knows the far side; longer ones scored lower."""

_silences: WeakKeyDictionary[CompressionModel, tuple[object, Tensor]] = WeakKeyDictionary()


class Concealer:
    """Remember the last latent of each stream, and fill gaps with what may have been there."""

    def __init__(self, model: CompressionModel, header: Header, device: torch.device) -> None:
        """Begin with silence before the first packet."""
        self._fade = FADE_SECONDS * header.sample_rate / header.hop
        self._silent = silent_latent(model, device).expand(header.streams, -1, 1)
        none = torch.zeros(header.streams, device=device)
        self._no_scale = none if model.scaled else None
        self._last, self._scale = self._silent, self._no_scale

    @property
    def reach(self) -> float:
        """Frames of the longest gap that is not silent in between."""
        return 2 * self._fade

    def heard(self, latent: Tensor, scale: Tensor | None) -> None:
        """Take note of latents `[S, D, F]`, F > 0, that were received."""
        self._last, self._scale = latent[:, :, -1:], scale

    def bridge(
        self, begin: int, count: int, gap: int, behind: tuple[Tensor, Tensor | None] | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return latents and scale for `count` frames from frame `begin` of a gap of `gap` frames.

        `behind` is what was received next, `[S, D, F]` with its scale; None if that is not known.
        """
        place = torch.arange(begin, begin + count, dtype=torch.float32)
        left = self._level(place)
        if behind is None:
            latent, weight, scale = self._last, left, self._scale
        else:
            share = 0.5 - 0.5 * torch.cos(torch.pi * (place + 1) / (gap + 1))
            weight = torch.maximum(left, self._level(gap - 1 - place))
            line = share.to(self._last)
            latent = (1 - line) * self._last + line * behind[0][:, :, :1]
            scale = _between(self._scale, behind[1], float(share.mean()))
        level = weight.to(self._last)
        latent = level * latent + (1 - level) * self._silent
        return latent, None if scale is None else scale * weight.mean()

    def silence(self, frames: int) -> tuple[Tensor, Tensor | None]:
        """Return latents and scale of silence that was meant."""
        return self._silent.expand(-1, -1, frames), self._no_scale

    def _level(self, distance: Tensor) -> Tensor:
        """Return 1 beside what was received, falling to 0 along a cosine."""
        return 0.5 + 0.5 * torch.cos(torch.pi * (distance / self._fade).clamp(max=1))


def _between(a: Tensor | None, b: Tensor | None, share: float) -> Tensor | None:
    return None if a is None or b is None else (1 - share) * a + share * b


def silent_latent(model: CompressionModel, device: torch.device) -> Tensor:
    """Return the model's own idea of silence `[1, D, 1]`: the last frame of coded zeros."""
    weights = model.fingerprint, model.precision, str(device)
    kept = _silences.get(model)
    if kept is None or kept[0] != weights:
        with torch.inference_mode():
            samples = (model.preroll_frames + 16) * model.hop
            if model.segment is not None:
                samples = model.segment[0]
            state = model.encoder_state(1, device, model.total_codebooks)
            zeros = torch.zeros(1, model.channels, samples, device=device)
            chunks, state = model.encode_step(zeros, state)
            codes = [*chunks, *model.encode_flush(state)][0 if model.segment else -1].codes
            kept = _silences[model] = weights, model.decode_latent(codes[:, :, -1:])
    return kept[1]

"""Codes chosen by how they sound: the slowest search, whose files any decoder reads.

The nearest codes of a latent are not those that sound most like the original. Here the latents of
some seconds are moved, by gradients that come back through the decoder, until what it makes of
their codes is as near as it gets by losses that follow PESQ, STOI and ViSQOL. Gradients pass the
quantizer as if it were not there. What has been chosen stays, and the decoder goes on from it, so
that windows join without a seam.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.losses.table import LossTable
from ncodec.models.base import CompressionModel
from ncodec.models.records import Chunk
from ncodec.quantize.bits import Search

WEIGHTS = MappingProxyType(
    {
        "mel": 4.0, "bands": 10.0, "level": 8.0, "spectrum": 2.0, "loudness": 14.0,
        "pesq": 6.0, "envelope": 30.0, "phase": 2.0, "similarity": 30.0,
    }
)  # fmt: skip
"""Of the losses (`ncodec.losses.table`), as docs/training.md found them."""
_WINDOW, _BEFORE, _AFTER = 4.0, 1.0, 0.2
"""Seconds that are chosen together; that are heard before them; that are looked at after them."""
_LEAST = 0.5
"""Seconds below which there is too little to hear: then the nearest codes are taken."""
_RATE = 0.08
"""Of the steps, as a part of what the nearest codes leave over; it falls to zero as a root."""
_SILENT = 1e-9  # mean square, -90 dB full scale


class ByEar:
    """A stream's way through the encoder (`Passage`), with codes chosen by ear.

    Results come seconds after the blocks that they are of.
    """

    def __init__(
        self, model: CompressionModel, streams: int, codebooks: int, search: Search, passes: int
    ) -> None:
        """Begin.

        Raises:
            ArgumentError: The model's family is not searched so, or its weights have no gradients.
        """
        if not model.heard_out:
            raise ArgumentError(f"effort 'extreme': {model.name} is coded with 'best' at most")
        if any(weight.is_inference() for weight in model.parameters()):
            raise ArgumentError(f"{model.name} was loaded in inference mode: it has no gradients")
        self._model, self._codebooks = model, codebooks
        self._search, self._passes = search, passes
        self._greedy = replace(search, width=1)  # as good to follow, and faster
        with torch.inference_mode(False):
            self._losses = LossTable(WEIGHTS, model.sample_rate).to(model.device)
            self._incoming = model.encoder_state(streams, model.device, codebooks, search)
            self._outgoing = model.decoder_state(streams, model.device)
            empty = torch.zeros(streams, model.channels, 0, device=model.device)
        self._waiting = list[Tensor]()  # latents, block by block
        self._real = empty  # samples from the first of `_past` on
        self._past = empty  # samples decoded last

    def feed(self, block: Tensor, scale: Tensor | None = None) -> list[list[Chunk]]:
        """Take the next block; return the codes of those that have been heard."""
        with torch.inference_mode(False), torch.no_grad():
            self._real = torch.cat([self._real, block], dim=2)
            latents, self._incoming = self._model.latent_step(block.clone(), self._incoming)
        self._waiting += [latent.values for latent in latents]
        results = list[list[Chunk]]()
        while count := self._complete():
            results += self._choose(count)
        return results

    def ready(self) -> list[list[Chunk]]:
        """Nothing: all that is chosen is returned at once."""
        return []

    def rest(self) -> list[list[Chunk]]:
        """Nothing: what waits is chosen with what follows it."""
        return []

    def end(self) -> list[list[Chunk]]:
        """Choose the rest."""
        with torch.inference_mode(False), torch.no_grad():
            latents = self._model.latent_flush(self._incoming)
        self._waiting += [latent.values for latent in latents]
        return self._choose(len(self._waiting), last=True) if self._waiting else []

    def fork(self) -> ByEar:
        """Return one that goes on from here by itself."""
        twin = copy.copy(self)
        twin._waiting = list(self._waiting)
        return twin

    def _frames(self, seconds: float) -> int:
        return round(seconds * self._model.frame_rate)

    def _complete(self) -> int:
        """Return how many blocks make a window with what has to follow it, 0 if too few wait."""
        frames = 0
        for count, latent in enumerate(self._waiting, 1):
            frames += latent.shape[2]
            if frames >= self._frames(_WINDOW):
                rest = sum(other.shape[2] for other in self._waiting[count:])
                return count if rest >= self._frames(_AFTER) else 0
        return 0

    def _choose(self, count: int, *, last: bool = False) -> list[list[Chunk]]:
        """Choose codes of the first `count` blocks; return them block by block."""
        blocks, self._waiting = self._waiting[:count], self._waiting[count:]
        with torch.inference_mode(False), torch.enable_grad():
            moved = self._moved(torch.cat(blocks, dim=2), last=last)
        results = list[list[Chunk]]()
        for part in moved.split([block.shape[2] for block in blocks], dim=2):
            codes = self._model.encode_latent(part, self._codebooks, self._search)
            self._hear(codes)
            results.append([Chunk(codes, None)])
        return results

    def _hear(self, codes: Tensor) -> None:
        """Let the decoder go on, and forget what lies too far back."""
        with torch.inference_mode(False), torch.no_grad():
            latent = self._model.decode_latent(codes.clone())
            audio, self._outgoing = self._model.decode_latent_step(latent, None, self._outgoing)
            past = torch.cat([self._past, audio], dim=2)
        keep = round(_BEFORE * self._model.sample_rate)
        gone = max(0, past.shape[2] - keep)
        self._past, self._real = past[..., gone:].clone(), self._real[..., gone:].clone()

    def _moved(self, latent: Tensor, *, last: bool) -> Tensor:
        """Return latents whose nearest codes sound better."""
        model = self._model
        heard = self._past.shape[2] + latent.shape[2] * model.hop
        if heard < _LEAST * model.sample_rate or float(self._real.square().mean()) < _SILENT:
            return latent
        after = torch.cat([latent[..., :0], *self._waiting], dim=2)[..., : self._frames(_AFTER)]
        after = model.decode_latent(model.encode_latent(after, self._codebooks, self._greedy))
        nearest = model.decode_latent(model.encode_latent(latent, self._codebooks, self._greedy))
        rate = _RATE * float((latent - nearest).square().mean().sqrt())
        moved = torch.zeros_like(latent).requires_grad_()
        steps = torch.optim.Adam([moved], lr=rate, betas=(0.8, 0.95))
        best, lowest = latent, math.inf
        for number in range(self._passes):
            steps.param_groups[0]["lr"] = rate * (1 - number / self._passes) ** 0.5
            wanted = latent + moved
            distance = self._distance(wanted, after, last=last)
            if float(distance.detach()) < lowest:
                best, lowest = wanted.detach(), float(distance.detach())
            (moved.grad,) = torch.autograd.grad(distance, [moved])
            steps.step()
        return best

    def _distance(self, wanted: Tensor, after: Tensor, *, last: bool) -> Tensor:
        """Return how far from the original it sounds, with gradients for what is wanted."""
        model = self._model
        codes = model.encode_latent(wanted.detach(), self._codebooks, self._greedy)
        chosen = model.decode_latent(codes)
        passed = torch.cat([wanted + (chosen - wanted).detach(), after], dim=2)
        audio, state = model.decode_latent_step(passed, None, self._outgoing)
        parts = [self._past, audio, *([model.decode_flush(state)] if last else [])]
        fake, real = torch.cat(parts, dim=2), self._real
        length = min(fake.shape[2], real.shape[2])  # the last frame may be filled up
        each = self._losses(fake[..., :length], real[..., :length], wanted.new_ones(len(wanted)))
        return torch.stack([self._losses.weights[name] * each[name] for name in each]).sum()

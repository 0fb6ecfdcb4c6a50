"""BlockDecoder: latents go through the model in blocks at fixed places."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from ncodec.audio import Samples
from ncodec.codec.pipeline import BlockThreads, Pipeline
from ncodec.models.base import CompressionModel
from ncodec.regroup import Regroup
from ncodec_formats import Header


class BlockDecoder:
    """Latents `[S, D, F]` to samples `[S, C, T]` of the model.

    Blocks end at multiples of `header.block_frames`, wherever decoding begins, so that rounding is
    the same too; segments are blocks of their own. Attributes:
        frame: The frame that comes next.
        samples: How many samples have been given.
    """

    def __init__(
        self,
        model: CompressionModel,
        header: Header,
        device: torch.device,
        frame: int,
        threads: BlockThreads | None = None,
    ) -> None:
        """Begin with nothing before `frame`; with `threads`, samples come while more is fed."""
        self.frame, self.samples = frame, 0
        self._model = model
        size = header.block_frames
        self._blocks = (
            None
            if header.segment is not None
            else Regroup[Tensor](size, axis=2, join=torch.cat, first=size - frame % size)
        )
        self._state = model.decoder_state(header.streams, device)
        self._pipeline = Pipeline[Samples](model, threads)
        self._done: list[Samples] = []

    def copy(self) -> BlockDecoder:
        """Return one that goes on from here by itself; both will give what is on its way."""
        self._done += self._pipeline.rest()
        twin = copy.copy(self)
        twin._blocks = self._blocks and self._blocks.copy()
        twin._done, twin._pipeline = list(self._done), self._pipeline.fork()
        return twin

    def feed(self, latent: Tensor, scale: Tensor | None) -> Iterator[Samples]:
        """Take the next frames; decode the blocks that are full."""
        self.frame += latent.shape[2]
        if self._blocks is None:
            yield from self._step(latent, scale)
            return
        for block in self._blocks.push(latent):
            yield from self._step(block, None)

    def flush(self) -> Iterator[Samples]:
        """End: decode what waits."""
        if self._blocks is not None and (block := self._blocks.rest()) is not None:
            yield from self._step(block, None)
        state = self._state
        yield from self._give(self._pipeline.add(lambda: _samples(self._model.decode_flush(state))))
        yield from self._give(self._pipeline.rest())

    def _step(self, latent: Tensor, scale: Tensor | None) -> Iterator[Samples]:
        with torch.inference_mode():
            work, self._state = self._model.decode_latent_later(
                latent.contiguous(), scale, self._state
            )
        yield from self._give(self._pipeline.add(lambda: _samples(work())))

    def _give(self, results: list[Samples]) -> Iterator[Samples]:
        done, self._done = [*self._done, *results], []
        for samples in done:
            self.samples += samples.shape[2]
            yield samples


def _samples(audio: Tensor) -> Samples:
    return audio.float().cpu().numpy()

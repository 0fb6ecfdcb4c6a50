"""BlockDecoder: latents go through the model in blocks at fixed places."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from ncodec.audio import Samples
from ncodec.codec.passage import Passage
from ncodec.regroup import Regroup
from ncodec_formats import Header


class BlockDecoder:
    """Latents `[S, D, F]` to samples `[S, C, T]` of the model.

    Blocks end at multiples of `header.block_frames`, wherever decoding begins, so that rounding is
    the same too; segments are blocks of their own. Attributes:
        frame: The frame that comes next.
        samples: How many samples have been given.
    """

    def __init__(self, header: Header, frame: int, passage: Passage[Samples]) -> None:
        """Begin with nothing before `frame`; samples may come while more is fed."""
        self.frame, self.samples = frame, 0
        size = header.block_frames
        self._blocks = (
            None
            if header.segment is not None
            else Regroup[Tensor](size, axis=2, join=torch.cat, first=size - frame % size)
        )
        self._passage = passage
        self._done: list[Samples] = []

    def copy(self) -> BlockDecoder:
        """Return one that goes on from here by itself; both will give what is on its way."""
        self._done += self._passage.rest()
        twin = copy.copy(self)
        twin._blocks = self._blocks and self._blocks.copy()
        twin._done, twin._passage = list(self._done), self._passage.fork()
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
        yield from self._give(self._passage.end())

    def ready(self) -> Iterator[Samples]:
        """Give what has become ready since."""
        yield from self._give(self._passage.ready())

    def rest(self) -> Iterator[Samples]:
        """Give what is on its way, when it is there."""
        yield from self._give(self._passage.rest())

    def _step(self, latent: Tensor, scale: Tensor | None) -> Iterator[Samples]:
        yield from self._give(self._passage.feed(latent, scale))

    def _give(self, results: list[Samples]) -> Iterator[Samples]:
        done, self._done = [*self._done, *results], []
        for samples in done:
            self.samples += samples.shape[2]
            yield samples

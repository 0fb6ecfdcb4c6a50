"""How a stream passes through a model: by itself, or in company with others (`ncodec.serve`)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from ncodec.audio import Samples
from ncodec.codec.pipeline import BlockThreads, Pipeline
from ncodec.models.base import CompressionModel
from ncodec.models.records import Chunk
from ncodec.quantize.bits import Search
from ncodec.streaming import State

T = TypeVar("T")


class Passage(Protocol[T]):
    """One stream's way through one half of a model: blocks in, results out, in their order.

    Results may come later than the blocks that they are of.
    """

    def feed(self, block: Tensor, scale: Tensor | None = None) -> list[T]:
        """Take the next block, rows first; return the results that are ready."""
        ...

    def ready(self) -> list[T]:
        """Return the results that are ready and have not been returned."""
        ...

    def rest(self) -> list[T]:
        """Wait for the results of all that was fed; return those not returned yet."""
        ...

    def end(self) -> list[T]:
        """End the stream: wait for all results; return those not returned yet."""
        ...

    def fork(self) -> Passage[T]:
        """Return one that goes on from here by itself, when nothing is on its way."""
        ...


class OwnPassage(Generic[T]):
    """A stream by itself: each block is computed when it comes, or by threads meanwhile."""

    def __init__(
        self,
        pipeline: Pipeline[T],
        state: State,
        later: Callable[[Tensor, Tensor | None, State], tuple[Callable[[], T], State]],
        flush: Callable[[State], T],
    ) -> None:
        """Begin with `state`; `later` takes a block, its scale and a state, `flush` a state."""
        self._pipeline, self._state = pipeline, state
        self._later, self._flush = later, flush

    def feed(self, block: Tensor, scale: Tensor | None = None) -> list[T]:
        """Compute a block, or begin to."""
        with torch.inference_mode():
            work, self._state = self._later(block, scale, self._state)
        return self._pipeline.add(work)

    def ready(self) -> list[T]:
        """Return what threads have done meanwhile."""
        return self._pipeline.ready()

    def rest(self) -> list[T]:
        """Wait for the threads."""
        return self._pipeline.rest()

    def end(self) -> list[T]:
        """Compute the end."""
        state = self._state
        return [*self._pipeline.add(lambda: self._flush(state)), *self._pipeline.rest()]

    def fork(self) -> OwnPassage[T]:
        """Return one that goes on from this state."""
        twin = copy.copy(self)
        twin._pipeline = self._pipeline.fork()
        return twin


def encoding(
    model: CompressionModel,
    streams: int,
    codebooks: int,
    threads: BlockThreads | None,
    search: Search | None = None,
) -> Passage[list[Chunk]]:
    """Return the passage of samples `[streams, C, T]` of the model to chunks of codes."""
    state = model.encoder_state(streams, model.device, codebooks, search)
    return OwnPassage(
        Pipeline[list[Chunk]](model, threads),
        state,
        lambda block, _, state: model.encode_later(block, state),
        model.encode_flush,
    )


def decoding(
    model: CompressionModel, streams: int, threads: BlockThreads | None
) -> Passage[Samples]:
    """Return the passage of latents `[streams, D, F]` to samples `[streams, C, T]`."""

    def later(latent: Tensor, scale: Tensor | None, state: Any) -> tuple[Callable[[], Any], Any]:
        work, after = model.decode_latent_later(latent.contiguous(), scale, state)
        return lambda: to_samples(work()), after

    state = model.decoder_state(streams, model.device)
    return OwnPassage(
        Pipeline[Samples](model, threads),
        state,
        later,
        lambda state: to_samples(model.decode_flush(state)),
    )


def to_samples(audio: Tensor) -> Samples:
    """Return a model's audio as float32 on the host."""
    return audio.float().cpu().numpy()

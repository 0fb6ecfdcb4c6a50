"""Rows: streams that begin, pause, go on and end each by itself, stepped together.

States live in cohorts: batches that one step left. A step takes its rows out of the cohorts they
are in and stacks them; where they are just the rows of one cohort nothing is copied. Rows that stay
behind keep the old cohort alive, and it goes when the last of them has left or is dropped.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from ncodec.audio import Samples
from ncodec.codec.passage import to_samples
from ncodec.models.base import CompressionModel
from ncodec.models.records import Chunk, DecoderState, EncoderState
from ncodec.streaming import phase_of

S = TypeVar("S", EncoderState, DecoderState)
T = TypeVar("T")


class _Cohort(Generic[S]):
    """A batch as a step left it, and the rows that were in it."""

    def __init__(self, state: S, rows: Sequence[Row[S, Any]], phase: object) -> None:
        self.state, self.phase = state, phase
        self.rows = [weakref.ref(row) for row in rows]
        self.signals, at = state.streams.batch, 0
        for row in rows:
            row.cohort, row.at = self, at
            at += row.width

    @property
    def stay(self) -> list[Row[S, Any]]:
        """The rows that are still in it."""
        rows = (ref() for ref in self.rows)
        return [row for row in rows if row is not None and row.cohort is self]


class Row(Generic[S, T]):
    """The passage of one stream among others, as `ncodec.codec.passage.Passage` says.

    A row is dropped by letting go of it.

    Attributes:
        width: Signals of the stream, which are rows of the model's batch.
        codebooks: How many an encoder uses for it; 0 of a decoder.
        waiting: Whole frames that have been fed and not stepped yet.
        cohort: The batch in which its state is, from row `at` on.
    """

    cohort: _Cohort[S]
    at: int

    def __init__(self, rows: Rows[S, T], state: S, codebooks: int = 0) -> None:
        self._rows, self.width, self.waiting = rows, state.streams.batch, 0
        self.codebooks = codebooks
        self._blocks: deque[Tensor] = deque()
        self._tail: Tensor | None = None
        self._done: list[T] = []
        _Cohort(state, [self], rows.phase(state))

    def feed(self, block: Tensor, scale: Tensor | None = None) -> list[T]:
        """Take the next block `[S, C, T]`; all but the last must be of whole frames."""
        unit = self._rows.unit
        assert scale is None
        assert self._tail is None, "only the last block may end within a frame"
        whole = block.shape[2] // unit
        if block.shape[2] > whole * unit:
            self._tail, block = block[..., whole * unit :], block[..., : whole * unit]
        if whole:
            self._blocks.append(block)
            self.waiting += whole
            self._rows.wake(self)
        return self.ready()

    def ready(self) -> list[T]:
        """Return what steps have given since."""
        done, self._done = self._done, []
        return done

    def rest(self) -> list[T]:
        """Step, with whoever else is there, until all whole frames are through."""
        while self.waiting:
            self._rows.step(self)
        return self.ready()

    def end(self) -> list[T]:
        """Step what waits, then end this stream by itself."""
        done, (state,) = self.rest(), self._rows.states([self])
        if self._tail is not None:
            given, state = self._rows.compute(self._tail, state, [self])
            done.append(self._rows.part(given, 0, self.width))
        done.append(self._rows.flush(state, self))
        return done

    def fork(self) -> Row[S, T]:
        """Return another row that goes on from this one's state."""
        assert not self.waiting
        assert self._tail is None
        return Row(self._rows, self._rows.states([self])[0], self.codebooks)

    def take(self, frames: int) -> Tensor:
        """Return the next frames that wait, `[S, C, frames * unit]`."""
        self.waiting -= frames
        wanted, parts = frames * self._rows.unit, list[Tensor]()
        while wanted:
            block = self._blocks.popleft()
            if block.shape[2] > wanted:
                self._blocks.appendleft(block[..., wanted:])
                block = block[..., :wanted]
            parts.append(block)
            wanted -= block.shape[2]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def give(self, result: T) -> None:
        """Take what a step gave for this row."""
        self._done.append(result)


class Rows(ABC, Generic[S, T]):
    """All rows of one half of a model.

    Attributes:
        unit: Length of a frame along the last axis of what goes in.
    """

    unit: int

    def __init__(self, model: CompressionModel, most_frames: int, most_signals: int) -> None:
        self.model, self.device = model, model.device
        self._most_frames, self._most_signals = most_frames, most_signals
        self._awake: dict[Row[S, T], None] = {}

    @property
    def waiting(self) -> int:
        """Frames of signals that wait to be stepped."""
        return sum(row.waiting * row.width for row in self._awake)

    def wake(self, row: Row[S, T]) -> None:
        """Take note that a row has frames."""
        self._awake[row] = None

    def step(self, first: Row[S, T] | None = None) -> int:
        """Step as many rows as can share it: with `first`, or with who has waited longest.

        Returns:
            How many signals times frames went through; 0 if none waits.
        """
        if not self._awake:
            return 0
        rows = self._together(first or next(iter(self._awake)))
        frames = min(self._most_frames, *(row.waiting for row in rows))
        left, states = {row.cohort for row in rows}, self.states(rows)
        state = states[0] if len(states) == 1 else self.model.stack_rows(states)
        blocks = [row.take(frames) for row in rows]
        x = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        given, state = self.compute(x, state, rows)
        cohort = _Cohort(state, rows, self.phase(state))
        for old in left:
            self._shrink(old)
        for row in rows:
            row.give(self.part(given, row.at, row.at + row.width))
            if not row.waiting:
                del self._awake[row]
        return frames * cohort.signals

    def phase(self, state: S) -> object:
        """Return what states must have in common to be stacked."""
        return phase_of(state.net)

    def states(self, rows: Sequence[Row[S, T]]) -> list[S]:
        """Return the states of rows, those of a cohort as one."""
        held: dict[_Cohort[S], list[int]] = {}
        for row in rows:
            held.setdefault(row.cohort, []).extend(range(row.at, row.at + row.width))
        return [
            cohort.state if len(at) == cohort.signals else self.model.take_rows(cohort.state, at)
            for cohort, at in held.items()
        ]

    @abstractmethod
    def compute(self, x: Tensor, state: S, rows: Sequence[Row[S, T]]) -> tuple[list[Any], S]:
        """Step the model: what it gives for rows, and the next state."""

    @abstractmethod
    def part(self, given: list[Any], begin: int, end: int) -> T:
        """Return some signals' part of what a step gave."""

    @abstractmethod
    def flush(self, state: S, row: Row[S, T]) -> T:
        """Return what the end of a stream gives."""

    def _together(self, first: Row[S, T]) -> list[Row[S, T]]:
        """Return `first` and those in its phase, cohort by cohort, in the order they have there."""
        phase, signals, chosen = first.cohort.phase, first.width, [first]
        for row in self._awake:
            if row is not first and row.cohort.phase == phase:
                signals += row.width
                if signals > self._most_signals:
                    break
                chosen.append(row)
        cohorts = {row.cohort: number for number, row in enumerate(reversed(chosen))}
        return sorted(chosen, key=lambda row: (cohorts[row.cohort], row.at))

    def _shrink(self, cohort: _Cohort[S]) -> None:
        """Let go of what rows have left behind, where that is most of a cohort."""
        stay = cohort.stay
        if stay and 2 * sum(row.width for row in stay) <= cohort.signals:
            (state,) = self.states(stay)
            _Cohort(state, stay, cohort.phase)


class EncoderRows(Rows[EncoderState, list[Chunk]]):
    """Rows of samples `[S, C, frames * hop]` that become chunks of codes.

    Rows of all numbers of codebooks share steps: a greedy search for the most of them finds the
    same as one for fewer.

    Attributes:
        most_codebooks: How many are searched at most, also where a row would have more.
    """

    def __init__(self, model: CompressionModel, most_frames: int, most_signals: int) -> None:
        super().__init__(model, most_frames, most_signals)
        self.unit, self.most_codebooks = model.hop, model.total_codebooks

    def begin(self, streams: int, codebooks: int) -> Row[EncoderState, list[Chunk]]:
        """Return the row of so many signals, before their first sample."""
        state = self.model.encoder_state(streams, self.device, self.model.total_codebooks)
        return Row(self, state, codebooks)

    def compute(
        self, x: Tensor, state: EncoderState, rows: Sequence[Row[EncoderState, list[Chunk]]]
    ) -> tuple[list[Chunk], EncoderState]:
        """Code samples."""
        with torch.inference_mode():
            chunks, after = self.model.encode_step(x.to(self.device), self._limited(state, rows))
        return chunks, replace(after, streams=state.streams)

    def part(self, given: list[Chunk], begin: int, end: int) -> list[Chunk]:
        """Return some signals' codes."""
        return [Chunk(chunk.codes[begin:end], None) for chunk in given]

    def flush(self, state: EncoderState, row: Row[EncoderState, list[Chunk]]) -> list[Chunk]:
        """Return the last codes."""
        with torch.inference_mode():
            return self.model.encode_flush(self._limited(state, [row]))

    def _limited(
        self, state: EncoderState, rows: Sequence[Row[EncoderState, list[Chunk]]]
    ) -> EncoderState:
        count = min(max(row.codebooks for row in rows), self.most_codebooks)
        return replace(state, streams=replace(state.streams, codebooks=count))


class DecoderRows(Rows[DecoderState, Samples]):
    """Rows of latents `[S, D, frames]` that become samples."""

    unit = 1

    def begin(self, streams: int) -> Row[DecoderState, Samples]:
        """Return the row of so many signals, before their first frame."""
        return Row(self, self.model.decoder_state(streams, self.device))

    def compute(
        self, x: Tensor, state: DecoderState, rows: Sequence[Row[DecoderState, Samples]]
    ) -> tuple[list[Samples], DecoderState]:
        """Decode latents."""
        with torch.inference_mode():
            audio, state = self.model.decode_latent_step(x, None, state)
        return [to_samples(audio)], state

    def part(self, given: list[Samples], begin: int, end: int) -> Samples:
        """Return some signals' samples."""
        return given[0][begin:end]

    def flush(self, state: DecoderState, row: Row[DecoderState, Samples]) -> Samples:
        """Return the last samples."""
        with torch.inference_mode():
            return to_samples(self.model.decode_flush(state))

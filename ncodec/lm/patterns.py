"""Codebook patterns: in which order a language model reads and makes the K codes of each frame.

A pattern lays codes `[B, K, F]` out as a sequence `[B, K, S]`: each step holds no code (the special
token in every codebook), or codes of some codebooks, each of a frame. The input at step s predicts
what stands at step s + 1. Terms and layouts are those of AudioCraft (MusicGen, Copet et al. 2023,
arXiv:2306.05284, section 2.2; MusicLM, arXiv:2301.11325; stereo in arXiv:2306.05284, appendix).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import NamedTuple

import torch
from torch import Tensor

from ncodec.errors import ArgumentError

NAMES = ("delay", "parallel", "unroll", "coarse_first", "musiclm")


class Code(NamedTuple):
    """A place in a sequence: the code of a frame in a codebook, both counted from 0."""

    frame: int
    codebook: int


Step = tuple[Code, ...]
"""What stands at one step; empty where all codebooks hold the special token."""


@dataclass(frozen=True)
class Pattern:
    """A way to order codes.

    Attributes:
        name: "delay" (codebook k comes `delays[k]` steps late), "parallel" (all codes of a frame in
            one step), "unroll" (codebooks one after another, those with the same number in
            `flattening` in one step), "coarse_first" (the first codebook of all frames, then the
            others), "musiclm" (groups of `group` codebooks, each code a step of its own).
        codebooks: K.
        delays: Frames that each codebook is late by; of "coarse_first", those after the first.
        flatten_first: Of "delay": first frames whose codes have a step each.
        empty_initial: Of "delay": steps of special tokens before the usual one.
        flattening: Of "unroll": the number of the step, within a frame, of each codebook.
        group: Of "musiclm".

    Raises:
        ArgumentError: The fields do not go together.
    """

    name: str = "delay"
    codebooks: int = 4
    delays: tuple[int, ...] = ()
    flatten_first: int = 0
    empty_initial: int = 0
    flattening: tuple[int, ...] = ()
    group: int = 2

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ArgumentError(f"pattern {self.name!r}: must be one of {', '.join(NAMES)}")
        numbers = tuple(range(self.codebooks))
        usual = {"delay": numbers, "coarse_first": (0,) * (self.codebooks - 1)}
        delays = self.delays or usual.get(self.name, (0,) * self.codebooks)
        flattening = self.flattening or numbers
        object.__setattr__(self, "delays", delays)
        object.__setattr__(self, "flattening", flattening)
        if len(delays) != self.codebooks - (self.name == "coarse_first"):
            raise ArgumentError(f"delays {list(delays)}: must be one for each codebook")
        if min(delays, default=0) < 0 or list(delays) != sorted(delays):
            raise ArgumentError(f"delays {list(delays)}: must not be negative and must not fall")
        if len(flattening) != self.codebooks:
            raise ArgumentError(f"flattening {list(flattening)}: must be one for each codebook")
        if self.name == "musiclm" and self.codebooks % self.group:
            raise ArgumentError(f"group {self.group}: must divide {self.codebooks} codebooks")

    @property
    def streams(self) -> bool:
        """Whether frames can be made without end: the layout needs no length."""
        return self.name in ("delay", "parallel", "unroll")

    def steps(self, frames: int | None = None) -> Iterator[Step]:
        """Yield the steps of so many frames, or without end; the first holds no code.

        As in AudioCraft some of the last steps name frames behind the end, which do not count.

        Raises:
            ArgumentError: Without end, where the layout needs the length.
        """
        if frames is None and not self.streams:
            raise ArgumentError(f"pattern {self.name!r} needs the number of frames beforehand")
        yield ()
        if self.name in ("delay", "parallel"):
            yield from self._delayed(frames)
        elif self.name == "unroll":
            yield from self._unrolled(frames)
        elif self.name == "coarse_first":
            yield from self._coarse_first(frames or 0)
        else:
            yield from self._grouped(frames or 0)

    def layout(self, frames: int) -> Layout:
        """Return the layout of so many frames as indices."""
        return _layout(self, frames)

    def _delayed(self, frames: int | None) -> Iterator[Step]:
        for _ in range(self.empty_initial):
            yield ()
        first = self.flatten_first
        for frame in range(first):
            for codebook in range(self.codebooks):
                yield (Code(frame, codebook),)
        end = None if frames is None else frames + max(self.delays)
        for step in count(first) if end is None else range(first, end):
            codes = (Code(step - late, k) for k, late in enumerate(self.delays))
            yield tuple(code for code in codes if code.frame >= first)

    def _unrolled(self, frames: int | None) -> Iterator[Step]:
        """Sort by the time that a group comes at, the frame, the group; groups may be late."""
        groups = [
            tuple(k for k in range(self.codebooks) if self.flattening[k] == number)
            for number in sorted(set(self.flattening))
        ]
        late = [self.delays[group[0]] for group in groups]
        end = None if frames is None else frames + max(late)
        for time in count() if end is None else range(end):
            due = sorted((time - wait, n) for n, wait in enumerate(late) if time >= wait)
            for frame, number in due:
                yield tuple(Code(frame, k) for k in groups[number])

    def _coarse_first(self, frames: int) -> Iterator[Step]:
        for frame in range(frames):
            yield (Code(frame, 0),)
        for step in range(frames + max(self.delays, default=-frames)):
            codes = (Code(step - late, k) for k, late in enumerate(self.delays, 1))
            yield tuple(code for code in codes if code.frame >= 0)

    def _grouped(self, frames: int) -> Iterator[Step]:
        for first in range(0, self.codebooks, self.group):
            for frame in range(frames):
                for codebook in range(first, first + self.group):
                    yield (Code(frame, codebook),)


@dataclass(frozen=True)
class Layout:
    """The sequence of a number of frames.

    Attributes:
        frames: F.
        length: S, steps in all.
        valid: Steps that training uses: those up to where no codebook has run out of frames.
        places: int64 `[K, F]`, the step at which each code stands.
    """

    frames: int
    length: int
    valid: int
    places: Tensor

    def sequence(self, codes: Tensor, special: int, *, valid_only: bool = False) -> Tensor:
        """Return codes `[B, K, F]` as a sequence `[B, K, S]`, with `special` where there is none.

        With `valid_only` it is cut to the steps that training uses.
        """
        batch, codebooks, _ = codes.shape
        out = codes.new_full((batch, codebooks, self.length), special)
        places = self.places.to(codes.device).expand(batch, -1, -1)
        out.scatter_(2, places, codes)
        return out[..., : self.valid] if valid_only else out

    def codes(self, sequence: Tensor) -> Tensor:
        """Return the codes `[B, K, F]` of a whole sequence `[B, K, S]`."""
        places = self.places.to(sequence.device).expand(len(sequence), -1, -1)
        return sequence.gather(2, places)

    def mask(self, length: int) -> Tensor:
        """Return bool `[K, F]`: whether a sequence of so many steps predicts and holds a code."""
        return self.places < length

    def logits(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Align logits `[B, K, S, V]` with codes: `[B, K, F, V]` and the mask `[K, F]`.

        What stands where the mask is False is no prediction.
        """
        length = logits.shape[2]
        before = (self.places - 1).clamp(max=length - 1).to(logits.device)
        index = before[None, :, :, None].expand(len(logits), -1, -1, logits.shape[3])
        return logits.gather(2, index), self.mask(length).to(logits.device)


@lru_cache(maxsize=64)
def _layout(pattern: Pattern, frames: int) -> Layout:
    if frames < 1:
        raise ArgumentError(f"{frames} frames: must be at least 1")
    steps = list(islice(pattern.steps(frames), None))
    places = torch.zeros(pattern.codebooks, frames, dtype=torch.int64)
    last = 0
    for number, step in enumerate(steps):
        for frame, codebook in step:
            last = max(last, frame)
            if frame < frames:
                places[codebook, frame] = number
    late = last - (frames - 1)
    return Layout(frames, len(steps), len(steps) - late, places)

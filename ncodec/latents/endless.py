"""What a model of endless sound is to those who use it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any

from torch import Tensor, nn

from ncodec.arguments import check_number, check_whole
from ncodec.errors import ArgumentError
from ncodec.latents.coordinates import MAX_SEED
from ncodec.streaming import State


@dataclass(frozen=True)
class Directions:
    """What is to be made.

    Attributes:
        seed: Of the piece: the same seed and directions give the same sound.
        variation: How far anchors and style may lie from what is most usual, in deviations.
        density: Onsets a second, or None: as it comes.
        tempo: Beats a minute, or None.
        noise: How much of the noise that its layers learnt with a model adds; 0 to 10.
        loop: Blocks after which the sound joins its own beginning, or None.

    Raises:
        ArgumentError: A value out of range.
    """

    seed: int
    variation: float = 2.0
    density: float | None = None
    tempo: float | None = None
    noise: float = 0.0
    loop: int | None = None

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, 0, MAX_SEED)
        for name, most in (("variation", math.inf), ("density", 100.0), ("tempo", 1000.0)):
            value = getattr(self, name)
            if value is None or (name == "variation" and value == math.inf):
                continue
            if not 0 < check_number(name, value) <= most:
                raise ArgumentError(f"{name} {value}: must be above 0 and at most {most:g}")
        if not 0 <= check_number("noise", self.noise) <= 10:
            raise ArgumentError(f"noise {self.noise}: must be 0 to 10")
        if self.loop is not None:
            check_whole("loop", self.loop, 2)

    def to_dict(self) -> dict[str, Any]:
        """Return what is said, of plain JSON types."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class EndlessState:
    """Where a stream is; nothing changes it, so a copy is a reference.

    Attributes:
        directions: What is being made.
        block: Number of the block that comes next.
        nets: What the model's nets remember; not kept in `to_dict`, since it can be made again.
    """

    directions: Directions
    block: int
    nets: State = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is enough to go on, of plain JSON types."""
        return {**self.directions.to_dict(), "block": self.block}


class EndlessModel(nn.Module, ABC):
    """Sound, or codes of a codec, block after block, as long as it is asked for.

    A block depends on directions and on its number alone: `begin` at a later block makes what a
    stream would have come to, to the last bit.

    Attributes:
        name: Of the model.
        sample_rate: Of the sound, in Hz.
        channels: Of the sound.
        block_samples: Samples of a block.
        codec: Name of the codec whose codes the blocks are; None: they are sound.
        codebooks: Of the codes, of all channels together.
        conditions: Which of "density", "tempo" and "noise" the model can be told.
    """

    name: str
    sample_rate: int
    channels: int
    block_samples: int
    codec: str | None = None
    codebooks: int = 0
    conditions: tuple[str, ...] = ()

    @abstractmethod
    def begin(self, directions: Directions, block: int = 0) -> EndlessState:
        """Return the state before a block.

        Raises:
            ArgumentError: The model cannot be told so.
        """

    @abstractmethod
    def step(self, state: EndlessState) -> tuple[Tensor, EndlessState]:
        """Return the next block and the state after it.

        A block is sound `[C, block_samples]`, or codes `[K, F]` where there is a `codec`.
        """

    @property
    def block_seconds(self) -> Fraction:
        """Seconds of a block."""
        return Fraction(self.block_samples, self.sample_rate)

    def blocks(self, state: EndlessState) -> Iterator[Tensor]:
        """Yield blocks without end."""
        while True:
            block, state = self.step(state)
            yield block

    def resume(self, saved: Mapping[str, Any]) -> EndlessState:
        """Return the state of which `EndlessState.to_dict` gave this.

        Raises:
            ArgumentError: It is no such thing.
        """
        known = {field.name for field in fields(Directions)}
        if not {"seed", "block"} <= set(saved) <= known | {"block"}:
            raise ArgumentError(f"state with {', '.join(sorted(saved))}: must be one that was kept")
        directions = Directions(**{name: saved[name] for name in known & set(saved)})
        return self.begin(directions, check_whole("block", saved["block"], 0))

    def check_directions(self, directions: Directions) -> None:
        """Check that the model can be told what is asked.

        Raises:
            ArgumentError: It cannot.
        """
        for name in ("density", "tempo", "noise"):
            if getattr(directions, name) and name not in self.conditions:
                raise ArgumentError(f"{name}: {self.name} cannot be told")

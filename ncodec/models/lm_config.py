"""The configuration of language models over codes; it needs no PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import ClassVar

from ncodec.arguments import check_number
from ncodec.config import Config
from ncodec.errors import ArgumentError

CONDITIONS = ("text", "tags", "none")
POSITIONS = ("sin", "rope")


@dataclass(frozen=True)
class LMConfig(Config):
    """A language model over codes (AudioGen, Kreuk et al. 2022, arXiv:2209.15352; MusicGen).

    Defaults are musicgen-small's (arXiv:2306.05284).

    Attributes:
        codebooks: K, of both channels together where there are two.
        bins: V, entries of a codebook; the special token is V.
        dim: Width of the transformer.
        heads: Attention heads.
        layers: Number of layers.
        feed_forward: Inner width of the feed-forward pairs.
        position: "sin" (added once, and attention sees all of the past) or "rope" (rotary, and
            attention sees `context` steps: no sequence is too long).
        context: Steps that attention sees, its own included; 0: all of them.
        period: Longest period of the positions, over 2 pi.
        pattern: How codes are ordered; see `ncodec.lm.patterns.Pattern`, as for the next four.
        delays: Of the pattern.
        flatten_first: Of the pattern.
        empty_initial: Of the pattern.
        flattening: Of the pattern; all 0 where it has none.
        group: Of the pattern.
        near: Inner width of a net that sees the last steps as the codec's vectors, and leads each
            head; 0: the heads take what the transformer says.
        near_steps: Steps that it sees.
        near_vector: Width of those vectors.
        condition: "text" (cross attention to a text encoder), "tags" (embeddings of words of
            `vocabulary`, added to each step's input) or "none".
        text_encoder: T5's name on the hub.
        text_width: Width of its output.
        projection: Whether that is projected to `dim`.
        vocabulary: The tags, between spaces.
        companions: Tags that are told along with another, as "rain=sound waves=sound,water": those
            that it came with in training.
        codec: Name of the codec whose codes these are.
        sample_rate: Of the codec, in Hz.
        hop: Of the codec: samples a frame.
        channels: 2: the codebooks of left and right take turns, and the codec is mono.
        window: Seconds that the model was trained on, and generates at most without moving on;
            not used with a bounded context.
        stride: Seconds that it moves on by.
        guidance: Of the conditions, by default.
        temperature: That codes are drawn with by default; one, or one for each codebook.
        style: "music", "sound" or "own": whose defaults it has.
    """

    codebooks: int = 4
    bins: int = 2048
    dim: int = 1024
    heads: int = 16
    layers: int = 24
    feed_forward: int = 4096
    position: str = "sin"
    context: int = 0
    period: float = 10000.0
    pattern: str = "delay"
    delays: tuple[int, ...] = (0, 1, 2, 3)
    flatten_first: int = 0
    empty_initial: int = 0
    flattening: tuple[int, ...] = (0,)
    group: int = 2
    near: int = 0
    near_steps: int = 8
    near_vector: int = 128
    condition: str = "text"
    text_encoder: str = "t5-base"
    text_width: int = 768
    projection: bool = True
    vocabulary: str = ""
    companions: str = ""
    codec: str = "encodec_32khz"
    sample_rate: int = 32000
    hop: int = 640
    channels: int = 1
    window: float = 30.0
    stride: float = 18.0
    guidance: float = 3.0
    temperature: tuple[float, ...] = (1.0,)
    style: str = "music"
    _LEAST: ClassVar[dict[str, int]] = {
        "context": 0,
        "flatten_first": 0,
        "empty_initial": 0,
        "guidance": 0,
        "near": 0,
        "delays": 0,
        "flattening": 0,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (
            ("condition", CONDITIONS),
            ("position", POSITIONS),
            ("channels", (1, 2)),
            ("style", ("music", "sound", "own")),
        ):
            if getattr(self, name) not in allowed:
                raise ArgumentError(
                    f"{name} {getattr(self, name)!r}: must be one of {', '.join(map(str, allowed))}"
                )
        if self.dim % self.heads or (self.dim // self.heads) % 2:
            raise ArgumentError(f"dim {self.dim}: must be an even multiple of heads ({self.heads})")
        if self.codebooks % self.channels:
            raise ArgumentError(f"codebooks {self.codebooks}: must be shared by both channels")
        if self.condition == "tags" and not self.tags:
            raise ArgumentError("vocabulary: has no tag")
        if not self.stride < self.window:
            raise ArgumentError(f"stride {self.stride} s: must be below window ({self.window} s)")
        if self.position == "rope" and not self.context:
            raise ArgumentError("context 0: rotary positions go with a bounded context")
        for field in fields(self):
            if field.type == "str" and not isinstance(getattr(self, field.name), str):
                raise ArgumentError(f"{field.name} {getattr(self, field.name)!r}: must be text")
        self._check_defaults()

    def _check_defaults(self) -> None:
        named = {word for tag, others in self.told_along.items() for word in (tag, *others)}
        if named - set(self.tags):
            raise ArgumentError(f"companions: {min(named - set(self.tags))!r} is no tag")
        if len(self.temperature) not in (1, self.codebooks):
            raise ArgumentError(f"temperature: must be one, or {self.codebooks}")

    def drawn_at(self, temperature: float | Sequence[float] | None) -> float | Sequence[float]:
        """Return a temperature, or the model's own for None, as `Sampling` takes it."""
        if temperature is not None:
            return temperature
        return self.temperature[0] if len(self.temperature) == 1 else self.temperature

    @property
    def tags(self) -> tuple[str, ...]:
        """The vocabulary, tag by tag."""
        return tuple(self.vocabulary.split())

    @property
    def told_along(self) -> dict[str, tuple[str, ...]]:
        """The companions of each tag that has some."""
        pairs = (part.partition("=") for part in self.companions.split())
        return {tag: tuple(others.split(",")) for tag, _, others in pairs}

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second, exactly."""
        return Fraction(self.sample_rate, self.hop)

    def frames(self, seconds: float) -> int:
        """Return the whole frames in a time, which is taken as the decimal that it is written as.

        In binary fractions 0.58 s at 50 Hz would have 28 frames.
        """
        return int(Fraction(str(seconds)) * self.frame_rate)

    def check_duration(self, seconds: float) -> None:
        """Check a time to be made: a frame or more, or infinity.

        Raises:
            ArgumentError: It is none.
        """
        if seconds != math.inf and self.frames(check_number("duration", seconds)) < 1:
            least = 1 / float(self.frame_rate)
            raise ArgumentError(f"duration {seconds:g} s: must be at least a frame, {least:g} s")

    @property
    def window_frames(self) -> int | None:
        """Frames that fit in the window; None where a stream needs no windows."""
        return None if self.context else self.frames(self.window)

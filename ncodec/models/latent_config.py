"""The configurations of models over latents; they need no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from ncodec.config import Config
from ncodec.errors import ArgumentError


@dataclass(frozen=True)
class SecondLevelConfig(Config):
    """A second level over a codec's latents: 2^levels of them become one vector, and back.

    The idea is Musika's (Pasini and Schlueter 2022, arXiv:2208.08706); strided convolutions that
    overlap stand for its windows.

    Attributes:
        dim: Width of a vector; its numbers lie within -1 and 1.
        widths: Channels at each rate, from that of the latents down; each is half the one before.
        kernel: Taps of the convolutions that keep the rate.
        lookahead: Vectors past its own that a latent depends on: 0 or 1.
        codec: Name of the codec whose latents these are.
        latent: D, the width of those.
        codebooks: Of the codec, that latents which are made are written with.
        sample_rate: Of the codec, in Hz.
        hop: Of the codec: samples a latent.
    """

    _LEAST: ClassVar[Mapping[str, int]] = {"lookahead": 0}

    dim: int = 64
    widths: tuple[int, ...] = (256, 384, 512)
    kernel: int = 3
    lookahead: int = 1
    codec: str = "ncodec_24khz"
    latent: int = 80
    codebooks: int = 8
    sample_rate: int = 24000
    hop: int = 320

    def __post_init__(self) -> None:
        """Check them."""
        super().__post_init__()
        if self.lookahead > 1:
            raise ArgumentError(f"lookahead {self.lookahead}: must be 0 or 1")

    @property
    def stride(self) -> int:
        """Latents a vector."""
        return 1 << len(self.widths)

    @property
    def rate(self) -> Fraction:
        """Vectors a second."""
        return Fraction(self.sample_rate, self.hop * self.stride)


CONDITIONS = ("density", "tempo")


@dataclass(frozen=True)
class LatentGanConfig(SecondLevelConfig):
    """Endless sound: a generator of a second level's vectors, with that level's decoder.

    It sees a finite past, has no norm over time and no start, and so streams, and begins anywhere.

    Attributes:
        channels: Of the sound; each is a stream of the mono codec, and their vectors are made
            together.
        coordinates: Numbers that say where in a piece it is.
        style: Numbers that are the same for a whole piece.
        noise: Numbers that are drawn for each vector.
        spacing: Vectors from anchor to anchor of the coordinates.
        generator: Channels at each rate, from that of the vectors down; each is half the one
            before.
        conditions: What it can be told, of "density" and "tempo", between spaces.
        bins: Of the codec: entries of a codebook.
    """

    channels: int = 1
    coordinates: int = 64
    style: int = 64
    noise: int = 8
    spacing: int = 192
    generator: tuple[int, ...] = (384, 512, 640, 768, 896)
    conditions: str = ""
    bins: int = 1024

    def __post_init__(self) -> None:
        """Check them."""
        super().__post_init__()
        if self.channels > 2:
            raise ArgumentError(f"channels {self.channels}: must be 1 or 2")
        if len(set(self.told)) < len(self.told) or not set(self.told) <= set(CONDITIONS):
            raise ArgumentError(
                f"conditions {self.conditions!r}: must be of {' '.join(CONDITIONS)}, each once"
            )

    @property
    def told(self) -> tuple[str, ...]:
        """What it can be told."""
        return tuple(self.conditions.split())

    @property
    def block(self) -> int:
        """Vectors that are made together."""
        return 1 << (len(self.generator) - 1)

    @property
    def controls(self) -> int:
        """Numbers a vector that say what to make: all inputs but the noise."""
        return self.coordinates + self.style + 2 * len(self.told)

"""Musika's configuration; it needs no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ncodec.config import Config
from ncodec.errors import ArgumentError


@dataclass(frozen=True)
class MusikaConfig(Config):
    """Musika (Pasini and Schlueter 2022, arXiv:2208.08706); defaults are those at 44.1 kHz.

    Attributes:
        sample_rate: Hz.
        hop: Samples of a spectrum's frame; its window has four times as many.
        base: Of the autoencoder: a quarter, once, twice, three and four times as many channels;
            as large as the hop in published models.
        dim: Width of a vector of the second level, of one channel; 16 frames are one.
        coordinate: Numbers of a coordinate that move.
        style: Numbers of a coordinate that stay.
        width: Of the generator: 7, 6, 5, 4, 3 and 2 times as many channels, and as a critic.
        small: Whether the generator's windows have 64 steps instead of 128.
        encoders: Whether both encoders are there too.
    """

    _LEAST: ClassVar[Mapping[str, int]] = {"style": 0}

    sample_rate: int = 44100
    hop: int = 256
    base: int = 256
    dim: int = 64
    coordinate: int = 64
    style: int = 64
    width: int = 128
    small: bool = False
    encoders: bool = False

    def __post_init__(self) -> None:
        """Check them."""
        super().__post_init__()
        if self.base % 4:
            raise ArgumentError(f"base {self.base}: must be a multiple of 4")

    @property
    def latent(self) -> int:
        """Width of a frame's latent, of the first level."""
        return self.base // 4

    @property
    def bins(self) -> int:
        """Of a spectrum."""
        return 2 * self.hop + 1

    @property
    def window(self) -> int:
        """Steps that the generator makes at once."""
        return 64 if self.small else 128

    @property
    def step_samples(self) -> int:
        """Samples of a step, a vector of the second level."""
        return 16 * self.hop

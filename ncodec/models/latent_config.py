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

"""Endless sound over a codec's latents: coordinates to vectors, latents, and codes of the codec."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from ncodec.latents.coordinates import LAYERS, Coordinates, normal
from ncodec.latents.endless import Directions, EndlessModel, EndlessState
from ncodec.latents.generator import Generator
from ncodec.latents.second_level import SecondLevel
from ncodec.models.latent_config import LatentGanConfig
from ncodec.quantize import ResidualVQ
from ncodec.streaming import State


class LatentGan(EndlessModel):
    """Music without end, as codes of a mono codec, one stream of them for each channel.

    The codec's own quantizer makes them, so that files of them peel, seek and play as others. All
    layers have a finite past, which a stream that begins anywhere computes first.

    Attributes:
        second: The level whose vectors are made.
        generator: What makes them.
        quantizer: The codec's first codebooks.
    """

    config_type: ClassVar[Any] = LatentGanConfig

    def __init__(self, config: LatentGanConfig, name: str = "latent_gan") -> None:
        super().__init__()
        self.config, self.name = config, name
        self.sample_rate, self.channels = config.sample_rate, config.channels
        self.block_samples = config.block * config.stride * config.hop
        self.codec, self.conditions = config.codec, config.told
        self.codebooks = config.codebooks * config.channels
        self.second = SecondLevel(config, name)
        self.generator = Generator(config)
        self.quantizer = ResidualVQ(config.latent, config.codebooks, config.bins)
        steps = self.generator.warmup + self.second.warmup
        self.warmup_blocks = -(-steps // config.block)

    def begin(self, directions: Directions, block: int = 0) -> EndlessState:
        """See EndlessModel; what the first block's layers remember is computed."""
        self.check_directions(directions)
        nets: State = (self.generator.initial_state(1), self.second.initial_state(self.channels))
        for earlier in range(block - self.warmup_blocks, block):
            _, nets = self._latents(directions, earlier, nets)
        return EndlessState(directions, block, nets)

    def step(self, state: EndlessState) -> tuple[Tensor, EndlessState]:
        """See EndlessModel: codes int64 `[K * channels, F]`, channels taking turns."""
        latents, nets = self._latents(state.directions, state.block, state.nets)
        codes = self.quantizer.encode(latents)
        after = EndlessState(state.directions, state.block + 1, nets)
        return codes.transpose(0, 1).flatten(0, 1), after

    @torch.no_grad()
    def _latents(self, directions: Directions, block: int, nets: State) -> tuple[Tensor, State]:
        """Return a block's latents `[channels, D, F]`, and what the nets remember after it."""
        into, out = nets
        vectors, into = self.generator.step(self._inputs(directions, block)[None], into)
        latents, out = self.second.decode_step(vectors[0].unflatten(0, (self.channels, -1)), out)
        return latents, (into, out)

    def _inputs(self, directions: Directions, block: int) -> Tensor:
        count = self.config.block
        loop = None if directions.loop is None else directions.loop * count
        first = block * count
        controls = coordinates(
            self.config, directions.seed, directions.variation, loop
        ).at(first, count)  # fmt: skip
        told = conditions(self.config, density=directions.density, tempo=directions.tempo)
        noise = noise_of(self.config, directions.seed, first if loop is None else first % loop)
        device = self.second.device
        return torch.cat([controls, told.expand(-1, count), noise]).to(device)


def coordinates(
    config: LatentGanConfig, seed: int, variation: float = math.inf, loop: int | None = None
) -> Coordinates:
    """Return the coordinates of a piece."""
    return Coordinates(seed, config.coordinates, config.style, config.spacing, 0, variation, loop)


def noise_of(config: LatentGanConfig, seed: int, first: int, count: int = 0) -> Tensor:
    """Return the noise `[noise, count]` of steps `first` on, of one block if `count` is 0."""
    # steps before the piece, which its beginning remembers, have numbers too
    return normal(seed, LAYERS, first + _BEFORE, count or config.block, config.noise)


def conditions(
    config: LatentGanConfig,
    *,
    density: float | Tensor | None = None,
    tempo: float | Tensor | None = None,
) -> Tensor:
    """Return conditions as the generator takes them: values, then which of them are told.

    Args:
        config: Of the model.
        density: Onsets a second, a number or `[T]`; None: not told.
        tempo: Beats a minute, likewise.

    Returns:
        `[2 * n, T]`, T 1 for numbers: log(1 + density), log2(tempo / 120), 0 where not told.
    """
    given = {"density": density, "tempo": tempo}
    rows = [None if given[name] is None else _scaled(name, given[name]) for name in config.told]
    length = max((len(row) for row in rows if row is not None), default=1)
    values = [torch.zeros(length) if row is None else row.expand(length) for row in rows]
    masks = [torch.full((length,), float(row is not None)) for row in rows]
    return torch.stack([*values, *masks]) if rows else torch.zeros(0, length)


def _scaled(name: str, value: float | Tensor | None) -> Tensor:
    x = torch.as_tensor(value, dtype=torch.float32).reshape(-1)
    return torch.log1p(x) if name == "density" else torch.log2(x / 120)


_BEFORE = 1 << 16
"""Steps before a piece that have noise of their own."""

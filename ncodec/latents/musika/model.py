"""Musika as a stream: any block of a piece, and the blocks after it without a seam."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import torch
from torch import Tensor

from ncodec.errors import ArgumentError
from ncodec.latents.coordinates import LAYERS, Coordinates, normal
from ncodec.latents.endless import Directions, EndlessModel, EndlessState
from ncodec.latents.musika.adversaries import Generator
from ncodec.latents.musika.autoencoder import (
    FirstDecoder,
    SecondEncoder,
    first_encoder,
    second_decoder,
)
from ncodec.latents.musika.layers import with_noise
from ncodec.latents.musika.spectrum import Analysis, Synthesis
from ncodec.models.musika_config import MusikaConfig
from ncodec.streaming import Sequential, State

_STEPS = 16
"""Steps of a block, that go through the decoders together."""
_WARM = 16
"""Steps before a block that the decoders are fed: all that they see, so that it begins as if they
had always run."""
ANCHORS_APART = 3
"""Windows from anchor to anchor, times their length (marcoppasini/musika, parse_train.py)."""
_GENERATOR = 200
"""From which number on the noise of the generator is numbered."""


@dataclass(frozen=True)
class Windows:
    """How the generator's windows lie: each step is of one window, near joins of two.

    Each begins half a window after the one before, as in training anchors lie in the middle of a
    window or at its ends; its outer quarters, which see less around them, are not used but to fade.

    Attributes:
        size: Steps of a window.
        apart: Steps from middle to middle; less than half a window in loops that it does not fit.
        cycle: Windows after which they come again, or None.
    """

    size: int
    apart: Fraction
    cycle: int | None = None

    @classmethod
    def of(cls, size: int, loop: int | None) -> Windows:
        """Return those of a piece, or of a loop of so many steps."""
        if loop is None:
            return cls(size, Fraction(size, 2))
        anchors = max(2, round(loop / (ANCHORS_APART * size)))
        count = anchors * -(-2 * loop // (anchors * size))
        return cls(size, Fraction(loop, count), count)

    @property
    def fade(self) -> int:
        """Steps in which one window gives way to the next."""
        return self.size // 8

    def middle(self, number: int) -> int:
        """Return the step in the middle of a window."""
        return round(number * self.apart)

    def join(self, number: int) -> int:
        """Return the first step of a window; halfway from the last one's middle."""
        return (self.middle(number - 1) + self.middle(number)) // 2

    def start(self, number: int) -> int:
        """Return the first step that is generated for a window."""
        return self.middle(number) - self.size // 2

    def at(self, step: int) -> int:
        """Return the window of a step."""
        number = int(step // self.apart)
        return number + (step >= self.join(number + 1))


@dataclass(frozen=True)
class _Nets:
    """What the nets of a stream remember.

    Attributes:
        second: Of the second level's decoder.
        first: Of the first level's.
        sound: Of the synthesis.
        made: Windows of vectors that are still in use, by their numbers.
        step: That is to be generated next.
        ready: `[2, n]`, samples that are of later blocks.
    """

    second: State
    first: State
    sound: State
    made: tuple[tuple[int, Tensor], ...]
    step: int
    ready: Tensor


class Musika(EndlessModel):
    """Coordinates to vectors by a GAN, and to stereo sound by two decoders.

    Attributes:
        generator: Of windows.
        second_decoder: Vectors to latents.
        first_decoder: Latents to spectra.
        synthesis: Spectra to sound.
        first_encoder: Spectra to latents, if the configuration has encoders.
        second_encoder: Latents to vectors, likewise.
        analysis: Sound to decibels, likewise.
    """

    config_type: ClassVar[Any] = MusikaConfig
    channels = 2
    conditions = ("noise",)

    def __init__(self, config: MusikaConfig, name: str = "musika") -> None:
        super().__init__()
        self.config, self.name = config, name
        self.sample_rate, self.block_samples = config.sample_rate, _STEPS * config.step_samples
        self.generator = Generator(config)
        self.second_decoder, self.first_decoder = second_decoder(config), FirstDecoder(config)
        self.synthesis = Synthesis(config.hop)
        self.first_encoder: Sequential | None = None
        self.second_encoder: SecondEncoder | None = None
        if config.encoders:
            self.first_encoder, self.second_encoder = first_encoder(config), SecondEncoder(config)
        self.analysis = Analysis(config.hop)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.generator.noise.device

    def encode(self, audio: Tensor) -> Tensor:
        """Return the vectors `[B, dim, n]` of audio `[B, 1, T]`, one for 16 hops.

        Raises:
            ArgumentError: The model has no encoders, or this is no audio.
        """
        if self.first_encoder is None or self.second_encoder is None:
            raise ArgumentError(f"{self.name}: was imported without its encoders")
        if audio.dim() != 3 or audio.shape[1] != 1:
            raise ArgumentError(f"audio of shape {list(audio.shape)}: must be [batch, 1, samples]")
        return self.second_encoder(self.first_encoder(self.analysis(audio)))

    def decode(self, vectors: Tensor) -> Tensor:
        """Return the audio `[B, 1, T]` of whole signals of vectors `[B, dim, n]`.

        It has 16 hops for each vector and 3 more; at either end 3 hops fade.
        """
        return self.synthesis(self.first_decoder(self.second_decoder(vectors))).clamp(-1, 1)

    def begin(self, directions: Directions, block: int = 0) -> EndlessState:
        """See EndlessModel."""
        self.check_directions(directions)
        step = block * _STEPS - _WARM
        loop = self._loop(directions)

        def noisy(state: State) -> State:
            return with_noise(state, directions.noise, directions.seed, step + _WARM, loop)

        nets = _Nets(
            noisy(self.second_decoder.initial_state(2)),
            noisy(self.first_decoder.initial_state(2)),
            self.synthesis.initial_state(2),
            (),
            step,
            torch.zeros(2, 0, device=self.device),
        )
        state = EndlessState(directions, block, nets)
        early = _WARM * self.config.step_samples
        nets = self._fed(state, early)
        nets = replace(nets, ready=nets.ready[:, early:].clone())
        return replace(state, nets=nets)

    def step(self, state: EndlessState) -> tuple[Tensor, EndlessState]:
        """See EndlessModel."""
        nets, size = self._fed(state, self.block_samples), self.block_samples
        block, rest = nets.ready[:, :size], nets.ready[:, size:].clone()
        return block, replace(state, block=state.block + 1, nets=replace(nets, ready=rest))

    @torch.no_grad()
    def _fed(self, state: EndlessState, samples: int) -> _Nets:
        """Feed the decoders until so many samples are ready."""
        nets: _Nets = state.nets
        parts, count = [nets.ready], nets.ready.shape[1]
        while count < samples:
            vectors, nets = self._vectors(state.directions, nets)
            latents, second = self.second_decoder.step(vectors, nets.second)
            spectra, first = self.first_decoder.step(latents, nets.first)
            sound, rest = self.synthesis.step(spectra, nets.sound)
            parts.append(sound[:, 0].clamp(-1, 1))
            count += sound.shape[2]
            nets = replace(nets, second=second, first=first, sound=rest)
        return replace(nets, ready=torch.cat(parts, dim=1))

    def _vectors(self, directions: Directions, nets: _Nets) -> tuple[Tensor, _Nets]:
        """Return the vectors `[2, dim, steps]` that come next."""
        windows = Windows.of(self.config.window, self._loop(directions))
        known, steps = dict(nets.made), range(nets.step, nets.step + _STEPS)
        places = [_place(windows, step) for step in steps]
        numbers = sorted({number for place in places for number in place})
        made = {n: known[n] if n in known else self._window(directions, n) for n in numbers}
        columns: list[Tensor] = []
        for step, place in zip(steps, places, strict=True):
            column = torch.zeros(2, self.config.dim, device=self.device)
            for number, share in place.items():
                column = column + share * made[number][..., step - windows.start(number)]
            columns.append(column)
        kept = tuple((n, made[n]) for n in numbers if n >= windows.at(steps[-1]))
        return torch.stack(columns, dim=2), replace(nets, made=kept, step=steps[-1] + 1)

    def _window(self, directions: Directions, number: int) -> Tensor:
        """Return a window of vectors `[2, dim, window]`."""
        config, loop = self.config, self._loop(directions)
        windows = Windows.of(config.window, loop)
        coordinates = Coordinates(
            directions.seed,
            config.coordinate,
            config.style,
            spacing=ANCHORS_APART * config.window,
            offset=config.window // 2 if loop is None else 0,
            variation=directions.variation,
            loop=loop,
        )
        told = coordinates.at(windows.start(number), config.window).to(self.device)
        noise = list(self._noise(directions, windows, number)) if directions.noise else None
        vectors = self.generator(told[None], noise)[0]
        return vectors.unflatten(0, (2, config.dim))

    def _noise(self, directions: Directions, windows: Windows, number: int) -> Iterator[Tensor]:
        place = number + 1 if windows.cycle is None else number % windows.cycle
        for layer, steps in enumerate(self.generator.noise_steps):
            stream = LAYERS + _GENERATOR + layer
            noise = normal(directions.seed, stream, place * steps, steps)
            yield directions.noise * noise[None].to(self.device)

    def _loop(self, directions: Directions) -> int | None:
        return None if directions.loop is None else directions.loop * _STEPS


def _place(windows: Windows, step: int) -> dict[int, float]:
    """Return which windows a step is of, and the share of each."""
    number, half = windows.at(step), windows.fade // 2
    after = step - windows.join(number) + 0.5
    before = windows.join(number + 1) - step - 0.5
    if after < half:
        share = 0.5 + after / windows.fade
        return {number - 1: 1 - share, number: share}
    if before < half:
        share = 0.5 + before / windows.fade
        return {number: share, number + 1: 1 - share}
    return {number: 1.0}

"""What a latent GAN imitates: vectors of a second level over a codec, or of Musika's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ncodec.checkpoints.loading import load_any
from ncodec.errors import ArgumentError
from ncodec.latents.coordinates import Coordinates
from ncodec.latents.critic import Critic
from ncodec.latents.endless import EndlessModel
from ncodec.latents.gan import LatentGan, conditions, coordinates, noise_of
from ncodec.latents.generator import Generator
from ncodec.latents.musika.adversaries import Critic as MusikaCritic
from ncodec.latents.musika.autoencoder import FRAMES
from ncodec.latents.musika.layers import start_as_keras
from ncodec.latents.musika.model import ANCHORS_APART, Musika
from ncodec.latents.musika.spectrum import OVERLAP
from ncodec.latents.second_level import SecondLevel
from ncodec.models.base import CompressionModel
from ncodec.models.latent_config import LatentGanConfig
from ncodec.models.musika_config import MusikaConfig
from ncodec.train.config import ModelSection, home
from ncodec.train.rhythm import check_extra, density_of, tempo_of
from ncodec.train.vectors import Stretches


class VectorSource(ABC):
    """Recordings as vectors, the nets that learn to make such, and the model that comes of them.

    Attributes:
        generator: What learns to make them.
        critic: What hears vectors with their conditions, `[B, channels * dim + 2 n, steps]`.
        sample_rate: Of recordings, in Hz.
        channels: Of recordings; their vectors lie beside each other.
        hop: Samples of a frame.
        frames: Of a vector.
        overlap: Frames that recordings need beyond those of their vectors.
        block: Vectors at whose multiples windows begin.
        conditions: How many the generator is told.
        notes: On the models that are written.
    """

    generator: nn.Module
    critic: nn.Module
    sample_rate: int
    channels: int
    hop: int
    frames: int
    overlap: int = 0
    block: int
    conditions: int = 0
    notes: Mapping[str, Any] = {}

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Return all that vectors of a recording depend on, for who keeps them."""

    @abstractmethod
    def vectors_of(self, audio: Tensor) -> Stretches:
        """Return audio `[B, channels, T]` as vectors, with what can be told of it."""

    @abstractmethod
    def inputs(self, seed: int, first: int, told: Tensor) -> Tensor:
        """Return what the generator makes a window of, in the piece of a seed, from `first` on.

        `told` `[2 n, steps]` are values of conditions, and which are told.
        """

    @abstractmethod
    def made(self, inputs: Tensor) -> Tensor:
        """Return the vectors `[B, channels * dim, steps]` of such inputs `[B, n, T]`."""

    @abstractmethod
    def whole(self, generator: nn.Module) -> EndlessModel:
        """Return the model with a generator's weights, to be used and no longer trained."""


class CodecVectors(VectorSource):
    """Of a second level over the latents of a mono codec.

    Args:
        second: The second level.
        codec: Its codec.
        model: The section of the run.
        steps: Of a window.
        critic: Channels of the critic.

    Raises:
        ArgumentError: They do not fit.
    """

    def __init__(
        self,
        second: SecondLevel,
        codec: CompressionModel,
        model: ModelSection,
        *,
        steps: int,
        critic: tuple[int, ...],
    ) -> None:
        device = second.device
        self.second, self.codec, self._name = second.requires_grad_(False), codec, model.name
        self.net = net = _over_codec(model, second, codec)
        if net.told:
            check_extra()
        self.sample_rate, self.channels = net.sample_rate, net.channels
        self.hop, self.frames, self.block = net.hop, net.stride, net.block
        self.conditions = len(net.told)
        self.generator = Generator(net).to(device)
        inputs = net.channels * net.dim + 2 * self.conditions
        self.critic = Critic(inputs, steps, critic).to(device)
        self.notes = {"codec_fingerprint": codec.fingerprint.hex()}
        if steps % net.block:
            raise ArgumentError(f"latent_gan.steps = {steps}: must be a multiple of {net.block}")

    def about(self) -> dict[str, Any]:
        """See VectorSource."""
        return {
            "net": self.net.to_dict(),
            "second_level": _sums(self.second),
            "codec": self.codec.fingerprint.hex(),
        }

    @torch.no_grad()
    def vectors_of(self, audio: Tensor) -> Stretches:
        """See VectorSource."""
        encode, parts = self.codec.trainable().encode, list[Tensor]()
        for c in range(self.channels):
            latents = encode(audio[:, c : c + 1].to(self.second.device)).float()
            parts.append(self.second.vectors_of(latents).cpu())
        vectors = torch.cat(parts, dim=1)
        told = [self._told(row, vectors.shape[2]) for row in audio]
        return Stretches(vectors, torch.stack(told))

    def _told(self, audio: Tensor, steps: int) -> Tensor:
        """Return the conditions' values `[n, steps]`."""
        samples, rate, told = audio.numpy(), self.sample_rate, self.net.told
        density = torch.from_numpy(density_of(samples, rate, steps)) if "density" in told else None
        tempo = tempo_of(samples, rate) if "tempo" in told else None
        rows = conditions(self.net, density=density, tempo=tempo)[: len(told)]
        return rows.expand(-1, steps)

    def inputs(self, seed: int, first: int, told: Tensor) -> Tensor:
        """See VectorSource; with what lies before the window, as streams have it."""
        warmup = cast(Generator, self.generator).warmup
        count = warmup + told.shape[1]
        controls = coordinates(self.net, seed).at(first, count)
        before = told[:, :1].expand(-1, warmup)
        noise = noise_of(self.net, seed, first, count)
        return torch.cat([controls, torch.cat([before, told], 1), noise])

    def made(self, inputs: Tensor) -> Tensor:
        """See VectorSource."""
        return self.generator(inputs)[..., cast(Generator, self.generator).warmup :]

    def whole(self, generator: nn.Module) -> LatentGan:
        """See VectorSource."""
        model = LatentGan(self.net, self._name).to(self.second.device)
        model.generator.load_state_dict(generator.state_dict())
        model.second.load_state_dict(self.second.state_dict())
        books = self.codec.trainable().quantizer.state_dict()
        model.quantizer.load_state_dict({k: books[k] for k in model.quantizer.state_dict()})
        return model.eval().requires_grad_(False)


class MusikaVectors(VectorSource):
    """Of Musika's own autoencoder, imported or of the task `musika`; always of two channels.

    Windows lie in pieces as in marcoppasini/musika: two of its own, begun at their multiples, so
    that anchors lie in their middles or at their ends.

    Args:
        autoencoder: A model with encoders; its generator does not count.
        model: The section of the run; what `start` names gives the generator's weights.
        steps: Of a window.

    Raises:
        ArgumentError: They do not fit.
    """

    def __init__(self, autoencoder: Musika, model: ModelSection, *, steps: int) -> None:
        if autoencoder.first_encoder is None:
            raise ArgumentError(f"latent_gan.second_level: {autoencoder.name} has no encoders")
        config = _over_musika(model, autoencoder.config)
        self.model = start_as_keras(Musika(config, model.name)).requires_grad_(False)
        theirs = autoencoder.state_dict()
        known = {k: v for k, v in theirs.items() if not k.startswith("generator.")}
        self.model.load_state_dict(known, strict=False)
        if model.start is not None:
            self.model.generator.load_state_dict(_generator_of(model.start, config))
        device = autoencoder.device
        self.model.eval().to(device)
        self.sample_rate, self.channels, self.block = config.sample_rate, 2, config.window
        self.hop, self.frames, self.overlap = config.hop, FRAMES, OVERLAP - 1
        self.generator = self.model.generator.requires_grad_()
        self.critic = start_as_keras(MusikaCritic(config)).to(device)
        if steps != 2 * config.window:
            raise ArgumentError(f"latent_gan.steps = {steps}: must be {2 * config.window}")

    def about(self) -> dict[str, Any]:
        """See VectorSource."""
        nets = self.model.first_encoder, self.model.second_encoder
        return {"hop": self.hop, "encoders": [_sums(cast(nn.Module, net)) for net in nets]}

    @torch.no_grad()
    def vectors_of(self, audio: Tensor) -> Stretches:
        """See VectorSource."""
        sides = audio.to(self.model.device).split(1, dim=1)
        vectors = torch.cat([self.model.encode(side) for side in sides], dim=1).cpu()
        return Stretches(vectors, vectors[:, :0])

    def inputs(self, seed: int, first: int, told: Tensor) -> Tensor:
        """See VectorSource."""
        config = self.model.config
        spacing, offset = ANCHORS_APART * config.window, config.window // 2
        piece = Coordinates(
            seed, config.coordinate, config.style, spacing, offset, variation=float("inf")
        )
        return piece.at(first, told.shape[1])

    def made(self, inputs: Tensor) -> Tensor:
        """See VectorSource; halves are made apart, with noise in all layers."""
        generator = self.model.generator
        halves = torch.cat(inputs.chunk(2, dim=2))
        noise = [
            torch.randn(len(halves), 1, steps, device=halves.device)
            for steps in generator.noise_steps
        ]
        return torch.cat(generator(halves, noise).chunk(2), dim=2)

    def whole(self, generator: nn.Module) -> Musika:
        """See VectorSource."""
        model = Musika(self.model.config, self.model.name).to(self.model.device)
        model.load_state_dict(self.model.state_dict())
        model.generator.load_state_dict(generator.state_dict())
        return model.eval().requires_grad_(False)


def _over_codec(
    model: ModelSection, second: SecondLevel, codec: CompressionModel
) -> LatentGanConfig:
    """Return the net: what `model.config` says, and what follows from the second level."""
    if model.start is not None:
        raise ArgumentError("model.start: latent GANs over a codec are trained from nothing as yet")
    theirs = (codec.latent_dim, codec.sample_rate, codec.hop)
    own = (second.config.latent, second.config.sample_rate, second.config.hop)
    if theirs != own:
        raise ArgumentError(f"latent_gan.second_level: is not of the latents of {codec.name}")
    follows = {**second.config.to_dict(), "bins": codec.cardinality}
    _check_own(model, set(follows))
    return LatentGanConfig.from_dict({**model.config, **follows})


_OF_GENERATORS = {"coordinate", "style", "width", "small"}


def _over_musika(model: ModelSection, autoencoder: MusikaConfig) -> MusikaConfig:
    """Return the net: what `model.config` says of the generator, the rest as the autoencoder."""
    known = autoencoder.to_dict()
    _check_own(model, set(known) - _OF_GENERATORS)
    return MusikaConfig.from_dict({**known, **model.config})


def _check_own(model: ModelSection, follows: set[str]) -> None:
    clash = sorted(follows & set(model.config))
    if clash:
        raise ArgumentError(f"model.config.{clash[0]}: follows from the second level")


def _generator_of(start: str, config: MusikaConfig) -> dict[str, Tensor]:
    """Return the weights of the generator to go on from."""
    model = load_any(str(home(start)))
    alike = isinstance(model, Musika) and all(
        getattr(model.config, name) == getattr(config, name) for name in {*_OF_GENERATORS, "dim"}
    )
    if not alike:
        raise ArgumentError(f"model.start = {start!r}: has no generator of these sizes")
    return cast(Musika, model).generator.state_dict()


def _sums(module: nn.Module) -> list[float]:
    return [float(weights.sum()) for weights in module.state_dict().values()]

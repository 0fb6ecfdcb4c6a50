"""The task of a latent GAN: coordinates to vectors that a critic takes for those of recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec import checkpoints
from ncodec.checkpoints.loading import load_any
from ncodec.errors import ArgumentError
from ncodec.latents.coordinates import MAX_SEED
from ncodec.latents.critic import Critic, gradient_penalty
from ncodec.latents.gan import LatentGan, conditions, coordinates, noise_of
from ncodec.latents.generator import Generator
from ncodec.latents.second_level import SecondLevel
from ncodec.models.latent_config import LatentGanConfig
from ncodec.train.checkpoint import save_tensors
from ncodec.train.config import (
    DECAY,
    NAMED,
    PROBABILITY,
    Section,
    TrainConfig,
    above,
    at_least,
    each,
    home,
)
from ncodec.train.data import Recordings, batches
from ncodec.train.distributed import average_gradients
from ncodec.train.rhythm import check_extra, density_of, tempo_of
from ncodec.train.task import Losses, Place, Task, size_of
from ncodec.train.tasks.codec import DISCRIMINATORS_FILE, MODEL_FILE
from ncodec.train.tasks.second_level import load_codec
from ncodec.train.vectors import Stretches, Windows, kept, stretches_of

_SURE = 0.9  # of the critic's gap, above which its penalty grows (musika, `switch`)
_SWITCH_STEP = 1e-4
_PIECES = 1 << 24  # where in a piece windows of training may lie, in blocks


@dataclass(frozen=True)
class LatentGanSection(Section):
    """What is imitated, and how.

    Attributes:
        second_level: Model file of the task `second_level`.
        codec: The codec whose latents those are; the one of this name by default.
        steps: Vectors that the critic sees, two patches of its model.
        times: How often recordings are heard, each time augmented anew, before vectors are drawn
            from them; they are kept in the run's folder.
        critic: Channels of the critic, from its first layer on.
        lr: Rate of the critic's Adam.
        betas: Its averages.
        penalty: Weight of R1, which goes to 0 in 10,000 steps unless the critic is too sure.
        drop: Probability that a condition is not told.
    """

    where = "latent_gan."

    second_level: Annotated[str, NAMED] = "runs/second_level/model.safetensors"
    codec: str | None = None
    steps: Annotated[int, at_least(2)] = 128
    times: Annotated[float, above(0)] = 4.0
    critic: Annotated[tuple[int, ...], each(at_least(1))] = (384, 512, 640, 768, 896)
    lr: Annotated[float, above(0)] = 1e-4
    betas: Annotated[tuple[float, float], each(DECAY)] = (0.5, 0.999)
    penalty: Annotated[float, at_least(0)] = 10.0
    drop: Annotated[float, PROBABILITY] = 0.15


@dataclass(frozen=True)
class LatentGanTrainConfig(TrainConfig):
    """A training run of a latent GAN; `model.config` has the fields of `LatentGanConfig`.

    Attributes:
        latent_gan: What is imitated, and how.
    """

    latent_gan: LatentGanSection = field(default_factory=LatentGanSection)


class LatentGanTask(Task):
    """Hinge losses, R1 with a weight that fades, pieces of endless streams as what is judged."""

    config_type: ClassVar[type[TrainConfig]] = LatentGanTrainConfig

    def __init__(
        self, config: LatentGanTrainConfig, place: Place, state: Mapping[str, Any] | None = None
    ) -> None:
        """See Task."""
        self.config, self.place = config, place
        section = config.latent_gan
        self.second = _second_level(section.second_level, place.device)
        self.codec = load_codec(section.codec or self.second.config.codec, place.device)
        self.net = _config_of(config, self.second, self.codec)
        if self.net.told:
            check_extra()
        self.module = self.generator = Generator(self.net).to(place.device)
        inputs = self.net.channels * self.net.dim + 2 * len(self.net.told)
        self.critic = Critic(inputs, section.steps, section.critic).to(place.device)
        self.critic_optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=section.lr, betas=section.betas
        )
        self.switch = -1.0
        if section.steps % self.net.block:
            raise ArgumentError(
                f"latent_gan.steps = {section.steps}: must be a multiple of {self.net.block}"
            )
        self.recordings = Recordings(config, place)
        self.seconds = config.data.batch * section.steps / float(self.net.rate)
        self.description = (
            f"a generator of {size_of(self.module)} with a critic of {size_of(self.critic)}, "
            f"{self.recordings}"
        )

    # What recordings are

    def batches(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield vectors `[B, channels * dim, steps]` and conditions `[B, 2 n, steps]`."""
        section = self.config.latent_gan
        about = {
            "clips": [(str(clip.path), clip.samples) for clip in self.recordings.clips],
            "data": asdict(self.config.data),
            "net": self.net.to_dict(),
            "second_level": [float(p.sum()) for p in self.second.state_dict().values()],
            "codec": self.codec.fingerprint.hex(),
            "times": section.times,
            "seed": self.config.seed,
        }
        windows = Windows(
            kept(home(self.config.output), about, self._stretches),
            section.steps,
            channels=self.net.channels,
            drop=section.drop,
            seed=self.config.seed,
        )
        return self.recordings.batches(windows, step)

    def _stretches(self) -> Stretches:
        """Hear the recordings."""
        data, net = self.config.data, self.net
        segments = self.recordings.segments(
            net.sample_rate, net.stride * net.hop, channels=net.channels
        )
        total = sum(clip.seconds for clip in self.recordings.clips) * self.config.latent_gan.times
        count = max(1, round(total / segments.seconds))
        return stretches_of(batches(segments, data, step=0, rank=0, world=1), count, self._vectors)

    @torch.no_grad()
    def _vectors(self, audio: Tensor) -> Stretches:
        """Return audio `[B, channels, T]` as vectors, with what can be told of it."""
        encode, parts = self.codec.trainable().encode, list[Tensor]()
        for c in range(self.net.channels):
            latents = encode(audio[:, c : c + 1].to(self.place.device)).float()
            parts.append(self.second.vectors_of(latents).cpu())
        vectors = torch.cat(parts, dim=1)
        told = [self._told(row, vectors.shape[2]) for row in audio]
        return Stretches(vectors, torch.stack(told))

    def _told(self, audio: Tensor, steps: int) -> Tensor:
        """Return the conditions' values `[n, steps]`."""
        samples, rate, told = audio.numpy(), self.net.sample_rate, self.net.told
        density = torch.from_numpy(density_of(samples, rate, steps)) if "density" in told else None
        tempo = tempo_of(samples, rate) if "tempo" in told else None
        rows = conditions(self.net, density=density, tempo=tempo)[: len(told)]
        return rows.expand(-1, steps)

    # Stepping

    def step(self, batch: tuple[Tensor, Tensor], step: int) -> Losses:
        """See Task; the critic's step is made here."""
        real, told = (x.to(self.place.device) for x in batch)
        inputs = self._inputs(told, step)
        with self.place.autocast():
            made = self.generator(inputs)[..., self.generator.warmup :].float()
        values = self._teach_critic(torch.cat([real, told], 1), torch.cat([made.detach(), told], 1))
        self.critic.requires_grad_(False)
        loss = -self.critic(torch.cat([made, told], 1)).mean()
        self.critic.requires_grad_()
        spread = made.detach().std((0, 2)).mean() / real.std((0, 2)).mean()
        return Losses({"generator": loss.detach(), **values, "spread": spread}, loss.backward)

    def _inputs(self, told: Tensor, step: int) -> Tensor:
        """Return what the generator is given: windows of as many pieces, with what lies before."""
        rng = np.random.default_rng([self.config.seed, step, self.place.rank, 3])
        warmup, steps, block = self.generator.warmup, told.shape[2], self.net.block
        rows: list[Tensor] = []
        for each_told in told.cpu():
            seed = int(rng.integers(MAX_SEED))
            first = int(rng.integers(_PIECES)) * block
            count = warmup + steps
            controls = coordinates(self.net, seed).at(first, count)
            before = each_told[:, :1].expand(-1, warmup)
            noise = noise_of(self.net, seed, first, count)
            rows.append(torch.cat([controls, torch.cat([before, each_told], 1), noise]))
        return torch.stack(rows).to(self.place.device)

    def _teach_critic(self, real: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Take the critic's step; the weight of its penalty follows how sure it is."""
        theirs, ours = self.critic(real), self.critic(made)
        loss = 0.5 * (functional.relu(1 - theirs).mean() + functional.relu(1 + ours).mean())
        penalty = loss.new_zeros(())
        if self.switch < 0 and self.config.latent_gan.penalty:
            penalty = gradient_penalty(self.critic, real)
        total = loss - self.config.latent_gan.penalty * self.switch * penalty
        self.critic_optimizer.zero_grad(set_to_none=True)
        total.backward()
        average_gradients(self.critic.parameters())
        self.critic_optimizer.step()
        gap = (theirs.mean() - ours.mean()).detach()
        sure = float(gap.clamp(0, 2)) / 2 > _SURE
        self.switch = min(0.0, max(-1.0, self.switch + (-_SWITCH_STEP if sure else _SWITCH_STEP)))
        values = {"critic": loss, "penalty": penalty, "gap": gap}
        return {
            **{name: value.detach() for name, value in values.items()},
            "switch": loss.new_tensor(self.switch),
        }

    # Keeping

    def state(self) -> dict[str, Any]:
        """See Task."""
        return {
            "critic": self.critic.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "switch": self.switch,
        }

    def load_state(self, state: Mapping[str, Any]) -> list[str]:
        """See Task."""
        self.critic.load_state_dict(state["critic"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        section = self.config.latent_gan
        for group in self.critic_optimizer.param_groups:
            group["lr"], group["betas"] = section.lr, section.betas
        self.switch = state["switch"]
        return []

    @classmethod
    def check_changes(
        cls, config: LatentGanTrainConfig, was: LatentGanTrainConfig, state: Mapping[str, Any]
    ) -> None:
        """See Task."""
        for name in ("second_level", "codec", "steps", "critic"):
            value = getattr(config.latent_gan, name)
            if value != getattr(was.latent_gan, name):
                raise ArgumentError(
                    f"latent_gan.{name} = {value!r}: it cannot change any more; start another run"
                )

    def write(self, module: nn.Module, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the model, as `ncodec generate` takes it, and the critic."""
        model = self.whole(cast(Generator, module))
        path = folder / MODEL_FILE
        made_with = {"codec_fingerprint": self.codec.fingerprint.hex()}
        checkpoints.save(model, path, notes={**notes, **made_with})
        save_tensors(self.critic.state_dict(), folder / DISCRIMINATORS_FILE)
        return path

    def whole(self, generator: Generator) -> LatentGan:
        """Return the model that a generator makes with its second level and codebooks."""
        model = LatentGan(self.net, self.config.model.name).to(self.place.device)
        model.generator.load_state_dict(generator.state_dict())
        model.second.load_state_dict(self.second.state_dict())
        books = self.codec.trainable().quantizer.state_dict()
        model.quantizer.load_state_dict({k: books[k] for k in model.quantizer.state_dict()})
        return model.eval().requires_grad_(False)


def _second_level(name: str, device: torch.device) -> SecondLevel:
    model = load_any(str(home(name)), device)
    if not isinstance(model, SecondLevel):
        raise ArgumentError(f"latent_gan.second_level = {name!r}: is no second level")
    return model.requires_grad_(False)


def _config_of(config: LatentGanTrainConfig, second: SecondLevel, codec: Any) -> LatentGanConfig:
    """Return the net: what `model.config` says, and what follows from the second level."""
    if config.model.start is not None:
        raise ArgumentError("model.start: latent GANs are trained from nothing as yet")
    theirs = (codec.latent_dim, codec.sample_rate, codec.hop)
    own = (second.config.latent, second.config.sample_rate, second.config.hop)
    if theirs != own:
        raise ArgumentError(f"latent_gan.second_level: is not of the latents of {codec.name}")
    follows = {**second.config.to_dict(), "bins": codec.cardinality}
    clash = sorted(set(follows) & set(config.model.config))
    if clash:
        raise ArgumentError(f"model.config.{clash[0]}: follows from the second level")
    return LatentGanConfig.from_dict({**config.model.config, **follows})

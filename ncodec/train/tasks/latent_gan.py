"""The task of a latent GAN: coordinates to vectors that a critic takes for those of recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec import checkpoints
from ncodec.checkpoints.keras import read_keras
from ncodec.checkpoints.layouts.musika import keras_tensors
from ncodec.checkpoints.loading import load_any
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.latents.coordinates import MAX_SEED
from ncodec.latents.critic import gradient_penalty
from ncodec.latents.musika.model import Musika
from ncodec.latents.second_level import SecondLevel
from ncodec.train.checkpoint import load_checkpoint, save_tensors
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
from ncodec.train.discriminators import DISCRIMINATORS_FILE
from ncodec.train.distributed import average_gradients
from ncodec.train.task import Losses, Place, Task, size_of
from ncodec.train.tasks.codec import MODEL_FILE
from ncodec.train.tasks.second_level import load_codec
from ncodec.train.vector_sources import CodecVectors, MusikaVectors, VectorSource
from ncodec.train.vectors import Stretches, Windows, kept, stretches_of

_SURE = 0.9  # of the critic's gap, above which its penalty grows (musika, `switch`)
_SWITCH_STEP = 1e-4
_PIECES = 1 << 24  # where in a piece windows of training may lie, in blocks


@dataclass(frozen=True)
class LatentGanSection(Section):
    """What is imitated, and how.

    Attributes:
        second_level: Model file of the task `second_level`, or of `musika`, or an imported Musika.
        codec: The codec whose latents those are; the one of this name by default.
        steps: Vectors that the critic sees, two patches of its model; Musika's own windows.
        times: How often recordings are heard, each time augmented anew, before vectors are drawn
            from them; they are kept in the run's folder.
        critic: Channels of the critic, from its first layer on; Musika's has those of its model.
        start: File of a critic to go on from: a run's `discriminators.pt`, or Musika's `critic.h5`.
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
    start: str | None = None
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
        self.source = _source(config, place.device, fresh=state is None)
        self.module = self.source.generator
        self.critic = self.source.critic
        if section.start is not None and state is None:
            load_critic(self.critic, home(section.start))
        self.critic_optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=section.lr, betas=section.betas
        )
        self.switch = -1.0
        self.recordings = Recordings(config, place)
        vector = self.source.hop * self.source.frames / self.source.sample_rate
        self.seconds = config.data.batch * section.steps * vector
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
            "times": section.times,
            "seed": self.config.seed,
            **self.source.about(),
        }
        windows = Windows(
            kept(home(self.config.output), about, self._stretches),
            section.steps,
            channels=self.source.channels,
            drop=section.drop,
            seed=self.config.seed,
        )
        return self.recordings.batches(windows, step)

    def _stretches(self) -> Stretches:
        """Hear the recordings."""
        source, recordings = self.source, self.recordings
        vectors = recordings.frames(source.sample_rate, source.hop * source.frames)
        segments = recordings.segments(
            source.sample_rate,
            source.hop,
            channels=source.channels,
            frames=vectors * source.frames + source.overlap,
        )
        seconds = sum(clip.seconds for clip in recordings.clips) * self.config.latent_gan.times
        count = max(1, round(seconds / segments.seconds))
        audio = batches(segments, self.config.data, step=0, rank=0, world=1)
        return stretches_of(audio, count, source.vectors_of)

    # Stepping

    def step(self, batch: tuple[Tensor, Tensor], step: int) -> Losses:
        """See Task; the critic's step is made here."""
        real, told = (x.to(self.place.device) for x in batch)
        inputs = self._inputs(told, step)
        with self.place.autocast():
            made = self.source.made(inputs).float()
        values = self._teach_critic(torch.cat([real, told], 1), torch.cat([made.detach(), told], 1))
        self.critic.requires_grad_(False)
        loss = -self.critic(torch.cat([made, told], 1)).mean()
        self.critic.requires_grad_()
        spread = made.detach().std((0, 2)).mean() / real.std((0, 2)).mean()
        return Losses({"generator": loss.detach(), **values, "spread": spread}, loss.backward)

    def _inputs(self, told: Tensor, step: int) -> Tensor:
        """Return what the generator is given: windows of as many pieces."""
        rng = np.random.default_rng([self.config.seed, step, self.place.rank, 3])
        rows: list[Tensor] = []
        for each_told in told.cpu():
            seed = int(rng.integers(MAX_SEED))
            first = int(rng.integers(_PIECES)) * self.source.block
            rows.append(self.source.inputs(seed, first, each_told))
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
        path = folder / MODEL_FILE
        checkpoints.save(self.source.whole(module), path, notes={**notes, **self.source.notes})
        save_tensors(self.critic.state_dict(), folder / DISCRIMINATORS_FILE)
        return path


def _source(config: LatentGanTrainConfig, device: torch.device, *, fresh: bool) -> VectorSource:
    """Return what is imitated; a run that goes on has its generator from elsewhere.

    Raises:
        ArgumentError: There is no such model, or it does not fit.
    """
    section = config.latent_gan
    model = config.model if fresh else replace(config.model, start=None)
    name, steps = section.second_level, section.steps
    level = load_any(str(home(name)), device)
    if isinstance(level, Musika):
        return MusikaVectors(level, model, steps=steps)
    if not isinstance(level, SecondLevel):
        raise ArgumentError(f"latent_gan.second_level = {name!r}: is no second level")
    codec = load_codec(section.codec or level.config.codec, device)
    return CodecVectors(level, codec, model, steps=steps, critic=section.critic)


def load_critic(critic: nn.Module, path: Path) -> None:
    """Load a critic to go on from, of a run or of marcoppasini/musika."""
    keras = path.suffix == ".h5"
    try:
        content = (
            keras_tensors("critic", read_keras(path)["keras"][path.stem])
            if keras
            else load_checkpoint(path)
        )
        critic.load_state_dict(content)
    except (RuntimeError, TypeError, KeyError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path}: is no critic of these sizes: {error}") from error

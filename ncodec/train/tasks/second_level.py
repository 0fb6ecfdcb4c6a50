"""The task of a second level over a codec's latents: what the codec hears, in few numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from ncodec import checkpoints
from ncodec.datasets import read
from ncodec.errors import ArgumentError
from ncodec.latents.second_level import SecondLevel
from ncodec.losses.table import LossTable
from ncodec.models.base import CompressionModel
from ncodec.models.latent_config import SecondLevelConfig
from ncodec.train.config import Section, TrainConfig, above, at_least, each, home
from ncodec.train.data import Recordings
from ncodec.train.distributed import share
from ncodec.train.task import Losses, Place, Task, Validation, size_of
from ncodec.train.tasks.codec import MODEL_FILE
from ncodec.train.validation import measures_of

_SECONDS = 10.0  # of each validation clip, at most
_START_BATCHES = 20  # that the linear paths start from


@dataclass(frozen=True)
class SecondLevelSection(Section):
    """Whose latents are learned, and how.

    Attributes:
        codec: Name or file of the codec: mono, without segments, of a family that can be trained.
        noise: Deviation of what is added to the vectors, so that latents bear a generator's errors.
        sound_from: First step in which the latents' sound counts too.
    """

    where = "second_level."

    codec: str = checkpoints.DEFAULT_MODEL
    noise: Annotated[float, at_least(0)] = 0.05
    sound_from: Annotated[int, at_least(0)] = 10_000


@dataclass(frozen=True)
class SecondLevelTrainConfig(TrainConfig):
    """A training run of a second level; `model.config` has the fields of `SecondLevelConfig`.

    Attributes:
        second_level: Whose latents are learned, and how.
        losses: Weights by name (`ncodec.losses.table`) of the sound that the codec's decoder
            makes of the latents, beside the recording; the weight of the latents' error is 1.
    """

    second_level: SecondLevelSection = field(default_factory=SecondLevelSection)
    losses: Annotated[Mapping[str, float], each(above(0))] = field(
        default_factory=lambda: {"mel": 1.0}
    )


class SecondLevelTask(Task):
    """Latents of segments pass the bottleneck; their error counts, then that of their sound."""

    config_type: ClassVar[type[TrainConfig]] = SecondLevelTrainConfig

    def __init__(
        self, config: SecondLevelTrainConfig, place: Place, state: Mapping[str, Any] | None = None
    ) -> None:
        """See Task."""
        self.config, self.place = config, place
        self.codec = load_codec(config.second_level.codec, place.device)
        self.parts = self.codec.trainable()
        self.model = SecondLevel(_config_of(config, self.codec), config.model.name).to(place.device)
        self.module = self.model
        self.loss_table = LossTable(config.losses, self.codec.sample_rate).to(place.device)
        self.recordings = Recordings(config, place)
        hop = self.model.config.stride * self.codec.hop
        self.segments = self.recordings.segments(self.codec.sample_rate, hop)
        self.seconds = config.data.batch * self.segments.seconds
        self.description = (
            f"a second level of {size_of(self.model)} over {self.codec.name}, {self.recordings}"
        )

    # Stepping

    def batches(self, step: int) -> Iterator[Tensor]:
        """Yield audio `[B, 1, T]`."""
        return self.recordings.batches(self.segments, step)

    def before_step(self, step: int) -> bool:
        """Start the linear paths from the first batches."""
        if step:
            return False
        if self.place.rank == 0:
            drawn = self.batches(0)
            latents = torch.cat([self._latents(next(drawn)) for _ in range(_START_BATCHES)])
            self.model.start(latents)
        share(self.model)
        return True

    @torch.no_grad()
    def _latents(self, audio: Tensor) -> Tensor:
        return self.parts.encode(audio.to(self.place.device)).float()

    def step(self, batch: Tensor, step: int) -> Losses:
        """See Task."""
        audio, latents = batch.to(self.place.device), self._latents(batch)
        section = self.config.second_level
        with self.place.autocast():
            kept = self.model(latents, section.noise).float()
        losses = {"error": error_of(kept, latents, self.model)}
        total = losses["error"]
        if step >= section.sound_from:
            everywhere = torch.ones(len(audio), device=audio.device)
            sound = self.parts.decode(kept)[..., : audio.shape[2]]
            heard = self.loss_table(sound, audio, everywhere)
            total = total + torch.stack([self.config.losses[k] * x for k, x in heard.items()]).sum()
            losses |= heard
        values = {name: loss.detach() for name, loss in losses.items()}
        return Losses({**values, "total": total.detach()}, total.backward)

    # Measuring and keeping

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation | None:
        """Measure what is kept of clips: `codec` is the codec alone, `made` with this between.

        `error` is the part of the latents' variance that is lost, `error_coded` after their
        quantization by `codebooks`; sound is of quantized latents, beside the recording.
        """
        if not self.recordings.validation:
            return None
        model, report = cast(SecondLevel, module), self.config.report
        scores: dict[str, list[float]] = defaultdict(list)
        for clip in self.recordings.validation:
            rate = self.codec.sample_rate
            audio = read(clip, seconds=_SECONDS, rate=rate, channels=1)
            audio = audio[:, : audio.shape[1] // self.codec.hop * self.codec.hop]
            latents = self._latents(torch.from_numpy(audio[None]))
            kept = model.latents_of(model.vectors_of(latents))[..., : latents.shape[2]]
            coded = self._coded(kept)
            kind = clip.kind or "all"
            scores[f"{kind}/error"].append(float(error_of(kept, latents, model)))
            scores[f"{kind}/error_coded"].append(float(error_of(coded, latents, model)))
            for what, heard in (("codec", self._coded(latents)), ("made", coded)):
                sound = self.parts.decode(heard)[0, :, : audio.shape[1]].cpu().numpy()
                for name, metric in measures_of(clip, perceptual=report.perceptual).items():
                    scores[f"{kind}/{what}/{name}"].append(metric(audio, sound, rate))
        means = {name: float(np.nanmean(values)) for name, values in scores.items()}
        return Validation(means, self.codec.sample_rate)

    def _coded(self, latents: Tensor) -> Tensor:
        codes = self.codec.quantizer.encode(latents, self.model.config.codebooks)
        return self.codec.decode_latent(codes)

    def state(self) -> dict[str, Any]:
        """See Task."""
        return {"fingerprint": self.codec.fingerprint.hex()}

    def load_state(self, state: Mapping[str, Any]) -> list[str]:
        """See Task."""
        check_same_codec(self.codec, state["fingerprint"], "second_level.codec")
        return []

    @classmethod
    def check_changes(
        cls,
        config: SecondLevelTrainConfig,
        was: SecondLevelTrainConfig,
        state: Mapping[str, Any],
    ) -> None:
        """See Task."""
        if config.second_level.codec != was.second_level.codec:
            raise ArgumentError(
                f"second_level.codec = {config.second_level.codec!r}: it cannot change any more; "
                "start another run"
            )

    def write(self, module: nn.Module, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the model, as the task `latent_gan` takes it."""
        path = folder / MODEL_FILE
        made_with = {"codec_fingerprint": self.codec.fingerprint.hex()}
        checkpoints.save(module, path, notes={**notes, **made_with})
        return path


def error_of(made: Tensor, latents: Tensor, model: SecondLevel) -> Tensor:
    """Return the mean squared error of latents `[B, D, F]` in their dimensions' deviations."""
    return (model.standard(made) - model.standard(latents)).square().mean()


def load_codec(name: str, device: torch.device) -> CompressionModel:
    """Load the codec whose latents a run is about, to be run and not trained.

    Raises:
        ArgumentError: It has other channels than one, or segments.
    """
    codec = checkpoints.load(str(home(name)) if name.startswith("~") else name).to(device)
    if codec.channels != 1 or codec.segment is not None:
        raise ArgumentError(f"codec {name!r}: must be mono and without segments")
    return codec.requires_grad_(False)


def check_same_codec(codec: CompressionModel, fingerprint: str, where: str) -> None:
    """Refuse another codec than a run began with.

    Raises:
        ArgumentError: It is another.
    """
    if codec.fingerprint.hex() != fingerprint:
        raise ArgumentError(f"{where}: {codec.name} has other weights than when this run began")


def _config_of(config: SecondLevelTrainConfig, codec: CompressionModel) -> SecondLevelConfig:
    """Return the net: what `model.config` says, and what follows from the codec."""
    if config.model.start is not None:
        raise ArgumentError("model.start: second levels are trained from nothing as yet")
    follows = {
        "codec": codec.name,
        "latent": codec.latent_dim,
        "sample_rate": codec.sample_rate,
        "hop": codec.hop,
    }
    clash = sorted(set(follows) & set(config.model.config))
    if clash:
        raise ArgumentError(f"model.config.{clash[0]}: follows from the codec")
    made = SecondLevelConfig.from_dict({**config.model.config, **follows})
    if made.codebooks > codec.total_codebooks:
        raise ArgumentError(
            f"model.config.codebooks = {made.codebooks}: {codec.name} has {codec.total_codebooks}"
        )
    return made

"""The task of a vocoder: to sound like the recordings whose mels it is given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from ncodec import checkpoints
from ncodec.checkpoints.layouts.common import fold_weight_norm
from ncodec.checkpoints.model_file import ModelInfo, build
from ncodec.datasets import read
from ncodec.errors import ArgumentError
from ncodec.losses.table import LossTable
from ncodec.models.families import family_of, find_family
from ncodec.nn import Conv1d, ConvTranspose1d
from ncodec.nn.whole import whole
from ncodec.train.config import AdversarialSection, TrainConfig, above, each, home
from ncodec.train.data import Recordings, Segments
from ncodec.train.discriminators import (
    adversary_state,
    check_adversary,
    judge,
    load_adversary,
    make_discriminators,
    write_adversary,
)
from ncodec.train.distributed import share
from ncodec.train.task import Losses, Place, Task, Validation, size_of
from ncodec.train.tasks.codec import MODEL_FILE
from ncodec.train.validation import measures_of
from ncodec.train.vocoding import LogMelLoss, Pairs
from ncodec.vocoder import Vocoder

_SECONDS = 10.0  # of each validation clip, at most
_START_BATCHES = 20  # for the mean and deviation of the mels
_LEAST_DEVIATION = 0.1  # in the mels' logarithm: a band that is always silent stays as it is


@dataclass(frozen=True)
class VocoderConfig(TrainConfig):
    """A training run of a vocoder.

    Attributes:
        losses: Weights by name (`ncodec.losses.table`); `log_mel` is the L1 of the vocoder's
            own mels, up to half the rate.
        weight_norm: Learn each convolution's weight as magnitudes and directions (Salimans and
            Kingma, 2016), as HiFi-GAN does; what is written holds plain weights.
    """

    adversarial: AdversarialSection = field(default_factory=AdversarialSection)
    losses: Annotated[Mapping[str, float], each(above(0))] = field(
        default_factory=lambda: {"log_mel": 45.0}
    )
    weight_norm: bool = False


class VocoderTask(Task):
    """Mels of segments, or from files beside them, become sound; losses compare it with theirs."""

    config_type: ClassVar[type[TrainConfig]] = VocoderConfig

    def __init__(
        self, config: VocoderConfig, place: Place, state: Mapping[str, Any] | None = None
    ) -> None:
        """See Task."""
        self.config, self.place = config, place
        self.recordings = Recordings(config, place)
        self.model = _make_model(config, state).to(place.device)
        if config.weight_norm:
            _split_weights(self.model)
        self.module = self.model
        model = self.model
        own = {"log_mel": lambda _: LogMelLoss(model.config)}
        self.loss_table = LossTable(config.losses, model.sample_rate, own).to(place.device)
        afresh = state is None or state["critics"] is None
        self.adversary = make_discriminators(config.adversarial, 1, place.device, start=afresh)
        frames = self.recordings.frames(model.sample_rate, model.hop)
        self.segments: Pairs | Segments = (
            Pairs(self.recordings.clips, model, frames=frames, seed=config.seed)
            if config.data.pairs
            else self.recordings.segments(model.sample_rate, model.hop)
        )
        self.seconds = config.data.batch * frames * model.hop / model.sample_rate
        self.description = f"{model.name} ({size_of(model)}), {self.recordings}"

    # Stepping

    def batches(self, step: int) -> Iterator[Any]:
        """Yield audio `[B, 1, T]`, or audio and mels `[B, bands, F]`."""
        return self.recordings.batches(self.segments, step)

    def before_step(self, step: int) -> bool:
        """Take mean and deviation of the mels, where the model has them, from the first batches."""
        if step or self.config.model.start is not None or not self.model.config.normalize:
            return False
        if self.place.rank == 0:
            drawn = self.batches(0)
            mels = torch.cat([self._pair(next(drawn))[1] for _ in range(_START_BATCHES)])
            self.model.mean.copy_(mels.mean((0, 2)))
            self.model.deviation.copy_(mels.std((0, 2)).clamp(min=_LEAST_DEVIATION))
        share(self.model)
        return True

    def _pair(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Return audio `[B, 1, T]` and its mels `[B, bands, F]`."""
        device = self.place.device
        if isinstance(batch, Tensor):
            return batch.to(device), self.model.mel(batch)
        audio, mel = batch
        return audio.to(device), mel.to(device)

    def step(self, batch: Any, step: int) -> Losses:
        """See Task."""
        audio, mel = self._pair(batch)
        with self.place.autocast():
            sound = whole(self.model.generator, self.model.prepared(mel))
        losses = self._losses(sound.float(), audio, step)
        adversarial = self.config.adversarial
        weights = {**self.config.losses, "adversarial": adversarial.weight}
        weights["features"] = adversarial.features
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        return Losses({**losses, "total": total.detach()}, total.backward)

    def _losses(self, sound: Tensor, audio: Tensor, step: int) -> dict[str, Tensor]:
        everywhere = torch.ones(len(audio), device=audio.device)
        losses: dict[str, Tensor] = self.loss_table(sound, audio, everywhere)
        if self.adversary is not None:
            for group in self.adversary.optimizer.param_groups:
                group["lr"] = self.config.adversarial.lr * (self.config.optim.decay or 1.0) ** step
        return losses | judge(self.adversary, self.config.adversarial, sound, audio, step)

    # Measuring and keeping

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation | None:
        """Make sound of the validation clips' mels; `speech` is measured as speech."""
        if not self.recordings.validation:
            return None
        model, report = _plain(module), self.config.report
        scores: dict[str, list[float]] = defaultdict(list)
        audible: dict[str, Any] = {}
        for number, clip in enumerate(self.recordings.validation):
            audio = read(clip, seconds=_SECONDS, rate=model.sample_rate, channels=1)
            sound = model(model.mel(torch.from_numpy(audio[None])))[0].cpu().numpy()
            audio = audio[:, : sound.shape[1]]
            for name, metric in measures_of(clip, perceptual=report.perceptual).items():
                value = metric(audio, sound, model.sample_rate)
                scores[f"{clip.kind or 'all'}/{name}"].append(value)
            if number < report.audio:
                audible |= {f"decoded/{number}": sound, f"original/{number}": audio}
        means = {name: float(np.nanmean(values)) for name, values in scores.items()}
        return Validation(means, model.sample_rate, audio=audible)

    def state(self) -> dict[str, Any]:
        """See Task."""
        return {
            "family": family_of(self.model).name,
            "model_config": self.model.config.to_dict(),
            **adversary_state(self.adversary),
        }

    def load_state(self, state: Mapping[str, Any]) -> list[str]:
        """See Task."""
        return load_adversary(self.adversary, state, self.config.adversarial)

    @classmethod
    def check_changes(
        cls, config: VocoderConfig, was: VocoderConfig, state: Mapping[str, Any]
    ) -> None:
        """See Task."""
        if config.weight_norm != was.weight_norm:
            raise ArgumentError(
                f"weight_norm = {str(config.weight_norm).lower()}: this run's weights are not kept "
                "so; it cannot change any more"
            )
        check_adversary(config.adversarial, was.adversarial, state)

    def write(self, module: nn.Module, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the vocoder, as every command takes it, and the discriminators."""
        path = folder / MODEL_FILE
        checkpoints.save(_plain(module), path, notes=notes)
        write_adversary(self.adversary, folder)
        return path


def _split_weights(model: Vocoder) -> None:
    for layer in model.generator.modules():
        if isinstance(layer, (Conv1d, ConvTranspose1d)):
            weight_norm(layer)


def _plain(module: nn.Module) -> Vocoder:
    """Return a vocoder with the weights of this one in one part each."""
    model = cast(Vocoder, module)
    plain = Vocoder(model.config, model.name).to(model.device)
    plain.load_state_dict(fold_weight_norm(model.state_dict()))
    return plain.eval().requires_grad_(False)


def _make_model(config: VocoderConfig, state: Mapping[str, Any] | None) -> Vocoder:
    """Build the vocoder, or load the one to go on from; a resumed run no longer needs that one."""
    section = config.model
    if section.start is not None and state is None:
        start = section.start
        model = Vocoder.get_pretrained(str(home(start)) if start.startswith("~") else start)
        model.name = section.name
        return model.requires_grad_()
    described: dict[str, Any] = {"family": section.family, "model_config": section.config}
    described |= state or {}
    if find_family(described["family"]).task != "vocoder":
        raise ArgumentError(f"model.family = {described['family']!r}: must be hifigan")
    info = ModelInfo(section.name, described["family"], dict(described["model_config"]))
    built: Any = build(info)
    return built

"""The task of Musika's autoencoder: one of its levels, in two phases (arXiv:2208.08706)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncodec import checkpoints
from ncodec.checkpoints.loading import load_any
from ncodec.datasets import read
from ncodec.errors import ArgumentError
from ncodec.latents.musika.autoencoder import FRAMES
from ncodec.latents.musika.layers import start_as_keras
from ncodec.latents.musika.model import Musika
from ncodec.latents.musika.spectrum import OVERLAP
from ncodec.losses.table import LossTable
from ncodec.metrics import log_mel_distance
from ncodec.models.musika_config import MusikaConfig
from ncodec.nn.whole import whole
from ncodec.train.config import (
    AdversarialSection,
    Rule,
    Section,
    TrainConfig,
    above,
    at_least,
    each,
    home,
)
from ncodec.train.data import Recordings
from ncodec.train.discriminators import (
    adversary_state,
    check_adversary,
    judge,
    load_adversary,
    make_discriminators,
    write_adversary,
)
from ncodec.train.task import Losses, Place, Task, Validation, size_of
from ncodec.train.tasks.codec import MODEL_FILE

_SECONDS = 10.0  # of each validation clip, at most
_DECIBELS = 75.0  # of a spectrum's 1


@dataclass(frozen=True)
class MusikaSection(Section):
    """Which level is learned, and when what.

    Attributes:
        level: 1: spectra to latents and back; 2: latents to vectors and back, by spectra that the
            first level's decoder makes of them.
        first_phase: Steps in which encoder and decoder learn magnitudes; after them the encoder
            stays as it is, and the decoder learns phases too, by the sound.
        magnitude: Weight of the L1 of magnitudes in the second phase; 1 in the first.
    """

    where = "musika."

    level: Annotated[int, Rule(lambda x: x in (1, 2), "1 or 2")] = 1
    first_phase: Annotated[int, at_least(0)] = 500_000
    magnitude: Annotated[float, at_least(0)] = 1.0


@dataclass(frozen=True)
class MusikaTrainConfig(TrainConfig):
    """A training run of Musika's autoencoder; `model.config` has the fields of `MusikaConfig`.

    Attributes:
        musika: Which level is learned, and when what.
        adversarial: Discriminators of the second phase.
        losses: Weights of the second phase by name (`ncodec.losses.table`), of the sound.
    """

    musika: MusikaSection = field(default_factory=MusikaSection)
    adversarial: AdversarialSection = field(default_factory=AdversarialSection)
    losses: Annotated[Mapping[str, float], each(above(0))] = field(
        default_factory=lambda: {"log_distance": 1.0}
    )


class MusikaTask(Task):
    """Spectra pass a level; L1 of magnitudes counts, then the sound that is made of them."""

    config_type: ClassVar[type[TrainConfig]] = MusikaTrainConfig

    def __init__(
        self, config: MusikaTrainConfig, place: Place, state: Mapping[str, Any] | None = None
    ) -> None:
        """See Task."""
        self.config, self.place = config, place
        self.model = _make_model(config, state).to(place.device).requires_grad_(False)
        self.module = self.model
        first = config.musika.level == 1
        encoder = self.model.first_encoder if first else self.model.second_encoder
        assert encoder is not None
        self.encoder = encoder.requires_grad_()
        self.decoder = self.model.first_decoder if first else self.model.second_decoder
        self.decoder.requires_grad_()
        self.by_sound = False
        self.loss_table = LossTable(config.losses, self.model.sample_rate).to(place.device)
        afresh = state is None or state["critics"] is None
        self.adversary = make_discriminators(config.adversarial, 1, place.device, start=afresh)
        self.recordings = Recordings(config, place)
        hop, rate = self.model.config.hop, self.model.sample_rate
        frames = FRAMES * self.recordings.frames(rate, FRAMES * hop)
        self.segments = self.recordings.segments(rate, hop, frames=frames + OVERLAP - 1)
        self.seconds = config.data.batch * self.segments.seconds
        self.description = (
            f"level {config.musika.level} of Musika's autoencoder "
            f"({size_of(self.encoder, self.decoder)}), {self.recordings}"
        )

    # Stepping

    def batches(self, step: int) -> Iterator[Tensor]:
        """Yield audio `[B, 1, T]`."""
        return self.recordings.batches(self.segments, step)

    def before_step(self, step: int) -> bool:
        """Begin the second phase where its time has come."""
        if self.by_sound or step < self.config.musika.first_phase:
            return False
        self._begin_second_phase()
        return True  # averages begin anew, so that theirs of the encoder is what stays

    def _begin_second_phase(self) -> None:
        self.by_sound = True
        self.encoder.requires_grad_(False)

    def step(self, batch: Tensor, step: int) -> Losses:
        """See Task; what is not learned makes no noise."""
        audio = batch.to(self.place.device)
        self.model.eval()
        self.decoder.train()
        wanted = self.model.analysis(audio)
        with self.place.autocast():
            spectra = self._passed(self.model, wanted)
        spectra = spectra.float()
        losses = {"magnitude": functional.l1_loss(spectra[:, : wanted.shape[1]], wanted)}
        weights = {"magnitude": 1.0}
        if self.by_sound:
            losses |= self._of_sound(spectra, audio, step)
            weights = self._weights()
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        return Losses({**losses, "total": total.detach()}, total.backward)

    def _passed(self, model: Musika, spectra: Tensor) -> Tensor:
        """Return magnitudes `[B, bins, F]` and phases beside them, after the level."""
        assert model.first_encoder is not None
        assert model.second_encoder is not None
        latents = whole(model.first_encoder, spectra)
        if self.config.musika.level == 2:
            latents = whole(model.second_decoder, model.second_encoder(latents))
        return model.first_decoder(latents)

    def _of_sound(self, spectra: Tensor, audio: Tensor, step: int) -> dict[str, Tensor]:
        """Return the losses of the sound of spectra, without its ends, which fade."""
        fade = (OVERLAP - 1) * self.model.config.hop
        sound = self.model.synthesis(spectra)[..., fade:-fade]
        audio = audio[..., fade:-fade]
        everywhere = torch.ones(len(audio), device=audio.device)
        losses: dict[str, Tensor] = self.loss_table(sound, audio, everywhere)
        return losses | judge(self.adversary, self.config.adversarial, sound, audio, step)

    def _weights(self) -> dict[str, float]:
        config = self.config
        own = {"magnitude": config.musika.magnitude, "adversarial": config.adversarial.weight}
        return {**config.losses, **own, "features": config.adversarial.features}

    # Measuring and keeping

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation | None:
        """Measure what is left of clips: L1 of magnitudes in dB, and log mels of the sound."""
        if not self.recordings.validation:
            return None
        model = cast(Musika, module)
        scores: dict[str, list[float]] = defaultdict(list)
        audible: dict[str, Any] = {}
        hop = model.config.hop
        for number, clip in enumerate(self.recordings.validation):
            audio = read(clip, seconds=_SECONDS, rate=model.sample_rate, channels=1)
            frames = audio.shape[1] // hop - (OVERLAP - 1)
            audio = audio[:, : (frames // FRAMES * FRAMES + OVERLAP - 1) * hop]
            wanted = model.analysis(torch.from_numpy(audio[None]).to(self.place.device))
            spectra = self._passed(model, wanted)
            sound = model.synthesis(spectra)[0].clamp(-1, 1).cpu().numpy()
            error = functional.l1_loss(spectra[:, : wanted.shape[1]], wanted)
            kind = clip.kind or "all"
            scores[f"{kind}/decibels"].append(_DECIBELS * float(error))
            scores[f"{kind}/mel"].append(log_mel_distance(audio, sound, model.sample_rate))
            if number < self.config.report.audio:
                audible |= {f"decoded/{number}": sound, f"original/{number}": audio}
        means = {name: float(np.nanmean(values)) for name, values in scores.items()}
        return Validation(means, model.sample_rate, audio=audible)

    def state(self) -> dict[str, Any]:
        """See Task."""
        return {
            "model_config": self.model.config.to_dict(),
            "by_sound": self.by_sound,
            **adversary_state(self.adversary),
        }

    def load_state(self, state: Mapping[str, Any]) -> list[str]:
        """See Task."""
        if state["by_sound"]:
            self._begin_second_phase()
        return load_adversary(self.adversary, state, self.config.adversarial)

    @classmethod
    def check_changes(
        cls, config: MusikaTrainConfig, was: MusikaTrainConfig, state: Mapping[str, Any]
    ) -> None:
        """See Task."""
        fixed = ("level", "first_phase") if state["by_sound"] else ("level",)
        for name in fixed:
            value = getattr(config.musika, name)
            if value != getattr(was.musika, name):
                raise ArgumentError(
                    f"musika.{name} = {value}: it cannot change any more; start another run"
                )
        check_adversary(config.adversarial, was.adversarial, state)

    def write(self, module: nn.Module, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the model with all of its nets, and the discriminators."""
        path = folder / MODEL_FILE
        checkpoints.save(module, path, notes=notes)
        write_adversary(self.adversary, folder)
        return path


def _make_model(config: MusikaTrainConfig, state: Mapping[str, Any] | None) -> Musika:
    """Build the model, or load the one to go on from; a resumed run no longer needs that one.

    Raises:
        ArgumentError: What it goes on from has no autoencoder, or a second level has no first one.
    """
    section = config.model
    if state is not None:
        return Musika(MusikaConfig.from_dict(state["model_config"]), section.name)
    if section.start is not None:
        model = load_any(str(home(section.start)))
        if not isinstance(model, Musika) or model.first_encoder is None:
            raise ArgumentError(f"model.start = {section.start!r}: is no Musika with encoders")
        model.name = section.name
        return model
    if config.musika.level == 2:
        raise ArgumentError("musika.level = 2: needs model.start, the file of a first level")
    if "encoders" in section.config:
        raise ArgumentError("model.config.encoders: are always learned")
    made = MusikaConfig.from_dict({**section.config, "encoders": True})
    return start_as_keras(Musika(made, section.name))

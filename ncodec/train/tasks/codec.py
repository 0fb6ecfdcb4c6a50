"""The task of a neural codec: to give back what it hears from codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from ncodec import checkpoints
from ncodec.checkpoints.model_file import ModelInfo, build
from ncodec.errors import ArgumentError
from ncodec.losses.table import LossTable
from ncodec.models.base import CompressionModel
from ncodec.models.families import family_of, find_family, known
from ncodec.train.balancer import Balancer
from ncodec.train.codec_step import Coded, draw_counts, recode, run_codec, start_codebooks
from ncodec.train.config import (
    PROBABILITY,
    AdversarialSection,
    QuantizerSection,
    TrainConfig,
    above,
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
from ncodec.train.distributed import share
from ncodec.train.task import Losses, Place, Task, Validation, size_of
from ncodec.train.validation import validate

MODEL_FILE = "model.safetensors"
_START_BATCHES = 60  # for the principal components


@dataclass(frozen=True)
class CodecConfig(TrainConfig):
    """A training run of a codec.

    Attributes:
        losses: Weights by name (`ncodec.losses.table`).
        balance: Let a balancer give each loss its weight's share of the gradient, whatever its
            scale, instead of summing them.
        again: Probability that a batch is coded twice: the codec hears its own sound and shall
            give back the original, so that generations do not drift.
    """

    quantizer: QuantizerSection = field(default_factory=QuantizerSection)
    adversarial: AdversarialSection = field(default_factory=AdversarialSection)
    losses: Annotated[Mapping[str, float], each(above(0))] = field(
        default_factory=lambda: {"mel": 1.0}
    )
    balance: bool = False
    again: Annotated[float, PROBABILITY] = 0.0


class CodecTask(Task):
    """Latents are quantized by as many codebooks as each item draws; losses compare the audio."""

    config_type: ClassVar[type[TrainConfig]] = CodecConfig

    def __init__(
        self, config: CodecConfig, place: Place, state: Mapping[str, Any] | None = None
    ) -> None:
        """See Task."""
        self.config, self.place = config, place
        self.recordings = Recordings(config, place)
        self.model = _make_model(config, state).to(place.device)
        self.module = self.model
        self.parts = self.model.trainable()
        self.loss_table = LossTable(config.losses, self.model.sample_rate).to(place.device)
        afresh = state is None or state["critics"] is None
        self.adversary = make_discriminators(
            config.adversarial, self.model.channels, place.device, start=afresh
        )
        self.balancer = Balancer(self._weights()) if config.balance else None
        self.quantizing = config.model.start is not None
        model = self.model
        self.segments = self.recordings.segments(
            model.sample_rate, model.hop, channels=model.channels
        )
        self.seconds = config.data.batch * self.segments.seconds
        self.description = f"{model.name} ({size_of(model)}), {self.recordings}"

    def _weights(self) -> dict[str, float]:
        weights = dict(self.config.losses)
        if self.adversary is not None:
            adversarial = self.config.adversarial
            weights |= {"adversarial": adversarial.weight, "features": adversarial.features}
        return weights

    # Stepping

    def batches(self, step: int) -> Iterator[Tensor]:
        """Yield audio `[B, C, T]`."""
        return self.recordings.batches(self.segments, step)

    def before_step(self, step: int) -> bool:
        """Start the linear path from data, and the codebooks where their time has come."""
        anew = step == 0 and self.config.model.start is None
        if anew:
            self._start_from_data()
        if not self.quantizing and step >= self.config.quantizer.free_steps:
            self._begin_quantizing(step)
            anew = True
        return anew

    def _start_from_data(self) -> None:
        """Start the weights, where the family can, from the first batches."""
        if self.parts.start is not None and self.place.rank == 0:
            audio = self.batches(0)
            self.parts.start(next(audio).to(self.place.device) for _ in range(_START_BATCHES))
        share(self.model)

    def _begin_quantizing(self, step: int) -> None:
        """Make the codebooks from the latents of the batches at hand."""
        if self.place.rank == 0:
            audio = self.batches(step)
            with torch.no_grad():
                latents = [
                    self.parts.encode(next(audio).to(self.place.device)).float().transpose(1, 2)
                    for _ in range(self.config.quantizer.start_batches)
                ]
            start_codebooks(self.parts.quantizer, torch.cat(latents).flatten(0, 1))
        share(self.model)
        self.parts.quantizer.load_state_dict(self.parts.quantizer.state_dict())  # fresh averages
        self.quantizing = True

    def step(self, batch: Tensor, step: int) -> Losses:
        """See Task; `batch` is `[B, C, T]`."""
        audio = batch.to(self.place.device)
        counts, most = self._counts(len(audio), step)
        coded = run_codec(self.parts, self._heard(audio, step), counts, most, self.place)
        losses = self._losses(coded, audio, step)
        weights = self._weights()
        commitment = self.config.quantizer.commitment * coded.commitment
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()

        def backward() -> None:
            if self.balancer is None:
                (total + commitment).backward()
                return
            extra = commitment if commitment.requires_grad else None
            self.balancer.backward(losses, coded.audio, unbalanced=extra)

        whole = (total + commitment).detach()
        return Losses({**losses, "commitment": coded.commitment, "total": whole}, backward)

    def _heard(self, audio: Tensor, step: int) -> Tensor:
        """Return what the codec hears in place of `audio`: now and then, itself."""
        if np.random.default_rng((self.config.seed, step, 1)).random() >= self.config.again:
            return audio
        counts, most = self._counts(len(audio), step)
        with torch.no_grad():
            return recode(self.parts, audio, counts, most, self.place)

    def _counts(self, batch: int, step: int) -> tuple[Tensor | None, int]:
        """Draw this process's numbers of codebooks, and the largest of any process."""
        if not self.quantizing:
            return None, 0
        counts = draw_counts(
            self.config.quantizer,
            self.model.total_codebooks,
            batch * self.place.world,
            (self.config.seed, step),
        )
        own = counts[self.place.rank * batch : (self.place.rank + 1) * batch]
        return own.to(self.place.device), int(counts.max())

    def _losses(self, coded: Coded, audio: Tensor, step: int) -> dict[str, Tensor]:
        if coded.counts is None:
            phase_weight = torch.ones(len(audio), device=self.place.device)
        else:
            phase_weight = (coded.counts / self.model.total_codebooks) ** 1.5
        losses: dict[str, Tensor] = self.loss_table(coded.audio, audio, phase_weight)
        judged = judge(self.adversary, self.config.adversarial, coded.audio, audio, step)
        return losses | judged

    # Measuring and keeping

    def validate(self, module: nn.Module) -> Validation | None:
        """Code the validation clips at several bandwidths."""
        if not self.recordings.validation:
            return None
        report = self.config.report
        return validate(
            cast(CompressionModel, module),
            self.recordings.validation,
            report.kbps,
            perceptual=report.perceptual,
            keep=report.audio,
        )

    def state(self) -> dict[str, Any]:
        """See Task."""
        quantizer = self.parts.quantizer
        return {
            "family": family_of(self.model).name,
            "model_config": self.model.config.to_dict(),
            "quantizing": self.quantizing,
            "codebooks": [quantizer.codebook(k).averages() for k in range(quantizer.n_q)],
            "balancer": dict(self.balancer.state_dict()) if self.balancer else None,
            **adversary_state(self.adversary),
        }

    def load_state(self, state: Mapping[str, Any]) -> list[str]:
        """See Task."""
        afresh: list[str] = []
        self.quantizing = state["quantizing"]
        for k, averages in enumerate(state["codebooks"]):
            self.parts.quantizer.codebook(k).restore_averages(averages)
        if self.balancer is not None and state["balancer"] is None:
            afresh.append("balancer")
        elif self.balancer is not None:
            self.balancer.load_state_dict(state["balancer"])
        return afresh + load_adversary(self.adversary, state, self.config.adversarial)

    @classmethod
    def check_changes(cls, config: CodecConfig, was: CodecConfig, state: Mapping[str, Any]) -> None:
        """See Task."""
        for name in ("free_steps", "start_batches"):
            value = getattr(config.quantizer, name)
            if state["quantizing"] and value != getattr(was.quantizer, name):
                raise ArgumentError(
                    f"quantizer.{name} = {value}: the codebooks of this run are made; "
                    "it cannot change any more"
                )
        check_adversary(config.adversarial, was.adversarial, state)

    def write(self, module: nn.Module, folder: Path, notes: Mapping[str, Any]) -> Path:
        """Write the model, as every command takes it, and the discriminators."""
        path = folder / MODEL_FILE
        checkpoints.save(module, path, notes=notes)
        write_adversary(self.adversary, folder)
        return path


def _make_model(config: CodecConfig, state: Mapping[str, Any] | None) -> CompressionModel:
    """Build the model, or load the one to go on from; a resumed run no longer needs that one."""
    section = config.model
    if section.start is not None and (state is None or "model_config" not in state):
        start = section.start
        path = str(home(start)) if start.startswith("~") else start
        model = checkpoints.load(path).requires_grad_()
        model.name = section.name
        return model
    described: dict[str, Any] = {"family": section.family, "model_config": section.config}
    described |= state or {}
    if find_family(described["family"]).task != "codec":
        able = ", ".join(family.name for family in known() if family.task == "codec")
        raise ArgumentError(f"model.family = {described['family']!r}: must be one of {able}")
    info = ModelInfo(section.name, described["family"], dict(described["model_config"]))
    built: Any = build(info)
    return built

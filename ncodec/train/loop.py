"""The training loop: one `Trainer` is one run, from its start or from a checkpoint."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ncodec import checkpoints
from ncodec.checkpoints.files import ModelInfo, build, family_of
from ncodec.errors import NcodecError
from ncodec.models.base import CompressionModel
from ncodec.models.spectral import SpectralCodec
from ncodec.runtime import has_bf16
from ncodec.train.balancer import Balancer
from ncodec.train.checkpoint import latest_checkpoint, save_checkpoint, save_tensors
from ncodec.train.config import OptimSection, TrainConfig, home
from ncodec.train.criteria import Criteria
from ncodec.train.critics import make_critics
from ncodec.train.data import Segments, batches
from ncodec.train.distributed import average_gradients, mean_over_processes, same_for_all, share
from ncodec.train.families import parts_of
from ncodec.train.generator import Averaged, Coded, draw_counts, run_codec
from ncodec.train.reports import Reports, clock
from ncodec.train.schedule import learning_rate, progress
from ncodec.train.sources import Clip, describe, find_clips
from ncodec.train.start import start_codebooks, start_linear_path
from ncodec.train.stopping import StopRequest
from ncodec.train.validation import Validation, validate

MODEL_FILE = "model.safetensors"
DISCRIMINATORS_FILE = "discriminators.pt"
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_START_BATCHES = 60  # for the principal components


class Trainer:
    """A run: `config` says all about it; `rank` of `world` processes share it.

    With `state`, what `save` wrote, it goes on from there; what `config` has and the state has not
    starts afresh.

    Raises:
        ArgumentError: The configuration names something that does not exist.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
        *,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.config, self.device, self.rank, self.world = config, device, rank, world
        self.notes: list[str] = []  # for the user, when the run begins
        self.folder = home(config.output)
        self.clips = find_clips(config.data.sources, config.data.exclude)
        self.validation_clips = _validation_clips(config)
        self.dtype = self._pick_precision()
        torch.manual_seed(config.seed)
        self.model = _make_model(config, state).to(device)
        self.parts = parts_of(self.model)
        self.criteria = Criteria(config.losses, self.model.sample_rate).to(device)
        started = state is None or state["critics"] is None
        self.critics = make_critics(config.adversarial, self.model.channels, device, start=started)
        self.balancer = self._make_balancer() if config.balance else None
        self.optimizer = self._make_optimizer(config.optim)
        self.averaged = Averaged(self.model, config.optim.ema) if config.optim.ema else None
        self.step = 0
        self.elapsed = 0.0
        self.quantizing = config.model.start is not None
        self.segments = self._make_segments()
        if state is not None:
            self.restore(state)

    def _pick_precision(self) -> torch.dtype:
        name = self.config.optim.precision
        if name == "bfloat16" and not has_bf16(self.device.type):
            self.notes.append(
                f"optim.precision = 'bfloat16': this machine's {self.device.type} has none; "
                "float32 is used"
            )
            return torch.float32
        return _PRECISIONS[name]

    def _make_segments(self) -> Segments:
        data = self.config.data
        hop = self.model.hop
        return Segments(
            self.clips,
            data,
            sample_rate=self.model.sample_rate,
            channels=self.model.channels,
            samples=max(1, round(data.seconds * self.model.sample_rate / hop)) * hop,
            seed=self.config.seed,
        )

    def _make_optimizer(self, o: OptimSection) -> torch.optim.Optimizer:
        groups: dict[float, list[torch.nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            scale = next((s for start, s in o.scales.items() if name.startswith(start)), 1.0)
            groups.setdefault(scale, []).append(parameter)
        return torch.optim.AdamW(
            [{"params": p, "scale": scale} for scale, p in groups.items()],
            lr=o.lr,
            betas=o.betas,
            weight_decay=o.weight_decay,
        )

    def _make_balancer(self) -> Balancer:
        weights = dict(self.config.losses)
        if self.critics is not None:
            weights |= {
                "adversarial": self.config.adversarial.weight,
                "features": self.config.adversarial.features,
            }
        return Balancer(weights)

    # Running

    def run(self) -> None:
        """Train to the end of the schedule; the model, averaged, lies in `MODEL_FILE` then.

        Ctrl-C, or a request to end, writes a checkpoint after the step at hand.

        Raises:
            NcodecError: A loss or gradient is no longer finite; the message names the checkpoint
                to go on from.
        """
        report = self.config.report
        if self._finished():
            Reports(self.folder, tensorboard=False, silent=self.rank != 0).say(
                f"{self.folder}: at its end after step {self.step}; "
                "--set optim.steps=N, or optim.minutes=N, goes on"
            )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            Reports(self.folder, tensorboard=report.tensorboard, silent=self.rank != 0) as reports,
            StopRequest() as stop,
        ):
            self._introduce(reports)
            self._run_steps(reports, stop)
            self.save()
            path = self.folder / MODEL_FILE
            if stop.signal is None:
                reports.say(f"{path}: {self.step} steps, {clock(self.elapsed)}")
            else:
                reports.say(
                    f"stopped after step {self.step}; go on with: "
                    f"ncodec train --resume {self.folder}"
                )
        stop.act()

    def _finished(self) -> bool:
        return self.step >= self.config.optim.steps or self.progress() >= 1

    def _introduce(self, reports: Reports) -> None:
        """Say what is trained, on what, where."""
        weights = sum(p.numel() for p in self.model.parameters()) / 1e6
        begin = f"going on after step {self.step} with" if self.step else "training"
        reports.say(
            f"{begin} {self.model.name} ({weights:.2f} M weights) on {self.device} in "
            f"{str(self.dtype).removeprefix('torch.')}: {describe(self.clips)}; into {self.folder}"
        )
        for note in self.notes:
            reports.say(note)

    def _run_steps(self, reports: Reports, stop: StopRequest) -> None:
        report = self.config.report
        start = time.monotonic() - self.elapsed
        if self.step == 0 and self.config.model.start is None:
            self.start_from_data()
        audio = self._batches(self.step)
        heard, first = 0.0, self.step
        begun = saved = time.monotonic() - start
        reports.begin()
        while not self._finished() and not same_for_all(float(stop.signal is not None)):
            reports.add(self.train_step(next(audio)))
            heard += self.config.data.batch * self.world * self.config.data.seconds
            self.elapsed = same_for_all(time.monotonic() - start)
            if self.step == first + 1 or self.step % report.every == 0:
                left = self._left((self.elapsed - begun) / (self.step - first))
                reports.line(self.step, self.config.optim.steps, heard, self.learning_rate(), left)
                heard = 0.0
            late = self.elapsed - saved > 60 * report.checkpoint_minutes
            if self.step % report.checkpoint == 0 or late:
                self.save()
                saved = self.elapsed
            due = report.validation and self.step % report.validation == 0
            if due and self.validation_clips and self.rank == 0:
                reports.validation(self.step, self.validate(), self.model.sample_rate)

    def _left(self, pace: float) -> float:
        """Return the seconds to the end, at `pace` seconds a step."""
        optim = self.config.optim
        by_clock = math.inf if optim.minutes is None else 60 * optim.minutes - self.elapsed
        return max(0.0, min(pace * (optim.steps - self.step), by_clock))

    def _batches(self, step: int) -> Iterator[Tensor]:
        return batches(self.segments, self.config.data, step=step, rank=self.rank, world=self.world)

    def start_from_data(self) -> None:
        """Start the linear path, where the model has one, from the first batches."""
        if isinstance(self.model, SpectralCodec) and self.rank == 0:
            audio = self._batches(0)
            batches_of = (next(audio).to(self.device) for _ in range(_START_BATCHES))
            start_linear_path(self.model, batches_of)
        share(self.model)
        self._restart_average()

    def _begin_quantizing(self) -> None:
        """Make the codebooks from the latents of the batches at hand."""
        if self.rank == 0:
            audio = self._batches(self.step)
            with torch.no_grad():
                latents = [
                    self.parts.encode(next(audio).to(self.device)).float().transpose(1, 2)
                    for _ in range(self.config.quantizer.start_batches)
                ]
            start_codebooks(self.parts.quantizer, torch.cat(latents).flatten(0, 1))
        share(self.model)
        self.parts.quantizer.load_state_dict(self.parts.quantizer.state_dict())  # fresh averages
        self.quantizing = True
        self._restart_average()

    def _restart_average(self) -> None:
        if self.averaged is not None:
            self.averaged = Averaged(self.model, self.config.optim.ema)

    def progress(self) -> float:
        """Return how much of the schedule is over, 0 to 1."""
        return progress(self.config.optim, self.step, self.elapsed)

    def learning_rate(self) -> float:
        """Return the rate of the next step."""
        return learning_rate(self.config.optim, self.step, self.progress())

    def train_step(self, audio: Tensor) -> dict[str, float]:
        """Take one step on a batch `[B, C, T]`; returns the losses.

        Raises:
            NcodecError: A loss is not finite; the weights are as before.
        """
        if not self.quantizing and self.step >= self.config.quantizer.free_steps:
            self._begin_quantizing()
        torch.manual_seed(self.config.seed + 7919 * self.step)  # a resumed run draws the same
        self.model.train()
        audio = audio.to(self.device)
        counts, most = self._counts(len(audio))
        coded = run_codec(self.parts, audio, counts, most, self.dtype)
        losses = self._losses(coded, audio)
        total = self._backward(losses, coded)
        named = {**losses, "commitment": coded.commitment, "total": total}
        values = mean_over_processes(named)
        self._check(values)
        average_gradients(self.model.parameters())
        norm = self._clip()
        self._check({"gradient": norm})
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.averaged is not None:
            self.averaged.update(self.model, self.step)
        self.step += 1
        return {**values, "gradient": norm}

    def _counts(self, batch: int) -> tuple[Tensor | None, int]:
        """Draw this process's numbers of codebooks, and the largest of any process."""
        if not self.quantizing:
            return None, 0
        counts = draw_counts(
            self.config.quantizer,
            self.model.total_codebooks,
            batch * self.world,
            (self.config.seed, self.step),
        )
        own = counts[self.rank * batch : (self.rank + 1) * batch]
        return own.to(self.device), int(counts.max())

    def _losses(self, coded: Coded, audio: Tensor) -> dict[str, Tensor]:
        if coded.counts is None:
            fidelity = torch.ones(len(audio), device=self.device)
        else:
            fidelity = (coded.counts / self.model.total_codebooks) ** 1.5
        losses: dict[str, Tensor] = self.criteria(coded.audio, audio, fidelity)
        adversarial = self.config.adversarial
        if self.critics is not None and self.step >= adversarial.from_step:
            if self.step % adversarial.every == 0:
                self.critics.train_adv(coded.audio, audio)
            losses["adversarial"], losses["features"] = self.critics(coded.audio, audio)
        return losses

    def _backward(self, losses: dict[str, Tensor], coded: Coded) -> Tensor:
        """Send the gradients back; returns the weighted sum, which is what is minimised."""
        adversarial = self.config.adversarial
        weights = {
            **self.config.losses,
            "adversarial": adversarial.weight,
            "features": adversarial.features,
        }
        commitment = self.config.quantizer.commitment * coded.commitment
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        if self.balancer is not None:
            extra = commitment if commitment.requires_grad else None
            self.balancer.backward(losses, coded.audio, unbalanced=extra)
        else:
            (total + commitment).backward()
        return (total + commitment).detach()

    def _clip(self) -> float:
        """Clip the gradients of each group; returns the norm of all before.

        Apart, since a linear map's gradient may be a hundred times that of the nets: clipped
        together, it alone would rule how far all weights move.
        """
        clip = self.config.optim.clip
        groups = (group["params"] for group in self.optimizer.param_groups)
        norms = [torch.nn.utils.clip_grad_norm_(group, clip) for group in groups]
        return float(torch.stack(norms).norm())

    def _check(self, values: dict[str, float]) -> None:
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            raise NcodecError(
                f"step {self.step}: {', '.join(broken)} is not finite; {self._way_back()}"
            )

    def _way_back(self) -> str:
        try:
            last = latest_checkpoint(self.folder)
        except NcodecError:
            return "no checkpoint has been written yet; lower optim.lr"
        return f"the last good checkpoint is {last}: lower optim.lr and go on with --resume"

    # Measuring and keeping

    def evaluated(self) -> CompressionModel:
        """Return a copy of the model with the averaged weights, ready for use."""
        result = copy.deepcopy(self.model)
        if self.averaged is not None:
            result.load_state_dict(self.averaged.weights)
        return result.eval()

    def validate(self) -> Validation:
        """Measure the averaged model on the validation clips."""
        report = self.config.report
        return validate(
            self.evaluated(),
            self.validation_clips,
            report.kbps,
            perceptual=report.perceptual,
            keep=report.audio,
        )

    def save(self) -> None:
        """Write a checkpoint, the averaged model and the discriminators."""
        if self.rank:
            return
        quantizer = self.parts.quantizer
        critics = self.critics
        state = {
            "config": self.config.to_dict(),
            "family": family_of(self.model),
            "model_config": self.model.config.to_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
            "quantizing": self.quantizing,
            "model": self.model.state_dict(),
            "codebooks": [quantizer.codebook(k).averages() for k in range(quantizer.n_q)],
            "optimizer": self.optimizer.state_dict(),
            "averaged": self.averaged.weights if self.averaged else None,
            "balancer": dict(self.balancer.state_dict()) if self.balancer else None,
            "critics": critics.discriminator.state_dict() if critics else None,
            "critics_optimizer": critics.optimizer.state_dict() if critics else None,
        }
        save_checkpoint(self.folder, self.step, state, self.config.report.keep)
        notes = {"steps": self.step, "minutes": round(self.elapsed / 60, 1)}
        checkpoints.save(self.evaluated(), self.folder / MODEL_FILE, notes=notes)
        if critics:
            save_tensors(critics.discriminator.state_dict(), self.folder / DISCRIMINATORS_FILE)

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `save` wrote; options are those of this run's configuration."""
        was = TrainConfig.from_dict(state["config"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        self.quantizing = state["quantizing"]
        self.model.load_state_dict(state["model"])
        for k, averages in enumerate(state["codebooks"]):
            self.parts.quantizer.codebook(k).restore_averages(averages)
        earlier = self._make_optimizer(was.optim)  # it has the groups that were saved
        earlier.load_state_dict(state["optimizer"])
        self.optimizer.state.update(earlier.state)
        if self.averaged is not None:
            self._restore_average(state["averaged"])
        if self.balancer is not None and self._has(state, "balancer"):
            self.balancer.load_state_dict(state["balancer"])
        if self.critics is not None and self._has(state, "critics"):
            self.critics.discriminator.load_state_dict(state["critics"])
            self.critics.optimizer.load_state_dict(state["critics_optimizer"])
            for group in self.critics.optimizer.param_groups:
                group["lr"] = self.config.adversarial.lr

    def _restore_average(self, weights: dict[str, Tensor] | None) -> None:
        if weights is None:
            self.notes.append("average of the weights: afresh, as the run had none")
            self._restart_average()
        elif self.averaged is not None:
            self.averaged.weights = {k: v.to(self.device) for k, v in weights.items()}

    def _has(self, state: dict[str, Any], part: str) -> bool:
        if state[part] is None:
            name = {"critics": "discriminators"}.get(part, part)
            self.notes.append(f"{name}: afresh, as the run had none")
        return state[part] is not None


def _validation_clips(config: TrainConfig) -> tuple[Clip, ...]:
    return find_clips(config.data.validation) if config.data.validation else ()


def _make_model(config: TrainConfig, state: dict[str, Any] | None) -> CompressionModel:
    """Build the model, or load the one to go on from; a resumed run no longer needs that one."""
    section = config.model
    if section.start is not None and (state is None or "model_config" not in state):
        model = checkpoints.load(_found(section.start)).requires_grad_()
        model.name = section.name
        return model
    described: dict[str, Any] = {"family": section.family, "model_config": section.config}
    described |= state or {}
    info = ModelInfo(section.name, described["family"], dict(described["model_config"]))
    built: Any = build(info)
    return built


def _found(model: str) -> str:
    """Return a model's name, or its path with `~` expanded."""
    return str(home(model)) if model.startswith("~") else model

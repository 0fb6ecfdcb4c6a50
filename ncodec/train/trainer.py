"""The training loop: one `Trainer` is one run of a task, from its start or from a checkpoint."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ncodec.errors import ArgumentError, NcodecError
from ncodec.runtime import has_bf16
from ncodec.train.checkpoint import latest_checkpoint, save_checkpoint
from ncodec.train.config import OptimSection, TrainConfig, home
from ncodec.train.distributed import average_gradients, mean_over_processes, same_for_all
from ncodec.train.reports import Reports, clock
from ncodec.train.schedule import learning_rate, progress
from ncodec.train.stopping import StopRequest
from ncodec.train.task import Place, Task
from ncodec.train.tasks import find_task

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class ExponentialAverage:
    """Exponentially averaged weights; younger runs forget faster, so that the start goes."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self.weights = {k: v.clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take the weights after step `step` in."""
        decay = min(self._decay, (step + 1) / (step + 10))
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                self.weights[key].lerp_(value, 1 - decay)


class Trainer:
    """A run: the task, its optimizer, the average of its weights, and how far it is."""

    def __init__(self, task: Task, config: TrainConfig, place: Place) -> None:
        self.task, self.config, self.place = task, config, place
        self.folder = home(config.output)
        self.optimizer = _make_optimizer(task.module, config.optim)
        self.averaged = (
            ExponentialAverage(task.module, config.optim.ema) if config.optim.ema else None
        )
        self.step = 0
        self.elapsed = 0.0
        self._preparing = 0.0  # seconds before steps, not in them
        self.notes: list[str] = []  # for the user, when the run begins

    @classmethod
    def create(
        cls,
        config: TrainConfig,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
        *,
        state: dict[str, Any] | None = None,
    ) -> Trainer:
        """Return the run that `config` describes, of which this is process `rank` of `world`.

        With `state`, what `save` wrote, it goes on from there; what `config` has and the state has
        not starts afresh.

        Raises:
            ArgumentError: The configuration names something that does not exist.
        """
        dtype = _PRECISIONS[config.optim.precision]
        lacking = dtype == torch.bfloat16 and not has_bf16(device.type)
        place = Place(device, rank, world, torch.float32 if lacking else dtype)
        torch.manual_seed(config.seed)
        task = find_task(config.task.name)(config, place, state and state["task"])
        trainer = cls(task, config, place)
        if lacking:
            trainer.notes.append(
                f"optim.precision = 'bfloat16': this machine's {device.type} has none; "
                "float32 is used"
            )
        if state is not None:
            trainer.restore(state)
        return trainer

    # Running

    def run(self) -> None:
        """Train to the end of the schedule; then the task's result lies in the run's folder.

        Ctrl-C, or a request to end, writes a checkpoint after the step at hand.

        Raises:
            NcodecError: A loss or gradient is no longer finite; the message names the checkpoint
                to go on from.
        """
        silent = self.place.rank != 0
        if self._finished():
            Reports(self.folder, tensorboard=False, silent=silent).say(
                f"{self.folder}: at its end after step {self.step}; "
                "--set optim.steps=N, or optim.minutes=N, goes on"
            )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        tensorboard = self.config.report.tensorboard
        with (
            Reports(self.folder, tensorboard=tensorboard, silent=silent) as reports,
            StopRequest() as stop,
        ):
            begin = f"going on after step {self.step} with" if self.step else "training"
            where = f"{self.place.device} in {str(self.place.dtype).removeprefix('torch.')}"
            reports.say(f"{begin} {self.task.description}, on {where}, into {self.folder}")
            for note in self.notes:
                reports.say(note)
            self._run_steps(reports, stop)
            path = self.save()
            if stop.signal is None:
                reports.say(f"{path}: {self.step} steps, {clock(self.elapsed)}")
            else:
                again = f"ncodec train --resume {self.folder}"
                reports.say(f"stopped after step {self.step}; go on with: {again}")
        stop.act()

    def _finished(self) -> bool:
        return self.step >= self.config.optim.steps or self.progress() >= 1

    def _run_steps(self, reports: Reports, stop: StopRequest) -> None:
        report = self.config.report
        start = time.monotonic() - self.elapsed
        batches = self.task.batches(self.step)
        heard, first = 0.0, self.step
        begun = saved = self.elapsed
        while not self._finished() and not same_for_all(float(stop.signal is not None)):
            reports.add(self.train_step(next(batches)))
            heard += self.task.seconds * self.place.world
            self.elapsed = same_for_all(time.monotonic() - start)
            if self.step == first + 1 or self.step % report.every == 0:
                stepping = self.elapsed - begun - self._preparing
                left = self._left(stepping / (self.step - first))
                reports.line(self.step, self.config.optim.steps, heard, self.learning_rate(), left)
                heard = 0.0
            late = self.elapsed - saved > 60 * report.checkpoint_minutes
            if self.step % report.checkpoint == 0 or late:
                self.save()
                saved = self.elapsed
            due = report.validation and self.step % report.validation == 0
            if due and self.place.rank == 0:
                found = self.task.validate(self.evaluated())
                if found is not None:
                    reports.validation(self.step, found)

    def _left(self, pace: float) -> float:
        """Return the seconds to the end, at `pace` seconds a step."""
        optim = self.config.optim
        by_clock = math.inf if optim.minutes is None else 60 * optim.minutes - self.elapsed
        return max(0.0, min(pace * (optim.steps - self.step), by_clock))

    def progress(self) -> float:
        """Return how much of the schedule is over, 0 to 1."""
        return progress(self.config.optim, self.step, self.elapsed)

    def learning_rate(self) -> float:
        """Return the rate of the next step."""
        return learning_rate(self.config.optim, self.step, self.progress())

    def train_step(self, batch: Any) -> dict[str, float]:
        """Take one step on a batch of the task; returns the losses.

        Raises:
            NcodecError: A loss is not finite; the weights are as before.
        """
        self._prepare()
        torch.manual_seed(self._step_seed())
        module = self.task.module
        module.train()
        try:
            losses = self.task.step(batch, self.step)
            losses.backward()
        except ArgumentError:  # a setting that does not fit
            raise
        except NcodecError as error:
            raise NcodecError(f"step {self.step}: {error}; {self._way_back()}") from error
        values = mean_over_processes(losses.values)
        self._check(values)
        average_gradients(module.parameters())
        norm = self._clip()
        self._check({"gradient": norm})
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.averaged is not None:
            self.averaged.update(module, self.step)
        self.step += 1
        return {**values, "gradient": norm}

    def _prepare(self) -> None:
        begin = time.monotonic()
        torch.manual_seed(self._step_seed())
        if self.task.before_step(self.step):
            self._restart_average()
        self._preparing += time.monotonic() - begin

    def _step_seed(self) -> int:
        return self.config.seed + 7919 * self.step  # a run that goes on draws the same

    def _restart_average(self) -> None:
        if self.averaged is not None:
            self.averaged = ExponentialAverage(self.task.module, self.config.optim.ema)

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

    # Keeping

    def evaluated(self) -> nn.Module:
        """Return a copy of the task's module with the averaged weights, ready for use."""
        result = copy.deepcopy(self.task.module)
        if self.averaged is not None:
            result.load_state_dict(self.averaged.weights)
        return result.eval()

    def save(self) -> Path | None:
        """Write a checkpoint and the task's result, whose path is returned; in one process only."""
        if self.place.rank:
            return None
        save_checkpoint(self.folder, self.step, self.state(), self.config.report.keep)
        notes = {"steps": self.step, "minutes": round(self.elapsed / 60, 1)}
        return self.task.write(self.evaluated(), self.folder, notes)

    def state(self) -> dict[str, Any]:
        """Return all that a run needs to go on as if it had never stopped."""
        return {
            "config": self.config.to_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
            "model": self.task.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": self.averaged.weights if self.averaged else None,
            "task": self.task.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave; options are those of this run's configuration."""
        was = TrainConfig.from_dict(state["config"])
        module = self.task.module
        self.step, self.elapsed = state["step"], state["elapsed"]
        module.load_state_dict(state["model"])
        earlier = _make_optimizer(module, was.optim)  # it has the groups that were saved
        earlier.load_state_dict(state["optimizer"])
        self.optimizer.state.update(earlier.state)
        afresh = self.task.load_state(state["task"])
        if self.averaged is not None and state["averaged"] is None:
            afresh.append("average of the weights")
            self._restart_average()
        elif self.averaged is not None:
            weights: dict[str, Tensor] = state["averaged"]
            self.averaged.weights = {k: v.to(self.place.device) for k, v in weights.items()}
        self.notes += [f"{part}: afresh, as the run had none" for part in afresh]


def _make_optimizer(module: nn.Module, o: OptimSection) -> torch.optim.Optimizer:
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        scale = next((s for start, s in o.scales.items() if name.startswith(start)), 1.0)
        groups.setdefault(scale, []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "scale": scale} for scale, p in groups.items()],
        lr=o.lr,
        betas=o.betas,
        weight_decay=o.weight_decay,
    )

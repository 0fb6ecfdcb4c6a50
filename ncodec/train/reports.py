"""What a run tells: a line on the terminal, and scalars and audio for TensorBoard."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ncodec.errors import ArgumentError
from ncodec.train.task import Validation


class Reports:
    """Writes to standard error and, if asked, to event files in `folder`; nothing if `silent`."""

    def __init__(self, folder: Path, *, tensorboard: bool, silent: bool) -> None:
        self._silent = silent
        self._writer: Any = None
        self._sums: dict[str, float] = {}
        self._count = 0
        self._since = time.monotonic()
        if tensorboard and not silent:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ArgumentError(
                    "TensorBoard is not installed: pip install tensorboard, or set "
                    "report.tensorboard=false"
                ) from error
            self._writer = SummaryWriter(str(folder))  # pyright: ignore[reportUnknownVariableType]

    def __enter__(self) -> Reports:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, values: Mapping[str, float]) -> None:
        """Collect one step's values for the next line."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def line(self, step: int, steps: int, heard: float, rate: float, left: float) -> None:
        """Print and log the means since the last line.

        `heard` seconds of audio since then, at the learning rate `rate`; the run will take about
        `left` seconds more.
        """
        elapsed, self._since = time.monotonic() - self._since, time.monotonic()
        means = {name: total / max(1, self._count) for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        self._scalars({"speed/real_time": heard / elapsed, "lr": rate, **_in("train", means)}, step)
        values = "  ".join(f"{name} {value:.4g}" for name, value in means.items())
        speed = f"{heard / elapsed:.1f}x real time"
        self.say(f"step {step}/{steps}  {clock(left)} left  {speed}  lr {rate:.2g}  {values}")

    def validation(self, step: int, result: Validation) -> None:
        """Print and log what validation measured, and its audio."""
        self._scalars(_in("validation", {**result.scores, **result.details}), step)
        self.say(f"step {step}  " + "  ".join(f"{k} {v:.4g}" for k, v in result.scores.items()))
        if self._writer is not None:
            for name, audio in result.audio.items():
                self._writer.add_audio(name, audio.mean(0), step, result.sample_rate)

    def say(self, text: str) -> None:
        """Print a line."""
        if not self._silent:
            print(text, file=sys.stderr, flush=True)

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)


def clock(seconds: float) -> str:
    """Return 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _in(group: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{group}/{name}": value for name, value in values.items()}

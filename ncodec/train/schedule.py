"""How far a run is, and the learning rate there: linear warm-up times cosine, root or decay."""

from __future__ import annotations

import math

from ncodec.train.config import OptimSection


def progress(options: OptimSection, step: int, elapsed: float) -> float:
    """Return how much of the schedule is over, by steps or by the clock (seconds), 0 to 1."""
    minutes = options.minutes
    by_clock = 0.0 if minutes is None else elapsed / (60 * minutes)
    return min(1.0, max(step / options.steps, by_clock))


def learning_rate(options: OptimSection, step: int, done: float) -> float:
    """Return the rate of step `step`, with `done` of the schedule over."""
    warm = min(1.0, (step + 1) / max(1, options.warmup))
    if options.decay is not None:
        return options.lr * warm * options.decay**step
    if options.curve == "root":
        return options.lr * warm * min(1.0, math.sqrt(max(1, options.warmup) / (step + 1)))
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return options.lr * warm * (options.final + (1 - options.final) * cosine)

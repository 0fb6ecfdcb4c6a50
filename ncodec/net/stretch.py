"""Make sound shorter or longer where nobody hears it, else by so little that nobody does."""

from __future__ import annotations

import math

import numpy as np

from ncodec.audio import Samples
from ncodec.live.drift import DriftControl, DriftResampler

FADE_SECONDS = 0.005
QUIET, BELOW = 10 ** (-50 / 20), 10 ** (-30 / 20)
"""Root mean squares that are quiet: of full scale, and of the loudest of the last seconds."""
FORGET_SECONDS = 5.0
WORTH_SECONDS, DEAD_SECONDS = 0.003, 0.008
"""What is worth a cut where it is quiet, and what is not worth a bend where it is loud."""
GAIN = 0.5
"""Change of step a second of excess, up to `DriftControl.LIMIT`."""


class Stretcher:
    """Pass blocks `[C, T]` on, shorter by an excess or longer by a want of time."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        """Begin; `sample_rate` in Hz."""
        self._rate = sample_rate
        self._resampler = DriftResampler(channels)
        self._loudest = 0.0
        self._fade = round(FADE_SECONDS * sample_rate)

    def push(self, x: Samples, excess: float, *, anywhere: bool = False) -> tuple[Samples, float]:
        """Take a block and the seconds to be rid of; return a block and the seconds that it was.

        With `anywhere`, loud sound is cut too.
        """
        level = float(np.sqrt(np.mean(np.square(x)))) if x.size else 0.0
        kept = 0.5 ** (x.shape[1] / self._rate / FORGET_SECONDS)
        self._loudest = max(level, self._loudest * kept)
        quiet = anywhere or level < max(QUIET, BELOW * self._loudest)
        before = x.shape[1]
        if quiet and abs(excess) > WORTH_SECONDS:
            x = self._cut(x, round(excess * self._rate))
        done = (before - x.shape[1]) / self._rate
        left = excess - done
        step = 1.0
        beyond = math.copysign(max(abs(left) - DEAD_SECONDS, 0.0), left)
        step += min(max(GAIN * beyond, -DriftControl.LIMIT), DriftControl.LIMIT)
        y = self._resampler.push(x, step)
        return y, done + (step - 1) * y.shape[1] / self._rate

    def _cut(self, x: Samples, excess: int) -> Samples:
        """Leave samples out, or repeat the last ones, as far as the block and its fade allow."""
        fade = self._fade
        count = min(abs(excess), x.shape[1] - fade)
        if count <= 0:
            return x
        if excess > 0:
            mixed = fade_over(x[:, :fade], x[:, count : count + fade])
            return np.concatenate([mixed, x[:, count + fade :]], axis=1)
        end = x.shape[1]
        mixed = fade_over(x[:, end - fade :], x[:, end - fade - count : end - count])
        return np.concatenate([x[:, : end - fade], mixed, x[:, end - count :]], axis=1)


def fade_over(a: Samples, b: Samples) -> Samples:
    """Go over from `a` to `b`, `[C, T]` both."""
    share = np.linspace(0, 1, a.shape[1], dtype=np.float32)
    return (a + share * (b - a)).astype(np.float32)

"""What a live line shows: levels, durations against real time, clocks of devices."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from ncodec.audio import Samples

FLOOR_DB = -90.0


class LevelMeter:
    """The peak in dB of full scale, falling by 20 dB a second, as peak programme meters do."""

    FALL = 20.0

    def __init__(self, sample_rate: int) -> None:
        """Begin in silence; `sample_rate` in Hz tells how fast time goes by."""
        self._rate = sample_rate
        self.db = FLOOR_DB

    def push(self, x: Samples) -> None:
        """Take `[C, T]`."""
        if x.size == 0:
            return
        peak = float(np.max(np.abs(x)))
        now = 20 * math.log10(peak) if peak > 0 else FLOOR_DB
        fallen = self.db - self.FALL * x.shape[-1] / self._rate
        self.db = max(now, fallen, FLOOR_DB)


class Durations:
    """How long each piece of audio took, against its own length, over the last `count` pieces."""

    def __init__(self, count: int = 1000) -> None:
        """Keep the last `count` factors."""
        self._factors: deque[float] = deque(maxlen=count)

    def add(self, took: float, lasts: float) -> None:
        """Take the seconds that the work took and the seconds that the audio lasts."""
        self._factors.append(took / lasts)

    def quantile(self, q: float) -> float:
        """Return the real-time factor that a share `q` of the pieces kept below; 0 if none."""
        return float(np.quantile(list(self._factors), q)) if self._factors else 0.0

    @property
    def mean(self) -> float:
        """The mean real-time factor."""
        return float(np.mean(list(self._factors))) if self._factors else 0.0


class StreamClock:
    """When a stream's first sample was at its converter, told from the time stamps of later ones.

    Stamps scatter by milliseconds; their offset from an even flow is smoothed.
    """

    SMOOTHING = 2.0

    def __init__(self) -> None:
        """Begin without knowledge."""
        self.origin: float | None = None
        self._last = 0.0
        self._count = 0

    def update(self, position: float, stamp: float) -> None:
        """Take the time of the sample at `position` seconds, on the device's clock."""
        offset = stamp - position
        self._count += 1
        # A plain mean at first, then an exponential one.
        weight = 1 - math.exp(-max(0.0, stamp - self._last) / self.SMOOTHING)
        origin = offset if self.origin is None else self.origin
        self.origin = origin + max(weight, 1 / self._count) * (offset - origin)
        self._last = stamp

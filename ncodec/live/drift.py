"""Two devices never have quite the same clock: a resampler close to 1, and what steers it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import Samples

HALF = 16
"""Taps on either side: flat to 0.8 of the Nyquist frequency, images below -70 dB."""
PHASES = 512
"""Positions between two samples at which the kernel is kept; between them it is interpolated."""


class DriftResampler:
    """Read a stream `[C, T]` at a step near 1 input sample an output sample.

    A windowed sinc is read at the running position, so a change of the step bends the pitch by
    parts per thousand and never clicks. While the position is whole, the kernel is exactly one
    and zeros: at step 1 from the beginning, the output equals the input, bit for bit.
    """

    def __init__(self, channels: int) -> None:
        """Begin at input position 0."""
        self._kept = np.zeros((channels, HALF - 1), np.float32)
        self._phase = 0.0
        self._consumed = 0
        self.given = 0

    @property
    def position(self) -> float:
        """Where the next output sample stands in the input, in samples."""
        return self._consumed + self._phase

    def push(self, x: Samples, step: float = 1.0) -> Samples:
        """Take `[C, T]`; return what is ready, HALF samples behind."""
        joined = np.concatenate([self._kept, x], axis=1)
        ready = joined.shape[1] - (2 * HALF - 1)
        if ready < 1:
            self._kept = joined
            return joined[:, :0]
        if step == 1.0:  # one kernel for all, or none: many times faster, and this is the rule
            self._kept = joined[:, ready:]
            self._consumed += ready
            self.given += ready
            return _shifted(joined, self._phase)
        # Outputs at phase + i * step, as long as the whole part stays within what is ready.
        count = max(0, math.ceil((ready - self._phase) / step))
        places = self._phase + step * np.arange(count + 1)
        whole = np.floor(places).astype(np.int64)
        y = _interpolate(joined, whole[:count], places[:count] - whole[:count])
        used = int(whole[count])
        self._phase = float(places[count]) - used
        self._kept = joined[:, used:]
        self._consumed += used
        self.given += count
        return y


def _kernels() -> NDArray[np.float64]:
    """Return the windowed sinc at PHASES + 1 fractions from 0 to 1, `[PHASES + 1, 2 * HALF]`."""
    fraction = np.arange(PHASES + 1)[:, None] / PHASES
    distance = np.arange(2 * HALF) - (HALF - 1) - fraction
    angle = np.pi * distance / HALF
    window = 0.42 + 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle)  # Blackman
    # Rounding must not leave traces of the neighbours where the position is whole.
    whole = (fraction == 0) | (fraction == 1)
    return np.where(whole, distance == 0, np.sinc(distance) * window)


_KERNELS = _kernels()


def _shifted(x: Samples, fraction: float) -> Samples:
    """Weigh the 2 * HALF samples from each one on, around `HALF - 1 + fraction`."""
    if fraction == 0.0:
        return x[:, HALF - 1 : -HALF].copy()
    row, between = int(fraction * PHASES), fraction * PHASES % 1
    kernel = (1 - between) * _KERNELS[row] + between * _KERNELS[row + 1]
    return np.stack([np.correlate(each, kernel, "valid") for each in x]).astype(np.float32)


def _interpolate(x: Samples, start: NDArray[np.int64], fraction: NDArray[np.floating]) -> Samples:
    """Weigh the 2 * HALF samples from each `start`, around `start + HALF - 1 + fraction`."""
    place = fraction * PHASES
    row = place.astype(np.int64)
    between = (place - row)[:, None]
    kernel = (1 - between) * _KERNELS[row] + between * _KERNELS[row + 1]
    pieces = x[:, start[:, None] + np.arange(2 * HALF)]
    return np.einsum("cnk,nk->cn", pieces, kernel).astype(np.float32)


class DriftControl:
    """Steer the resampler so that the time held in buffers stays what it was.

    Inside the dead zone nothing is done, since the callbacks' own unevenness moves the fill by
    some milliseconds; outside, the step follows the excess. Two clocks that agree are passed
    through untouched, two that differ by the usual 20 to 200 parts per million settle a few
    milliseconds beyond the zone.
    """

    DEAD_ZONE = 0.010
    SETTLING = SMOOTHING = 4.0
    GAIN = 0.1
    LIMIT = 0.002
    """Seconds, seconds, change of step a second of excess, and its bound (3 cents of pitch)."""

    def __init__(self) -> None:
        """Begin by looking on: the mean of the first seconds becomes the target."""
        self.target = self._smooth = 0.0
        self._seen = 0.0

    def update(self, held: float, elapsed: float) -> float:
        """Take the time held now and the time since the last update; return the step to use."""
        self._seen += elapsed
        if self._seen <= self.SETTLING:
            weight = min(1.0, elapsed / self._seen) if self._seen else 1.0
            self._smooth += (held - self._smooth) * weight
            self.target = self._smooth
            return 1.0
        self._smooth += (held - self._smooth) * (1 - math.exp(-elapsed / self.SMOOTHING))
        error = self._smooth - self.target
        excess = math.copysign(max(0.0, abs(error) - self.DEAD_ZONE), error)
        return 1.0 + min(self.LIMIT, max(-self.LIMIT, self.GAIN * excess))

    def shift(self, seconds: float) -> None:
        """Move the target and all that was seen: an underrun added time."""
        self.target += seconds
        self._smooth += seconds

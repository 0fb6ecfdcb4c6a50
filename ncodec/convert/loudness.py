"""Loudness of a signal that comes piece by piece."""

from __future__ import annotations

import numpy as np

from ncodec.audio import Samples
from ncodec.metrics.loudness import block_powers, gated_level


class Meter:
    """Integrated loudness (ITU-R BS.1770-4); memory is a number for each 100 ms.

    The filters start anew every 30 s, a second earlier, which is far longer than they ring.
    """

    def __init__(self, sample_rate: int) -> None:
        """Begin with nothing."""
        self._rate = sample_rate
        self._waiting: list[Samples] = []
        self._held = 0
        self._powers: list[np.ndarray] = []
        self._before: Samples | None = None

    def push(self, samples: Samples) -> None:
        """Take the next samples `[C, T]`."""
        self._waiting.append(samples)
        self._held += samples.shape[1]
        while self._held >= 30 * self._rate:
            self._measure(30 * self._rate)

    def level(self) -> float:
        """End the signal: return its loudness in LUFS, -inf for silence."""
        if self._held:
            self._measure(self._held)
        return gated_level(np.concatenate(self._powers)) if self._powers else float("-inf")

    def _measure(self, samples: int) -> None:
        joined = np.concatenate(self._waiting, axis=1)
        part, rest = joined[:, :samples], joined[:, samples:]
        run_in = 0
        if self._before is not None:
            run_in = self._before.shape[1]
            part = np.concatenate([self._before, part], axis=1)
        self._powers.append(block_powers(part, self._rate, skip=run_in))
        self._before = part[:, -self._rate :]
        self._waiting, self._held = [rest], rest.shape[1]

"""A listener on a pipe that came late, or was held up, comes back to the present."""

from __future__ import annotations

import math


class CatchUp:
    """Tells what waits for good from what a file's fast reader has laid in store.

    A live stream gives a second of sound a second: what still waits at the quietest moment of a
    second, and no more of it than in the second before, only makes everything late. A file that
    comes through a pipe is read faster than it is played: what waits grows, until it has ended.
    """

    WINDOW = 1.0
    GROWTH = 0.02
    TARGET = 0.25
    """Seconds: of each look, of growth that is still none, and what to keep against jitter."""

    def __init__(self, bound: float) -> None:
        """Leave up to `bound` seconds alone."""
        self._bound = bound
        self._seen, self._least, self._before = 0.0, math.inf, -math.inf

    def update(self, held: float, elapsed: float) -> float:
        """Take the seconds that wait and those since the last update; return how many to skip."""
        self._seen += elapsed
        self._least = min(self._least, held)
        if self._seen < self.WINDOW:
            return 0.0
        least, grown = self._least, self._least - self._before
        self._seen, self._least, self._before = 0.0, math.inf, least
        if least <= self._bound or grown > self.GROWTH:
            return 0.0
        self._before = -math.inf
        return max(0.0, least - self.TARGET)

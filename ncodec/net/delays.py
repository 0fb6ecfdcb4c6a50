"""What is known of a line's delay: its fastest packets, and how much later the others come."""

from __future__ import annotations

import math
from collections import deque

import numpy as np


class Fastest:
    """The least transit time of the last seconds, so that it follows clocks that drift apart."""

    PIECE, PIECES = 0.5, 20
    """Seconds, and how many of them are looked back on."""

    def __init__(self) -> None:
        """Know nothing."""
        self._pieces: deque[tuple[float, float]] = deque()
        self.seconds = math.inf

    def see(self, transit: float, now: float) -> float:
        """Take a packet's transit time; return the least."""
        pieces = self._pieces
        while pieces and now - pieces[0][0] > self.PIECE * self.PIECES:
            pieces.popleft()
        if not pieces or now - pieces[-1][0] >= self.PIECE:
            pieces.append((now, transit))
        elif transit < pieces[-1][1]:
            pieces[-1] = pieces[-1][0], transit
        self.seconds = min(least for _, least in pieces)
        return self.seconds


class RoundTrip:
    """The way there and back, from messages that say when they were sent and what came last.

    The clocks of both ends are apart by an unknown time, which the two ways together do not have;
    each way's fastest message of the last seconds counts, so that jitter adds little.
    """

    LONGEST = 10.0
    """Seconds; what took longer answers what another has sent."""

    def __init__(self) -> None:
        """Know nothing."""
        self._there, self._back = Fastest(), Fastest()
        self._apart: int | None = None

    @property
    def seconds(self) -> float | None:
        """Both ways together; None while one of them is not known."""
        both = self._there.seconds + self._back.seconds
        return max(both, 0.0) if math.isfinite(both) else None

    def see(self, sent: int, echo: int, kept: int, arrival: float) -> None:
        """Take a message that came at `arrival` seconds.

        Args:
            sent: its time, in milliseconds of the other's clock modulo 2^32.
            echo: the time, of ours, in the last message that had come there; 0: none had.
            kept: milliseconds since that had come.
            arrival: of our clock.
        """
        back = round(arrival * 1000) - sent
        self._apart = back if self._apart is None else self._apart
        self._back.see(_signed(back - self._apart) / 1000, arrival)
        if echo and (round(arrival * 1000) - echo - kept) % (1 << 32) < self.LONGEST * 1000:
            self._there.see(_signed(sent - kept - echo + self._apart) / 1000, arrival)


def _signed(milliseconds: int) -> int:
    """Return the least number that is the same modulo 2^32."""
    return (milliseconds + (1 << 31)) % (1 << 32) - (1 << 31)


class Lateness:
    """The distribution of how much later packets come than the fastest.

    Older ones are forgotten by time, not by number, so that it is the same for packets of any
    length; buckets of 5 ms, since a frame is 13 (NetEq's of 20 ms are too coarse for that).
    """

    BUCKET, MOST = 0.005, 2.0
    HALF_LIFE = 8.0
    LONGEST_STEP = 0.1
    """What a pause counts for: a line that nothing was sent over has not changed."""
    EXPECTED = ((0.040, 36.0), (0.060, 2.0))
    """Seconds and weights to begin with, before anything is known."""

    def __init__(self) -> None:
        """Begin with what is usual."""
        self._weights = np.zeros(round(self.MOST / self.BUCKET))
        for seconds, weight in self.EXPECTED:
            self._weights[round(seconds / self.BUCKET) - 1] = weight
        self._last: float | None = None

    def see(self, late: float, now: float) -> None:
        """Take how many seconds after the fastest a packet came."""
        step = 0.0 if self._last is None else min(max(now - self._last, 0.0), self.LONGEST_STEP)
        self._last = now
        self._weights *= 0.5 ** (step / self.HALF_LIFE)
        place = min(int(max(late, 0.0) / self.BUCKET), len(self._weights) - 1)
        self._weights[place] += 1

    def quantile(self, share: float) -> float:
        """Return the seconds that a share of the packets kept below: a bucket's upper edge."""
        total = np.cumsum(self._weights)
        place = int(np.searchsorted(total, share * total[-1]))
        return (min(place, len(total) - 1) + 1) * self.BUCKET

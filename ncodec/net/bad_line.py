"""A bad line, simulated: what is lost, late, doubled and overtaken is the same in every run."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from ncodec.errors import ArgumentError

SHAPE = 2.0
"""Of the gamma distribution of delays: most come soon, some very late, as queues make them."""


@dataclass(frozen=True)
class Conditions:
    """How bad a line is.

    Attributes:
        loss: share of datagrams that are lost, 0 to 1.
        jitter: mean of the delay in seconds, of a gamma distribution of shape 2. Each datagram's is
            its own, so they overtake each other.
        delay: seconds that all take besides.
        burst: how many are lost in a row.
        doubled: share of datagrams that come twice.
        kbps: what the line carries; what is more waits in its queue.
        seed: of all that is drawn.

    Raises:
        ArgumentError: a value out of range.
    """

    loss: float = 0.0
    jitter: float = 0.0
    delay: float = 0.0
    burst: int = 1
    doubled: float = 0.0
    kbps: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("loss", "doubled"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name} {getattr(self, name):g}: must be from 0 to 1")
        for name in ("jitter", "delay"):
            if not 0 <= getattr(self, name) <= 10:
                raise ArgumentError(f"{name} {getattr(self, name):g} s: must be from 0 to 10")
        if self.burst < 1:
            raise ArgumentError(f"burst {self.burst}: must be 1 or more")
        if self.kbps is not None and self.kbps <= 0:
            raise ArgumentError(f"{self.kbps:g} kbps: must be more than 0")


class BadLine:
    """One direction of a line.

    What happens to a datagram is drawn from the seed, the direction and its number alone, so it
    does not depend on when others are sent.
    """

    def __init__(self, conditions: Conditions, direction: str) -> None:
        """Begin with datagram 0."""
        self._conditions = conditions
        self._number = 0
        self._base = (conditions.seed << 64) + (zlib.crc32(direction.encode()) << 32)
        self._free = 0.0

    def carry(self, now: float, size: int) -> list[float]:
        """Take a datagram of `size` bytes at `now`; return when it arrives: never, once or twice.

        Times are seconds of the caller's clock.
        """
        number, self._number = self._number, self._number + 1
        conditions = self._conditions
        if any(self._bursts(number - back) for back in range(conditions.burst)):
            return []
        if conditions.kbps is not None:
            now = self._free = max(now, self._free) + size / (125 * conditions.kbps)
        dice = self._dice(number, 0)
        times = 2 if dice.random() < conditions.doubled else 1
        mean = conditions.jitter / SHAPE
        return [
            now + conditions.delay + (dice.gammavariate(SHAPE, mean) if mean else 0.0)
            for _ in range(times)
        ]

    def _bursts(self, number: int) -> bool:
        """Say whether losses begin at a datagram, so often that the share of all is right."""
        share = 1 - (1 - self._conditions.loss) ** (1 / self._conditions.burst)
        return number >= 0 and self._dice(number, 1).random() < share

    def _dice(self, number: int, what: int) -> random.Random:
        return random.Random((self._base + number) * 2 + what)  # noqa: S311

"""The jitter buffer: packets in as they come, one for each step of a clock out, or what is missing.

It knows neither sockets nor clocks nor what is in a packet: time is an argument. What the listener
holds is told from the fastest packets, which clocks of two machines do not disturb.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from ncodec.net.delays import Fastest, Lateness

T = TypeVar("T")

QUANTILE, FLOOR = 0.97, 0.90
"""Of the lateness: what the target waits for, and what it waits for at least."""
COPY_WAIT = 1.0
"""Packets to wait beyond the quantile where copies are sent, so that one is in time."""
RECENT = 200
"""Packets of which the typical lateness is told at most."""
SMOOTHING = 1.0
"""Seconds over which the time held is averaged."""


@dataclass(frozen=True)
class Item(Generic[T]):
    """What is known of a place on the timeline: worth says how good it is, 0 is silence."""

    content: T
    worth: int


@dataclass
class Counts:
    """How places ended, and packets that were of no use."""

    whole: int = 0
    copies: int = 0
    missing: int = 0
    late: int = 0
    double: int = 0
    outside: int = 0
    restarts: int = 0

    @property
    def places(self) -> int:
        """Places that have been played and can not change any more."""
        return self.whole + self.copies + self.missing


class JitterBuffer(Generic[T]):
    """Numbered items, one for each `length` seconds of a sender's clock.

    A number may come any time: in time, while it can still be mended after it was taken (the last
    `past` numbers), or too late. One whose time is far from that of the others is passed over,
    until ten in a row agree: a sender that slept, or a clock that was set.
    """

    AHEAD, BEHIND = 0.1, 2.0
    """Seconds earlier than the fastest, or later, at which a packet is taken for a forgery."""
    AGREE, WITHIN = 10, 0.2
    """So many in a row, so close together, are believed."""

    def __init__(self, length: float, *, past: int = 0, early: float = 0.0) -> None:
        """Begin with the first packet.

        Args:
            length: seconds that an item lasts.
            past: how many numbers that were taken may still be mended.
            early: seconds less than the quantile to wait, for what mending makes good.
        """
        self._length, self._past, self._early = length, past, early
        self.counts = Counts()
        self._outside: list[float] = []
        self._begin(0)
        self.next = None

    next: int | None
    """The number that will be taken next; None before anything came."""

    def _begin(self, number: int) -> None:
        self._items = dict[int, tuple[Item[T], bool]]()
        self._fastest, self._lateness = Fastest(), Lateness()
        self._recent = deque[float](maxlen=RECENT)
        self._held: float | None = None
        self._held_at = 0.0
        self._started = False
        self._holds = Counter[int]()
        self._silent, self._judged = True, number - 1
        self._copies = 1.0
        self._target: float | None = None
        self.next = self._first = number

    @property
    def started(self) -> bool:
        """Whether anything has been taken."""
        return self._started

    @property
    def target(self) -> float:
        """Seconds that should be held beyond the fastest packet's time."""
        if self._target is None:
            wait = COPY_WAIT * self._length if self._copies > 0.5 else 0.0
            asked = self._lateness.quantile(QUANTILE) + wait - self._early
            self._target = max(asked, self._lateness.quantile(FLOOR))
        return self._target

    @property
    def held(self) -> float:
        """Seconds that are held, smoothed; 0 before anything was taken."""
        return self._held or 0.0

    @property
    def usual(self) -> float:
        """Seconds that were held at the median of all places so far; 0 before anything was."""
        half, passed = self._holds.total() / 2, 0
        for milliseconds in sorted(self._holds):
            passed += self._holds[milliseconds]
            if passed >= half:
                return milliseconds / 1000
        return 0.0

    @property
    def excess(self) -> float:
        """Seconds that are held beyond the target: to be shortened, or lengthened if negative."""
        return 0.0 if self._held is None else self._held - self.target

    def correct(self, seconds: float) -> None:
        """Tell that the sound was shortened by so much, by the excess or some of it."""
        if self._held is not None:
            self._held -= seconds

    def typical_lateness(self) -> float:
        """Return the median lateness of what came since this was asked last, in seconds."""
        recent = sorted(self._recent)
        self._recent.clear()
        return recent[len(recent) // 2] if recent else 0.0

    def put(self, number: int, item: Item[T], arrival: float) -> bool:
        """Take a packet's own item; return whether its time is believed."""
        transit = arrival - number * self._length
        if self.next is None:
            self._begin(number)
        late = transit - self._fastest.seconds
        if math.isfinite(late) and not -self.AHEAD <= late <= self.BEHIND:
            return self._doubt(number, item, arrival)
        self._outside.clear()
        known = self._items.get(number)
        if known is not None and known[1]:
            self.counts.double += 1
            return True
        late = transit - self._fastest.see(transit, arrival)
        self._lateness.see(late, arrival)
        self._recent.append(late)
        self._target = None
        if number < self._oldest:
            self.counts.late += 1
            return True
        self._items[number] = item, True
        self._judge(number, item)
        return True

    def put_copy(self, number: int, item: Item[T]) -> None:
        """Take what another packet says of a number; the best of several stays."""
        if self.next is None or number < self._oldest:
            return
        known = self._items.get(number)
        if known is None or (not known[1] and item.worth > known[0].worth):
            self._items[number] = item, False
            self._judge(number, item)

    def tell_copies(self, *, sent: bool) -> None:
        """Say of each packet whether it has copies: they are worth waiting for if most have."""
        self._copies += (float(sent) - self._copies) / 16
        self._target = None

    def wait(self, now: float) -> float | None:
        """Return the seconds until the first item is due; None before anything came."""
        if self.next is None:
            return None
        if self._started:
            return 0.0
        return self.target - self._holding(now)

    def take(self, now: float) -> Item[T] | None:
        """Take the next number: what came of it, or None. Ask `wait` before the first."""
        assert self.next is not None
        self._started = True
        self._watch(self._holding(now), now)
        number, self.next = self.next, self.next + 1
        found = self._items.get(number)
        if found is not None:
            self._judge(number, found[0])
        self._retire(self._oldest - 1)
        return None if found is None else found[0]

    @property
    def taken(self) -> int:
        """The number that was taken last."""
        return (self.next or 0) - 1

    @property
    def silent(self) -> bool:
        """Whether the last that came said silence: what is missing then is no loss."""
        return self._silent

    def look(self, number: int) -> Item[T] | None:
        """Return what is known of a number that has been taken."""
        found = self._items.get(number)
        return None if found is None else found[0]

    @property
    def _oldest(self) -> int:
        """The oldest number that is still of use."""
        return (self.next or 0) - self._past if self._started else (self.next or 0)

    def _holding(self, now: float) -> float:
        assert self.next is not None
        return now - self._fastest.seconds - self.next * self._length

    def _watch(self, held: float, now: float) -> None:
        self._holds[round(1000 * held)] += 1
        if self._held is None:
            self._held = held
        share = 1 - math.exp(-max(now - self._held_at, 0.0) / SMOOTHING)
        self._held_at = now
        self._held += share * (held - self._held)

    def _judge(self, number: int, item: Item[T]) -> None:
        """Take note of silence, or of its end, from the last item that has been due."""
        if self._judged <= number < (self.next or 0):
            self._silent, self._judged = item.worth == 0, number

    def _retire(self, number: int) -> None:
        """Count how a number ended that can not change any more."""
        found = self._items.pop(number, None)
        if number < self._first:
            return
        if found is not None and found[1]:
            self.counts.whole += 1
        elif found is not None:
            self.counts.copies += 1
        elif not self._silent:
            self.counts.missing += 1

    def _doubt(self, number: int, item: Item[T], arrival: float) -> bool:
        """Pass over a packet whose time is impossible, unless many agree on it."""
        transit = arrival - number * self._length
        self.counts.outside += 1
        if self._outside and abs(transit - self._outside[-1]) > self.WITHIN:
            self._outside.clear()
        self._outside.append(transit)
        if len(self._outside) < self.AGREE:
            return False
        self._outside.clear()
        self.counts.restarts += 1
        self._begin(number)
        return self.put(number, item, arrival)

"""Play files one after the other, without gaps, with position, seeking and volume."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import mix_channels
from ncodec.errors import NcodecError
from ncodec.live.catchup import CatchUp
from ncodec.live.devices import DeviceInfo, DeviceStream, negotiate
from ncodec.live.fifo import Fifo
from ncodec.live.playlist import PIPE, Opener, Playlist
from ncodec.live.running import Running

AHEAD_SECONDS = 4.0
"""What is decoded ahead of the speaker."""
BACKLOG_SECONDS = 60.0
"""The same for a live stream: the end of what waits in its pipe must come into sight."""
PREFILL_SECONDS = 0.25
"""What is gathered before the speaker starts, and after an underrun."""
FADE_SECONDS = 0.02
"""How long a change of volume takes, and the way in after a seek."""
LIVE_PACKET_SECONDS = 0.25
"""A pipe with shorter packets than this is taken for a live stream."""
MAX_DELAY = 1.0
"""Seconds that a live stream may wait here."""


@dataclass(frozen=True)
class Position:
    """Where playing is: the number of the file, seconds into it, its length if known."""

    track: int
    seconds: float
    length: float | None
    underruns: int
    skipped: float
    """Seconds left out to come back to the present of a live stream."""


@dataclass(frozen=True)
class _Mark:
    """From frame `at` of the FIFO on, what is heard is `track` from `seconds` on."""

    at: int
    track: int
    seconds: float
    length: float | None


class Player(Running):
    """Play `paths` ("-" is standard input) while the block lasts, or until `done`.

    `volume` (a factor) and `paused` may be set at any time. `failures` gets the files that could
    not be played to their end, each with its error; the others are played.
    """

    FINISHES = False

    def __init__(
        self,
        paths: Sequence[str],
        opener: Opener,
        device: DeviceInfo,
        *,
        start: float = 0.0,
        volume: float = 1.0,
        latency: float = 0.1,
        max_delay: float | None = None,
    ) -> None:
        """Open the first file, and the device at the file's rate where it takes it.

        Args:
            paths: the files.
            opener: makes decoded sound of an open file.
            device: an output.
            start: where to begin in the first file, in seconds.
            volume: a factor.
            latency: what to ask of the device, in seconds.
            max_delay: seconds that may wait here of what comes through a pipe; what is more is
                skipped. By default MAX_DELAY where packets are short, infinity elsewhere.

        Raises:
            DeviceError: the device refuses.
            NcodecError, OSError: the first file cannot be played.
        """
        self._list = Playlist(paths, opener)
        sound = self._list.open(0, start)
        self.device = device
        rate, self._width = negotiate(device, "output", sound.sample_rate, sound.channels)
        self._list.rate = self._rate = rate
        pipe, live = paths[0] == PIPE, sound.packet_seconds < LIVE_PACKET_SECONDS
        if max_delay is None:
            max_delay = MAX_DELAY if live else math.inf
        self._catch_up = CatchUp(max_delay if pipe else math.inf)
        ahead = BACKLOG_SECONDS if pipe and max_delay < math.inf else AHEAD_SECONDS
        self._fifo = Fifo(self._width, round(ahead * rate))
        self._marks = deque([_Mark(0, 0, start, self._list.length)])
        self._pending = np.zeros((0, self._width), np.float32)
        self.volume, self.paused = volume, False
        self.failures: list[tuple[str, Exception]] = []
        self._request: tuple[int, float] | None = None
        self._flush_to = 0
        self._gain = 0.0
        self._started = self._ended = False
        self._underruns = self._skipped = 0
        self._latency = latency
        stream = DeviceStream(
            device, "output", self._render, rate=rate, channels=self._width, latency=latency
        )
        super().__init__(self._work, (stream,))

    @property
    def done(self) -> bool:
        """Whether the last sample has been given to the device."""
        return self._ended and self._fifo.fill == 0 and self._request is None

    def position(self) -> Position:
        """Return what is being heard, or will be when a seek is done."""
        if self._request is not None:
            return self._position(*self._request, None)
        taken = max(self._fifo.taken, self._flush_to)
        mark = self._marks[0]
        for each in tuple(self._marks):
            if each.at <= taken:
                mark = each
        return self._position(
            mark.track, mark.seconds + (taken - mark.at) / self._rate, mark.length
        )

    def seek(self, seconds: float, track: int | None = None) -> None:
        """Go on at `seconds` of the present or another file; pipes cannot be sought in."""
        here = self.position()
        track = here.track if track is None else track
        paths = self._list.paths
        if not 0 <= track < len(paths) or PIPE in (paths[track], paths[here.track]):
            return
        if here.length is not None and track == here.track:
            seconds = min(seconds, here.length - 0.001)
        self._request = (track, max(0.0, seconds))
        self._worker.wake()

    def drain(self) -> None:
        """Wait until the device has played what it was given."""
        time.sleep(self._latency + 0.2)

    def _position(self, track: int, seconds: float, length: float | None) -> Position:
        return Position(track, seconds, length, self._underruns, self._skipped / self._rate)

    def _render(self, out: NDArray[np.float32], _stamp: float, _lost: bool) -> None:
        fifo, got = self._fifo, 0
        if fifo.taken < self._flush_to:
            fifo.skip(self._flush_to - fifo.taken)
            self._started = False
        if not self._started:
            self._gain = 0.0
            self._started = self._ended or fifo.fill >= PREFILL_SECONDS * self._rate
        if self._started and not (self.paused and self._gain == 0):
            got = fifo.read_into(out)
            late = self._late(len(out))
            self._fade(out[:got], 0.0 if late or self.paused else self.volume)
            self._skipped += fifo.skip(late)
            if got < len(out) and not self._ended:
                self._underruns += 1
                self._started = False
        out[got:] = 0
        self._worker.wake()

    def _late(self, frames: int) -> int:
        """Return how many frames to skip; a FIFO that is full says nothing of a live stream."""
        fifo, rate = self._fifo, self._rate
        if self.paused or self._ended or fifo.room < rate:
            return 0
        return round(rate * self._catch_up.update(fifo.fill / rate, frames / rate))

    def _fade(self, out: NDArray[np.float32], volume: float) -> None:
        """Multiply by a gain on its way to `volume`."""
        if self._gain == volume == 1:
            return
        most = len(out) / (FADE_SECONDS * self._rate)
        target = self._gain + max(-most, min(most, volume - self._gain))
        out *= np.linspace(self._gain, target, len(out), dtype=np.float32)[:, None]
        self._gain = target

    def _work(self) -> bool:
        try:
            if self._request is not None:
                self._go(self._request)
            if len(self._pending) == 0 and not self._ended:
                self._next_block()
        except (NcodecError, OSError) as error:
            self.failures.append((self._list.path, error))
        put = self._fifo.write(self._pending)
        self._pending = self._pending[put:]
        return put > 0 or (len(self._pending) == 0 and not self._ended)

    def _next_block(self) -> None:
        block = self._list.read()
        if block is not None:
            self._pending = np.ascontiguousarray(mix_channels(block, self._width).T)
        elif self._list.at_last:
            self._ended = True
        else:
            self._enter(self._list.track + 1, 0.0)

    def _go(self, request: tuple[int, float]) -> None:
        """Seek: what is decoded is heard until there is something else, and then forgotten."""
        self._pending = self._pending[:0]
        self._ended = False
        try:
            self._enter(*request)
        finally:
            self._flush_to = self._fifo.written
            if self._request is request:
                self._request = None

    def _enter(self, track: int, seconds: float) -> None:
        self._list.open(track, seconds)
        while len(self._marks) > 1 and self._marks[1].at <= self._fifo.taken:
            self._marks.popleft()
        self._marks.append(_Mark(self._fifo.written, track, seconds, self._list.length))

    def _end(self) -> None:
        self._list.close()

"""Play files one after the other, without gaps, with position, seeking and volume."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import Samples, mix_channels
from ncodec.errors import ArgumentError
from ncodec.live.devices import DeviceStream, find_device, negotiate
from ncodec.live.fifo import Fifo
from ncodec.live.worker import Worker

AHEAD_SECONDS = 4.0
"""What is decoded ahead of the speaker."""
PREFILL_SECONDS = 0.25
"""What is gathered before the speaker starts."""
FADE_SECONDS = 0.02
"""How long a change of volume takes, and the way in after a seek."""


class Sound(Protocol):
    """Decoded sound: `ncodec.codec.FileDecoder` is one."""

    sample_rate: int
    channels: int

    @property
    def seconds(self) -> float | None:
        """Length from where it begins, if known."""
        ...

    def __iter__(self) -> Iterator[Samples]:
        """Return the blocks `[C, T]`."""
        ...


Opener = Callable[[BinaryIO, float, int | None], Sound]
"""Opens a file at a time in seconds, to be given at a sample rate (None: its own)."""


@dataclass(frozen=True)
class Position:
    """Where playing is: the number of the file, seconds into it, its length if known."""

    track: int
    seconds: float
    length: float | None
    underruns: int


@dataclass(frozen=True)
class _Mark:
    """From frame `at` of the FIFO on, what is heard is `track` from `seconds` on."""

    at: int
    track: int
    seconds: float
    length: float | None


class Player:
    """Play `paths` ("-" is standard input) while the block lasts, or until `done`."""

    def __init__(
        self,
        paths: Sequence[str],
        opener: Opener,
        *,
        output_device: str | None = None,
        start: float = 0.0,
        volume: float = 1.0,
        latency: float = 0.1,
    ) -> None:
        """Open the first file and the device, at the file's rate where it takes it.

        Raises:
            DeviceError: the device is missing or refuses.
            NcodecError, OSError: the first file cannot be played.
        """
        if not paths:
            raise ArgumentError("nothing to play: give one file or more")
        self._paths, self._opener = list(paths), opener
        self.volume = volume
        self.paused = False
        self._file: BinaryIO | None = None
        self._track, self._begin = 0, start
        self._rate: int | None = None
        first = self._open(0, start)
        self.device = find_device(output_device, "output")
        rate, width = negotiate(self.device, "output", first.sample_rate, first.channels)
        if rate != first.sample_rate and paths[0] != "-":
            self._rate = rate
            first = self._open(0, start)
        self._rate = first.sample_rate
        self._width = width
        self._fifo = Fifo(width, round(AHEAD_SECONDS * rate))
        self._marks: deque[_Mark] = deque([_Mark(0, 0, start, _total(first, start))])
        self._blocks = iter(first)
        self._sound = first
        self._pending = np.zeros((0, width), np.float32)
        self._request: tuple[int, float] | None = None
        self._flush_to = 0
        self._gain = 0.0
        self._started = self._ended = False
        self._underruns = 0
        self._latency = latency
        self._worker = Worker(self._work)
        self._stream = DeviceStream(
            self.device, "output", self._render, rate=rate, channels=width, latency=latency
        )

    def __enter__(self) -> Player:
        """Start."""
        self._worker.start()
        self._worker.wake()
        try:
            self._stream.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; what was heard is heard."""
        self._close()

    @property
    def done(self) -> bool:
        """Whether the last sample has been given to the device."""
        return self._ended and self._fifo.fill == 0 and self._request is None

    def check(self) -> None:
        """Raise what went wrong: DeviceError, or an error of a file."""
        self._worker.check()
        self._stream.check()

    def position(self) -> Position:
        """Return what is being heard."""
        taken = self._fifo.taken
        mark = self._marks[0]
        for each in tuple(self._marks):
            if each.at <= taken:
                mark = each
        seconds = mark.seconds + (taken - mark.at) / (self._rate or 1)
        return Position(mark.track, seconds, mark.length, self._underruns)

    def seek(self, seconds: float, track: int | None = None) -> None:
        """Go on at `seconds` of the present or another file; pipes cannot be sought in."""
        here = self.position()
        track = here.track if track is None else track
        if not 0 <= track < len(self._paths) or self._paths[track] == "-":
            return
        if here.length is not None and track == here.track:
            seconds = min(seconds, here.length)
        self._request = (track, max(0.0, seconds))
        self._worker.wake()

    def drain(self) -> None:
        """Wait until the device has played what it was given."""
        time.sleep(self._latency + 0.2)

    def _render(self, out: NDArray[np.float32], _stamp: float, _lost: bool) -> None:
        fifo = self._fifo
        if fifo.taken < self._flush_to:
            fifo.skip(self._flush_to - fifo.taken)
            self._gain = 0.0
        if self._started and not self.paused:
            got = fifo.read_into(out)
            if got < len(out) and not self._ended:
                self._underruns += 1
        else:
            got = 0
            self._started = self._ended or fifo.fill >= PREFILL_SECONDS * (self._rate or 1)
        out[got:] = 0
        if self._gain != 1.0 or self.volume != 1.0:
            self._fade(out)
        self._worker.wake()

    def _fade(self, out: NDArray[np.float32]) -> None:
        """Multiply by a gain on its way to the volume."""
        most = len(out) / (FADE_SECONDS * (self._rate or 1))
        target = self._gain + max(-most, min(most, self.volume - self._gain))
        out *= np.linspace(self._gain, target, len(out), dtype=np.float32)[:, None]
        self._gain = target

    def _work(self) -> bool:
        if self._request is not None:
            (track, seconds), self._request = self._request, None
            self._go(track, seconds)
        if len(self._pending) == 0 and not self._ended:
            self._next_block()
        put = self._fifo.write(self._pending)
        self._pending = self._pending[put:]
        return put > 0 or (len(self._pending) == 0 and not self._ended)

    def _next_block(self) -> None:
        block = next(self._blocks, None)
        if block is not None:
            self._pending = np.ascontiguousarray(mix_channels(block, self._width).T)
        elif self._track + 1 < len(self._paths):
            self._enter(self._track + 1, 0.0)
        else:
            self._ended = True

    def _go(self, track: int, seconds: float) -> None:
        """Seek: forget what is decoded."""
        self._pending = self._pending[:0]
        self._ended = False
        self._enter(track, seconds)
        self._flush_to = self._fifo.written

    def _enter(self, track: int, seconds: float) -> None:
        sound = self._open(track, seconds)
        self._track, self._sound, self._blocks = track, sound, iter(sound)
        while len(self._marks) > 1 and self._marks[1].at <= self._fifo.taken:
            self._marks.popleft()
        self._marks.append(_Mark(self._fifo.written, track, seconds, _total(sound, seconds)))

    def _open(self, track: int, seconds: float) -> Sound:
        self._shut()
        path = self._paths[track]
        file = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115
        self._file = file
        return self._opener(file, seconds, self._rate)

    def _shut(self) -> None:
        if self._file is not None and self._file is not sys.stdin.buffer:
            self._file.close()

    def _close(self) -> None:
        self._stream.close()
        self._worker.stop()
        with suppress(OSError):
            self._shut()


def _total(sound: Any, begin: float) -> float | None:
    return None if sound.seconds is None else begin + sound.seconds

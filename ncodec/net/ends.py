"""Between a call and what is heard and said: FIFOs, rates, and files that stand in for devices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import AudioReader, AudioWriter, Resampler, mix_channels
from ncodec.live.fifo import Fifo
from ncodec.live.meters import LevelMeter
from ncodec.net.call import Call

INPUT_SECONDS, OUTPUT_SECONDS = 2.0, 2.0
"""What FIFOs hold."""
TICK = 0.01
"""Seconds between a file's turns at least, and twice that at most: half a packet."""


class CallEngine:
    """Owns the FIFOs: the input's thread calls `capture`, the output's `render`, another `work`."""

    def __init__(
        self,
        call: Call,
        *,
        input_rate: int,
        input_channels: int,
        output_rate: int,
        output_channels: int,
        prefill: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `prefill` is how many seconds the output should hold beyond what it takes."""
        self.call, self._clock = call, clock
        rate, channels = call.model.sample_rate, call.model.channels
        self.input_rate, self.output_rate = input_rate, output_rate
        self.input_channels, self.output_channels = input_channels, output_channels
        self._inbox = Fifo(input_channels, round(INPUT_SECONDS * input_rate))
        self._outbox = Fifo(output_channels, round(OUTPUT_SECONDS * output_rate))
        self._in, self._out = (
            Resampler(input_rate, rate, channels),
            Resampler(rate, output_rate, channels),
        )
        self._prefill = round(prefill * output_rate)
        self._asked = 0
        self.muted = False
        self.underruns = self.overruns = 0
        self.meters = LevelMeter(rate), LevelMeter(rate)

    def capture(self, x: NDArray[np.float32], _stamp: float, lost: bool = False) -> None:
        """Take the input's `[T, C]`."""
        if self._inbox.write(x) < len(x) or lost:
            self.overruns += 1

    def render(self, out: NDArray[np.float32], _stamp: float, lost: bool = False) -> None:
        """Fill the output's `[T, C]`."""
        self._asked = max(len(out), self._asked)
        got = self._outbox.read_into(out)
        out[got:] = 0
        if (got < len(out) and self.call.connected) or lost:
            self.underruns += 1

    def take(self, frames: int) -> NDArray[np.float32]:
        """Return as much of `frames` as is ready, `[T, C]`: a file can wait for the rest."""
        self._asked = min(frames, self._outbox.capacity // 2)
        return self._outbox.read(frames)

    def work(self) -> bool:
        """Code what was captured, decode what is wanted; return whether there was anything."""
        x = self._captured()
        if x.shape[1]:
            x = self._in.push(mix_channels(np.ascontiguousarray(x), self.call.model.channels))
            x = np.zeros_like(x) if self.muted else x
            self.meters[0].push(x)
            self.call.push(x, self._clock())
        wanted = self._outbox.fill < self._asked + self._prefill
        if wanted:
            y = self.call.pull(self._clock())
            self.meters[1].push(y)
            self._outbox.write(mix_channels(self._out.push(y), self.output_channels).T)
        if x.shape[1] or wanted:
            return True
        self.call.work(self._clock())
        return False

    def _captured(self) -> NDArray[np.float32]:
        """Return what is coded next, `[C, T]`; at the model's rate only what completes a packet."""
        count = max(1, round(TICK * self.input_rate))
        if self.input_rate == self.call.model.sample_rate:
            missing = self.call.talker.missing
            count = missing if self._inbox.fill >= missing else 0
        return self._inbox.read(count).T

    @property
    def room(self) -> int:
        """Input samples that can be captured now."""
        return self._inbox.room

    @property
    def coded(self) -> int:
        """Input samples that have been coded."""
        return self._inbox.taken

    @property
    def filled(self) -> float:
        """Seconds that are decoded and not played yet."""
        return self._outbox.fill / self.output_rate


class FileClock:
    """Files in the places of devices: read and written at the pace of the clock, by one thread.

    It begins when the call is connected, so that nothing is said to nobody, and says silence when
    the source has ended. A busy machine makes the file late, not short.
    """

    def __init__(
        self,
        engine: CallEngine,
        source: AudioReader | None,
        sink: AudioWriter | None,
        wake: Callable[[], None],
    ) -> None:
        """Prepare; the files stay the caller's to close."""
        self._engine, self._source, self._sink, self._wake = engine, source, sink, wake
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ncodec-files", daemon=True)
        self._error: BaseException | None = None
        self._passed = self._length = self._written = 0
        self._ended_source = False
        header = engine.call.talker.header
        packet = header.packet_frames * header.hop / header.sample_rate
        self._tick = min(max(TICK, packet / 2), 2 * TICK)

    @property
    def said(self) -> bool:
        """Whether all of the source has been coded."""
        return self._ended_source and self._engine.coded >= self._length

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def check(self) -> None:
        """Raise what reading or writing has raised."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._engine.call.connected:
                self._wake()
                if self._ended.wait(TICK):
                    return
            begin = time.monotonic()
            ticks = 0
            while not self._ended.is_set():
                ticks += 1
                self._turn(time.monotonic() - begin)
                self._wake()
                self._ended.wait(max(0.0, begin + ticks * self._tick - time.monotonic()))
        except BaseException as error:  # noqa: BLE001 - handed on by `check`
            self._error = error

    def _turn(self, elapsed: float) -> None:
        engine = self._engine
        if self._source is not None:
            due = max(round(elapsed * engine.input_rate) - self._passed, 0)
            self._passed += due
            count = min(due, engine.room)  # what a busy machine cannot take now is said later
            x = np.zeros((engine.input_channels, 0), np.float32)
            if not self._ended_source and count:
                x = self._source.read(count)
                self._ended_source = x.shape[1] < count
                self._length += x.shape[1]
            silence = np.zeros((engine.input_channels, count - x.shape[1]), np.float32)
            engine.capture(np.concatenate([x, silence], axis=1).T, 0.0)
        if self._sink is not None:
            due = round(elapsed * engine.output_rate) - self._written
            y = engine.take(max(due, 0))
            self._sink.write(np.ascontiguousarray(y.T))
            self._written += len(y)

"""Between two devices: callbacks that only copy, the codec's turn of work, and what is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import mix_channels
from ncodec.errors import ArgumentError
from ncodec.live.drift import DriftControl, DriftResampler
from ncodec.live.fifo import Fifo
from ncodec.live.loopback import Loopback
from ncodec.live.meters import LevelMeter, StreamClock

INPUT_SECONDS = 5.0
"""What the input may pile up while the machine is busy elsewhere."""
SLACK_SECONDS = 0.25
"""What the output may hold beyond its prefill; more is dropped, since it would be late for good."""
WARM_UP_SECONDS, LOOK_SECONDS = 0.25, 0.5
"""Before the output starts: passed over, and looked at for how unevenly sound comes and goes."""


@dataclass(frozen=True)
class LiveStats:
    """One reading of all meters; times in seconds, levels in dB of full scale."""

    seconds: float
    input_db: float
    output_db: float
    kbps: float
    codebooks: int
    muted: bool
    bypass: bool
    realtime_factor: float
    realtime_factor_p99: float
    fill: float
    underruns: int
    overruns: int
    latency: float | None
    algorithmic_latency: float
    drift_ppm: float


class LiveEngine:
    """Owns the FIFOs; knows neither sound devices nor threads, so that tests can be its clock.

    The input's thread calls `capture`, the output's `render`, a worker `work`.
    """

    def __init__(self, loopback: Loopback, *, output_channels: int, prefill: float) -> None:
        """Prepare; `prefill` is how many seconds the output should hold at its emptiest moments.

        Raises:
            ArgumentError: prefill is not 0 to 5 seconds.
        """
        if not 0 <= prefill <= INPUT_SECONDS:
            raise ArgumentError(f"prefill {prefill} s: must be 0 to {INPUT_SECONDS:g}")
        header = loopback.header
        self.loopback = loopback
        self.input_rate, self.output_rate = header.source_rate, loopback.output_rate
        self._output_channels = output_channels
        self._prefill = round(prefill * self.output_rate)
        self._inbox = Fifo(header.source_channels, round(INPUT_SECONDS * self.input_rate))
        packet = loopback.block / self.input_rate
        most = self._prefill + round((SLACK_SECONDS + packet) * self.output_rate)
        self._outbox = Fifo(output_channels, most)
        self._full = self._silent = 0
        self._lowest = math.inf
        self._resampler = DriftResampler(output_channels)
        self._control = DriftControl()
        self._step = 1.0
        self._skew = 0.0
        self._worked_at: float | None = None
        self._started = False
        self._missing = self._missing_seen = 0
        self._input_clock, self._output_clock = StreamClock(), StreamClock()
        self._input_meter = LevelMeter(self.input_rate)
        self._output_meter = LevelMeter(self.output_rate)
        self._underruns = self._input_overruns = self._output_overruns = 0

    def capture(self, x: NDArray[np.float32], adc_time: float, lost: bool = False) -> None:
        """Take the input's `[T, C]`, whose first sample was converted at `adc_time` seconds."""
        self._input_clock.update(self._inbox.written / self.input_rate, adc_time)
        fitted = self._inbox.write(x)
        if lost or fitted < len(x):
            self._input_overruns += 1

    def render(self, out: NDArray[np.float32], dac_time: float, lost: bool = False) -> None:
        """Fill the output's `[T, C]`, whose first sample will be heard at `dac_time` seconds."""
        self._started = self._started or self._ready(len(out))
        if not self._started:
            out[:] = 0
            return
        if lost:
            # The sound is broken anyway: what piled up while the device stood still goes with it.
            self._outbox.skip(self._outbox.fill - self._full)
        self._output_clock.update(self._played(), dac_time)
        got = self._outbox.read_into(out)
        if got < len(out):
            out[got:] = 0
            self._missing += len(out) - got
        if lost or got < len(out):
            self._underruns += 1

    def work(self) -> bool:
        """Code what is there, a packet at a time; return whether there was anything to do."""
        block = self.loopback.block
        if self._inbox.fill < block:
            return False
        x = np.ascontiguousarray(self._inbox.read(block).T)
        self._input_meter.push(x)
        y = mix_channels(self.loopback.push(x), self._output_channels)
        self._steer()
        y = self._resampler.push(y, self._step)
        self._output_meter.push(y)
        if self._outbox.write(y.T) < y.shape[1] and self._started:
            self._output_overruns += 1
        self._skew = self._resampler.position - self._outbox.written
        return True

    def stats(self) -> LiveStats:
        """Read the meters."""
        loopback = self.loopback
        return LiveStats(
            seconds=self._inbox.written / self.input_rate,
            input_db=self._input_meter.db,
            output_db=self._output_meter.db,
            kbps=loopback.kbps(loopback.codebooks),
            codebooks=loopback.codebooks,
            muted=loopback.muted,
            bypass=loopback.bypass,
            realtime_factor=loopback.durations.mean,
            realtime_factor_p99=loopback.durations.quantile(0.99),
            fill=self._outbox.fill / self.output_rate,
            underruns=self._underruns,
            overruns=self._input_overruns + self._output_overruns,
            latency=self._latency(),
            algorithmic_latency=loopback.algorithmic_latency,
            drift_ppm=(self._step - 1) * 1e6,
        )

    def _ready(self, frames: int) -> bool:
        """Whether to start, with `frames` taken at once.

        Devices take and give in bursts, the codec in packets, and its thread may wait for others.
        How far that makes the fill swing is seen while the output is still silent; then it starts
        with so much that its emptiest moments have `prefill`. What piled up before is dropped.
        """
        box = self._outbox
        if self._resampler.given == 0:
            return False
        self._silent += frames
        level = self._resampler.given - self._silent
        if self._silent > WARM_UP_SECONDS * self.output_rate:
            self._lowest = min(self._lowest, level)
        if self._silent < (WARM_UP_SECONDS + LOOK_SECONDS) * self.output_rate:
            box.skip(box.fill - box.capacity // 2)
            return False
        swing = min(level - self._lowest, SLACK_SECONDS * self.output_rate)
        self._full = round(swing) + self._prefill + frames
        if box.fill < min(self._full, box.capacity):
            return False
        box.skip(box.fill - self._full)
        return True

    def _played(self) -> float:
        """Where, on the input's timeline in seconds, the next sample to be played stands."""
        return (self._outbox.taken + self._skew) / self.output_rate

    def _held(self) -> float:
        """Seconds of sound between the two callbacks."""
        return self._inbox.written / self.input_rate - self._played()

    def _latency(self) -> float | None:
        taken, given = self._input_clock.origin, self._output_clock.origin
        return None if taken is None or given is None else given - taken

    def _steer(self) -> None:
        """Let the control see the time held, and forgive it what an underrun added."""
        if not self._started:
            return
        missing = self._missing
        if missing > self._missing_seen:
            most = (self._prefill + SLACK_SECONDS / 2 * self.output_rate) / self.output_rate
            added = (missing - self._missing_seen) / self.output_rate
            self._control.shift(max(0.0, min(added, most - self._control.target)))
            self._missing_seen = missing
        now = self._resampler.position / self.output_rate
        before, self._worked_at = self._worked_at, now
        if before is not None:
            self._step = self._control.update(self._held(), now - before)

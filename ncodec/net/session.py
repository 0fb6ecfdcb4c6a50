"""A call that runs: devices or files, a worker with the codec, a transport."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ncodec.audio import AudioReader, AudioWriter
from ncodec.errors import NcodecError
from ncodec.live.devices import LATENCIES, DeviceInfo, DeviceStream, Latency, negotiate
from ncodec.live.running import Running, Stream
from ncodec.net.both import BothSides
from ncodec.net.call import Call, CallStats
from ncodec.net.ends import CallEngine, FileClock
from ncodec.net.transport import Transport

FILE_PREFILL = 0.02
"""Seconds that the output holds for a file, whose clock is this process's own."""
TAIL_SECONDS = 0.3
"""What is listened to, beyond the buffer, when both sides have said all."""
ANSWER_SECONDS, REFUSED_SECONDS = 30.0, 5.0
"""Until it is said that nobody answers, or that nobody is there."""


@dataclass(frozen=True)
class Ends:
    """Where sound comes from and goes to: a device or a file each."""

    source: DeviceInfo | AudioReader
    sink: DeviceInfo | AudioWriter


class CallSession(Running):
    """Run a call while the block lasts; at its end the other side is told."""

    FINISHES = False

    def __init__(
        self, call: Call, transport: Transport, ends: Ends, latency: Latency = LATENCIES["medium"]
    ) -> None:
        """Open the devices, at the model's rate where they take it.

        Raises:
            DeviceError: a device refuses.
        """
        self.call, self._transport = call, transport
        model, source, sink = call.model, ends.source, ends.sink
        asked = model.sample_rate, model.channels
        rate, width = (
            negotiate(source, "input", *asked)
            if isinstance(source, DeviceInfo)
            else (source.sample_rate, source.channels)
        )
        out_rate, out_width = (
            negotiate(sink, "output", *asked) if isinstance(sink, DeviceInfo) else asked
        )
        prefill = latency.prefill if isinstance(sink, DeviceInfo) else FILE_PREFILL
        self.engine = CallEngine(
            call,
            input_rate=rate,
            input_channels=width,
            output_rate=out_rate,
            output_channels=out_width,
            prefill=prefill,
        )
        reader = None if isinstance(source, DeviceInfo) else source
        writer = None if isinstance(sink, DeviceInfo) else sink
        self._files = FileClock(self.engine, reader, writer, self._wake)
        streams: list[Stream] = [self._files, *self._devices(ends, latency.device)]
        super().__init__(self._work, streams)
        self._both: BothSides | None = None
        self._began: float | None = None
        self._over_at: float | None = None
        transport.receive = self._received

    def _devices(self, ends: Ends, latency: float) -> list[DeviceStream]:
        """Open those of the ends that are devices."""
        engine, found = self.engine, list[DeviceStream]()
        if isinstance(ends.source, DeviceInfo):
            rate, channels = engine.input_rate, engine.input_channels
            found.append(
                DeviceStream(
                    ends.source, "input", self._captured, rate=rate, channels=channels,
                    latency=latency,
                )
            )  # fmt: skip
        if isinstance(ends.sink, DeviceInfo):
            rate, channels = engine.output_rate, engine.output_channels
            found.append(
                DeviceStream(
                    ends.sink, "output", engine.render, rate=rate, channels=channels,
                    latency=latency,
                )
            )  # fmt: skip
        return found

    def record_to(self, file: BinaryIO) -> None:
        """Write both sides to `file`, a file that stays the caller's to close."""
        codebooks = len(self.call.talker.header.codebook_sizes)
        both = self._both = BothSides(file, self.call.model, codebooks)
        self.call.talker.on_codes, self.call.on_heard = both.ours, both.theirs

    def stats(self) -> CallStats:
        """Read the meters."""
        return self.call.stats()

    @property
    def over(self) -> bool:
        """Whether both sides have said all, or the other has left, and it has been heard."""
        call, now = self.call, time.monotonic()
        done = call.they_left or (call.they_ended and call.ended)
        if done and self._over_at is None:
            self._over_at = now + call.stats().buffer + self.engine.filled + TAIL_SECONDS
        return self._over_at is not None and now >= self._over_at

    def check_answer(self) -> None:
        """Raise if nobody has answered for too long, counted from the first time this is asked.

        Raises:
            NcodecError: nobody has.
        """
        hint, now = self._transport.hint, time.monotonic()
        self._began = now if self._began is None else self._began
        if hint is None or self.call.connected:
            return
        refused = self._transport.refused
        if now - self._began > (REFUSED_SECONDS if refused else ANSWER_SECONDS):
            said = "nobody listens there" if refused else f"no answer in {ANSWER_SECONDS:g} s"
            raise NcodecError(f"{self._transport.peer}: {said} ({hint})")

    def check(self) -> None:
        """Raise what went wrong in the threads, if anything did."""
        super().check()
        self._transport.check()

    def _work(self) -> bool:
        if self._files.said and not self.call.ended:
            self.call.end()
        return self.engine.work()

    def _wake(self) -> None:
        self._worker.wake()

    def _captured(self, x: NDArray[np.float32], stamp: float, lost: bool) -> None:
        self.engine.capture(x, stamp, lost)
        self._wake()

    def _received(self, data: bytes, arrival: float) -> None:
        self.call.receive(data, arrival)
        if not self.call.connected:
            self._wake()

    def _end(self) -> None:
        self.call.leave()
        if self._both is not None:
            both, self._both = self._both, None
            both.finish()

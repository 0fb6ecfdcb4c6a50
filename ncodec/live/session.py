"""A live session: microphone, codec, speaker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError
from ncodec.live.devices import DeviceStream, find_device, negotiate
from ncodec.live.engine import LiveEngine, LiveStats
from ncodec.live.path import CodecPath
from ncodec.live.recording import GROUP_SECONDS, PacketFile
from ncodec.live.worker import Worker
from ncodec.models.base import CompressionModel


@dataclass(frozen=True)
class Latency:
    """Seconds to ask of each device, and seconds to gather before the output starts."""

    device: float
    prefill: float


LATENCIES = {
    "low": Latency(0.02, 0.03),
    "medium": Latency(0.07, 0.07),
    "high": Latency(0.10, 0.15),
}


def parse_latency(text: str) -> Latency:
    """Return the setting of a name, or of a number of seconds for each of its parts.

    Raises:
        ArgumentError: it is neither, or not 0.001 to 2 seconds.
    """
    if text in LATENCIES:
        return LATENCIES[text]
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.001 <= seconds <= 2:
        raise ArgumentError(f"latency {text!r}: must be low, medium, high or 0.001 to 2 seconds")
    return Latency(seconds, seconds)


class LiveSession:
    """Run the codec between two devices while the block lasts.

    `path` may be steered meanwhile: `path.codebooks`, `path.muted`, `path.bypass`.
    """

    def __init__(
        self,
        model: CompressionModel,
        *,
        input_device: str | None = None,
        output_device: str | None = None,
        bandwidth: float | None = None,
        codebooks: int | None = None,
        packet_frames: int = 1,
        latency: Latency = LATENCIES["medium"],
    ) -> None:
        """Find and open the devices, at the model's rate where they take it.

        Raises:
            DeviceError: a device is missing or refuses.
            ArgumentError: a value out of range.
        """
        source, sink = find_device(input_device, "input"), find_device(output_device, "output")
        rate_in, channels_in = negotiate(source, "input", model.sample_rate, model.channels)
        rate_out, channels_out = negotiate(sink, "output", model.sample_rate, model.channels)
        self.path = CodecPath(
            model,
            sample_rate=rate_in,
            channels=channels_in,
            output_rate=rate_out,
            bandwidth=bandwidth,
            codebooks=codebooks,
            packet_frames=packet_frames,
        )
        self._file: PacketFile | None = None
        self.engine = LiveEngine(self.path, output_channels=channels_out, prefill=latency.prefill)
        self._worker = Worker(self.engine.work)
        self._streams = (
            DeviceStream(
                sink,
                "output",
                self.engine.render,
                rate=rate_out,
                channels=channels_out,
                latency=latency.device,
            ),
            DeviceStream(
                source,
                "input",
                self._captured,
                rate=rate_in,
                channels=channels_in,
                latency=latency.device,
            ),
        )
        self.devices = (source, sink)

    def record_to(self, file: BinaryIO) -> None:
        """Write what is coded to `file`, a file that stays the caller's to close."""
        self._file = PacketFile(file, self.path.header, GROUP_SECONDS)
        self.path.on_packet = self._file.write

    def __enter__(self) -> LiveSession:
        """Start."""
        self._worker.start()
        try:
            for stream in self._streams:
                stream.start()
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
        """Stop, and end the recording: it is whole whatever happened."""
        self._close()

    def stats(self) -> LiveStats:
        """Read the meters."""
        return self.engine.stats()

    def check(self) -> None:
        """Raise what went wrong in the threads, if anything did.

        Raises:
            DeviceError: a device has stopped.
        """
        self._worker.check()
        for stream in self._streams:
            stream.check()

    def choose_codebooks(self, count: int) -> None:
        """Use the first `count` codebooks from the next packet on; more than there are is all."""
        self.path.codebooks = max(1, min(count, len(self.path.header.codebook_sizes)))

    def _captured(self, x: NDArray[np.float32], stamp: float, lost: bool) -> None:
        self.engine.capture(x, stamp, lost)
        self._worker.wake()

    def _close(self) -> None:
        for stream in self._streams:
            stream.close()
        self._worker.stop()
        if self._file is not None:
            if not self._worker.failed:
                self.path.finish()
            self._file.finish(self.path.samples, whole=not self._worker.failed)
            self._file = None


class Running(Protocol):
    """A session, a recorder, a player: what runs in threads of its own."""

    def check(self) -> None:
        """Raise what went wrong in the threads, if anything did."""
        ...


def wait(running: Running, each: Callable[[], bool]) -> None:
    """Call `each` ten times a second until it returns False; raise what goes wrong meanwhile."""
    while each():
        running.check()
        time.sleep(0.1)

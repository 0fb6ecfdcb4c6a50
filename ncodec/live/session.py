"""A live session: microphone, codec, speaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError
from ncodec.live.devices import DeviceInfo, DeviceStream, negotiate
from ncodec.live.engine import LiveEngine, LiveStats
from ncodec.live.path import CodecPath
from ncodec.live.recording import GROUP_SECONDS, PacketFile
from ncodec.live.running import Running
from ncodec.models.base import CompressionModel


@dataclass(frozen=True)
class Latency:
    """Seconds to ask of each device, and seconds that the output holds at its emptiest moments."""

    device: float
    prefill: float


LATENCIES = {
    "low": Latency(0.02, 0.01),
    "medium": Latency(0.07, 0.04),
    "high": Latency(0.10, 0.12),
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


class LiveSession(Running):
    """Run the codec between two devices while the block lasts.

    `path` may be steered meanwhile: `path.codebooks`, `path.muted`, `path.bypass`.
    """

    def __init__(
        self,
        model: CompressionModel,
        source: DeviceInfo,
        sink: DeviceInfo,
        *,
        bandwidth: float | None = None,
        codebooks: int | None = None,
        packet_frames: int = 1,
        latency: Latency = LATENCIES["medium"],
    ) -> None:
        """Open the devices, at the model's rate where they take it.

        Raises:
            DeviceError: a device refuses.
            ArgumentError: a value out of range.
        """
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
        self.devices = (source, sink)
        output = DeviceStream(
            sink,
            "output",
            self.engine.render,
            rate=rate_out,
            channels=channels_out,
            latency=latency.device,
        )
        input_ = DeviceStream(
            source,
            "input",
            self._captured,
            rate=rate_in,
            channels=channels_in,
            latency=latency.device,
        )
        super().__init__(self.engine.work, (output, input_))

    def record_to(self, file: BinaryIO) -> None:
        """Write what is coded to `file`, a file that stays the caller's to close."""
        self._file = PacketFile(file, self.path.header, GROUP_SECONDS)
        self.path.on_packet = self._file.write

    def stats(self) -> LiveStats:
        """Read the meters."""
        return self.engine.stats()

    def choose_codebooks(self, count: int) -> None:
        """Use the first `count` codebooks from the next packet on; more than there are is all."""
        self.path.codebooks = max(1, min(count, len(self.path.header.codebook_sizes)))

    def _captured(self, x: NDArray[np.float32], stamp: float, lost: bool) -> None:
        self.engine.capture(x, stamp, lost)
        self._worker.wake()

    def _end(self) -> None:
        if self._file is not None:
            self._file.finish(self.path.finish(), self.path.samples)
            self._file = None

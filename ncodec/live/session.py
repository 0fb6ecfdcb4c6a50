"""A live session: microphone, codec, speaker."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ncodec.live.devices import LATENCIES, DeviceInfo, DeviceStream, Latency, negotiate
from ncodec.live.engine import LiveEngine, LiveStats
from ncodec.live.loopback import Loopback
from ncodec.live.recording import GROUP_SECONDS, PacketFile
from ncodec.live.running import Running
from ncodec.models.base import CompressionModel


class LiveSession(Running):
    """Run the codec between two devices while the block lasts.

    `loopback` may be steered meanwhile: `loopback.codebooks`, `loopback.muted`, `loopback.bypass`.
    """

    def __init__(
        self,
        model: CompressionModel,
        source: DeviceInfo,
        sink: DeviceInfo,
        *,
        bandwidth: float | str | None = None,
        codebooks: int | None = None,
        packet_frames: int = 1,
        latency: Latency = LATENCIES["medium"],
    ) -> None:
        """Open the devices, at the model's rate where they take it.

        Raises:
            DeviceError: a device refuses.
            ArgumentError: a value out of range.
        """
        rate, width = negotiate(source, "input", model.sample_rate, model.channels)
        output_rate, output_width = negotiate(sink, "output", model.sample_rate, model.channels)
        self.loopback = Loopback(
            model,
            sample_rate=rate,
            channels=width,
            output_rate=output_rate,
            bandwidth=bandwidth,
            codebooks=codebooks,
            packet_frames=packet_frames,
        )
        self._file: PacketFile | None = None
        self.engine = LiveEngine(
            self.loopback, output_channels=output_width, prefill=latency.prefill
        )
        self.devices = (source, sink)
        ask = latency.device
        render, capture = self.engine.render, self._captured
        output = DeviceStream(
            sink, "output", render, rate=output_rate, channels=output_width, latency=ask
        )
        input_ = DeviceStream(source, "input", capture, rate=rate, channels=width, latency=ask)
        super().__init__(self.engine.work, (output, input_))

    def record_to(self, file: BinaryIO) -> None:
        """Write what is coded to `file`, a file that stays the caller's to close."""
        self._file = PacketFile(file, self.loopback.header, GROUP_SECONDS)
        self.loopback.on_packet = self._file.write

    def stats(self) -> LiveStats:
        """Read the meters."""
        return self.engine.stats()

    def choose_codebooks(self, count: int) -> None:
        """Use the first `count` codebooks from the next packet on; more than there are is all."""
        self.loopback.codebooks = max(1, min(count, len(self.loopback.header.codebook_sizes)))

    def _captured(self, x: NDArray[np.float32], stamp: float, lost: bool) -> None:
        self.engine.capture(x, stamp, lost)
        self._worker.wake()

    def _end(self) -> None:
        if self._file is not None:
            self._file.finish(self.loopback.finish(), self.loopback.samples)
            self._file = None

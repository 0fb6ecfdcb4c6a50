"""Record a microphone to a file or a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ncodec.codec import StreamEncoder
from ncodec.live.devices import DeviceInfo, DeviceStream, negotiate
from ncodec.live.fifo import Fifo
from ncodec.live.meters import LevelMeter
from ncodec.live.recording import PacketFile
from ncodec.live.running import Running
from ncodec.models.base import CompressionModel

INPUT_SECONDS = 30.0
"""What may pile up while the disk or the listener at the other end of a pipe is slow."""


@dataclass(frozen=True)
class RecorderStats:
    """One reading of the meters: seconds, dB of full scale, times that sound was lost."""

    seconds: float
    input_db: float
    overruns: int


class Recorder(Running):
    """Code what the input device hears while the block lasts.

    The file is readable up to its last packet at any time, and whole after the block.
    """

    def __init__(
        self,
        model: CompressionModel,
        device: DeviceInfo,
        *,
        channels: int | None = None,
        bandwidth: float | str | None = None,
        codebooks: int | None = None,
        packet_seconds: float = 1.0,
        latency: float = 0.1,
        tags: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Open the device, at the model's rate where it takes it.

        Raises:
            DeviceError: it refuses.
            ArgumentError: a value out of range.
        """
        self.device = device
        rate, width = negotiate(device, "input", model.sample_rate, channels or model.channels)
        frames = max(1, round(packet_seconds * model.sample_rate / model.hop))
        self._encoder = StreamEncoder(
            model,
            sample_rate=rate,
            channels=width,
            bandwidth=bandwidth,
            codebooks=codebooks,
            packet_frames=frames if model.segment is None else None,
            tags=tags,
        )
        self.header = self._encoder.header
        self._rate = rate
        self._inbox = Fifo(width, round(INPUT_SECONDS * rate))
        self._meter = LevelMeter(rate)
        self._overruns = 0
        self._file: PacketFile | None = None
        stream = DeviceStream(
            device, "input", self._capture, rate=rate, channels=width, latency=latency
        )
        super().__init__(self._work, (stream,))

    def record_to(self, file: BinaryIO) -> None:
        """Write the header to `file`, and packets as soon as the block begins."""
        self._file = PacketFile(file, self.header)

    def stats(self) -> RecorderStats:
        """Read the meters."""
        return RecorderStats(self._inbox.written / self._rate, self._meter.db, self._overruns)

    def _capture(self, x: NDArray[np.float32], _stamp: float, lost: bool) -> None:
        if self._inbox.write(x) < len(x) or lost:
            self._overruns += 1
        self._worker.wake()

    def _work(self) -> bool:
        x = self._inbox.read(self._rate // 10).T
        self._meter.push(x)
        for packet in self._encoder.push(x):
            if self._file is not None:
                self._file.write(packet)
        return x.shape[1] > 0

    def _end(self) -> None:
        if self._file is not None:
            self._file.finish(self._encoder.finish(), self._encoder.samples)
            self._file = None

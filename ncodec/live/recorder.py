"""Record a microphone to a file or a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ncodec.codec import StreamEncoder
from ncodec.live.devices import DeviceStream, find_device, negotiate
from ncodec.live.fifo import Fifo
from ncodec.live.meters import LevelMeter
from ncodec.live.recording import PacketFile
from ncodec.live.worker import Worker
from ncodec.models.base import CompressionModel
from ncodec_formats import Packet

INPUT_SECONDS = 30.0
"""What may pile up while the disk or the listener at the other end of a pipe is slow."""


@dataclass(frozen=True)
class RecorderStats:
    """One reading of the meters: seconds, dB of full scale, times that sound was lost."""

    seconds: float
    input_db: float
    overruns: int


class Recorder:
    """Code what the input device hears while the block lasts.

    The file is readable up to its last packet at any time, and whole after the block.
    """

    def __init__(
        self,
        model: CompressionModel,
        *,
        input_device: str | None = None,
        channels: int | None = None,
        bandwidth: float | None = None,
        codebooks: int | None = None,
        packet_seconds: float = 1.0,
        latency: float = 0.1,
        tags: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Find and open the device, at the model's rate where it takes it.

        Raises:
            DeviceError: it is missing or refuses.
            ArgumentError: a value out of range.
        """
        self.device = find_device(input_device, "input")
        rate, width = negotiate(self.device, "input", model.sample_rate, channels or model.channels)
        self._encoder = StreamEncoder(
            model,
            sample_rate=rate,
            channels=width,
            bandwidth=bandwidth,
            codebooks=codebooks,
            packet_frames=max(1, round(packet_seconds * model.sample_rate / model.hop)),
            tags=tags,
        )
        self.header = self._encoder.header
        self._rate = rate
        self._inbox = Fifo(width, round(INPUT_SECONDS * rate))
        self._meter = LevelMeter(rate)
        self._overruns = 0
        self._worker = Worker(self._work)
        self._stream = DeviceStream(
            self.device, "input", self._capture, rate=rate, channels=width, latency=latency
        )
        self._file: PacketFile | None = None

    def record_to(self, file: BinaryIO) -> None:
        """Write the header to `file`, and packets as soon as the block begins."""
        self._file = PacketFile(file, self.header)

    def __enter__(self) -> Recorder:
        """Start."""
        self._worker.start()
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
        """Stop, and end the file."""
        self._close()

    def stats(self) -> RecorderStats:
        """Read the meters."""
        return RecorderStats(self._inbox.written / self._rate, self._meter.db, self._overruns)

    def check(self) -> None:
        """Raise what went wrong, if anything did: DeviceError, or OSError of the file."""
        self._worker.check()
        self._stream.check()

    def _capture(self, x: NDArray[np.float32], _stamp: float, lost: bool) -> None:
        if self._inbox.write(x) < len(x) or lost:
            self._overruns += 1
        self._worker.wake()

    def _work(self) -> bool:
        x = self._inbox.read(self._rate // 10).T
        self._meter.push(x)
        self._put(self._encoder.push(x))
        return x.shape[1] > 0

    def _close(self) -> None:
        self._stream.close()
        self._worker.stop()
        if self._file is not None:
            if not self._worker.failed:
                self._put(self._encoder.finish())
            self._file.finish(self._encoder.samples, whole=not self._worker.failed)
            self._file = None

    def _put(self, packets: list[Packet]) -> None:
        if self._file is not None:
            for packet in packets:
                self._file.write(packet)

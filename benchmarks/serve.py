"""What one core serves: streams in real time through a batch engine, coded or decoded.

Messages of all streams come on a clock, evenly spread, and the engine steps once a tick.
The clock goes on by the processor time that
the engine took, so that other work on the machine makes nothing slower but what it slows through
caches; the speed of a matrix product stands beside the table. Latency is the time from the message
that completes a packet, or brings one, until what it gives is ready.

    python benchmarks/serve.py [--seconds 4] [--precision float32] [--tick 26.7]
"""

from __future__ import annotations

import argparse
import time
from collections import deque

import numpy as np
import torch

import ncodec
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.models.base import CompressionModel
from ncodec.runtime import in_precision
from ncodec.serve.engine import BatchEngine
from ncodec_formats import Packet
from ncodec_formats.packets import PacketLayout

CODEBOOKS = 8
CASES = (("encode", 32, 20), ("decode", 32, 20), ("encode", 64, 80), ("decode", 48, 80))


class Caller:
    """One stream and its messages.

    Attributes:
        due: When its next message comes.
    """

    def __init__(self, engine: BatchEngine, way: str, ms: int, due: float) -> None:
        self.due, self._period, self._ms, self._number = due, ms / 1000, ms, 0
        frames = 6 if ms == 80 else 1
        encoder = engine.encoder(
            sample_rate=24000, channels=1, codebooks=CODEBOOKS, packet_frames=frames
        )
        sound = 0.1 * np.random.default_rng(0).standard_normal((1, 24 * ms), np.float32)
        self._sound, self._frames, self._layout = sound, frames, PacketLayout(encoder.header)
        self._codes = np.random.default_rng(1).integers(0, 1024, (CODEBOOKS, 1, frames), np.uint16)
        self._codec: StreamEncoder | StreamDecoder = encoder
        if way == "decode":
            self._codec = engine.decoder(encoder.header)
        self._sent = self._given = 0
        self._open: deque[tuple[int, float]] = deque()

    def send(self, now: float) -> None:
        """Push the next message; note when what it completes was asked for."""
        self.due = now + self._period
        self._number += 1
        before, self._sent = self._sent, self._number * 24 * self._ms // (320 * self._frames)
        if isinstance(self._codec, StreamEncoder):
            self._given_now(self._codec.push(self._sound), now)
        else:
            for number in range(before, self._sent):
                packet = Packet(number, number * self._frames, self._codes)
                self._codec.push(packet)
        self._open.extend((number, now) for number in range(before, self._sent))

    def _given_now(self, packets: list[Packet], now: float) -> list[float]:
        for packet in packets:
            self._layout.put_packet(packet)
        return [now - self._open.popleft()[1] for _ in packets]

    def ready(self, now: float) -> list[float]:
        """Take what is ready; return how long it took."""
        if isinstance(self._codec, StreamEncoder):
            return self._given_now(self._codec.ready(), now)
        samples = self._codec.ready().shape[1]
        self._given += samples
        done = -(-samples // (320 * self._frames))
        return [now - self._open.popleft()[1] for _ in range(min(done, len(self._open)))]


def measure(
    model: CompressionModel, case: tuple[str, int, int], seconds: float, every: float
) -> str:
    """Return a line of the table."""
    way, count, ms = case
    engine = BatchEngine(model)
    callers = [Caller(engine, way, ms, i / count * ms / 1000) for i in range(count)]
    now, busy, tick, latencies = 0.0, 0.0, 0.0, list[float]()
    with torch.inference_mode():
        while now < seconds:
            began = time.process_time()
            for caller in callers:
                while caller.due <= now:
                    caller.send(caller.due)
            stepped = engine.run()
            took = time.process_time() - began
            now, busy = now + took, busy + took
            began = time.process_time()
            if stepped:
                latencies += [late for caller in callers for late in caller.ready(now)]
            took = time.process_time() - began
            now, busy = now + took, busy + took
            tick = max(tick + every, now)
            now = max(now, tick, min(caller.due for caller in callers))
    half, most, worst = (1000 * np.percentile(latencies, q) for q in (50, 95, 99))
    return (
        f"| {way} | {count} | {ms} | {model.precision} | {100 * busy / now:.0f} % "
        f"| {count * now / busy:.0f} | {half:.0f}, {most:.0f}, {worst:.0f} |"
    )


def matrix_speed() -> float:
    """Return billions of operations a second of a product of 1024 x 1024 matrices."""
    a = torch.randn(1024, 1024)
    torch.mm(a, a)
    began = time.process_time()
    for _ in range(10):
        torch.mm(a, a)
    return 10 * 2 * 1024**3 / (time.process_time() - began) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--tick", type=float, default=26.7, help="ms between steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = in_precision(ncodec.load_model(), options.precision, "cpu")
    print("| way | streams | ms a message | precision | of a core | a core | ms: 50, 95, 99 % |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        print(measure(model, case, options.seconds, options.tick / 1000), flush=True)
    print(f"\nmatrix product: {matrix_speed():.0f} GFLOP/s")


if __name__ == "__main__":
    main()

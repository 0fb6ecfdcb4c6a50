"""Code and decode many mono streams at once: one step of the model takes what waits of all.

A server of calls does this. A frame alone reads all weights to multiply one row; together they are
read once for all. Half of the streams begin later, and one hangs up; each stream gets the codes
that it would get alone.

Usage: python examples/many_streams.py [STREAMS [FRAMES]]
"""

import sys
import time

import numpy as np

from ncodec import load_model
from ncodec.serve.engine import BatchEngine

CODEBOOKS = 8  # 6 kbps


def main() -> None:
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 75
    engine = BatchEngine(load_model())
    rate, hop = engine.model.sample_rate, engine.model.hop
    audio = 0.1 * np.random.default_rng(0).standard_normal((streams, 1, frames * hop), np.float32)

    started = time.perf_counter()
    calls, heard, size = [], 0, 0
    for number in range(frames):
        if number in (0, 1):  # half of the streams at first, then the others
            for _ in range((streams + 1 - number) // 2):
                encoder = engine.encoder(
                    sample_rate=rate, channels=1, codebooks=CODEBOOKS, packet_frames=1
                )
                calls.append((encoder, engine.decoder(encoder.header)))
        if number == frames - 1:
            calls.pop()
        for (encoder, _), sound in zip(calls, audio, strict=False):
            encoder.push(sound[:, number * hop : (number + 1) * hop])
        engine.run()  # a step for all of them
        for encoder, decoder in calls:
            for packet in encoder.ready():
                size = len(packet.to_bytes(encoder.header))
                decoder.push(packet)
        engine.run()
        for _, decoder in calls:
            heard += decoder.ready().shape[1]
    speed = frames * hop / rate / (time.perf_counter() - started)
    print(f"{streams} streams, {size} bytes a packet: {speed:.1f}x real time, each")
    print(f"{heard / rate:.1f} s heard in all")


if __name__ == "__main__":
    main()

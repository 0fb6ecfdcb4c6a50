"""Half an hour of live sound, as fast as the machine goes: is memory flat, does the latency stay?

The embedded model between two simulated devices whose clocks differ, a recording over and over as
the input; a line a minute. `PYTHONPATH=.:formats python benchmarks/soak.py [MINUTES [PPM]]`
"""

from __future__ import annotations

import sys
import time

import numpy as np
import psutil
import soundfile
import torch

from ncodec import load_model
from ncodec.live.engine import LiveEngine
from ncodec.live.loopback import Loopback
from tests.live.simulated_devices import Devices


def main() -> None:
    torch.set_num_threads(1)
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    ppm = float(sys.argv[2]) if len(sys.argv) > 2 else 100.0
    sound, rate = soundfile.read("tests/data/speech.flac", dtype="float32")

    def source(at: int, count: int) -> np.ndarray:
        return sound[np.arange(at, at + count) % len(sound)]

    loopback = Loopback(load_model(), sample_rate=rate, channels=1, output_rate=rate)
    engine = LiveEngine(loopback, output_channels=1, prefill=0.04)
    devices = Devices(engine, ppm=ppm, jitter=0.003, source=source)
    memory, begin = psutil.Process().memory_info, time.process_time()
    print("| minute | MB | latency (ms) | step (ppm) | underruns | overruns | CPU s a minute |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for minute in range(1, minutes + 1):
        devices.run(60, keep=False)
        stats, took = engine.stats(), (time.process_time() - begin) / minute
        print(
            f"| {minute} | {memory().rss / 1e6:.1f} | {1000 * (stats.latency or 0):.1f}"
            f" | {stats.drift_ppm:.0f} | {stats.underruns} | {stats.overruns} | {took:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

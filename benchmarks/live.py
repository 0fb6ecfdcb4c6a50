"""How long one frame takes to encode and decode, one at a time on one thread, against its length.

Prints a table with the median, the 99th percentile and the worst frame: of the embedded model, and
of EnCodec's 24 kHz configuration (random weights; speed does not depend on them). Only counts on a
quiet machine. `python benchmarks/live.py [SECONDS]`
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import torch

from ncodec import load_model
from ncodec.bench import machine
from ncodec.config import EncodecConfig
from ncodec.live.loopback import Loopback
from ncodec.models.base import CompressionModel
from ncodec.models.encodec import EncodecModel

KBPS = 6.0


def models() -> Iterator[tuple[str, CompressionModel]]:
    yield "ncodec_24khz", load_model()
    yield "EnCodec 24 kHz", EncodecModel(EncodecConfig()).eval()


def measure(model: CompressionModel, seconds: float) -> Loopback:
    loopback = Loopback(
        model, sample_rate=model.sample_rate, channels=model.channels,
        output_rate=model.sample_rate, bandwidth=KBPS,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for _ in range(round(seconds * model.sample_rate / loopback.block)):
        loopback.push(rng.normal(0, 0.1, (model.channels, loopback.block)).astype(np.float32))
    return loopback


def main() -> None:
    torch.set_num_threads(1)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    print(", ".join(f"{key} {value}" for key, value in machine.describe().items()))
    print(f"\nEncode and decode, frame by frame, {KBPS:g} kbps, 1 thread; 1.0 is real time.\n")
    print("| model | frame (ms) | median | 99 % | worst | algorithmic latency (ms) |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, model in models():
        loopback = measure(model, seconds)
        frame = 1000 * model.hop / model.sample_rate
        factors = " | ".join(f"{loopback.durations.quantile(q):.3f}" for q in (0.5, 0.99, 1.0))
        print(f"| {name} | {frame:.1f} | {factors} | {1000 * loopback.algorithmic_latency:.1f} |")


if __name__ == "__main__":
    main()

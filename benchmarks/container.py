"""The container alone against `cp`: verify, peel and info over a file of 100 MB.

    python benchmarks/container.py [--megabytes 100] [--rounds 5]

All commands take turns on the same file, which stays in the page cache; each row is the best of
the rounds. "Library" calls the function in this process; "command" is a whole process of the
command line, start-up included. Times are wall time, which suits a quiet machine; processor time,
which other work distorts less, is beside it.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ncodec_formats import EcdcWriter, Header, info, peel, verify

CODEBOOKS, PACKET_FRAMES, HOP, RATE = 16, 75, 320, 24000
Times = tuple[float, float]  # wall, processor


def write_file(path: Path, megabytes: float) -> None:
    """Write random codes of the embedded model's kind at 12 kbps, a second a packet."""
    header = Header(
        model="ncodec_24khz", model_hash=bytes(32), sample_rate=RATE, hop=HOP, streams=1,
        codebook_sizes=(1024,) * CODEBOOKS, packet_frames=PACKET_FRAMES, preroll_frames=0,
        block_frames=PACKET_FRAMES, source_rate=RATE, source_channels=1, source_samples=None,
    )  # fmt: skip
    packets = round(megabytes * 1e6 / (CODEBOOKS * PACKET_FRAMES * 10 / 8))
    shape = (256, CODEBOOKS, 1, PACKET_FRAMES)
    codes = np.random.default_rng(0).integers(0, 1024, shape, dtype=np.uint16)
    with path.open("wb") as file:
        writer = EcdcWriter(file, header)
        for number in range(packets):
            writer.write(codes[number % len(codes)])
        writer.finish(packets * PACKET_FRAMES * HOP)


def clocks() -> Times:
    """Return wall time, and processor time of this process and those that it has waited for."""
    spent = os.times()
    return time.perf_counter(), sum(spent[:4])


def alternate(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, Times]:
    """Run all in turn; return the best of each."""
    best = dict.fromkeys(works, (float("inf"), float("inf")))
    for number in range(rounds + 1):
        for name, work in works.items():
            wall, processor = clocks()
            work()
            after = clocks()
            if number:  # the first round fills the page cache
                before = best[name]
                best[name] = min(before[0], after[0] - wall), min(before[1], after[1] - processor)
    return best


def check(path: Path) -> None:
    with path.open("rb") as file:
        assert verify(file).ok


def halve(path: Path, target: Path) -> None:
    with path.open("rb") as source, target.open("wb") as output:
        peel(source, output, CODEBOOKS // 2)


def command(*arguments: object) -> Callable[[], object]:
    def run() -> None:
        subprocess.run(
            list(map(str, arguments)), check=True, stdout=subprocess.DEVNULL, env=environment
        )

    # compiled modules are kept, as where the package is installed
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=100.0)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, copy, peeled = (Path(folder) / name for name in ("a.ecdc", "b.ecdc", "c.ecdc"))
        write_file(path, args.megabytes)
        ncodec = (sys.executable, "-m", "ncodec_cli")
        times = alternate(
            {
                "cp": command("cp", path, copy),
                "verify, library": lambda: check(path),
                "peel to half, library": lambda: halve(path, peeled),
                "info, library": lambda: info(io.FileIO(path)),
                "verify, command": command(*ncodec, "verify", "-q", path),
                "peel to half, command": command(
                    *ncodec, "peel", "-fq", path, peeled, "--codebooks", CODEBOOKS // 2
                ),
                "info, command": command(*ncodec, "info", path),
                "start-up: --version": command(*ncodec, "--version"),
            },
            args.rounds,
        )
        size = path.stat().st_size / 1e6
    print(f"{size:.1f} MB; best of {args.rounds} rounds\n")
    print("| work | wall (ms) | against cp | processor (ms) | against cp |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, (wall, processor) in times.items():
        ratios = (wall / times["cp"][0], processor / times["cp"][1])
        print(
            f"| {name} | {1000 * wall:.0f} | {ratios[0]:.1f}x "
            f"| {1000 * processor:.0f} | {ratios[1]:.1f}x |"
        )


if __name__ == "__main__":
    main()

"""Files at once and threads, each against one thread: what they gain, and cost on busy cores.

    python benchmarks/jobs.py [--files 4] [--seconds 10] [--rounds 3] [--busy N]

Whole processes of the command line take turns; each row is the best of the rounds, wall time and
processor time. `--busy` starts so many processes that keep the cores busy meanwhile: whatever runs
beside, more threads should take no more than 1.05 times what one takes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from ncodec.bench.machine import describe

RATE = 24000
Times = tuple[float, float]  # wall, processor
OPENMP = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def busy(count: int) -> Generator[None]:
    """Keep as many cores busy as there are processes."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def run(command: str, source: Path, target: Path, jobs: int | None, threads: int | None) -> Times:
    """Run a command over all files of a folder; return what it took."""
    arguments = [sys.executable, "-m", "ncodec", command, str(source), str(target), "-q", "--force"]
    arguments += [] if jobs is None else ["--jobs", str(jobs)]
    arguments += [] if threads is None else ["--threads", str(threads)]
    environment = {name: value for name, value in os.environ.items() if name not in OPENMP}
    spent, wall = os.times(), time.perf_counter()
    subprocess.run(arguments, check=True, env=environment)
    after = os.times()
    processor = after.children_user + after.children_system
    return time.perf_counter() - wall, processor - spent.children_user - spent.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=4, help="files in the folder")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each")
    parser.add_argument("--rounds", type=int, default=3, help="alternating repetitions")
    parser.add_argument("--busy", type=int, default=0, help="processes that run beside")
    args = parser.parse_args()
    ways = {
        "one job, one thread": (1, 1),
        "as many jobs as cores": (None, None),
        "one job, a thread a core": (1, None),
    }
    about = describe()
    print(f"{about['machine']}, {about['instructions']}; {args.files} files of {args.seconds:g} s")
    print("| work | way | wall | processor |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, busy(args.busy):
        sounds, codes, back = (Path(folder, name) for name in ("sounds", "codes", "back"))
        sounds.mkdir()
        for number in range(args.files):
            noise = np.random.default_rng(number)
            sound = np.float32(0.1) * noise.standard_normal((round(args.seconds * RATE),))
            soundfile.write(sounds / f"{number}.wav", sound, RATE)
        for command, source, target in (
            ("compress", sounds, codes),
            ("decompress", codes, back),
        ):
            best = dict.fromkeys(ways, (float("inf"), float("inf")))
            for _ in range(args.rounds):
                for way, options in ways.items():
                    took = run(command, source, target, *options)
                    best[way] = min(best[way][0], took[0]), min(best[way][1], took[1])
            base = best["one job, one thread"]
            for way, (wall, processor) in best.items():
                print(
                    f"| {command} | {way} | {wall:.1f} s, {wall / base[0]:.2f}x "
                    f"| {processor:.1f} s, {processor / base[1]:.2f}x |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

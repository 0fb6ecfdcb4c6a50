"""`ncodec tokenize`: processor time of one process, two workers and Ray; and what kills leave.

    python benchmarks/tokenizing.py [--clips 200] [--kills 10] [--ray]

Clips of 2 to 6 s are cut from the bundled recordings. Each way codes half of them and all of them:
the difference is what clips cost, the rest is start-up. Processor time is that of all processes
together, which other work on the machine distorts less than wall time. With `--kills` a run of two
workers is killed (SIGKILL, its first process alone) again and again, at random moments, and what it
leaves in the end is compared with that of a run that was left in peace.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import soundfile

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "tests" / "data").glob("*.flac"))
SHARD = 5


def make_clips(folder: Path, count: int) -> float:
    """Write clips; return their seconds."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    seconds = 0.0
    for number in range(count):
        samples, rate = soundfile.read(SOURCES[number % len(SOURCES)], always_2d=True)
        length = int(rng.uniform(2, 6) * rate)
        at = int(rng.integers(max(1, len(samples) - length)))
        part = samples[at : at + length, 0]
        soundfile.write(folder / f"{number:05d}.flac", part, rate)
        seconds += len(part) / rate
    return seconds


def start(inputs: Path, output: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    words = ["-m", "ncodec_cli", "tokenize", "-q", str(inputs), str(output)]
    size = ["--shard-size", str(SHARD), "--device", "cpu"]
    return subprocess.Popen([sys.executable, *words, *size, *options])


def spend(inputs: Path, output: Path, options: Sequence[str]) -> tuple[float, float]:
    """Return processor time of a run with all its processes, and wall time."""
    began = time.perf_counter()
    process = start(inputs, output, options)
    spent: dict[int, float] = {}
    whole = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            for one in (whole, *whole.children(recursive=True)):
                times = one.cpu_times()
                spent[one.pid] = times.user + times.system
        except psutil.Error:
            pass
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{options}: status {process.returncode}")
    return sum(spent.values()), time.perf_counter() - began


def throughput(place: Path, clips: int, *, ray: bool) -> None:
    lengths = [make_clips(place / f"in{n}", n) for n in (clips // 2, clips)]
    ways = {"one process": ["-j", "1"], "2 workers": ["-j", "2"]}
    if ray:
        ways["Ray, 2 actors"] = ["-j", "2", "--engine", "ray"]
    print("| | start-up, s | an hour of audio, s | times real time, a core | of one process |")
    print("| --- | --- | --- | --- | --- |")
    first = 0.0
    for name, options in ways.items():
        times = [
            spend(place / f"in{n}", place / f"{name}-{n}", options)[0] for n in (clips // 2, clips)
        ]
        each = (times[1] - times[0]) / (lengths[1] - lengths[0])
        first = first or each
        told = f"{times[1] - each * lengths[1]:.1f} | {3600 * each:.0f} | {1 / each:.0f}"
        print(f"| {name} | {told} | {first / each:.2f} |", flush=True)


def kills(place: Path, clips: int, count: int) -> None:
    seconds = make_clips(place / "in", clips)
    start(place / "in", place / "whole", ["-j", "2"]).wait()
    draw = random.Random(0)  # noqa: S311 - moments to kill at
    print(f"{clips} clips, {seconds / 60:.1f} min, {-(-clips // SHARD)} shards")
    print("| kill | shards before | shards after | half-written files |")
    print("| --- | --- | --- | --- |")
    output = place / "killed"
    for number in range(count):
        before = names(output)
        children = run_and_kill(place / "in", output, len(before) + draw.randint(0, 3), draw)
        half = len(list(output.glob("**/.*.part")))
        _, left = psutil.wait_procs(children, timeout=60)
        assert not left, "workers outlived their parent"
        print(f"| {number + 1} | {len(before)} | {len(names(output))} | {half} |", flush=True)
    start(place / "in", output, ["-j", "2"]).wait()
    equal = all(
        (output / "shards" / name).read_bytes() == (place / "whole" / "shards" / name).read_bytes()
        for name in names(place / "whole")
    )
    same = names(output) == names(place / "whole") and equal
    print(f"in the end {len(names(output))} shards, {'equal' if same else 'NOT EQUAL'}")


def run_and_kill(
    inputs: Path, output: Path, shards: int, draw: random.Random
) -> list[psutil.Process]:
    """Start a run, and kill it some time after so many shards are there; return its workers."""
    process = start(inputs, output, ["-j", "2"])
    children: list[psutil.Process] = []
    while process.poll() is None and (len(names(output)) < shards or not children):
        children = psutil.Process(process.pid).children(recursive=True) or children
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 1))
    process.kill()
    process.wait()
    return children


def names(output: Path) -> list[str]:
    return sorted(path.name for path in (output / "shards").glob("[!.]*"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if options.kills:
            kills(Path(place), options.clips, options.kills)
        else:
            throughput(Path(place), options.clips, ray=options.ray)


if __name__ == "__main__":
    main()

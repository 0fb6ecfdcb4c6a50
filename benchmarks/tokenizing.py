"""`ncodec tokenize`: processor time, what kills leave, and memory.

    python benchmarks/tokenizing.py [--clips 200] [--ray]            one process, 2 workers, Ray
    python benchmarks/tokenizing.py --kills 10 [--clips 200] [--ray]
    python benchmarks/tokenizing.py --memory [--files 10000] [--hours 10]

Clips of 2 to 6 s are cut from the bundled recordings. Each way codes half of them and all of them:
the difference is what clips cost, the rest is start-up. Processor time is that of all processes
together, which other work on the machine distorts less than wall time.

With `--kills` a run of two workers is killed (SIGKILL) again and again, at random moments, and what
it leaves in the end is compared with that of a run that was left in peace. Of processes the first
alone is killed; with `--ray` the whole process group.

With `--memory` the peak resident memory of a run of one process is told: of few and many files of
half a second, and of a minute and hours in one file.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import soundfile

from ncodec.metrics.cost import peak_memory

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


def command(inputs: Path, output: Path, options: Sequence[str], shard: int = SHARD) -> list[str]:
    words = ["-m", "ncodec_cli", "tokenize", "-q", str(inputs), str(output)]
    return [sys.executable, *words, "--shard-size", str(shard), "--device", "cpu", *options]


def start(inputs: Path, output: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a run as the first of a process group."""
    return subprocess.Popen(command(inputs, output, options), start_new_session=True)


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


def kills(place: Path, clips: int, count: int, *, ray: bool) -> None:
    seconds = make_clips(place / "in", clips)
    start(place / "in", place / "whole", ["-j", "2"]).wait()
    draw = random.Random(0)  # noqa: S311 - moments to kill at
    print(f"{clips} clips, {seconds / 60:.1f} min, {-(-clips // SHARD)} shards")
    print("| kill | shards before | shards after | half-written files | processes, gone after |")
    print("| --- | --- | --- | --- | --- |")
    output, options = place / "killed", ["-j", "2", *(["--engine", "ray"] if ray else [])]
    for number in range(count):
        before = len(names(output))
        process = start(place / "in", output, options)
        seen = kill(process, output, before + draw.randint(0, 3), draw.uniform(0, 1), group=ray)
        half = len(list(output.glob("**/.*.part")))
        began = time.monotonic()
        _, left = psutil.wait_procs(seen, timeout=60)
        assert not left, "workers outlived their parent"
        gone = f"{len(seen)}, {time.monotonic() - began:.1f} s"
        print(f"| {number + 1} | {before} | {len(names(output))} | {half} | {gone} |", flush=True)
    start(place / "in", output, options).wait()
    equal = all(
        (output / "shards" / name).read_bytes() == (place / "whole" / "shards" / name).read_bytes()
        for name in names(place / "whole")
    )
    same = names(output) == names(place / "whole") and equal
    print(f"in the end {len(names(output))} shards, {'equal' if same else 'NOT EQUAL'}")


def kill(
    process: subprocess.Popen[bytes], output: Path, shards: int, later: float, *, group: bool
) -> list[psutil.Process]:
    """Kill a run some time after so many shards are there; return the processes it had."""
    children: list[psutil.Process] = []
    while process.poll() is None and (len(names(output)) < shards or not children):
        children = family(process.pid) or children
        time.sleep(0.01)
    time.sleep(later)
    children = family(process.pid) or children
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    return children


def family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def names(output: Path) -> list[str]:
    return sorted(path.name for path in (output / "shards").glob("[!.]*"))


def memory(place: Path, files: int, hours: float) -> None:
    print("| recordings | audio | peak, MB |")
    print("| --- | --- | --- |")
    short = place / "short.flac"
    samples, rate = soundfile.read(SOURCES[0], always_2d=True)
    soundfile.write(short, samples[: rate // 2, 0], rate)
    for count in (files // 100, files):
        folder = place / f"{count} files"
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:06d}.flac").write_bytes(short.read_bytes())
        tell_peak(folder, place / f"of {count}", f"{count}", count / 7200)
    for length in (1 / 60, hours):
        path = place / f"{length:.3f} hours.wav"
        write_loop(path, samples[:, 0], rate, length)
        tell_peak(path, place / f"of {length:.3f} hours", "1", length)


def write_loop(path: Path, samples: np.ndarray, rate: int, hours: float) -> None:
    left = int(3600 * hours * rate)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16", format="RF64") as file:
        while left > 0:
            file.write(samples[:left])
            left -= len(samples)


def tell_peak(inputs: Path, output: Path, recordings: str, hours: float) -> None:
    peak = peak_memory(command(inputs, output, ["-j", "1"], shard=1000))
    print(f"| {recordings} | {60 * hours:.0f} min | {peak / 1e6:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--hours", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if options.memory:
            memory(place, options.files, options.hours)
        elif options.kills:
            kills(place, options.clips, options.kills, ray=options.ray)
        else:
            throughput(place, options.clips, ray=options.ray)


if __name__ == "__main__":
    main()

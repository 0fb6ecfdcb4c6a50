"""Calls between two processes on this machine, over a simulated bad line: `call.py` in real time.

    python benchmarks/call_processes.py [--packet-ms 40 14] [--seed 2] [--port 4700]

Both sides say three recordings after each other; one of them simulates 10 % loss and gamma delays
of mean 20 ms both ways. On a machine with other work the delays are its scheduler's: run it with
`chrt -r 1`. They are medians over the call. PESQ is told against that of the codec without a line;
CPU is processor time of a side, both directions, over seven seconds in the middle.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
from call import CLIPS, clean

import ncodec
from ncodec.audio import Samples
from ncodec.metrics.perceptual import pesq_wb

CALL = (sys.executable, "-m", "ncodec", "call", "--quiet", "--json")
LINE = ("--loss", "10", "--jitter", "20", "--seed")
STARTING, MEASURED = 6.0, 7.0


def quality(path: Path, clips: list[Samples], rate: int) -> float:
    """Return the mean PESQ of recordings in what was heard, which begins some time later."""
    said = np.concatenate([x[0] for x in clips])
    heard = soundfile.read(path, dtype="float32")[0]
    powers = [np.square(x[: len(x) // 240 * 240]).reshape(-1, 240).mean(1) for x in (said, heard)]
    levels = [np.sqrt(power) for power in powers]
    late = int(np.correlate(levels[1], levels[0][: len(levels[1]) - 100], "valid").argmax())
    rest, scores = np.asarray(heard[240 * late :], np.float32), list[float]()
    for x in clips:
        scores.append(pesq_wb(x[0], rest[: x.shape[1]], rate))
        rest = rest[x.shape[1] :]
    return float(np.mean(scores))


def talk(folder: Path, port: int, milliseconds: float, redundancy: str | None, seed: int) -> Any:
    """Run a call; return what each side says of it, and its share of a core."""
    options = ["--input", str(folder / "said.wav"), "--packet-ms", str(milliseconds), "--force"]
    options += [] if redundancy is None else ["--redundancy", redundancy]
    ways = (["--listen", str(port), *LINE, str(seed)], [f"localhost:{port}"])
    sides = list[subprocess.Popen[str]]()
    for side, way in enumerate(ways):
        output = ["-o", str(folder / f"heard_{side}.wav")]
        command = [*CALL, *way, *options, *output]
        sides.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        time.sleep(STARTING)
    before = [psutil.Process(side.pid).cpu_times() for side in sides]
    time.sleep(MEASURED)
    after = [psutil.Process(side.pid).cpu_times() for side in sides]
    shares = [sum(b[:2]) - sum(a[:2]) for a, b in zip(before, after, strict=True)]
    told = [json.loads(side.communicate()[0]) for side in sides]
    return told, [share / MEASURED for share in shares]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packet-ms", type=float, nargs="+", default=[40.0, 14.0])
    parser.add_argument("--redundancy", nargs="+", default=["4,1", "4,3", "reported"])
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--port", type=int, default=4700)
    args = parser.parse_args()
    model = ncodec.load_model()
    paths = [CLIPS / f"speech_{number}.flac" for number in (1, 2, 3)]
    clips = [soundfile.read(p, dtype="float32", always_2d=True)[0].T[:1] for p in paths]
    best = float(np.mean([clean(model, x) for x in clips]))
    print(f"clean PESQ {best:.2f}\n| ms | copies | side | mouth to ear | lost % | PESQ | CPU |")
    with tempfile.TemporaryDirectory() as name:
        said = np.concatenate(clips, axis=1)[0]
        soundfile.write(Path(name, "said.wav"), said, model.sample_rate)
        for number, (ms, copies) in enumerate(
            (a, b) for a in args.packet_ms for b in args.redundancy
        ):
            fixed = None if copies == "reported" else copies
            told, shares = talk(Path(name), args.port + number, ms, fixed, args.seed)
            for side, (stats, share) in enumerate(zip(told, shares, strict=True)):
                score = quality(Path(name, f"heard_{side}.wav"), clips, model.sample_rate)
                print(
                    f"| {ms:g} | {copies} | {side} | {1000 * stats['usual_delay']:.0f} ms "
                    f"| {100 * stats['lost']:.1f} | {score:.2f} [{score - best:+.2f}] "
                    f"| {share:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

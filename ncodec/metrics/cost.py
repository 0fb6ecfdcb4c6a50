"""What running costs: speed against real time, and peak memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ncodec.errors import NcodecError

# Linux carries the parent's peak over an exec, so a child of a large process would look large. This
# small one in between starts the command and tells its peak (kB; bytes on macOS) and exit status.
_BETWEEN = (
    "import os, resource, subprocess, sys;"
    "status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, status)"
)


@dataclass(frozen=True)
class Speed:
    """How fast a piece of work is against the sound that it works on.

    Attributes:
        real_time: seconds of sound a second of work, from the median run: higher is better, and
            under 1 is too slow for live use. (The real-time factor of some papers is its inverse.)
        best: the same, from the fastest run.
        runs: how many were timed.
    """

    real_time: float
    best: float
    runs: int


def measure_speed(work: Callable[[], object], duration: float, runs: int = 3) -> Speed:
    """Time `work`, which handles `duration` seconds of sound, after one run that does not count."""
    work()
    times = list[float]()
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    times.sort()
    return Speed(duration / times[len(times) // 2], duration / times[0], runs)


def peak_memory(command: Sequence[str]) -> int:
    """Run a command and return its peak resident memory in bytes (at least some 10 MB are shown).

    Linux and macOS only.

    Raises:
        NcodecError: the command fails.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-S", "-E", "-c", _BETWEEN, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    words = done.stdout.split()
    if len(words) != 2 or words[1] != "0":
        raise NcodecError(f"{command[0]} failed while its memory was measured")
    return int(words[0]) * (1 if sys.platform == "darwin" else 1024)

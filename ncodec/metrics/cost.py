"""What running costs: speed against real time, and peak memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Sequence

from ncodec.errors import ArgumentError, NcodecError

# Linux carries the parent's peak over an exec, so a child of a large process would look large. This
# small one in between starts the command and tells its peak (kB; bytes on macOS) and exit status.
_BETWEEN = (
    "import os, resource, subprocess, sys;"
    "status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, status)"
)


def real_time(duration: float, times: Sequence[float]) -> float:
    """Return seconds of sound a second of work, from the median of several runs' times.

    Higher is better, and under 1 is too slow for live use. The "real-time factor" of some papers is
    its inverse.

    Args:
        duration: of the sound that each run handled, in seconds.
        times: seconds that each run took.

    Raises:
        ArgumentError: no run, or a time that is not positive.
    """
    if not times or min(times) <= 0:
        raise ArgumentError(f"times {list(times)}: must be at least one, and positive")
    return duration / statistics.median(times)


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

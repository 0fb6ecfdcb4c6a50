"""`kill -9` at random moments: the input is never harmed, the output absent or readable.

    python benchmarks/crash.py [--kills 100] [--commands compress tag]

Each command runs in a forked process (so that its start-up does not take most of the time) and is
killed at a moment drawn between its first and its end, as the last run that came to its end took.
Runs that end before their moment are counted too, and drawn again until there are enough kills.
Prints what was found; exits 1 on a fault. `record`, which needs a sound device, must be named.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

from ncodec.checkpoints.loading import find_model
from ncodec.codec import compress
from ncodec.errors import NcodecError
from ncodec_cli.main import main as ncodec
from ncodec_formats import EcdcReader

CLIP = Path(__file__).parent / "clips" / "music_1.flac"
COMMANDS = {
    "compress": ["compress", "in.wav", "out.ecdc", "-q"],
    "repair": ["repair", "in.ecdc", "out.ecdc", "-q"],
    "tag": ["tag", "copy.ecdc", "--set", "TITLE=x"],
    "cut": ["cut", "in.ecdc", "out.ecdc", "--start", "3", "--end", "3500"],
    "peel": ["peel", "in.ecdc", "out.ecdc", "--codebooks", "3"],
    "cat": ["cat", "in.ecdc", "in.ecdc", "-o", "out.ecdc"],
    "decompress": ["decompress", "in.ecdc", "out.wav", "-q", "--end", "20"],
    "record": ["record", "out.ecdc", "--duration", "3", "--packet-ms", "100", "-q"],
}


def prepare() -> None:
    """Make the inputs in the current folder: some sound, and a file of an hour."""
    clip, rate = soundfile.read(CLIP, dtype="float32", always_2d=True)
    soundfile.write("in.wav", clip[: 4 * rate], rate)
    soundfile.write("long.wav", np.tile(clip, (round(60 * rate / len(clip)), 1)), rate)
    compress("long.wav", "minute.ecdc", bandwidth=6)
    if start(["cat", *["minute.ecdc"] * 60, "-o", "in.ecdc"]).wait():
        sys.exit("the inputs could not be made")


class start:  # noqa: N801 - reads as a verb
    """A command in a process of its own."""

    def __init__(self, args: list[str]) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            try:
                ncodec(args)
            except SystemExit as ended:
                os._exit(ended.code if isinstance(ended.code, int) else 1)

    def wait(self) -> int:
        """Return how it ended; negative is the number of a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self, moment: float) -> int:
        """Give it no chance to clean up, unless it has ended before that moment."""
        while time.monotonic() < moment:
            time.sleep(max(0.0, min(0.002, moment - time.monotonic())))
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return self.wait()
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()


def readable(path: Path, *, whole: bool) -> bool:
    """Say whether a file can be read, to its last packet or, if `whole`, without any fault."""
    if path.suffix == ".wav":
        return soundfile.info(path).frames > 0
    try:
        with path.open("rb") as file:
            packets = sum(1 for _ in EcdcReader(file, keep_going=not whole))
    except NcodecError as error:
        # A recording that was killed before its header was on disk is an empty file.
        return not whole and path.stat().st_size == 0 and "empty" in str(error)
    return packets >= 0


def digests() -> dict[str, str]:
    """Return the digest of each input."""
    return {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in INPUTS}


INPUTS = ("in.wav", "in.ecdc")


def campaign(name: str, args: list[str], kills: int) -> Counter[str]:
    """Kill one command at random moments, after a run to its end; count what was found."""
    dice, found, before = random.Random(name), Counter[str](), digests()  # noqa: S311
    output = Path("copy.ecdc" if name == "tag" else args[-1] if name == "cat" else "")
    output = output if output.name else Path(next(a for a in args if a.startswith("out.")))
    longest = 0.0
    while found["killed"] < kills and found["ended before"] <= 10 * kills:
        for path in Path().glob("*out.*"):
            path.unlink()
        Path("copy.ecdc").write_bytes(Path("in.ecdc").read_bytes())
        begin, process = time.monotonic(), start(args)
        status = process.kill(begin + dice.uniform(0, longest)) if longest else process.wait()
        if status != -signal.SIGKILL:
            longest = time.monotonic() - begin
            found["failed"] += status != 0
        found["killed" if status == -signal.SIGKILL else "ended before"] += 1
        found["input harmed"] += digests() != before
        if output.exists():
            found["output whole" if name != "record" else "output there"] += 1
            found["output bad"] += not readable(output, whole=name != "record")
        else:
            found["output absent"] += 1
        parts = list(Path().glob(".*.part"))
        found["temporary file left"] += bool(parts)
        for path in parts:
            path.unlink()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument(
        "--commands",
        nargs="+",
        choices=COMMANDS,
        default=[name for name in COMMANDS if name != "record"],
    )
    args = parser.parse_args()
    find_model(None, None, "cpu")
    kinds = ("killed", "ended before", "failed", "output absent", "output whole", "output there",
             "temporary file left", "input harmed", "output bad")  # fmt: skip
    print("| command | " + " | ".join(kinds) + " |")
    print("|---|" + "---|" * len(kinds))
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare()
        for name in args.commands:
            found = campaign(name, COMMANDS[name], args.kills)
            bad += found["input harmed"] + found["output bad"] + found["failed"]
            bad += found["killed"] < args.kills
            print(f"| {name} | {' | '.join(str(found[k]) for k in kinds)} |", flush=True)
        os.chdir("/")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

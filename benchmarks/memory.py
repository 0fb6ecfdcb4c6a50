"""Peak memory of `ncodec compress` and `ncodec decompress`: an hour of 48 kHz stereo, and a minute.

    python benchmarks/memory.py [--seconds 3600] [--bw 12] [--model NAME]

The sound is a clip of music in a loop. Prints a table; exits 1 if an hour takes 600 MB or more, or
10 % more than a minute.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from ncodec.audio import Resampler
from ncodec.metrics.cost import peak_memory

CLIP = Path(__file__).parent / "clips" / "music_1.flac"
RATE = 48000
LIMIT_MB, LIMIT_GROWTH = 600, 1.10


def write_loop(path: Path, seconds: int) -> None:
    """Write the clip over and over, as 48 kHz stereo of 16 bits."""
    clip, rate = soundfile.read(CLIP, dtype="float32", always_2d=True)
    resampler = Resampler(rate, RATE, 1)
    mono = np.concatenate([resampler.push(clip.T[:1]), resampler.finish()], axis=1)[0]
    stereo = np.stack([mono, 0.8 * np.roll(mono, 1000)], axis=1)
    left = seconds * RATE
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        while left > 0:
            file.write(stereo[:left])
            left -= len(stereo)


def measure(seconds: int, options: list[str]) -> dict[str, tuple[float, float]]:
    """Return peak megabytes and speed against real time of each command."""
    ncodec = [sys.executable, "-m", "ncodec_cli"]
    results: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source, coded = Path(folder) / "in.wav", Path(folder) / "out.ecdc"
        write_loop(source, seconds)
        for name, command in (
            ("compress", [*ncodec, "compress", str(source), str(coded), "-q", *options]),
            ("decompress", [*ncodec, "decompress", str(coded), "/dev/null", "-q", "--raw", "s16"]),
        ):
            begin = time.monotonic()
            peak = peak_memory(command)
            results[name] = (peak / 1e6, seconds / (time.monotonic() - begin))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--bw", default="12")
    parser.add_argument("--model", default=None)
    args = parser.parse_args()
    options = ["--bw", args.bw, *(["--model", args.model] if args.model else [])]
    short, long = measure(60, options), measure(args.seconds, options)
    print(f"| command | 1 min, MB | {args.seconds / 60:g} min, MB | growth | speed |")
    print("|---|---|---|---|---|")
    good = True
    for name in short:
        growth = long[name][0] / short[name][0]
        good &= growth < LIMIT_GROWTH and long[name][0] < LIMIT_MB
        print(
            f"| {name} | {short[name][0]:.0f} | {long[name][0]:.0f} | {100 * growth - 100:+.1f} % "
            f"| {long[name][1]:.1f}x |"
        )
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

"""Compress the bundled speech and music at several bitrates; leave files to hear and to see.

Prints what each file cost and how it fares, and leaves in demo-output/ the compressed and
decompressed files and, per recording, a picture of the spectrograms from the original downwards.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from ncodec import metrics
from ncodec.bench.measures import Measure, measures_for
from ncodec.bench.spectrogram import strips

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
OUT = Path("demo-output")
BANDWIDTHS = ("1.5", "3", "6", "12")
SHOWN = ("pesq_wb", "stoi", "visqol_audio", "log_mel")


def ncodec(*arguments: str) -> float:
    """Run the command line; return the seconds that it took, start-up included."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ncodec_cli", *arguments, "--quiet", "-f"], check=True)
    return time.perf_counter() - start


def read(path: Path) -> tuple[NDArray[np.float64], int]:
    samples, rate = sf.read(path)
    return np.asarray(samples, dtype=np.float64), rate


def show(kind: str, measures: list[Measure]) -> None:
    source = DATA / f"{kind}.flac"
    original, rate = read(source)
    seconds = len(original) / rate
    decoded = [original]
    for bandwidth in BANDWIDTHS:
        coded = OUT / f"{kind}-{bandwidth}kbps.ecdc"
        back = OUT / f"{kind}-{bandwidth}kbps.wav"
        to = ncodec("compress", str(source), str(coded), "--bw", bandwidth)
        fro = ncodec("decompress", str(coded), str(back))
        samples, _ = read(back)
        decoded.append(samples)
        size = coded.stat().st_size
        real = metrics.real_bitrate(size, seconds)
        values = {
            m.key: m.function(original, samples, rate) for m in measures if m in measures_for(kind)
        }
        scores = "".join(
            f"{values[m.key]:>13.{m.digits}f}" if m.key in values else f"{'-':>13}"
            for m in measures
        )
        ratio = 2 * original.size / size
        print(
            f"{kind:8}{bandwidth:>6}{real:>7.2f}{size:>7}{ratio:>7.0f}x{scores}"
            f"{to:>9.1f} s{fro:>8.1f} s",
            flush=True,
        )
    (OUT / f"{kind}.png").write_bytes(strips(decoded, rate))


def main() -> None:
    OUT.mkdir(exist_ok=True)
    measures = [m for m in measures_for("speech") if m.key in SHOWN and not m.missing]
    heads = "".join(f"{m.key:>13}" for m in measures)
    print(
        f"{'':8}{'asked':>6}{'kbps':>7}{'bytes':>7}{'ratio':>8}{heads}{'compress':>11}{'decomp.':>10}"
    )
    for kind in ("speech", "music"):
        show(kind, measures)
    print(
        "\nasked and kbps: bitrate asked for and real, whole file; ratio: to 16-bit PCM;"
        "\npesq_wb, stoi, visqol_audio: higher is better; log_mel (dB): lower is better;"
        "\ntimes are whole commands, start-up included."
        f"\nListen to {OUT}/*.wav; look at {OUT}/*.png (from above: original, then 1.5 to 12 kbps)."
    )


if __name__ == "__main__":
    main()

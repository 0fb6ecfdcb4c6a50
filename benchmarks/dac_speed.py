"""DAC 44.1 kHz against `descript-audio-codec`: same weights, same audio, alternating, one process.

    NCODEC_DAC_PYTHON=dacvenv/bin/python python benchmarks/dac_speed.py [--seconds 5] [--rounds 3]

The package pins old versions, so it has an environment of its own; what it needs is taken from
there, torch from here. Random weights: speed does not depend on them. One thread, processor time,
best of the rounds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from speed import alternate, decode, encode

from ncodec.checkpoints.layouts.dac import DAC
from ncodec.config import DacConfig
from ncodec.models.dac import DacModel

BLOCK_SECONDS = 1.0


def find_package() -> bool:
    """Make `dac` importable from the other environment; tell whether there is one."""
    python = os.environ.get("NCODEC_DAC_PYTHON")
    if not python:
        return False
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    sys.path.append(done.stdout.strip())
    return True


def rows(seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    from tests.oracle import dac_reference

    package = dac_reference.dac.DAC().eval()
    config, weights = DAC.read({"state_dict": package.state_dict()}, {})
    model = DacModel(DacConfig.from_dict(config)).eval()
    model.load_state_dict(weights)
    half = DacModel(DacConfig.from_dict(config)).eval()
    half.load_state_dict(weights)
    half.set_precision("bf16")
    audio = 0.1 * torch.randn(1, 1, int(seconds * model.sample_rate) // model.hop * model.hop)
    block = int(BLOCK_SECONDS * model.sample_rate)
    latent, codes, *_ = package.encode(audio)
    chunks = encode(model, audio, block)
    times = alternate(
        {
            "package encode": lambda: package.encode(audio),
            "encode": lambda: encode(model, audio, block),
            "bf16 encode": lambda: encode(half, audio, block),
            "package decode": lambda: package.decode(latent),
            "decode": lambda: decode(model, chunks),
            "bf16 decode": lambda: decode(half, chunks),
        },
        rounds,
    )
    for way in ("encode", "decode"):
        for kind in ("", "bf16 "):
            took = times[kind + way]
            ratio, speed = times[f"package {way}"] / took, seconds / took
            yield f"DAC 44.1 kHz {kind}{way}", f"{ratio:.2f}x the package; {speed:.2f}x real time"
    same = (torch.cat([chunk.codes for chunk in chunks], dim=2) == codes).float().mean()
    yield "DAC codes equal to the package's", f"{100 * same:.3f} %"
    low = torch.cat([chunk.codes for chunk in encode(half, audio, block)], dim=2)
    first = (low[:, 0] == codes[:, 0]).float().mean()
    yield "DAC bf16: first codebook's codes equal", f"{100 * first:.1f} %"
    exact, close = decode(model, chunks), decode(half, chunks)
    noise = (exact.square().mean() / (exact - close).square().mean()).log10() * 10
    yield "DAC bf16: decoded, signal to difference", f"{noise:.1f} dB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the audio")
    parser.add_argument("--rounds", type=int, default=3, help="alternating repetitions")
    args = parser.parse_args()
    if not find_package():
        print("no rows: NCODEC_DAC_PYTHON names no interpreter with descript-audio-codec")
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| work | result |\n| --- | --- |")
    with torch.inference_mode():
        for work, result in rows(args.seconds, args.rounds):
            print(f"| {work} | {result} |", flush=True)


if __name__ == "__main__":
    main()

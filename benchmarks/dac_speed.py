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

from speed import encode, precisions, ratios

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
    models = precisions(model, half)
    audio = 0.1 * torch.randn(1, 1, int(seconds * model.sample_rate) // model.hop * model.hop)
    block = int(BLOCK_SECONDS * model.sample_rate)
    latent, codes, *_ = package.encode(audio)
    both = (lambda: package.encode(audio), lambda: package.decode(latent))
    for work, result in ratios(models, audio, both, block, rounds):
        yield f"DAC 44.1 kHz {work}", result
    ours = torch.cat([chunk.codes for chunk in encode(model, audio, block)], dim=2)
    yield "DAC codes equal to the package's", f"{100 * (ours == codes).float().mean():.3f} %"


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

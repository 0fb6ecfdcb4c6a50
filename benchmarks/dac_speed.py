"""DAC against `descript-audio-codec` and `transformers`: same weights, same audio, in turns.

    NCODEC_DAC_PYTHON=dacvenv/bin/python python benchmarks/dac_speed.py [--seconds 5] [--rounds 3]

The package pins old versions, so it has an environment of its own; what it needs is taken from
there, torch from here; without it rows of `transformers` remain. Random weights: speed does not
depend on them. One thread, processor time, best of the rounds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from speed import Work, encode, precisions, ratios, same_codes, title

from ncodec.checkpoints import export_model
from ncodec.checkpoints.layouts.dac import DAC
from ncodec.checkpoints.model_file import save
from ncodec.config import DacConfig
from ncodec.models.dac import DacModel

BLOCK_SECONDS = 1.0


def find_package() -> bool:
    """Make `dac` importable from the other environment; tell whether there is one."""
    python = os.environ.get("NCODEC_DAC_PYTHON")
    if not python:
        print("rows left out: NCODEC_DAC_PYTHON names no Python with the package", file=sys.stderr)
        return False
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    sys.path.append(done.stdout.strip())
    return True


def rows(seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    for config in (DacConfig(), DacConfig(sample_rate=16000, ratios=(2, 4, 5, 8), codebooks=12)):
        yield from at_rate(config, seconds, rounds)


def at_rate(config: DacConfig, seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    """Float32 and bf16, both ways, all codebooks."""
    model, half = DacModel(config).eval(), DacModel(config).eval()
    packages: dict[str, tuple[Work, Work]] = {}
    codes: dict[str, Tensor] = {}
    audio = 0.1 * torch.randn(1, 1, int(seconds * config.sample_rate) // model.hop * model.hop)
    if config == DacConfig() and find_package():
        from tests.oracle import dac_reference

        package = dac_reference.dac.DAC().eval()
        model.load_state_dict(DAC.read({"state_dict": package.state_dict()}, {})[1])
        latent, codes["the package"], *_ = package.encode(audio)
        packages["the package"] = lambda: package.encode(audio), lambda: package.decode(latent)
    half.load_state_dict(model.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        theirs = hub_model(model, Path(folder))
    found = theirs.encode(audio)
    codes["transformers"], quantized = found.audio_codes, found.quantized_representation
    packages["transformers"] = lambda: theirs.encode(audio), lambda: theirs.decode(quantized)
    models = precisions(model, half)
    block, named = int(BLOCK_SECONDS * model.sample_rate), f"DAC {config.sample_rate / 1000:g} kHz"
    for work, result in ratios(models, audio, packages, block, rounds):
        yield f"{named} {work}", result
    ours = encode(model, audio, block)
    for name, other in codes.items():
        yield f"{named} codes equal to those of {name}", same_codes(ours, other)


def hub_model(model: DacModel, folder: Path) -> Any:
    """Return a model as `transformers` reads what `ncodec models export` writes."""
    from transformers import DacModel as Theirs

    save(model, folder / "dac.safetensors")
    export_model(folder / "dac.safetensors", folder / "hf", "hf")
    return Theirs.from_pretrained(folder / "hf").eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the audio")
    parser.add_argument("--rounds", type=int, default=3, help="alternating repetitions")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(title())
    with torch.no_grad():  # weights made in inference mode are packed anew on each call
        for work, result in rows(args.seconds, args.rounds):
            print(f"| {work} | {result} |", flush=True)


if __name__ == "__main__":
    main()

"""Endless sound: flux and level where windows join beside everywhere else, speed, and memory.

    python benchmarks/endless.py joins [--minutes 10] [--model NAME]
    python benchmarks/endless.py speed [--seconds 15] [--rounds 3]
    python benchmarks/endless.py memory [--minutes 10]

Random weights if no model is named: those that convolutions begin with, a little larger. Flux is
the mean of the positive changes of magnitudes from frame to frame (1024 samples, 256 apart), level
that of a frame in dB. Processor time of one thread. Memory is the most that `ncodec generate` has
resident, for a minute and for ten.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ncodec import checkpoints
from ncodec.checkpoints.loading import load_any
from ncodec.latents import Directions
from ncodec.latents.gan import LatentGan
from ncodec.latents.musika.model import Musika, Windows
from ncodec.metrics.cost import peak_memory
from ncodec.models.latent_config import LatentGanConfig
from ncodec.models.musika_config import MusikaConfig

FRAME, HOP = 1024, 256
SIZES = {
    "Musika, 44.1 kHz": MusikaConfig(),
    "small generator": MusikaConfig(small=True),
    "base 80, width 64": MusikaConfig(base=80, width=64, dim=32, small=True),
}


def random_model(config: MusikaConfig) -> Musika:
    """Return a model of random weights."""
    torch.manual_seed(0)
    model = Musika(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if weight.dim() > 1 and "generator" not in name:
            weight.mul_(2.4)
    return model


def measures(samples: Tensor, last: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return flux and level of the frames of `[T]`, and the last frame's magnitudes."""
    frames = samples.unfold(0, FRAME, HOP)
    magnitude = torch.fft.rfft(frames * torch.hann_window(FRAME)).abs()
    before = magnitude[:1] if last is None else last
    change = torch.diff(torch.cat([before, magnitude]), dim=0)
    level = 10 * (frames.square().mean(1) + 1e-10).log10()
    return change.clamp(min=0).mean(1), level, magnitude[-1:]


def joins(model: Musika, minutes: float) -> None:
    """Print what is measured at joins and elsewhere."""
    state = model.begin(Directions(1))
    rest, last = torch.zeros(0), None
    flux, level = list[Tensor](), list[Tensor]()
    for _ in range(round(minutes * 60 / model.block_seconds)):
        block, state = model.step(state)
        sound = torch.cat([rest, block[0]])
        f, v, last = measures(sound, last)
        rest = sound[len(f) * HOP :]
        flux.append(f)
        level.append(v)
    windows = Windows.of(model.config.window, None)
    all_flux, all_level = torch.cat(flux), torch.cat(level)
    at_join = torch.zeros(len(all_flux), dtype=torch.bool)
    count = len(all_flux) * HOP // model.config.step_samples
    half = windows.fade // 2
    for number in range(1, windows.at(count - half)):
        first, after = (windows.join(number) - half, windows.join(number) + half)
        step = model.config.step_samples / HOP
        at_join[round(first * step) : round(after * step)] = True
    for name, values in (("flux", all_flux), ("level dB", all_level)):
        for place, chosen in (("joins", at_join), ("elsewhere", ~at_join)):
            numbers = values[chosen].numpy()
            parts = np.percentile(numbers, [5, 50, 95])
            told = "  ".join(f"{part:9.4f}" for part in (numbers.mean(), numbers.std(), *parts))
            print(f"{name:9} {place:10} {len(numbers):7d} frames  mean, sd, 5, 50, 95 %: {told}")


def speed(seconds: float, rounds: int) -> None:
    """Print how many seconds of stereo a second of one thread makes, best of the rounds."""
    models = {name: random_model(config) for name, config in SIZES.items()}
    best = dict.fromkeys(models, 0.0)
    for _ in range(rounds):
        for name, model in models.items():
            _, state = model.step(model.begin(Directions(1)))
            blocks, start = round(seconds / model.block_seconds), time.process_time()
            for _ in range(blocks):
                _, state = model.step(state)
            took = time.process_time() - start
            best[name] = max(best[name], float(blocks * model.block_seconds) / took)
    for name, model in models.items():
        weights = sum(weight.numel() for weight in model.parameters()) / 1e6
        print(f"{name:20} {weights:5.1f} M weights  {best[name]:5.1f} x real time")


def memory(minutes: float) -> None:
    """Print what `ncodec generate` takes for a minute and for as many as are asked, in MB."""
    codes = LatentGanConfig(dim=32, widths=(96, 128, 192), generator=(96, 128, 160, 192, 224))
    with tempfile.TemporaryDirectory() as folder:
        for name, model, endings in (
            ("codes", LatentGan(codes, "codes"), ("ecdc", "wav")),
            ("sound", random_model(SIZES["base 80, width 64"]), ("wav",)),
        ):
            path = Path(folder) / f"{name}.safetensors"
            checkpoints.save(model, path)
            for ending in endings:
                peaks = [
                    peak_memory(
                        [sys.executable, "-m", "ncodec_cli", "generate", "--model", str(path),
                         "-o", str(Path(folder) / f"made.{ending}"), "--force", "--quiet",
                         "--seed", "1", "--duration", str(60 * each)]
                    ) / 1e6
                    for each in (1, minutes)
                ]  # fmt: skip
                print(
                    f"{name} to .{ending}: 1 min {peaks[0]:.0f} MB, {minutes:g} min {peaks[1]:.0f}"
                )


def main() -> None:
    """Run what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["joins", "speed", "memory"])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "memory":
        memory(asked.minutes)
        return
    if asked.what == "speed":
        speed(asked.seconds, asked.rounds)
        return
    model = load_any(asked.model) if asked.model else random_model(MusikaConfig(base=64, width=32))
    assert isinstance(model, Musika)
    joins(model, asked.minutes)


if __name__ == "__main__":
    main()

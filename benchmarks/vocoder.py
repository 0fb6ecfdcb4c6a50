"""Vocoders: speed beside transformers' generator, and quality beside Griffin-Lim.

    python benchmarks/vocoder.py speed [--seconds 3] [--rounds 5]
    python benchmarks/vocoder.py quality CORPUS [--model hifigan_24khz] [--clips 16]
    python benchmarks/vocoder.py memory [--minutes 1 10 60]

Speed: HiFi-GAN V1, V2, V3 with random weights against transformers' eager modules with the same
weights (V3, which those cannot express, with blocks of one convolution in their place); one thread,
in turns, processor time, best of the rounds. Quality: held-out speech (benchmarks/heldout.csv),
its mels made into sound by the model, and by 64 iterations of Griffin-Lim. Memory: peaks of
`ncodec mel` and `ncodec vocode` on files of noise, with a net of 4 to 8 channels.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from speed import Work, alternate
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ncodec import metrics
from ncodec.checkpoints import save
from ncodec.checkpoints.layouts.hifigan import HF_HIFIGAN
from ncodec.config import HifiGanConfig
from ncodec.datasets import find_clips, read
from ncodec.dsp.mel import mel_filters
from ncodec.metrics.cost import peak_memory
from ncodec.runtime import has_bf16
from ncodec.vocoder import Vocoder

HERE = Path(__file__).parent
SPEED = {
    "V1": HifiGanConfig(),
    "V2": HifiGanConfig(channels=128),
    "V3": HifiGanConfig(
        channels=256,
        rates=(8, 8, 4),
        kernels=(16, 16, 8),
        block_kernels=(3, 5, 7),
        dilations=(1, 2, 2, 6, 3, 12),
        paired=False,
    ),
}
MEASURES = {
    "PESQ-wb": metrics.pesq_wb,
    "ViSQOL speech": metrics.visqol_speech,
    "STOI": metrics.stoi,
}


class Single(nn.Module):
    """A residual block of V3: one convolution for each dilation."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=d, padding=(kernel - 1) * d // 2)
            for d in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return what the published block does."""
        for conv in self.convs:
            x = x + conv(functional.leaky_relu(x, 0.1))
        return x


def package(config: HifiGanConfig) -> Any:
    """Return transformers' generator, random weights."""
    importlib.import_module("tests.oracle.reference")  # transformers then does without torchaudio
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    per = len(config.dilations) // len(config.block_kernels)
    dilations = [config.dilations[i : i + per] for i in range(0, len(config.dilations), per)]
    model = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=config.bands,
            sampling_rate=config.sample_rate,
            upsample_initial_channel=config.channels,
            upsample_rates=list(config.rates),
            upsample_kernel_sizes=list(config.kernels),
            resblock_kernel_sizes=list(config.block_kernels),
            resblock_dilation_sizes=[list(d) for d in dilations],
            normalize_before=False,
        )
    )
    if not config.paired:
        blocks = [
            Single(config.channels >> level + 1, kernel, own)
            for level in range(len(config.rates))
            for kernel, own in zip(config.block_kernels, dilations, strict=True)
        ]
        model.resblocks = nn.ModuleList(blocks)
    for weight in (p for p in model.parameters() if p.dim() > 1):
        nn.init.normal_(weight, std=0.7 / weight[0].numel() ** 0.5)
    return model.eval()


def speed(seconds: float, rounds: int) -> None:
    """Print a row for each net: whole, in blocks of 64 frames and frame by frame."""
    torch.manual_seed(0)
    print("| net | real time, transformers | float32 | bf16 | pushes of 64 | of 8 | of 1 | off |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, config in SPEED.items():
        theirs = package(config)
        found, weights = HF_HIFIGAN.read(
            theirs.state_dict(),
            {"resblock_dilation_sizes": theirs.config.resblock_dilation_sizes}
            | {"upsample_rates": config.rates, "normalize_before": False},
        )
        model = Vocoder(HifiGanConfig.from_dict(found)).eval()
        model.load_state_dict(weights)
        half = _half(model)
        frames = round(seconds * config.sample_rate / config.hop)
        mel = torch.randn(1, config.bands, frames) - 5
        works: dict[str, Work] = {
            "theirs": lambda t=theirs, m=mel: t(m.transpose(1, 2)),
            "ours": lambda v=model, m=mel: v(m),
        }
        if half is not None:
            works["bf16"] = lambda v=half, m=mel: v(m)
        pushes: dict[str, Work] = {
            str(n): lambda v=model, m=mel, n=n: streamed(v, m, n) for n in (64, 8, 1)
        }
        times = alternate(works, rounds) | alternate(pushes, rounds)
        audio = frames * config.hop / config.sample_rate
        real = {key: audio / value for key, value in times.items()}
        want = theirs(mel.transpose(1, 2))[0]
        off = [
            float((v(mel)[0, 0] - want).abs().max() / want.abs().max()) for v in (model, half) if v
        ]
        cells = [
            f"{real[k]:.2f} ({real[k] / real['theirs']:.2f}x)" if k in real else "none here"
            for k in ("ours", "bf16")
        ]
        cells += [f"{real[key]:.2f}" for key in ("64", "8", "1")]
        cells.append(", ".join(f"{x:.0e}" for x in off))
        print(f"| {name} | {real['theirs']:.2f} | {' | '.join(cells)} |", flush=True)


def _half(model: Vocoder) -> Vocoder | None:
    """Return a copy that computes in bf16, if this processor has it."""
    if not has_bf16("cpu"):
        return None
    half = Vocoder(model.config).eval()
    half.load_state_dict(model.state_dict())
    half.set_precision("bf16")
    return half


def streamed(model: Vocoder, mel: Tensor, frames: int) -> None:
    state = model.initial_state()
    for block in mel.split(frames, dim=2):
        _, state = model.step(block, state)
    model.flush(state)


def griffin_lim(model: Vocoder, mel: Tensor, iterations: int = 64) -> Tensor:
    """Return audio `[T]` of log mels `[bands, F]`: Perraudin et al. 2013, momentum 0.99.

    Magnitudes come from the mels by 500 multiplicative steps of non-negative least squares.
    """
    config = model.config
    filters = mel_filters(
        config.sample_rate, config.n_fft, config.bands, fmin=config.fmin, fmax=config.fmax
    )
    weight = torch.from_numpy(np.ascontiguousarray(filters, np.float32))  # [bands, bins]
    target = mel.exp().T if config.log == "ln" else (10**mel).T
    magnitude = (target @ weight).clamp(min=1e-8)
    square = weight.T @ weight
    for _ in range(500):
        magnitude = magnitude * (target @ weight) / (magnitude @ square).clamp(min=1e-12)
    window = torch.hann_window(config.n_fft)
    generator = torch.Generator().manual_seed(0)
    phase = torch.rand(magnitude.shape, generator=generator) * 2 * torch.pi
    estimate, before = torch.polar(magnitude, phase), torch.zeros(())
    for _ in range(iterations):
        again = torch.fft.rfft(_frames(_added(estimate, window, config.hop), window, config.hop))
        faster = again + 0.99 * (again - before)
        estimate, before = magnitude * faster / faster.abs().clamp(min=1e-12), again
    pad = model.front_end.padding[0]
    return _added(estimate, window, config.hop)[pad : pad + mel.shape[1] * config.hop]


def _frames(x: Tensor, window: Tensor, hop: int) -> Tensor:
    return x.unfold(0, len(window), hop) * window


def _added(spectrum: Tensor, window: Tensor, hop: int) -> Tensor:
    frames = torch.fft.irfft(spectrum) * window
    shape = {"output_size": (1, (len(frames) - 1) * hop + len(window)), "stride": (1, hop)}
    kernel = (1, len(window))
    total = functional.fold(frames.T[None], kernel_size=kernel, **shape)
    weights = functional.fold(
        window.square().expand_as(frames).T[None], kernel_size=kernel, **shape
    )
    return (total / weights.clamp(min=1e-3))[0, 0, 0]


def held_out(corpus: Path, clips: int, seconds: float, rate: int) -> Iterator[tuple[str, Tensor]]:
    """Yield speech `[1, 1, T]`, as many speakers as there are clips, if there are so many."""
    with (HERE / "heldout.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "speech"]
    order: dict[str, list[str]] = {}
    for row in rows:
        order.setdefault(row["speaker_or_piece"], []).append(row["path"])
    paths = [p for turn in range(len(rows)) for o in order.values() for p in o[turn : turn + 1]]
    for path in paths[:clips]:
        (clip,) = find_clips([str(corpus / path)])
        yield path, torch.from_numpy(read(clip, seconds=seconds, rate=rate, channels=1))[None]


def quality(model: Vocoder, corpus: Path, clips: int, seconds: float) -> None:
    """Print the means of each measure."""
    scores: dict[str, list[list[float]]] = {}
    for path, audio in held_out(corpus, clips, seconds, model.sample_rate):
        mel = model.mel(audio)
        made = {"Griffin-Lim, 64": griffin_lim(model, mel[0]), model.name: model(mel)[0, 0]}
        original = audio[0, :, : mel.shape[2] * model.hop].numpy()
        for name, sound in made.items():
            pair = original, sound[None].numpy()
            values = [measure(*pair, model.sample_rate) for measure in MEASURES.values()]
            scores.setdefault(name, []).append(values)
        line = "  ".join(" ".join(f"{x:.2f}" for x in rows[-1]) for rows in scores.values())
        print(f"{path}: {line}", flush=True)
    print(f"\n| {clips} clips | {' | '.join(MEASURES)} |\n|{' --- |' * (1 + len(MEASURES))}")
    for name, rows in scores.items():
        mean, low, high = np.mean(rows, 0), np.min(rows, 0), np.max(rows, 0)
        cells = [f"{m:.3f} ({a:.2f} to {b:.2f})" for m, a, b in zip(mean, low, high, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


TINY = HifiGanConfig(
    channels=8,
    rates=(16, 16),
    kernels=(32, 32),
    block_kernels=(3,),
    dilations=(1,),
    paired=False,
)


def memory(minutes: list[int]) -> None:
    """Print the peak megabytes of the commands, a column for each length."""
    table: dict[str, list[float]] = {}
    for length in minutes:
        with tempfile.TemporaryDirectory() as folder:
            model, sound, mel, bands = (
                str(Path(folder) / name) for name in ("m.safetensors", "a.wav", "a.npy", "b.npy")
            )
            save(Vocoder(TINY), Path(model))
            with soundfile.SoundFile(sound, "w", TINY.sample_rate, 1, "PCM_16") as file:
                for minute in range(length):
                    noise = np.random.default_rng(minute).standard_normal(60 * TINY.sample_rate)
                    file.write(0.1 * noise)
            works = {
                "mel": ["mel", sound, mel],
                "vocode, .npy of mel": ["vocode", mel, "/dev/null"],
                "vocode, .npy band after band": ["vocode", bands, "/dev/null"],
                "vocode, .wav": ["vocode", sound, "/dev/null"],
            }
            for name, words in works.items():
                if bands in words:
                    np.save(bands, np.ascontiguousarray(np.load(mel)))
                command = [sys.executable, "-m", "ncodec_cli", *words, "--model", model, "-q", "-f"]
                table.setdefault(name, []).append(peak_memory([*command, "--threads", "1"]) / 1e6)
                print(f"{length} min, {name}: {table[name][-1]:.0f} MB", file=sys.stderr)
    print(f"| command | {' | '.join(f'{n} min, MB' for n in minutes)} |")
    print(f"|{' --- |' * (1 + len(minutes))}")
    for name, peaks in table.items():
        print(f"| {name} | {' | '.join(f'{peak:.0f}' for peak in peaks)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    works = parser.add_subparsers(dest="work", required=True)
    fast = works.add_parser("speed")
    fast.add_argument("--seconds", type=float, default=3.0, help="length of the mels")
    fast.add_argument("--rounds", type=int, default=5, help="alternating repetitions")
    good = works.add_parser("quality")
    good.add_argument("corpus", type=Path, help="folder that the paths of heldout.csv begin in")
    good.add_argument("--model", default="hifigan_24khz", help="name or file")
    good.add_argument("--clips", type=int, default=16, help="how many")
    good.add_argument("--seconds", type=float, default=6.0, help="of each at most")
    long = works.add_parser("memory")
    long.add_argument("--minutes", type=int, nargs="+", default=[1, 10, 60], help="lengths")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        if args.work == "speed":
            speed(args.seconds, args.rounds)
        elif args.work == "memory":
            memory(args.minutes)
        else:
            quality(Vocoder.get_pretrained(args.model), args.corpus, args.clips, args.seconds)


if __name__ == "__main__":
    main()

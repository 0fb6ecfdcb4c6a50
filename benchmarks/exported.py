"""Exported graphs against their models: files, equality and speed.

    python benchmarks/exported.py [--only embedded encodec dac mimi hifigan] [--seconds 10]
        [--rounds 5] [--long 60]

One thread, processor time, best of rounds that alternate in one process. Audio is that of
benchmarks/clips, one after another; models but the embedded one have random weights. A difference
of codes is a near tie or an error: the largest gap of two scores is printed. Audio is compared with
the model's, relative to full scale, or to the peak where that is below.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from speed import alternate, decode, encode, split
from torch import Tensor

from ncodec import load_model
from ncodec.checkpoints.registry import REGISTRY
from ncodec.config import HifiGanConfig
from ncodec.export import OnnxCodec, export_graphs
from ncodec.export.checking import decoded, encoded, largest_gap, searches
from ncodec.models.base import CompressionModel
from ncodec.models.families import find_family
from ncodec.nn import Conv1d, ConvTranspose1d
from ncodec.quantize import Codebook
from ncodec.vocoder import OnnxVocoder, Vocoder, export_vocoder

CLIPS = sorted((Path(__file__).parent / "clips").glob("*.flac"))
GAIN = {"encodec": 1.7, "mimi": 1.7, "dac": 1.0}
"""By which weights are larger than usual, so that signals do not fade from layer to layer; those of
Snake units do not, and grow without bound if they are."""
RANDOM = {"encodec": "encodec_24khz", "dac": "dac_24khz", "mimi": "mimi"}
Row = tuple[str, str]


def recordings(seconds: float) -> Tensor:
    """Return the clips, one after another and again, at 24 kHz."""
    parts = [soundfile.read(path, dtype="float32")[0] for path in CLIPS]
    joined = np.concatenate(parts)
    samples = int(24000 * seconds)
    return torch.from_numpy(np.resize(joined, samples))[None, None]


@torch.no_grad()
def random_model(name: str) -> CompressionModel:
    """Return a model with random weights that are large enough for sound and various codes."""
    entry = REGISTRY[RANDOM[name]]
    family = find_family(entry.family)
    torch.manual_seed(0)
    model: Any = family.model_class(family.config.from_dict(dict(entry.config)), name=name)
    model = model.eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, Conv1d | ConvTranspose1d):
            module.weight.mul_(GAIN[name])
    latents, _ = model._encode_step(recordings(2.0), model._encoder_state(1, model.device))
    for stages, rows in searches(model.quantizer, latents[0].values):
        for stage in stages:
            if isinstance(stage, Codebook):
                stage.embed.mul_(0.5 * rows.std() / stage.embed.std())
    return model


def files(folder: Path) -> Iterator[Row]:
    for path in sorted(folder.iterdir()):
        if path.suffix != ".json":
            yield path.name, f"{path.stat().st_size / 1e6:.2f} MB"


def equality(model: CompressionModel, graphs: OnnxCodec, audio: Tensor) -> Iterator[Row]:
    """Whole, by seconds and by frames (of the first two seconds)."""
    second = round(model.frame_rate)
    for said, frames, x in (
        ("whole", None, audio),
        ("by seconds", second, audio),
        ("by frames", 1, audio[..., : 2 * model.sample_rate]),
    ):
        if frames is None and model.frames_at_once:
            continue  # runs in pieces anyway
        meant, _ = model.encode(x)
        found = encoded(graphs, x, None if frames is None else frames * model.hop)
        equal, gap = (found == meant).float().mean(), largest_gap(model, x, meant, found)
        sound, due = decoded(graphs, meant, frames), model.decode(meant)
        worst = (sound - due).abs().max() / due.abs().max().clamp(max=1)
        yield (
            f"{x.shape[2] / model.sample_rate:.0f} s {said}, {meant.shape[1]} codebooks",
            f"codes {100 * equal:.3f} % equal (gap {gap:.1e}), audio {worst:.1e}",
        )


def speed(model: CompressionModel, graphs: OnnxCodec, audio: Tensor, rounds: int) -> Iterator[Row]:
    """Blocks of a second, as files are coded, then a second by frames."""
    chunks = encode(model, audio, model.sample_rate)
    first = audio[..., : model.sample_rate]
    frames = split(chunks, 1)[: round(model.frame_rate)]
    works: dict[str, Callable[[], object]] = {}
    for side, used in (("own", model), ("graphs", graphs)):
        works |= {
            f"{side} encode": lambda used=used: encode(used, audio, model.sample_rate),
            f"{side} decode": lambda used=used: decode(used, chunks),
            f"{side} encode frames": lambda used=used: encode(used, first, model.hop),
            f"{side} decode frames": lambda used=used: decode(used, frames),
        }
    times = alternate(works, rounds)
    seconds = audio.shape[2] / model.sample_rate
    for way in ("encode", "decode"):
        own, theirs = times[f"own {way}"], times[f"graphs {way}"]
        yield f"whole files, {way}", f"{own / theirs:.2f}x ncodec's ({seconds / theirs:.0f}x real)"
        own, theirs = times[f"own {way} frames"], times[f"graphs {way} frames"]
        yield (
            f"a frame, {way}",
            f"{own / theirs:.2f}x ncodec's ({1000 * theirs / len(frames):.2f} ms against "
            f"{1000 * own / len(frames):.2f})",
        )


def codec(name: str, dtype: str, args: argparse.Namespace) -> Iterator[Row]:
    model = load_model() if name == "embedded" else random_model(name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "graphs"
        export_graphs(model, folder, dtype=dtype)  # type: ignore[arg-type]
        graphs = OnnxCodec(folder)
        yield from files(folder)
        yield from equality(model, graphs, recordings(5.0))
        if name == "embedded":
            yield from equality(model, graphs, recordings(args.long))
        yield from speed(model, graphs, recordings(args.seconds), args.rounds)


def vocoder(args: argparse.Namespace) -> Iterator[Row]:
    torch.manual_seed(0)
    model = Vocoder(HifiGanConfig()).eval().requires_grad_(False)
    mel = (2 * torch.randn(1, model.bands, int(args.seconds * 86)) - 5).clamp(-9, 2)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "graphs"
        export_vocoder(model, folder)
        graphs = OnnxVocoder(folder)
        yield from files(folder)
        due = model(mel)
        worst = (graphs(mel) - due).abs().max() / due.abs().max()
        yield f"{mel.shape[2]} frames whole", f"audio {worst:.1e}"
        times = alternate(
            {"own": lambda: model(mel), "graphs": lambda: graphs(mel)}, max(1, args.rounds // 2)
        )
        seconds = due.shape[2] / model.sample_rate
        yield (
            "whole",
            f"{times['own'] / times['graphs']:.2f}x ncodec's "
            f"({seconds / times['graphs']:.1f}x real)",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("embedded", *RANDOM, "hifigan")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    parser.add_argument("--seconds", type=float, default=10.0, help="of audio whose time is taken")
    parser.add_argument("--long", type=float, default=60.0, help="seconds that are compared")
    parser.add_argument("--rounds", type=int, default=5, help="alternating repetitions")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| graphs | what | result |\n| --- | --- | --- |")
    with torch.inference_mode():
        for name in args.only:
            rows = vocoder(args) if name == "hifigan" else codec(name, args.dtype, args)
            for what, result in rows:
                print(f"| {name} | {what} | {result} |", flush=True)


if __name__ == "__main__":
    main()

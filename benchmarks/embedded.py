"""The embedded model: whole files, single frames, many streams, and what bf16 costs.

    python benchmarks/embedded.py [--seconds 20] [--rounds 5]

One thread, processor time, best of the rounds; 6 kbps. Quality is that of the speech clips in
benchmarks/clips, which the model was not trained on.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from speed import alternate, decode, encode, precisions, split, title
from torch import Tensor

from ncodec import load_model
from ncodec.metrics import pesq_wb
from ncodec.models.base import CompressionModel

CODEBOOKS = 8
STREAMS = 64
CLIPS = sorted((Path(__file__).parent / "clips").glob("speech_*.flac"))


def models() -> dict[str, CompressionModel]:
    both = precisions(load_model(), load_model())
    for model in both.values():
        model.set_num_codebooks(CODEBOOKS)
    return both


def speed(model: CompressionModel, seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    """Blocks of one second, as files are coded; then frame by frame."""
    audio = 0.1 * torch.randn(1, 1, int(seconds * model.sample_rate))
    second = audio[..., : model.sample_rate]
    chunks = encode(model, audio, model.sample_rate)
    frames = split(chunks, 1)[: round(model.frame_rate)]
    times = alternate(
        {
            "encode": lambda: encode(model, audio, model.sample_rate),
            "decode": lambda: decode(model, chunks),
            "encode frames": lambda: encode(model, second, model.hop),
            "decode frames": lambda: decode(model, frames),
        },
        rounds,
    )
    for way in ("encode", "decode"):
        yield f"whole file, {way}", f"{seconds / times[way]:.0f}x real time"
    there, back = times["encode frames"], times["decode frames"]
    detail = f"{there:.3f} + {back:.3f}"
    yield "one frame at a time, encode + decode", f"{there + back:.3f} of real time ({detail})"


def many(model: CompressionModel, rounds: int) -> Iterator[tuple[str, str]]:
    """Streams side by side against one after another, frame by frame."""
    audio = 0.1 * torch.randn(STREAMS, 1, 10 * model.hop)
    together = encode(model, audio, model.hop)
    alone = [encode(model, one[None], model.hop) for one in audio]
    times = alternate(
        {
            "encode": lambda: encode(model, audio, model.hop),
            "encode alone": lambda: [encode(model, one[None], model.hop) for one in audio],
            "decode": lambda: decode(model, together),
            "decode alone": lambda: [decode(model, one) for one in alone],
        },
        rounds,
    )
    for way in ("encode", "decode"):
        ratio = times[f"{way} alone"] / times[way]
        yield f"{STREAMS} streams frame by frame, {way}", f"{ratio:.1f}x one by one"
    codes = torch.cat([torch.cat([chunk.codes for chunk in one], dim=2) for one in alone])
    same = (torch.cat([chunk.codes for chunk in together], dim=2) == codes).float().mean()
    yield f"codes of {STREAMS} streams equal to one's", f"{100 * same:.2f} %"


def quality(both: dict[str, CompressionModel]) -> Iterator[tuple[str, str]]:
    """How bf16 changes codes and PESQ."""
    codes, scores = dict[str, list[Tensor]](), dict[str, list[float]]()
    for name, model in both.items():
        codes[name], scores[name] = [], []
        for path in CLIPS:
            samples, rate = soundfile.read(path, dtype="float32")
            original = np.asarray(samples, np.float32)
            assert rate == model.sample_rate
            found, _ = model.encode(torch.from_numpy(original)[None, None])
            decoded = model.decode(found)[0, 0, : len(original)].numpy()
            codes[name].append(found)
            scores[name].append(pesq_wb(original, decoded, rate))
    exact, *lower = (torch.cat(codes[name], dim=2) for name in both)
    for low, layer in itertools.product(lower, (0, CODEBOOKS - 1)):
        same = (exact[:, layer] == low[:, layer]).float().mean()
        yield f"bf16: codes of codebook {layer + 1} as in float32", f"{100 * same:.1f} %"
    for name, values in scores.items():
        yield f"{name}: PESQ, mean of {len(values)} clips", f"{np.mean(values):.3f}"


def rows(seconds: float, rounds: int) -> Iterator[tuple[str, str]]:
    both = models()
    for name, model in both.items():
        for work, result in speed(model, seconds, rounds):
            yield f"embedded, {name}: {work}", result
    yield from many(both["float32"], max(1, rounds // 2))
    yield from quality(both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the audio")
    parser.add_argument("--rounds", type=int, default=5, help="alternating repetitions")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(title())
    with torch.no_grad():  # weights made in inference mode are packed anew on each call
        for work, result in rows(args.seconds, args.rounds):
            print(f"| {work} | {result} |", flush=True)


if __name__ == "__main__":
    main()

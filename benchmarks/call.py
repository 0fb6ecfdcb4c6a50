"""Calls over a simulated bad line: delay from mouth to ear, speech quality, bitrate.

    python benchmarks/call.py [--clips speech_1 speech_2 ...] [--loss 10] [--jitter 20] [--seeds 2]

Loss in per cent, jitter the mean in ms of a gamma distribution of shape 2. Time is simulated: what
the codec takes is not in the delays, and stands beside them as a share of real time, both
directions of one side. PESQ is told against that of the codec without a line: `[...]`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

import ncodec
from ncodec.audio import Samples
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.metrics.perceptual import pesq_wb
from ncodec.models.base import CompressionModel
from ncodec.net.bad_line import Conditions
from ncodec.net.simulation import simulate

CLIPS = Path(__file__).parent / "clips"
COPIES: tuple[tuple[int, int] | None, ...] = ((4, 0), (4, 1), (2, 3), (4, 3), None)


def clean(model: CompressionModel, x: Samples) -> float:
    """Return the PESQ of the codec alone."""
    encoder = StreamEncoder(model, sample_rate=model.sample_rate, channels=1, codebooks=8)
    decoder = StreamDecoder(model, encoder.header)
    y = np.concatenate(list(decoder.blocks(encoder.packets([x]), x.shape[1])), axis=1)
    return pesq_wb(x[0], y[0], model.sample_rate)


def row(model: CompressionModel, clips: list[tuple[Samples, float]], asked: Any) -> str:
    """Return a line of the table."""
    scores, ears, shares = list[float](), list[float](), list[np.ndarray]()
    bits, busy, sound = list[tuple[float, float, float]](), 0.0, 0.0
    many = asked.seeds if asked.conditions.loss or asked.conditions.jitter else 1
    for seed in range(asked.conditions.seed, asked.conditions.seed + many):
        for x, best in clips:
            conditions = Conditions(**{**vars(asked.conditions), "seed": seed})
            begin = time.process_time()
            heard = simulate(
                model, x, conditions, codebooks=8,
                packet_frames=asked.frames, redundancy=asked.copies,
            )  # fmt: skip
            busy += time.process_time() - begin
            sound += x.shape[1] / model.sample_rate
            ear = float(np.median(heard.delays))
            y = heard.samples[0, round(ear * model.sample_rate) :]
            count = min(len(y), x.shape[1])
            scores.append(pesq_wb(x[0, :count], y[:count], model.sample_rate) - best)
            ears.append(ear)
            counts = heard.listener.buffer.counts
            done = counts.missing, counts.late, counts.copies, heard.listener.concealed
            shares.append(np.array(done) / counts.places)
            bits.append(heard.talker.sent.kbps())
    lost, late, copied, concealed = 100 * np.mean(shares, axis=0)
    mean = float(np.mean([best for _, best in clips]))
    codes, with_copies, whole = np.mean(bits, axis=0)
    copies = "as reported" if asked.copies is None else f"{asked.copies[1]} x {asked.copies[0]}"
    return (
        f"| {asked.frames} | {copies} | {1000 * np.median(ears):.0f} ms | {lost:.1f} | {late:.1f} "
        f"| {copied:.1f} | {concealed:.1f} | {mean + np.mean(scores):.2f} [{np.mean(scores):+.2f}] "
        f"| {codes:.1f} | {with_copies:.1f} | {whole:.1f} | {busy / sound:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", nargs="+", default=["speech_1", "speech_2", "speech_3"])
    parser.add_argument("--loss", type=float, default=10.0)
    parser.add_argument("--jitter", type=float, default=20.0)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 3])
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = ncodec.load_model()
    clips = list[tuple[Samples, float]]()
    for clip in args.clips:
        path = CLIPS / f"{clip}.flac" if "/" not in clip else Path(clip)
        x = soundfile.read(path, dtype="float32", always_2d=True)[0].T[:1]
        clips.append((x, clean(model, x)))
    conditions = Conditions(
        loss=args.loss / 100, jitter=args.jitter / 1000, burst=args.burst, seed=args.seed
    )
    print(f"clean PESQ {np.mean([best for _, best in clips]):.2f}; {conditions}\n")
    print(
        "| frames | copies x layers | mouth to ear | lost % | late % | from copies % "
        "| concealed at first % | PESQ | kbps | with copies | with headers | CPU / real time |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for frames in args.frames:
        for copies in COPIES:
            asked = argparse.Namespace(
                frames=frames, copies=copies, conditions=conditions, seeds=args.seeds
            )
            print(row(model, clips, asked), flush=True)


if __name__ == "__main__":
    main()

"""Lose packets at random and in bursts: what concealment and redundancy are worth.

    python benchmarks/loss.py [--clips speech_1 speech_2 speech_3] [--bw 6] [--packet-ms 40]

Mean wideband PESQ of speech. "silence" and "repetition" of the last latent stand for what is
usually done; "live" is what a listener hears who cannot wait, "file" what `decompress --keep-going`
gives.
"""

from __future__ import annotations

import argparse
import io
import random
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import soundfile
from torch import Tensor

import ncodec
from ncodec.audio import Samples
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.codec.concealment import Concealer
from ncodec.metrics.perceptual import pesq_wb
from ncodec.models.base import CompressionModel
from ncodec_formats import EcdcReader, EcdcWriter

CLIPS = Path(__file__).parent / "clips"
PATTERNS = {
    "no loss": (0.0, 1),
    "10 %": (0.1, 1),
    "20 %": (0.2, 1),
    "10 % in bursts of 3": (0.1, 3),
    "20 % in bursts of 3": (0.2, 3),
}
REDUNDANCIES = (None, (1, 1), (2, 2), (4, 3))


class Silence(Concealer):
    """Silence in each gap."""

    def bridge(self, begin: int, count: int, gap: int, behind: Any) -> tuple[Tensor, Tensor | None]:
        """Return silence."""
        return self.silence(count)


class Repetition(Concealer):
    """The last latent for as long as the gap lasts."""

    def bridge(self, begin: int, count: int, gap: int, behind: Any) -> tuple[Tensor, Tensor | None]:
        """Return the last latent."""
        return super().bridge(0, 1, 1, None)[0].expand(-1, -1, count), None


def lost(count: int, share: float, burst: int, seed: int) -> list[bool]:
    """Draw lost packets from a two-state chain: a share of all, in bursts of a mean length."""
    dice = random.Random(seed)  # noqa: S311
    bad, drawn = False, list[bool]()
    for i in range(count):
        bad = dice.random() >= 1 / burst if bad else dice.random() < share / burst / (1 - share)
        drawn.append(bad and i > 2)
    return drawn


def encode(
    model: CompressionModel, x: Samples, args: argparse.Namespace, copies: tuple[int, int] | None
) -> tuple[bytes, list[bytes], bytes]:
    """Return header, what goes out with each packet, and the end."""
    frames = max(1, round(args.packet_ms / 1000 * model.sample_rate / model.hop))
    encoder = StreamEncoder(
        model, sample_rate=24000, channels=1, bandwidth=args.bw, packet_frames=frames
    )
    file, at, parts = io.BytesIO(), 0, list[bytes]()
    writer = EcdcWriter(file, encoder.header, redundancy=copies)
    header = file.getvalue()
    for packet in [*encoder.push(x), *encoder.finish()]:
        at = file.tell()
        writer.write(packet.codes, packet.scale)
        parts.append(file.getvalue()[at:])
    at = file.tell()
    writer.finish(x.shape[1])
    return header, parts, file.getvalue()[at:]


def decode(model: CompressionModel, data: bytes, kind: type[Concealer], *, live: bool) -> Samples:
    """Decode what arrived."""
    reader = EcdcReader(io.BytesIO(data), keep_going=True)
    with mock.patch("ncodec.codec.decoder.Concealer", kind):
        decoder = StreamDecoder(model, reader.header, gapless=not live)
    parts = [decoder.push(item) for item in reader]
    return np.concatenate([*parts, decoder.finish(reader.total_samples)], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", nargs="+", default=["speech_1", "speech_2", "speech_3"])
    parser.add_argument("--bw", type=float, default=6.0)
    parser.add_argument("--packet-ms", type=float, default=40.0)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    model = ncodec.load_model()
    paths = [CLIPS / f"{clip}.flac" if "/" not in clip else Path(clip) for clip in args.clips]
    clips = [soundfile.read(p, dtype="float32", always_2d=True)[0].T[:1] for p in paths]
    columns: list[tuple[str, type[Concealer], bool, tuple[int, int] | None]] = [
        ("silence", Silence, True, None),
        ("repetition", Repetition, True, None),
        ("live", Concealer, True, None),
        ("file", Concealer, False, None),
    ]
    columns += [(f"file, copies {c[0]},{c[1]}", Concealer, False, c) for c in REDUNDANCIES[1:] if c]
    coded = {c: [encode(model, x, args, c) for x in clips] for c in REDUNDANCIES}
    seconds = sum(x.shape[1] for x in clips) / 24000
    for copies, streams in coded.items():
        size = sum(len(head) + sum(map(len, parts)) for head, parts, _ in streams)
        print(f"copies {copies}: {size * 8 / 1000 / seconds:.2f} kbps with all overhead")
    print("\n| lost | " + " | ".join(name for name, *_ in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, (share, burst) in PATTERNS.items():
        cells = list[str]()
        for _, kind, live, copies in columns:
            scores = list[float]()
            for i, (x, (head, parts, tail)) in enumerate(zip(clips, coded[copies], strict=True)):
                for seed in range(args.seeds if share else 1):
                    gone = lost(len(parts), share, burst, 100 * i + seed)
                    kept = [part for part, bad in zip(parts, gone, strict=True) if not bad]
                    y = decode(model, b"".join([head, *kept, tail]), kind, live=live)
                    assert y.shape[1] >= x.shape[1]
                    scores.append(pesq_wb(x[0], y[0, : x.shape[1]], 24000))
            cells.append(f"{np.mean(scores):.2f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

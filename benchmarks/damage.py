"""Damage real files in every way: decoding must go on, tell the truth, and sound accordingly.

    python benchmarks/damage.py [--seeds 3] [--clips speech_1 music_1]

For each clip, bitrate and kind of damage (bits flipped, packets dropped, repeated or swapped, the
file cut), `keep_going` must decode, keep the timeline, count the loss exactly, and give the
undamaged packets' audio unchanged beyond the receptive field. Prints quality against damage; exits
1 on a fault.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

import ncodec
from ncodec.audio import Samples
from ncodec.codec import FileDecoder, compress
from ncodec.metrics.perceptual import pesq_wb
from ncodec.metrics.spectral import log_mel_distance
from ncodec.models.base import CompressionModel
from ncodec_formats import EcdcReader, Header, Packet, encode_packet

CLIPS = Path(__file__).parent / "clips"
RATES = (1.5, 3.0, 6.0, 12.0)
SHARES = (0.01, 0.05, 0.2)
PACKET_FRAMES = 6


@dataclass
class Coded:
    """A coded clip, taken apart: header, the bytes of each packet, and what ends the file."""

    header: Header
    packets: list[Packet]
    parts: list[bytes]
    tail: bytes

    @classmethod
    def of(cls, data: bytes) -> Coded:
        """Take a file apart that has packets of codes only."""
        reader = EcdcReader(io.BytesIO(data))
        packets = [item for item in reader if isinstance(item, Packet)]
        parts = [encode_packet(reader.header, packet) for packet in packets]
        begin = len(reader.header.to_bytes())
        assert data[begin:].startswith(b"".join(parts))
        tail = data[begin + sum(map(len, parts)) :]
        return cls(reader.header, packets, parts, tail)

    def joined(self, parts: list[bytes]) -> bytes:
        """Return a file of other packets."""
        return self.header.to_bytes() + b"".join(parts) + self.tail


@dataclass
class Case:
    """A damaged file and what must be found in it."""

    data: bytes
    damaged: set[int]
    """Packets whose audio may differ."""
    lost_frames: int | None = None
    lost_layers: int = 0
    late: int = 0
    shorter: bool = False


def flip(coded: Coded, count: int, dice: random.Random) -> Case:
    """Flip one bit in each of `count` packets."""
    parts, case = list(coded.parts), Case(b"", set(), 0)
    for i in dice.sample(range(len(parts)), count):
        at = dice.randrange(len(parts[i]) * 8)
        part = bytearray(parts[i])
        part[at // 8] ^= 1 << at % 8
        parts[i] = bytes(part)
        layers, _, frames = coded.packets[i].codes.shape
        size = (10 * frames * coded.header.streams + 7) // 8 + 1
        layer = (at // 8 - (len(part) - layers * size)) // size
        case.damaged.add(i)
        if layer <= 0:
            case.lost_frames = (case.lost_frames or 0) + frames
        else:
            case.lost_layers += layers - layer
    case.data = coded.joined(parts)
    return case


def drop(coded: Coded, count: int, dice: random.Random) -> Case:
    """Leave out `count` packets."""
    gone = set(dice.sample(range(len(coded.parts)), count))
    kept = [part for i, part in enumerate(coded.parts) if i not in gone]
    return Case(coded.joined(kept), gone, sum(coded.packets[i].frames for i in gone))


def repeat(coded: Coded, count: int, dice: random.Random) -> Case:
    """Write `count` packets twice."""
    twice = set(dice.sample(range(len(coded.parts)), count))
    parts = [part for i, p in enumerate(coded.parts) for part in ([p, p] if i in twice else [p])]
    return Case(coded.joined(parts), set(), 0, late=count)


def swap(coded: Coded, count: int, dice: random.Random) -> Case:
    """Swap `count` pairs of neighbours: the first of each comes too late."""
    parts, case = list(coded.parts), Case(b"", set(), 0, late=count)
    for pair in dice.sample(range(len(parts) // 2), count):
        i = 2 * pair
        parts[i], parts[i + 1] = parts[i + 1], parts[i]
        case.damaged.add(i)
        case.lost_frames = (case.lost_frames or 0) + coded.packets[i].frames
    case.data = coded.joined(parts)
    return case


def cut(coded: Coded, count: int, dice: random.Random) -> Case:
    """Cut the file off somewhere in its last `count` packets."""
    whole = coded.joined(coded.parts)
    body = whole[: len(whole) - len(coded.tail)]
    keep = len(body) - dice.randrange(1, count * len(coded.parts[0]))
    left = keep - len(coded.header.to_bytes())
    first = next(i for i, _ in enumerate(coded.parts) if sum(map(len, coded.parts[: i + 1])) > left)
    return Case(whole[:keep], set(range(first, len(coded.parts))), shorter=True)


KINDS: dict[str, Callable[[Coded, int, random.Random], Case]] = {
    "bits flipped": flip,
    "packets dropped": drop,
    "packets repeated": repeat,
    "packets swapped": swap,
    "end cut off": cut,
}


def check(case: Case, coded: Coded, whole: Samples, model: CompressionModel) -> Samples:
    """Decode; raise AssertionError where a promise is broken."""
    decoder = FileDecoder(io.BytesIO(case.data), model=model, keep_going=True)
    got = np.concatenate(list(decoder), axis=1)
    losses = decoder.damage[0].losses
    assert losses.late == case.late, f"late {losses.late}, not {case.late}"
    assert losses.truncated == case.shorter
    if case.lost_frames is not None:
        assert losses.frames == case.lost_frames, f"{losses.frames}, not {case.lost_frames}"
        assert losses.layers == case.lost_layers, f"{losses.layers}, not {case.lost_layers}"
    assert case.shorter or got.shape == whole.shape, "the timeline is not kept"
    same = np.ones(whole.shape[1], bool)
    for i in case.damaged:
        packet, header = coded.packets[i], coded.header
        first = packet.first_frame - header.postroll_frames
        last = packet.first_frame + packet.frames + header.preroll_frames
        same[max(first * header.hop, 0) : last * header.hop] = False
    same = same[: got.shape[1]]
    assert (got == whole[:, : got.shape[1]])[:, same].all(), "undamaged audio has changed"
    assert same.any() or case.shorter or len(case.damaged) > 5, "nothing was compared"
    filled = np.zeros_like(whole)
    filled[:, : got.shape[1]] = got
    return filled


def score(clip: str, x: Samples, y: Samples) -> tuple[float, float]:
    """Return PESQ, not a number but for speech, and the log mel distance."""
    quality = pesq_wb(x[0], y[0], 24000) if "speech" in clip else float("nan")
    return quality, log_mel_distance(x, y, 24000)


Scores = dict[tuple[str, float, float], list[tuple[float, float]]]


@dataclass
class Campaign:
    """All cases of all clips, and what came of them."""

    model: CompressionModel
    seeds: int
    scores: Scores = field(default_factory=Scores)
    cases: int = 0
    faults: int = 0

    def run(self, clip: str, bandwidth: float) -> None:
        """Damage one clip at one bitrate in all ways."""
        path, out = CLIPS / f"{clip}.flac", io.BytesIO()
        x = soundfile.read(path, dtype="float32", always_2d=True)[0].T
        compress(path, out, model=self.model, bandwidth=bandwidth, packet_frames=PACKET_FRAMES)
        coded = Coded.of(out.getvalue())
        decoder = FileDecoder(io.BytesIO(out.getvalue()), model=self.model)
        whole = np.concatenate(list(decoder), axis=1)
        self.note("none", bandwidth, 0.0, score(clip, x, whole))
        for kind, make in KINDS.items():
            for share in SHARES:
                count = max(1, round(share * len(coded.parts) / (2 if make is swap else 1)))
                for seed in range(self.seeds):
                    dice = random.Random(f"{clip}{kind}{share}{seed}")  # noqa: S311
                    self.cases += 1
                    try:
                        got = check(make(coded, count, dice), coded, whole, self.model)
                    except AssertionError as error:
                        self.faults += 1
                        print(f"FAULT: {clip}, {bandwidth} kbps, {kind}, {share}: {error}")
                        continue
                    if seed == 0:
                        self.note(kind, bandwidth, share, score(clip, x, got))

    def note(self, kind: str, rate: float, share: float, scores: tuple[float, float]) -> None:
        """Keep a score."""
        self.scores.setdefault((kind, rate, share), []).append(scores)

    def table(self) -> str:
        """Return quality against damage."""
        lines = ["| damage | share | " + " | ".join(f"{rate:g} kbps" for rate in RATES) + " |"]
        lines.append("|---|---|" + "---|" * len(RATES))
        for kind, share in [("none", 0.0), *((kind, share) for kind in KINDS for share in SHARES)]:
            cells = [np.nanmean(self.scores[kind, rate, share], axis=0) for rate in RATES]
            text = " | ".join(f"{pesq:.2f} / {mel:.2f}" for pesq, mel in cells)
            lines.append(f"| {kind} | {100 * share:g} % | {text} |")
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clips", nargs="+", default=["speech_1", "speech_2", "music_1"])
    args = parser.parse_args()
    campaign = Campaign(ncodec.load_model(), args.seeds)
    for clip in args.clips:
        for bandwidth in RATES:
            campaign.run(clip, bandwidth)
    print(f"{campaign.cases} damaged files, {campaign.faults} faults\n")
    print(campaign.table())
    print("\nPESQ (speech clips) / log mel distance in dB (all clips).")
    sys.exit(1 if campaign.faults else 0)


if __name__ == "__main__":
    main()

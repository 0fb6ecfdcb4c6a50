"""Predicted codes against packed ones: bytes, whole files, speed, and sound at equal bitrates.

    python benchmarks/prediction.py CORPUS [--only layers,files,speed,rates,effort]

CORPUS holds the recordings that `benchmarks/heldout.csv` names. Prints the tables that
docs/performance.md and docs/benchmarks.md have. Times are processor time of one thread, in turns,
best of the rounds.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from speed import alternate

import ncodec
from ncodec import metrics
from ncodec.audio import Resampler, read_audio
from ncodec.codec.options import EFFORTS
from ncodec_formats.bitrate import bits_of
from ncodec_formats.packet_runs import Run
from ncodec_formats.raw_links import raw_links
from ncodec_formats.wire import put_varint

HELD_OUT = Path(__file__).with_name("heldout.csv")
KINDS = "speech", "music", "sound"
ASKED = {1.5: 2, 3.0: 4, 6.0: 8, 12.0: 16}  # kbps and codebooks
RATE = 24000
Audio = NDArray[np.float32]


def main() -> None:
    parts: dict[str, Callable[[dict[str, list[Audio]]], Iterator[str]]] = {
        "layers": layers, "files": files, "speed": speed, "rates": rates, "effort": effort,
    }  # fmt: skip
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--only", default=",".join(parts), help="commas")
    parser.add_argument("--clips", type=int, default=16, help="of each kind")
    parser.add_argument("--seconds", type=float, help="of each clip, at most")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    most = None if arguments.seconds is None else round(arguments.seconds * RATE)
    found = clips(arguments.corpus, arguments.clips)
    heard = {kind: [sound[:most] for sound in sounds] for kind, sounds in found.items()}
    for name in arguments.only.split(","):
        print(f"\n{parts[name].__doc__}\n", flush=True)
        for line in parts[name](heard):
            print(line, flush=True)


def clips(corpus: Path, count: int) -> dict[str, list[Audio]]:
    """Return `count` recordings of each kind, of as many speakers and pieces as there are."""
    turns = dict[str, list[tuple[int, str]]]()
    seen = dict[tuple[str, str], int]()
    for row in csv.DictReader(HELD_OUT.open(encoding="utf-8")):
        key = row["kind"], row["speaker_or_piece"]
        seen[key] = seen.get(key, -1) + 1
        turns.setdefault(row["kind"], []).append((seen[key], row["path"]))
    return {
        kind: [_read(corpus / path) for _, path in sorted(turns[kind])[:count]] for kind in KINDS
    }


def _read(path: Path) -> Audio:
    samples, rate = read_audio(path)
    resampler = Resampler(rate, RATE, 1)
    mono = samples.mean(axis=0, keepdims=True)
    return np.concatenate([resampler.push(mono), resampler.finish()], axis=1)[0]


def layers(heard: dict[str, list[Audio]]) -> Iterator[str]:
    """Bytes of all layers, and with the bytes that say how long each is, as part of packed bits."""
    yield row("kbps of codes", (*KINDS, "all"))
    yield row("---", ["---"] * 4)
    counted = {kind: _total(map(_layer_bytes, sounds)) for kind, sounds in heard.items()}
    counted["all"] = _total(counted.values())
    for kbps, books in ASKED.items():
        cells = list[str]()
        for found in counted.values():
            coded, said, packed = found[:, :books].sum(axis=1)
            cells.append(f"{coded / packed:.3f}, {(coded + said) / packed:.3f}")
        yield row(f"{kbps:g}", cells)
    yield "\nBits a code, lengths not counted; packed: 10\n"
    yield row("layer", map(str, range(16)))
    yield row("---", ["---"] * 16)
    for kind, found in counted.items():
        yield row(kind, (f"{10 * coded / packed:.2f}" for coded, _, packed in found.T))


def _total(found: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.sum(list(found), axis=0)


def _layer_bytes(sound: Audio) -> NDArray[np.int64]:
    """Count bytes `[3, K]` of a recording's layers: predicted, of their lengths, and packed."""
    rows = list[NDArray[np.int64]]()
    for link in raw_links(io.BytesIO(written(sound, bandwidth=12))):
        widths = np.array([bits_of(size) for size in link.header.codebook_sizes])
        for item in link.items():
            assert not isinstance(item, Run)  # of unequal length
            if item.head is not None:
                said = [len(put_varint(length)) for length in item.head.lengths]
                packed = -(-item.head.frames * widths // 8)
                rows.append(np.array([item.head.lengths, said, packed]))
    return np.sum(rows, axis=0)


def files(heard: dict[str, list[Audio]]) -> Iterator[str]:
    """Whole files of a minute: real kbps, and as part of the file with packed codes."""
    yield row("--bw", (*KINDS, "all"))
    yield row("---", ["---"] * 4)
    minutes = {kind: minute(sounds) for kind, sounds in heard.items()}
    for kbps in ASKED:
        sizes = np.array(
            [
                [len(written(sound, bandwidth=kbps, entropy=e)) for e in ("auto", "none")]
                for sound in minutes.values()
            ]
        )
        sizes = np.vstack([sizes, sizes.sum(axis=0)])
        real = sizes[:, 0] * 8 / 60e3 / np.array([1, 1, 1, len(KINDS)])
        parts = sizes[:, 0] / sizes[:, 1]
        yield row(f"{kbps:g}", (f"{r:.2f}, {p:.3f}" for r, p in zip(real, parts, strict=True)))


def speed(heard: dict[str, list[Audio]]) -> Iterator[str]:
    """Speed with predicted codes as part of that with packed ones; a minute of all kinds."""
    yield row("kbps of codes", ("compress: predicted, packed", "decompress: predicted, packed"))
    yield row("---", ["---"] * 2)
    sound = minute([one[: 5 * RATE] for few in zip(*heard.values(), strict=True) for one in few])
    for kbps in ASKED:
        times = _coded_in_turns(sound, kbps)
        yield row(f"{kbps:g}", (_times(times, way) for way in ("code", "play")))


def _coded_in_turns(sound: Audio, kbps: float) -> dict[str, float]:
    coded = {e: written(sound, bandwidth=kbps, entropy=e) for e in ("auto", "none")}
    works = dict[str, Callable[[], object]]()
    for entropy, data in coded.items():
        works[f"code {entropy}"] = partial(written, sound, bandwidth=kbps, entropy=entropy)
        works[f"play {entropy}"] = lambda data=data: ncodec.read(io.BytesIO(data))
    return alternate(works, rounds=5)


def _times(times: dict[str, float], way: str) -> str:
    mine, packed = times[f"{way} auto"], times[f"{way} none"]
    return f"{60 / mine:.0f}, {60 / packed:.0f} times real time: {packed / mine:.2f}"


def rates(heard: dict[str, list[Audio]]) -> Iterator[str]:
    """The sound of files with packed and with predicted codes at equal bitrates (`--rate`)."""
    names = ("speech: real kbps, PESQ-wb", "music: real kbps, ViSQOL", "sound: real kbps, ViSQOL")
    yield row("kbps, codes", names)
    yield row("---", ["---"] * 3)
    for kbps in (3, 6, 12):
        for entropy, called in (("none", "packed"), ("auto", "predicted")):
            cells = list[str]()
            for kind, sounds in heard.items():
                results = [
                    _sound(kind, sound, written(sound, file_rate=kbps, entropy=entropy))
                    for sound in sounds
                ]
                cells.append("{:.2f}, {:.3f}".format(*np.mean(results, axis=0)))
            yield row(f"{kbps} {called}", cells)


def effort(heard: dict[str, list[Audio]]) -> Iterator[str]:
    """Levels of `--effort`: kbps of files, how they sound, and how fast they are coded."""
    heads = "speech --bw 3: kbps, PESQ", "12", "6: kbps, PESQ, STOI, ViSQOL"
    yield row("level", (*heads, "music 6: kbps, ViSQOL", "sound 6", "coded at 6 kbps"))
    yield row("---", ["---"] * 6)
    for level in EFFORTS:
        cells = [_heard("speech", heard, level, kbps)[0] for kbps in (3, 12)]
        took = seconds = 0.0
        for kind in KINDS:
            cell, spent = _heard(kind, heard, level, 6)
            cells.append(cell)
            took, seconds = took + spent, seconds + sum(map(len, heard[kind])) / RATE
        yield row(level, (*cells, f"{seconds / took:.3g} times real time"))


def _heard(kind: str, heard: dict[str, list[Audio]], level: str, kbps: float) -> tuple[str, float]:
    """Return means of real kbps and of what hears that kind, and the time that coding took."""
    start = time.process_time()
    files = [written(sound, bandwidth=kbps, effort=level) for sound in heard[kind]]
    took = time.process_time() - start
    found = np.mean([_sound(kind, *p, kbps == 6) for p in zip(heard[kind], files, strict=True)], 0)
    return ", ".join(f"{x:.3f}" if n else f"{x:.2f}" for n, x in enumerate(found)), took


def _sound(kind: str, sound: Audio, data: bytes, whole: bool = False) -> tuple[float, ...]:
    """Return a file's real kbps, and how it sounds, by all measures of its kind if `whole`."""
    back, _ = ncodec.read(io.BytesIO(data))
    measures = [metrics.pesq_wb, metrics.stoi, metrics.visqol_speech]
    used = measures[: 3 if whole else 1] if kind == "speech" else [metrics.visqol_audio]
    kbps = len(data) * 8 * RATE / 1e3 / len(sound)
    return kbps, *(measure(sound, back, RATE) for measure in used)


def minute(sounds: Iterable[Audio]) -> Audio:
    """Join recordings to a minute."""
    joined = np.concatenate(list(sounds))
    return np.resize(joined, 60 * RATE)


def written(sound: Audio, **how: object) -> bytes:
    """Code a recording, as `ncodec compress` does."""
    file = io.BytesIO()
    ncodec.write(file, sound, RATE, **how)  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def row(first: str, cells: Iterable[str]) -> str:
    return f"| {first} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

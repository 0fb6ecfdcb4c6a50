"""How near generated sound is to real sound, in statistics: what that says and what it does not.

Frechet distances compare the statistics of seconds, by kind, and never one sound with another.
They mean something beside yardsticks only, which are measured in the same way and with as many
seconds: held-out sound and halves of the real set (as near as it gets), its frames in random order,
and codes drawn one by one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from ncodec.bench.code_measures import (
    Bits,
    Copies,
    count_bits,
    find_copies,
    loops_a_minute,
    model_bits,
)
from ncodec.bench.sound_sets import Heard, Piece, hear, read_pieces, together
from ncodec.errors import ArgumentError
from ncodec.lm import GenModel
from ncodec.metrics import frechet_distance, real_time
from ncodec.models.base import CompressionModel

SILENT_DB = -60.0
"""Level under which a second counts as silent, dB full scale."""
_LEAST = 16
"""Seconds of a kind that a distance needs."""
_MOST_FRAMES = 45_000
"""Of the real set, ten minutes at 75 a second: more would only take longer."""

Sets = Mapping[str, list[Piece]]


@dataclass(frozen=True)
class Distances:
    """Frechet distances of a set to the real one.

    Attributes:
        who: Which set.
        seconds: That were compared, the same of all.
        latent: Of means and deviations of the codec's latents in 1 s.
        order: Of how latents change within 3 s; NaN where nothing is as long.
        mel: Of means and deviations of log-mels in 1 s.
    """

    who: str
    seconds: int
    latent: float
    order: float
    mel: float


@dataclass(frozen=True)
class Habits:
    """What generated sound does now and then.

    Attributes:
        who: Which set.
        silent: Share of silent seconds.
        loops: Loops a minute.
        seams: Change of log-mels at seams, against that at other places; NaN without seams.
        copies: Of the real set.
    """

    who: str
    silent: float
    loops: float
    seams: float
    copies: Copies


@dataclass(frozen=True)
class KindFound:
    """All figures of a kind of sound.

    Attributes:
        kind: "" where nothing tells.
        distances: The generated set's first, then the yardsticks'.
        habits: Of the generated set, and of what was held out.
        bits: Of what was held out.
    """

    kind: str
    distances: tuple[Distances, ...]
    habits: tuple[Habits, ...]
    bits: tuple[Bits, ...]


@dataclass(frozen=True)
class Speed:
    """Processor time of generation.

    Attributes:
        guidance: That it was made with.
        real_time: Seconds of sound a second, decoding included.
    """

    guidance: float
    real_time: float


@dataclass(frozen=True)
class Sources:
    """Sets of sound: files, folders and manifests.

    Attributes:
        generated: What was made; may be empty.
        real: What it shall be like, as what the model learned from. Copies are looked for there.
        held_out: Real sound that the model did not hear; may be empty.
    """

    generated: Sequence[Path]
    real: Sequence[Path]
    held_out: Sequence[Path] = ()


@dataclass(frozen=True)
class Options:
    """How it is measured.

    Attributes:
        codebooks: Of the codec, from the first on; None: as many as the language model has, or 4.
        seam: Seconds between places where windows moved on; None: there are none.
        seconds: To be generated for the speed.
    """

    codebooks: int | None = None
    seam: float | None = None
    seconds: float = 10.0


def measure_generation(
    sources: Sources,
    codec: CompressionModel,
    model: GenModel | None = None,
    options: Options = Options(),
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[KindFound, ...]:
    """Compare sets of sound.

    Args:
        sources: The sets.
        codec: By whose codes and latents.
        model: A language model whose bits are counted; its codec must be `codec`.
        options: How it is measured.
        progress: Told what is being done.

    Raises:
        ArgumentError: A set has no sound, or too little of a kind.
        BadFileError: A file cannot be read.
    """
    books = options.codebooks or (model.lm.num_codebooks if model else 4)
    if model is not None and (model.lm.num_codebooks != books or model.audio_channels != 1):
        raise ArgumentError(f"{model.name}: must be mono, and of {books} codebooks as is measured")
    sets = dict[str, Sets]()
    for field in fields(Sources):
        progress(f"coding the {field.name} set")
        paths: Sequence[Path] = getattr(sources, field.name)
        sets[field.name] = read_pieces(paths, codec, books) if paths else {}
    found = list[KindFound]()
    for kind in sorted(sets["real"]):
        progress(f"measuring {kind or 'sound of no kind'}")
        found.append(_measure_kind(kind, sets, codec, model, options))
    return tuple(found)


def _measure_kind(
    kind: str,
    sets: Mapping[str, Sets],
    codec: CompressionModel,
    model: GenModel | None,
    options: Options,
) -> KindFound:
    made, real, held = (sets[field.name].get(kind, []) for field in fields(Sources))
    bits = list[Bits]()
    if held:
        bits += count_bits(held, real, codec.cardinality)
    if held and model is not None:
        ways = (False, True) if model.lm.tags is not None else (False,)
        bits += [model_bits(model.lm, held, told=told) for told in ways]
    named = (("generated", made, options.seam), ("held out", held, None))
    habits = [_habits(who, x, real, codec, seam) for who, x, seam in named if x]
    distances = _distances(kind, sets, codec)
    return KindFound(kind, distances, tuple(habits), tuple(bits))


def _distances(
    kind: str, sets: Mapping[str, Sets], codec: CompressionModel
) -> tuple[Distances, ...]:
    rng = np.random.default_rng(0)

    def heard(pieces: Sequence[Piece]) -> Heard:
        return together([hear(piece, codec) for piece in pieces])

    made, all_real, held = (sets[field.name].get(kind, []) for field in fields(Sources))
    real = _some(all_real, rng)
    whole = together(parts := [hear(piece, codec) for piece in real])
    first, second = (together([parts[i] for i in half]) for half in _halves(real))
    asked = [(who, heard(x), whole) for who, x in (("generated", made), ("held out", held)) if x]
    asked += [
        ("halves of the real set", first, second),
        ("its frames in random order", heard(_shuffled(real, rng)), whole),
        ("codes drawn by their counts", heard(_drawn(real, rng)), whole),
    ]
    others = ((k, v) for k, v in sets["real"].items() if k != kind)
    asked += [(f"{name} instead", heard(_some(pieces, rng)), whole) for name, pieces in others]
    # As many seconds on both sides of each: the fewest that any has.
    count = min(min(len(a.latent), len(b.latent)) for _, a, b in asked)
    if count < _LEAST:
        raise ArgumentError(f"{count} s of {kind or 'a set'}: {_LEAST} s or more can be compared")
    return tuple(_compared(who, a, b, count) for who, a, b in asked)


def _some(pieces: Sequence[Piece], rng: np.random.Generator) -> list[Piece]:
    """Return pieces of `_MOST` frames together, if there are so many."""
    kept, left = list[Piece](), _MOST_FRAMES
    for i in rng.permutation(len(pieces)):
        if left > 0:
            kept.append(pieces[i])
            left -= pieces[i].codes.shape[1]
    return kept


def _compared(who: str, a: Heard, b: Heard, count: int) -> Distances:
    values = dict[str, float]()
    for part in fields(Heard):
        x, y = getattr(a, part.name), getattr(b, part.name)
        rng = np.random.default_rng(1)
        some = min(count, len(x), len(y))
        x, y = (side[rng.permutation(len(side))[:some]] for side in (x, y))
        values[part.name] = frechet_distance(x, y) if some >= _LEAST else math.nan
    return Distances(who, count, **values)


def _halves(pieces: Sequence[Piece]) -> tuple[list[int], list[int]]:
    """Part the pieces by group (speaker or piece), the longest first, so that both are as long."""
    groups: dict[str, list[int]] = {}
    for number, piece in enumerate(pieces):
        groups.setdefault(piece.group, []).append(number)
    frames = {k: sum(pieces[i].codes.shape[1] for i in group) for k, group in groups.items()}
    sides: tuple[list[int], list[int]] = ([], [])
    totals = [0, 0]
    for name in sorted(groups, key=lambda name: -frames[name]):
        side = totals.index(min(totals))
        sides[side].extend(groups[name])
        totals[side] += frames[name]
    if not sides[1]:
        raise ArgumentError(f"{pieces[0].name}: the real set must have more than one recording")
    return sides


def _shuffled(pieces: Sequence[Piece], rng: np.random.Generator) -> list[Piece]:
    """Draw whole frames from all of a set."""
    pool = torch.cat([p.codes for p in pieces], dim=1)
    order = torch.from_numpy(rng.permutation(pool.shape[1]))
    parts = pool[:, order].split([p.codes.shape[1] for p in pieces], dim=1)
    return [replace(p, codes=part) for p, part in zip(pieces, parts, strict=True)]


def _drawn(pieces: Sequence[Piece], rng: np.random.Generator) -> list[Piece]:
    """Draw each code from all of its codebook in a set."""
    pool = torch.cat([p.codes for p in pieces], dim=1).numpy()
    sizes = (p.codes.shape[1] for p in pieces)
    rows = (np.stack([rng.choice(row, size) for row in pool]) for size in sizes)
    return [replace(p, codes=torch.from_numpy(x)) for p, x in zip(pieces, rows, strict=True)]


def _habits(
    who: str, pieces: list[Piece], real: list[Piece], codec: CompressionModel, seam: float | None
) -> Habits:
    rate = round(codec.frame_rate)
    heard = together([hear(piece, codec) for piece in pieces])
    bands = heard.mel.shape[1] // 2
    silent = float((heard.mel[:, :bands].max(1) < SILENT_DB).mean())
    copies = find_copies(pieces, real, rate)
    seams = math.nan if seam is None else seam_ratio(pieces, codec, seam)
    return Habits(who, silent, loops_a_minute(pieces, rate), seams, copies)


@torch.inference_mode()
def seam_ratio(pieces: Sequence[Piece], codec: CompressionModel, seam: float) -> float:
    """Return how far latents move at seams, `seam` seconds apart, against all other frames.

    1 is no seam to be found. The distance is that of the mean latents of 8 frames on both sides.

    Raises:
        ArgumentError: Nothing is long enough to have one.
    """
    at, other, width = list[float](), list[float](), 8
    step = round(seam * codec.frame_rate)
    for piece in pieces:
        z = codec.decode_latent(piece.codes[None])[0].numpy()
        for place in range(width, z.shape[1] - width):
            move = z[:, place : place + width].mean(1) - z[:, place - width : place].mean(1)
            (other if place % step else at).append(float(np.linalg.norm(move)))
    if not at:
        raise ArgumentError(f"seam {seam:g} s: nothing that was made is longer")
    return float(np.median(at) / np.median(other))


def measure_speed(model: GenModel, description: str | None, seconds: float) -> tuple[Speed, ...]:
    """Time generation on this processor, with the model's guidance and without."""
    found = list[Speed]()
    usual = model.lm.config.guidance if description is not None else 1.0
    for guidance in dict.fromkeys((usual, 1.0)):
        model.set_generation_params(duration=seconds, cfg_coef=guidance, seed=1)
        began = time.process_time()
        model.generate([description])
        took = time.process_time() - began
        found.append(Speed(guidance, real_time(seconds, [took])))
    return tuple(found)


def to_markdown(found: Sequence[KindFound], speeds: Sequence[Speed] = ()) -> str:
    """Return tables of all figures."""
    lines = list[str]()
    for kind in found:
        lines += [f"## {kind.kind or 'sound of no kind'}", ""]
        lines += _distance_lines(kind.distances) if kind.distances else ["too little for distances"]
        lines += ["", *_habit_lines(kind.habits)]
        lines += ["", *_bit_lines(kind.bits)] if kind.bits else []
        lines.append("")
    if speeds:
        lines += ["| guidance | seconds of sound a second of one thread |", "| ---: | ---: |"]
        lines += [f"| {speed.guidance:g} | {speed.real_time:.2f} |" for speed in speeds]
    return "\n".join(lines).rstrip("\n") + "\n"


def _distance_lines(found: Sequence[Distances]) -> list[str]:
    return [
        "| Frechet distance to the real set | seconds | latents, 1 s | their order, 3 s "
        "| log-mels, 1 s |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {d.who} | {d.seconds} | {d.latent:.3f} | {d.order:.3f} | {d.mel:.3f} |"
            for d in found
        ),
    ]


def _habit_lines(found: Sequence[Habits]) -> list[str]:
    lines = [
        "| set | silent seconds | loops a minute | change at seams | best match in the real set, "
        "median | 99 % | with the second code | longest copy, frames |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for h in found:
        c = h.copies
        seams = "" if math.isnan(h.seams) else f"{h.seams:.2f}"
        row = f"| {h.who} | {h.silent:.0%} | {h.loops:.1f} | {seams} "
        lines.append(row + f"| {c.median:.2f} | {c.high:.2f} | {c.both:.2f} | {c.run} |")
    return lines


def _bit_lines(found: Sequence[Bits]) -> list[str]:
    books = len(found[0].codebooks)
    each = " | ".join(f"code {k + 1}" for k in range(books))
    return [
        f"| bits a frame of what was held out | all | where code 1 moves | {each} |",
        "| --- " + "| ---: " * (books + 2) + "|",
        *(
            f"| {b.who} | {b.all:.2f} | {b.moving:.2f} | "
            + " | ".join(f"{x:.2f}" for x in b.codebooks)
            + " |"
            for b in found
        ),
    ]

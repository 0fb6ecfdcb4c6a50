"""What codes alone tell: copies of training clips, loops, and how predictable they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ncodec.bench.sound_sets import Piece
from ncodec.lm import LMModel

Codes = NDArray[np.int64]
LONGEST_LOOP = 2.0
"""Seconds of a turn of a loop, at most."""
_MIX = 0.5  # part of order 1 that its own count of a pair is sure of, against order 0


@dataclass(frozen=True)
class Copies:
    """How much of what was made lies in the training set, second by second.

    Attributes:
        median: Share of equal first codes in the best place of all training sound.
        high: The 99th percentile of the same.
        both: Largest share of equal first and second codes together.
        run: Longest run of frames whose first two codes are those of a place there.
        windows: Seconds that were looked at; those that mostly repeat one code are left out.
    """

    median: float
    high: float
    both: float
    run: int
    windows: int


def find_copies(
    pieces: Sequence[Piece], real: Sequence[Piece], frames: int, most: int = 200
) -> Copies:
    """Look for each second of `pieces`, `frames` long, at every place of `real`."""
    apart = np.full((2, frames), -1)
    corpus = np.concatenate([x for p in real for x in (p.codes[:2].numpy(), apart)], axis=1)
    single, pairs = _Places(corpus[0]), _Places(_paired(corpus))
    first, second, run = list[float](), list[float](), 0
    for window in _windows(pieces, frames, most):
        first.append(single.best(window[0]) / frames)
        second.append(pairs.best(paired := _paired(window)) / frames)
        run = max(run, pairs.longest(paired))
    if not first:
        return Copies(math.nan, math.nan, math.nan, 0, 0)
    high = float(np.percentile(first, 99))
    return Copies(float(np.median(first)), high, max(second), run, len(first))


class _Places:
    """Where each value is in a long row."""

    def __init__(self, row: Codes) -> None:
        self._order = np.argsort(row, kind="stable")
        self._sorted = row[self._order]

    def _offsets(self, window: Codes) -> tuple[Codes, Codes]:
        """Return the places at which a window would have to lie, and the frames that say so."""
        low, high = (np.searchsorted(self._sorted, window, side) for side in ("left", "right"))
        parts = [self._order[a:b] - i for i, (a, b) in enumerate(zip(low, high, strict=True))]
        numbers = np.repeat(np.arange(len(window)), high - low)
        return np.concatenate(parts), numbers

    def best(self, window: Codes) -> int:
        """Return the most frames that are the same, of all places."""
        places, _ = self._offsets(window)
        return int(np.bincount(places + len(window)).max()) if len(places) else 0

    def longest(self, window: Codes) -> int:
        """Return the longest run of frames that are the same, of all places."""
        places, frames = self._offsets(window)
        order = np.lexsort((frames, places))
        places, frames = places[order], frames[order]
        broken = (np.diff(places) != 0) | (np.diff(frames) != 1)
        ends = np.flatnonzero(np.concatenate([[True], broken, [True]]))
        return int(np.diff(ends).max()) if len(places) else 0


def _paired(codes: Codes) -> Codes:
    """Return one number for the first two codes of a frame, below 0 between recordings."""
    return codes[0] * (1 << 20) + codes[1]


def _windows(pieces: Sequence[Piece], frames: int, most: int) -> list[Codes]:
    found = [
        piece.codes[:2, at : at + frames].numpy()
        for piece in pieces
        for at in range(0, piece.codes.shape[1] - frames + 1, frames)
    ]
    moving = [x for x in found if np.mean(x[0, 1:] == x[0, :-1]) <= 0.5]
    step = max(1, len(moving) // most)
    return moving[::step][:most]


def loops_a_minute(pieces: Sequence[Piece], frames: int) -> float:
    """Count how often a second's first two codes are those of a time shortly before it."""
    events, total = 0, 0
    for piece in pieces:
        x = piece.codes[:2].numpy()
        total += x.shape[1]
        at = frames
        while at + frames <= x.shape[1]:
            window = x[:, at : at + frames]
            lags = range(2, min(at, round(LONGEST_LOOP * frames)) + 1)
            found = any(
                (window == x[:, at - lag : at - lag + frames]).all(0).mean() > 0.9 for lag in lags
            )
            events += found
            at += frames if found else frames // 5
    return 60 * frames * events / max(1, total)


@dataclass(frozen=True)
class Bits:
    """Bits a frame, all codebooks together.

    Attributes:
        who: What predicts.
        all: Of all frames.
        moving: Of those whose first code is not that of the frame before.
        codebooks: Of all frames, codebook by codebook.
    """

    who: str
    all: float
    moving: float
    codebooks: tuple[float, ...]


def count_bits(pieces: Sequence[Piece], training: Sequence[Piece], bins: int) -> tuple[Bits, Bits]:
    """Return what counts of `training` predict: of single codes, and of pairs in time."""
    books = len(pieces[0].codes)
    zero, one = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
    for k in range(books):
        counts = np.full(bins, 0.5)
        pairs = np.zeros(bins * bins)
        for piece in training:
            x = piece.codes[k].numpy()
            counts += np.bincount(x, minlength=bins)
            pairs += np.bincount(x[:-1] * bins + x[1:], minlength=bins * bins)
        alone, pairs = counts / counts.sum(), pairs.reshape(bins, bins)
        seen = pairs.sum(1)
        sure = seen / (seen + bins * _MIX / 8)
        zero.append(np.concatenate([-np.log2(alone[p.codes[k].numpy()]) for p in pieces]))
        parts = list[NDArray[np.float64]]()
        for piece in pieces:
            x = piece.codes[k].numpy()
            before, now = x[:-1], x[1:]
            share = pairs[before, now] / np.maximum(seen[before], 1)
            mixed = sure[before] * share + (1 - sure[before]) * alone[now]
            parts.append(np.concatenate([-np.log2(alone[x[:1]]), -np.log2(mixed)]))
        one.append(np.concatenate(parts))
    moving = np.concatenate([_moving(piece) for piece in pieces])
    return _bits("order 0", np.array(zero), moving), _bits("order 1", np.array(one), moving)


@torch.inference_mode()
def model_bits(
    model: LMModel, pieces: Sequence[Piece], *, told: bool, seconds: float = 8.0
) -> Bits:
    """Return what a language model predicts, in stretches; with the words it knows of each."""
    stretch = round(seconds * float(model.config.frame_rate))
    rows, moving = list[NDArray[np.float64]](), list[NDArray[np.bool_]]()
    for piece in pieces:
        words = piece.words.lower().split()
        tags = tuple(tag for tag in model.config.tags if tag in words) if told else ()
        conditions = None if model.tags is None else model.tag_conditions([tags])
        for part, fresh in zip(
            piece.codes.split(stretch, dim=1),
            np.split(_moving(piece), range(stretch, piece.codes.shape[1], stretch)),
            strict=True,
        ):
            if part.shape[1] < 4 * len(part):
                continue
            predicted = model.compute_predictions(part[None], conditions)
            logits = predicted.logits.permute(0, 3, 1, 2)
            each = F.cross_entropy(logits, part[None], reduction="none")[0] / math.log(2)
            whole = predicted.mask[0].all(0).numpy()
            rows.append(each.numpy()[:, whole])
            moving.append(fresh[whole])
    who = f"{model.name}, told its tags" if told else f"{model.name}, told nothing"
    return _bits(who, np.concatenate(rows, axis=1), np.concatenate(moving))


def _moving(piece: Piece) -> NDArray[np.bool_]:
    x = piece.codes[0].numpy()
    return np.concatenate([[True], x[1:] != x[:-1]])


def _bits(who: str, each: NDArray[np.float64], moving: NDArray[np.bool_]) -> Bits:
    books = tuple(float(x) for x in each.mean(1))
    fresh = float(each[:, moving].sum(0).mean()) if moving.any() else math.nan
    return Bits(who, float(each.sum(0).mean()), fresh, books)

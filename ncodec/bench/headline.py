"""What a comparison says in a sentence a kind of sound, and at which bitrates codecs are equal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ncodec.bench.measures import MEASURES, Measure, leading
from ncodec.bench.quality import Row
from ncodec.bench.summary import FEW, Point, estimate, points
from ncodec.errors import counted

TYPICAL_KBPS = 6.0
"""The rate that a sentence is about: each codec's nearest to it, by what was asked of it."""


def headlines(rows: Sequence[Row]) -> list[str]:
    """Return a sentence a kind of sound: the first codec beside each other one, then equal quality.

    Differences are taken recording by recording, since all codecs had the same ones.
    """
    found = points(rows)
    return [
        line for kind in dict.fromkeys(p.kind for p in found) if (line := _line(rows, found, kind))
    ]


def _line(rows: Sequence[Row], found: Sequence[Point], kind: str) -> str | None:
    here = [p for p in found if p.kind == kind]
    measure = _measure(here, kind)
    if measure is None:
        return None
    first, *others = [_typical(of_one) for of_one in _by_codec(here).values()]
    parts = [
        f"{kind.capitalize()} at {first.setting:g} kbps: {measure.title} "
        f"{_score(first, measure)} for {first.codec} ({first.kbps.mean:.1f} kbps in all)"
    ]
    for other in others:
        text = f"{_score(other, measure)} for {other.codec} ({other.kbps.mean:.1f})"
        parts.append(text + _difference(rows, first, other, measure))
    count = len({row.file for row in rows if row.kind == kind})
    recordings = counted(count, "recording")
    too_few = ": too few to tell codecs apart" if others else ": too few for an interval"
    few = too_few if count < FEW else ""
    return f"{', '.join(parts)}. {recordings}{few}.{_equal(here, measure)}"


def _by_codec(here: Sequence[Point]) -> dict[str, list[Point]]:
    found = dict[str, list[Point]]()
    for point in here:
        found.setdefault(point.codec, []).append(point)
    return found


def _measure(here: Sequence[Point], kind: str) -> Measure | None:
    by_key = {m.key: m for m in MEASURES}
    wanted = [leading(kind), "visqol_speech", "log_mel"]
    return next((by_key[key] for key in wanted if all(key in p.values for p in here)), None)


def _typical(here: Sequence[Point]) -> Point:
    return min(here, key=lambda p: abs(math.log(p.setting / TYPICAL_KBPS)))


def _score(point: Point, measure: Measure) -> str:
    return f"{point.values[measure.key].mean:.{measure.digits}f}"


def _difference(rows: Sequence[Row], first: Point, other: Point, measure: Measure) -> str:
    """Write the mean difference in pairs, with its interval where there are recordings enough."""
    mine, theirs = (
        {
            row.file: row.values[measure.key]
            for row in rows
            if (row.kind, row.codec, row.setting) == (p.kind, p.codec, p.setting)
            and measure.key in row.values
        }
        for p in (first, other)
    )
    pairs = estimate([mine[file] - theirs[file] for file in mine if file in theirs])
    if pairs is None or pairs.margin is None:
        return ""
    apart = "" if abs(pairs.mean) > pairs.margin else ", not told apart"
    digits = measure.digits
    return f" [difference {pairs.mean:+.{digits}f} \u00b1 {pairs.margin:.{digits}f}{apart}]"


def _equal(here: Sequence[Point], measure: Measure) -> str:
    if measure.better != "higher":
        return ""
    by_codec = _by_codec(here)
    first, *others = by_codec
    texts = [
        f"{factor:.2f} of {other}'s bitrate"
        for other in others
        if (factor := rate_for_equal_quality(by_codec[first], by_codec[other], measure.key))
    ]
    return f" Equal {measure.title} at {', '.join(texts)}." if texts else ""


def rate_for_equal_quality(mine: Sequence[Point], other: Sequence[Point], key: str) -> float | None:
    """Return the mean factor of my bitrate to the other's at equal quality.

    The area between the curves of logarithm of bitrate over quality, in the range that both reach,
    as in Bjontegaard (VCEG-M33, 2001), with straight lines between the points. None where the
    curves share no range.
    """
    curves = [_curve(found, key) for found in (mine, other)]
    if any(len(quality) < 2 for quality, _ in curves):
        return None
    low = max(quality[0] for quality, _ in curves)
    high = min(quality[-1] for quality, _ in curves)
    if high <= low:
        return None
    at = np.linspace(low, high, 101)
    a, b = (np.interp(at, quality, rate) for quality, rate in curves)
    return float(np.exp(np.mean(a - b)))


def _curve(found: Sequence[Point], key: str) -> tuple[list[float], list[float]]:
    """Quality, rising, and the logarithm of the rate that buys it; what is dearer and no better
    is left out.
    """
    quality, rate = list[float](), list[float]()
    for point in sorted(found, key=lambda p: p.kbps.mean):
        value = point.values[key].mean
        if not quality or value > quality[-1]:
            quality.append(value)
            rate.append(math.log(point.kbps.mean))
    return quality, rate

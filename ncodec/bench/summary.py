"""Rows to points: means over recordings with confidence intervals, and the use of codebooks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncodec.bench.quality import Row
from ncodec.metrics import CodebookStatistics, codebook_statistics

FEW = 5
"""Below so many recordings there is no interval: it would say more of chance than of the codec."""

# Student's t, 97.5 % quantile, for 4 to 30 degrees of freedom (NIST/SEMATECH, 1.3.6.7.2).
_T = (
    *(2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120),
    *(2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045),
    2.042,
)


@dataclass(frozen=True)
class Estimate:
    """A mean over recordings.

    Attributes:
        mean: of the finite values.
        margin: half of the 95 % confidence interval (Student's t); None for fewer than `FEW`.
        count: of the finite values.
        values: these themselves, where they are fewer than `FEW`.
    """

    mean: float
    margin: float | None
    count: int
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Point:
    """One codec at one rate on one kind of sound.

    Attributes:
        kind: of sound.
        codec: name.
        title: of the codec.
        setting: rate asked of the codec, kbps.
        kbps: mean real rate.
        values: an estimate per measure.
    """

    kind: str
    codec: str
    title: str
    setting: float
    kbps: Estimate
    values: dict[str, Estimate]


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return mean and confidence interval of the finite values; None if there is none."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return None
    count, mean = len(finite), float(np.mean(finite))
    if count < FEW:
        return Estimate(mean, None, count, tuple(finite))
    freedom = count - 1
    # Beyond the table, the first term of the quantile's expansion about the normal one.
    t = _T[freedom - 4] if freedom - 4 < len(_T) else 1.96 + 2.37 / freedom
    return Estimate(mean, t * float(np.std(finite, ddof=1)) / math.sqrt(count), count)


def points(rows: Sequence[Row]) -> list[Point]:
    """Return one point a kind, codec and setting; kinds and codecs in the order of the rows."""
    groups = dict[tuple[str, str, float], list[Row]]()
    for row in rows:
        groups.setdefault((row.kind, row.codec, row.setting), []).append(row)
    kinds = list(dict.fromkeys(row.kind for row in rows))
    codecs = list(dict.fromkeys(row.codec for row in rows))
    order = sorted(groups, key=lambda k: (kinds.index(k[0]), codecs.index(k[1]), k[2]))
    return [_point(groups[key]) for key in order]


def _point(rows: Sequence[Row]) -> Point:
    keys = dict.fromkeys(key for row in rows for key in row.values)
    found = {key: estimate([r.values[key] for r in rows if key in r.values]) for key in keys}
    rate = estimate([row.kbps for row in rows])
    assert rate is not None
    first = rows[0]
    values = {key: value for key, value in found.items() if value is not None}
    return Point(first.kind, first.codec, first.title, first.setting, rate, values)


def codebook_use(rows: Sequence[Row], folder: Path) -> dict[str, CodebookStatistics]:
    """Return, per model, its codebooks' statistics over the files with most codebooks.

    Files with fewer do not count: at one rate of the whole file, stereo has half as many.
    """
    from ncodec_formats.packets import Packet
    from ncodec_formats.reader import EcdcReader

    most = dict[str, tuple[tuple[int, ...], list[NDArray[np.integer[Any]]]]]()
    for row in rows:
        if not row.coded.endswith(".ecdc"):
            continue
        with (folder / row.coded).open("rb") as file:
            reader = EcdcReader(file)
            sizes = reader.header.codebook_sizes
            known = most.get(row.codec, ((), []))
            if len(sizes) < len(known[0]):
                continue
            codes = [] if len(sizes) > len(known[0]) else known[1]
            for packet in reader:
                if isinstance(packet, Packet):  # codes [S, K, F]
                    codes.append(np.moveaxis(packet.codes, 1, 0).reshape(len(sizes), -1))
        most[row.codec] = sizes, codes
    return {
        codec: codebook_statistics(np.concatenate(codes, axis=1), sizes)
        for codec, (sizes, codes) in most.items()
        if codes
    }

"""Rate-distortion curves as SVG: one plot a measure and kind of sound, one line a codec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ncodec.bench.measures import Measure
from ncodec.bench.summary import Estimate, Point
from ncodec.bench.tables import number

WIDTH, HEIGHT = 360, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 38
RATES = (0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)


@dataclass(frozen=True)
class Axis:
    """A linear map from values (or their logarithms) to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def plot(found: Sequence[Point], measure: Measure, codecs: Sequence[str], ident: str) -> str:
    """Return an SVG of a measure against the real bitrate.

    Args:
        found: points of one kind of sound.
        measure: what is on the y axis.
        codecs: all codecs of the report in order; a codec's place gives colour and marker.
        ident: for the title's id.
    """
    here = [(p, p.values[measure.key]) for p in found if measure.key in p.values]
    x, y, ticks = _axes(here, measure)
    series = "".join(
        _series([item for item in here if item[0].codec == codec], index, measure, x, y)
        for index, codec in enumerate(codecs)
        if any(p.codec == codec for p, _ in here)
    )
    title = f"{measure.heading} against bitrate, {here[0][0].kind}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{ident}" class="plot">'
        f'<title id="{ident}">{escape(title)}</title>{_grid(x, y, ticks)}{series}</svg>'
    )


def _axes(
    here: Sequence[tuple[Point, Estimate]], measure: Measure
) -> tuple[Axis, Axis, list[float]]:
    rates = [math.log(p.kbps.mean) for p, _ in here]
    spread = max(0.15, 0.06 * (max(rates) - min(rates)))
    x = Axis(min(rates) - spread, max(rates) + spread, LEFT, WIDTH - RIGHT)
    lows = [min(v.mean - (v.margin or 0), *v.values, v.mean) for _, v in here]
    highs = [max(v.mean + (v.margin or 0), *v.values, v.mean) for _, v in here]
    # A few wild intervals must not flatten the rest: means always show, margins up to their spread.
    means = [max(v.mean, measure.floor) for _, v in here]
    reach = max(max(means) - min(means), 1e-3) * 0.6
    low = max(min(lows), min(means) - reach, measure.floor)
    high = max(min(max(highs), max(means) + reach), low + 1e-3)
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    top = min(max(high, ticks[-1]) + step * 0.2, max(measure.ceiling, high))
    ticks = [tick for tick in ticks if tick <= top + 1e-9 or tick in ticks[:2]]
    y = Axis(min(low, ticks[0]), max(top, ticks[-1]), HEIGHT - BOTTOM, TOP)
    return x, y, ticks


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round values, at least two, from at or below `low` to at or below `high`."""
    span = max(high - low, 1e-6)
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(power * m for m in (1, 2, 5, 10) if span / (power * m) <= about)
    first = math.floor(low / step)
    count = max(2, math.floor(high / step) - first + 1)
    return [(first + i) * step for i in range(count)]


def _grid(x: Axis, y: Axis, ticks: Sequence[float]) -> str:
    step = ticks[1] - ticks[0]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    parts = list[str]()
    for tick in ticks:
        at = y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text x="{LEFT - 5}" y="{at + 4:.1f}" class="yt">{tick + 0.0:.{digits}f}</text>'
        )
    last = -math.inf
    for rate in RATES:
        at = x(math.log(rate))
        if LEFT <= at <= WIDTH - RIGHT and at - last > 26:
            last = at
            parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
            parts.append(
                f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 14}" class="xt">{rate:g}</text>'
            )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" class="xt">real bitrate (kbps)</text>')
    return "".join(parts)


def _series(
    here: Sequence[tuple[Point, Estimate]], index: int, measure: Measure, x: Axis, y: Axis
) -> str:
    here = sorted(here, key=lambda item: item[0].kbps.mean)
    spots = [(x(math.log(p.kbps.mean)), _inside(y(v.mean)), p, v) for p, v in here]
    line = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b, _, _ in spots)
    parts = [f'<path class="line" d="{line}"/>']
    for a, b, point, value in spots:
        if value.margin:
            top, low = (_inside(y(value.mean + s * value.margin)) for s in (1, -1))
            parts.append(f'<path class="bar" d="M{a:.1f} {top:.1f}V{low:.1f}"/>')
        parts += [
            f'<path class="one" d="M{a - 2.5:.1f} {_inside(y(one)):.1f}h5"/>'
            for one in value.values[: value.count if value.count > 1 else 0]
        ]
        told = f"{point.title}, {point.kbps.mean:.2f} kbps: {number(value, measure.digits)}"
        shape = marker(index, a, b)
        parts.append(f'<path class="dot" d="{shape}"><title>{escape(told)}</title></path>')
    codec = escape(here[0][0].codec, quote=True)
    return f'<g class="series s{index % 8}" data-codec="{codec}">{"".join(parts)}</g>'


def _inside(at: float) -> float:
    return min(max(at, TOP), HEIGHT - BOTTOM)


def marker(index: int, x: float, y: float) -> str:
    """Return the path of a codec's marker, so that colour is not all that tells codecs apart."""
    shapes = (
        "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",  # disc
        "m-3.5-3.5h7v7h-7z",  # square
        "m0-5l4.5 8h-9z",  # triangle
        "m0-5l5 5l-5 5l-5-5z",  # diamond
        "m0 5l4.5-8h-9z",  # triangle, down
        "m-1.5-5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z",  # plus
        "m-5-2.5h10v5h-10z",  # bar
        "m-2.5-5h5v10h-5z",  # pillar
    )
    # Colours come again after eight: the next eight codecs have other markers in them.
    return f"M{x:.1f} {y:.1f}{shapes[(index + index // len(shapes)) % len(shapes)]}"

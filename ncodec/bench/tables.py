"""A comparison as CSV, JSON and Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from ncodec.bench.headline import headlines
from ncodec.bench.measures import MEASURES, Measure
from ncodec.bench.quality import Row
from ncodec.bench.summary import Estimate, Point, points
from ncodec.errors import counted
from ncodec.metrics import CodebookStatistics


@dataclass(frozen=True)
class Results:
    """All that a comparison found.

    Attributes:
        rows: one a recording, codec and rate.
        about: date, machine, versions.
        left_out: codecs, metrics and jobs that are missing, and why.
        codebooks: statistics per model.
        command: that makes the comparison again.
        recordings: digest of the samples by name.
    """

    rows: Sequence[Row]
    about: dict[str, str]
    left_out: Sequence[str] = ()
    codebooks: dict[str, CodebookStatistics] = field(default_factory=dict[str, CodebookStatistics])
    command: str = ""
    recordings: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def points(self) -> list[Point]:
        """Means over the recordings."""
        return points(self.rows)


def to_csv(results: Results) -> str:
    """Return one line a recording, codec and rate."""
    keys = [m.key for m in MEASURES if any(m.key in row.values for row in results.rows)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "kind", "codec", "title", "setting_kbps", "kbps", "seconds", *keys])
    for row in results.rows:
        values = [f"{row.values[k]:.6g}" if k in row.values else "" for k in keys]
        head = [row.file, row.kind, row.codec, row.title, f"{row.setting:g}"]
        writer.writerow([*head, f"{row.kbps:.4f}", f"{row.seconds:.4f}", *values])
    return out.getvalue()


def to_json(results: Results) -> str:
    """Return everything; what is not finite is null."""
    tree = {
        "about": results.about,
        "command": results.command,
        "recordings": results.recordings,
        "left_out": list(results.left_out),
        "measures": [
            {"key": m.key, "title": m.title, "unit": m.unit, "better": m.better} for m in MEASURES
        ],
        "points": [asdict(point) for point in results.points],
        "rows": [asdict(row) for row in results.rows],
        "codebooks": {name: asdict(found) for name, found in results.codebooks.items()},
    }
    return json.dumps(_finite(tree), indent=1, allow_nan=False) + "\n"


def to_markdown(results: Results, level: int = 2) -> str:
    """Return one table a kind of sound, headings of the given level, and what was left out."""
    found = results.points
    parts = [f"- {line}" for line in headlines(results.rows)]
    parts += [""] if parts else []
    for kind in dict.fromkeys(p.kind for p in found):
        files = len({row.file for row in results.rows if row.kind == kind})
        recordings = counted(files, "recording")
        parts += [f"{'#' * level} {kind.capitalize()} ({recordings})", "", *_table(found, kind), ""]
    if results.codebooks:
        parts += [f"{'#' * level} Codebooks", "", *_codebook_table(results), ""]
    if results.left_out:
        parts += ["Left out:", "", *(f"- {line}" for line in results.left_out), ""]
    return "\n".join(parts)


def measures_in(found: Sequence[Point], kind: str) -> list[Measure]:
    """Return the measures that any point of a kind has."""
    return [m for m in MEASURES if any(m.key in p.values for p in found if p.kind == kind)]


def best(found: Sequence[Point], kind: str, measure: Measure) -> set[tuple[str, float]]:
    """Return which codec is best at each asked rate that several have: (codec, setting)."""
    groups = dict[float, list[Point]]()
    for point in found:
        if point.kind == kind and measure.key in point.values:
            groups.setdefault(point.setting, []).append(point)
    sign = {"higher": lambda v: -v, "lower": lambda v: v, "zero": abs}[measure.better]
    ranked = (sorted(g, key=lambda p: sign(p.values[measure.key].mean)) for g in groups.values())
    return {(g[0].codec, g[0].setting) for g in ranked if len(g) > 1}


def number(value: Estimate | None, digits: int) -> str:
    """Write a mean with its confidence interval's half."""
    if value is None:
        return ""
    margin = "" if value.margin is None else f" \u00b1 {value.margin:.{digits}f}"
    return f"{value.mean + 0.0:.{digits}f}{margin}"


def _table(found: Sequence[Point], kind: str) -> list[str]:
    measures = measures_in(found, kind)
    heads = ["codec", "set to (kbps)", "real (kbps)", *(m.heading for m in measures)]
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
    for point in found:
        if point.kind != kind:
            continue
        cells = [point.title, f"{point.setting:g}", f"{point.kbps.mean:.2f}"]
        cells += [number(point.values.get(m.key), m.digits) for m in measures]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _codebook_table(results: Results) -> list[str]:
    lines = [
        "| model | codebooks | entries used | entropy (bits a code) | bitrate efficiency |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, found in results.codebooks.items():
        usage, entropy = (f"{min(x):.3g} to {max(x):.3g}" for x in (found.usage, found.entropy))
        cells = [name, str(len(found.usage)), usage, entropy, f"{found.efficiency:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _finite(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree

"""The report: one HTML file with curves, tables, spectrograms, players and blind tests."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ncodec.bench.curves import marker, plot
from ncodec.bench.measures import MEASURES
from ncodec.bench.summary import Point
from ncodec.bench.tables import Results, measures_in, number

SCRIPTS = ("dom", "audio", "player", "abx", "mushra", "main")


def to_html(results: Results, clips: Sequence[Any]) -> str:
    """Return the page; nothing in it is loaded from elsewhere.

    Args:
        results: of the comparison.
        clips: from `ncodec.bench.clips.build`.
    """
    page = files("ncodec.bench") / "page"
    found = results.points
    kinds = list(dict.fromkeys(point.kind for point in found))
    parts = {
        "style": (page / "style.css").read_text(encoding="utf-8"),
        "script": "\n".join((page / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS),
        "about": _about(results),
        "legend": _legend(found),
        "curves": "".join(_curves(found, kind) for kind in kinds),
        "tables": "".join(_table(results, found, kind) for kind in kinds),
        "codebooks": _codebooks(results),
        "measures": "".join(
            f"<dt>{escape(m.heading)}</dt><dd>{escape(_first(m.function.__doc__))}</dd>"
            for m in MEASURES
            if any(m.key in p.values for p in found)
        ),
        "left_out": "".join(f"<li>{escape(line)}</li>" for line in results.left_out)
        or "<li>Nothing.</li>",
        # "<" would end the script element in the middle of a string.
        "data": json.dumps({"clips": clips}).replace("<", "\\u003c"),
    }
    template = (page / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _first(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _about(results: Results) -> str:
    facts = {**results.about, "recordings": str(len({row.file for row in results.rows}))}
    return "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items())


def _codecs(found: Sequence[Point]) -> dict[str, str]:
    return {point.codec: point.title for point in found}


def _legend(found: Sequence[Point]) -> str:
    return "".join(
        f'<label class="s{index % 8}"><input type="checkbox" checked data-codec="{escape(name)}">'
        f'<svg viewBox="0 0 16 16" aria-hidden="true"><path class="dot" d="{marker(index, 8, 8)}"/>'
        f"</svg>{escape(title)}</label>"
        for index, (name, title) in enumerate(_codecs(found).items())
    )


def _curves(found: Sequence[Point], kind: str) -> str:
    here = [point for point in found if point.kind == kind]
    figures = "".join(
        f"<figure><figcaption>{escape(m.heading)}</figcaption>"
        f"{plot(here, m, list(_codecs(found)), f'plot-{kind}-{m.key}')}</figure>"
        for m in measures_in(found, kind)
    )
    return f'<h3>{escape(kind.capitalize())}</h3><div class="plots">{figures}</div>'


def _table(results: Results, found: Sequence[Point], kind: str) -> str:
    measures = measures_in(found, kind)
    heads = ["codec", "asked (kbps)", "real (kbps)", *(m.heading for m in measures)]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(p.title)}</th>'
        f"<td>{p.setting:g}</td><td>{p.kbps.mean:.2f}</td>"
        + "".join(f"<td>{number(p.values.get(m.key), m.digits)}</td>" for m in measures)
        + "</tr>"
        for p in found
        if p.kind == kind
    )
    count = len({row.file for row in results.rows if row.kind == kind})
    caption = f"{kind.capitalize()}: means over {count} recording{'s' if count != 1 else ''}"
    if count > 1:
        caption += ", with the half of the 95 % confidence interval (Student's t)"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {escape(kind)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _codebooks(results: Results) -> str:
    if not results.codebooks:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{len(s.usage)}</td>'
        f"<td>{min(s.usage):.0%} to {max(s.usage):.0%}</td>"
        f"<td>{min(s.entropy):.2f} to {max(s.entropy):.2f}</td><td>{s.efficiency:.1%}</td></tr>"
        for name, s in results.codebooks.items()
    )
    heads = ("model", "codebooks", "entries used", "entropy (bits a code)", "bitrate efficiency")
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table: codebooks"><table>'
        f"<caption>Codebooks: use over all recordings at the highest rate</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )

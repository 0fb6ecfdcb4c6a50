"""The report: one HTML file with curves, tables, spectrograms, players and blind tests."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ncodec.bench.curves import marker, plot
from ncodec.bench.headline import headlines
from ncodec.bench.measures import MEASURES, Measure
from ncodec.bench.summary import FEW, Point
from ncodec.bench.tables import Results, best, measures_in, number
from ncodec.errors import counted

SCRIPTS = ("dom", "audio", "zoom", "player", "abx", "mushra", "main")


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
        "headlines": "".join(f"<p>{escape(line)}</p>" for line in headlines(results.rows)),
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
        "data": json.dumps({"clips": clips, "page": page_id(clips)}).replace("<", "\\u003c"),
        "command": _command(results),
    }
    template = (page / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def page_id(clips: Sequence[Any]) -> str:
    """Return a digest of the sounds: answers from pages with one id are of one test."""
    hashes = [version["hash"] for clip in clips for version in clip["versions"]]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:12]


def _command(results: Results) -> str:
    """Write what makes this page again: the command, and the recordings by their digests."""
    if not results.command:
        return ""
    digests = ", ".join(f"{name} {digest[:12]}" for name, digest in results.recordings.items())
    return f"Made by <code>{escape(results.command)}</code> from {escape(digests)}."


def _first(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _about(results: Results) -> str:
    counts = {
        kind: len({row.file for row in results.rows if row.kind == kind})
        for kind in dict.fromkeys(row.kind for row in results.rows)
    }
    recordings = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    facts = {**results.about, "recordings": recordings}
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
        f'<figure class="zooms"><figcaption>{escape(m.heading)}</figcaption>'
        f"{plot(here, m, list(_codecs(found)), f'plot-{kind}-{m.key}')}</figure>"
        for m in measures_in(found, kind)
    )
    return f'<h3>{escape(kind.capitalize())}</h3><div class="plots">{figures}</div>'


def _table(results: Results, found: Sequence[Point], kind: str) -> str:
    measures = measures_in(found, kind)
    count = len({row.file for row in results.rows if row.kind == kind})
    caption = f"{kind.capitalize()}: means over {counted(count, 'recording')}"
    if count >= FEW:
        caption += ", with the half of the 95 % confidence interval (Student's t)"
    elif count > 1:
        caption += ": too few for an interval"
    caption += "; the best at each setting is bold"
    here = [point for point in found if point.kind == kind]
    parts = [_cells(here, kind, [m for m in measures if m.main], caption)]
    if rest := [m for m in measures if not m.main]:
        other = _cells(here, kind, rest, f"{kind.capitalize()}: other measures")
        parts.append(f"<details><summary>Other measures</summary>{other}</details>")
    return "".join(parts)


def _cells(here: Sequence[Point], kind: str, measures: Sequence[Measure], caption: str) -> str:
    heads = ["codec", "set to", "real kbps", *(m.heading for m in measures)]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    bold = {m.key: best(here, kind, m) for m in measures}
    body = "".join(
        f'<tr><th scope="row" title="{escape(p.title)}">{escape(p.codec)}</th>'
        f"<td>{p.setting:g}</td><td>{p.kbps.mean:.2f}</td>"
        + "".join(
            f"<td{' class=best' if (p.codec, p.setting) in bold[m.key] else ''}>"
            f"{number(p.values.get(m.key), m.digits)}</td>"
            for m in measures
        )
        + "</tr>"
        for p in here
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
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

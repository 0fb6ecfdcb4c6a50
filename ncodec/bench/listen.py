"""Answers of several listeners to the report's blind tests, joined."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ncodec.errors import BadFileError

TESTS = ("MUSHRA", "ABX")
REFERENCE_LEAST, ANCHOR_MOST, WRONG_SHARE = 90, 90, 0.15
"""ITU-R BS.1534-3, 4.1.2: a listener counts who gives the hidden reference less than 90, and the
mid anchor more than 90, in at most 15 % of the trials."""
MAX_BYTES = 50_000_000  # of a file of answers: thousands of sessions


@dataclass(frozen=True)
class Condition:
    """What was rated, over all listeners that count.

    Attributes:
        name: codec, or what the version is called.
        median, low, high: of the ratings; `low` and `high` are the quartiles.
        count: of ratings.
        p: of the sign test against the first condition, corrected for their number (Holm); None
            where there are no pairs.
    """

    name: str
    median: float
    low: float
    high: float
    count: int
    p: float | None


@dataclass(frozen=True)
class Pair:
    """One question of ABX over all listeners."""

    recording: str
    a: str
    b: str
    right: int
    trials: int
    p: float


@dataclass(frozen=True)
class Heard:
    """All that the answers say.

    Attributes:
        conditions: of MUSHRA, best first.
        pairs: of ABX.
        listeners: who answered, in the order of the files.
        screened: a line for each listener who does not count, and why.
    """

    conditions: list[Condition] = field(default_factory=list[Condition])
    pairs: list[Pair] = field(default_factory=list[Pair])
    listeners: list[str] = field(default_factory=list[str])
    screened: list[str] = field(default_factory=list[str])


def join(paths: Sequence[Path]) -> Heard:
    """Read files of answers and join them.

    Raises:
        BadFileError: a file holds no answers, or those of another page than the first: what was
            heard there was something else.
        OSError: a file cannot be read.
    """
    heard = Heard()
    ratings, questions, page = list[dict[str, Any]](), list[dict[str, Any]](), None
    for place, path in enumerate(paths):
        tree = _read(path)
        page = page or tree["page"]
        if tree["page"] != page:
            raise BadFileError(f"{path}: answers to page {tree['page']}, the first are to {page}")
        name = str(tree["listener"].get("name") or path.stem)
        heard.listeners.append(name)
        if tree["test"] == "ABX":
            questions += tree["tests"]
        elif why := screen(tree["ratings"]):
            heard.screened.append(f"{name}: {why}")
        else:
            ratings += [{**rating, "place": place} for rating in tree["ratings"]]
    heard.conditions.extend(_conditions(ratings))
    heard.pairs.extend(_pairs(questions))
    return heard


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_BYTES:
        raise BadFileError(f"{path}: larger than {MAX_BYTES} bytes, no file of answers")
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        test = tree["test"]
        if test not in TESTS or not isinstance(tree["page"], str):
            raise BadFileError(f"{path}: test {test!r}: must be one of {', '.join(TESTS)}")
        tree["listener"].get("name")
        for item in tree["ratings"] if test == "MUSHRA" else tree["tests"]:
            _check(item, test)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFileError(f"{path}: no answers of a report's listening test") from error
    return tree


def _check(item: dict[str, Any], test: str) -> None:
    if test == "MUSHRA":
        texts = [item[key] for key in ("recording", "role", "codec", "version")]
        good = 0 <= item["rating"] <= 100
    else:
        texts = [item[key] for key in ("recording", "a", "b")]
        good = isinstance(item["right"], int) and 0 <= item["right"] <= item["trials"] <= 1000
    if not good or not all(isinstance(text, str) for text in texts):
        raise ValueError("out of range")


def screen(ratings: Iterable[dict[str, Any]]) -> str | None:
    """Say why a listener does not count after BS.1534-3, if so."""
    by_role = dict[str, list[float]]()
    for rating in ratings:
        by_role.setdefault(rating["role"], []).append(rating["rating"])
    reference, anchor = by_role.get("original", []), by_role.get("mid", [])
    if _share(value < REFERENCE_LEAST for value in reference) > WRONG_SHARE:
        return f"the hidden reference got less than {REFERENCE_LEAST} in over 15 % of the trials"
    if _share(value > ANCHOR_MOST for value in anchor) > WRONG_SHARE:
        return f"the 7 kHz anchor got more than {ANCHOR_MOST} in over 15 % of the trials"
    return None


def _share(wrong: Iterable[bool]) -> float:
    found = list(wrong)
    return sum(found) / len(found) if found else 0.0


def _conditions(ratings: Sequence[dict[str, Any]]) -> list[Condition]:
    groups = dict[str, dict[tuple[int, str], float]]()
    for r in ratings:
        name = r["codec"] if r["role"] == "codec" else r["version"]
        groups.setdefault(name, {})[r["place"], r["recording"]] = r["rating"]
    codecs = list(dict.fromkeys(r["codec"] for r in ratings if r["role"] == "codec"))
    first = groups[codecs[0]] if codecs else {}
    others = [name for name in groups if codecs and name != codecs[0]]
    values = [sign_test([first[k] - groups[n][k] for k in first if k in groups[n]]) for n in others]
    p = dict(zip(others, holm(values), strict=True))
    found = [_condition(name, list(group.values()), p.get(name)) for name, group in groups.items()]
    return sorted(found, key=lambda condition: -condition.median)


def _condition(name: str, ratings: Sequence[float], p: float | None) -> Condition:
    low, median, high = (float(q) for q in np.percentile(ratings, [25, 50, 75]))
    return Condition(name, median, low, high, len(ratings), p)


def _pairs(questions: Sequence[dict[str, Any]]) -> list[Pair]:
    groups = dict[tuple[str, str, str], tuple[int, int]]()
    for q in questions:
        a, b = sorted((q["a"], q["b"]))
        right, trials = groups.get((q["recording"], a, b), (0, 0))
        groups[q["recording"], a, b] = right + q["right"], trials + q["trials"]
    p = holm([at_least(right, trials) for right, trials in groups.values()])
    return [
        Pair(*asked, *counts, value)
        for (asked, counts), value in zip(groups.items(), p, strict=True)
    ]


def at_least(right: int, trials: int) -> float:
    """Return the chance of so many right answers or more by guessing."""
    return sum(math.comb(trials, k) for k in range(right, trials + 1)) / 2**trials


def sign_test(differences: Sequence[float]) -> float:
    """Return the two-sided p of as many differences of one sign; equal ratings do not count."""
    up, down = (sum(sign * d > 0 for d in differences) for sign in (1, -1))
    return min(1.0, 2 * at_least(max(up, down), up + down)) if up + down else 1.0


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979)."""
    found, most = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        most = max(most, min(1.0, values[place] * (len(values) - rank)))
        found[place] = most
    return found


def to_text(heard: Heard) -> str:
    """Return the tables, 80 columns wide."""
    lines = [f"{len(heard.listeners)} files of answers: {', '.join(heard.listeners)}"]
    lines += [f"does not count: {line}" for line in heard.screened]
    if heard.conditions:
        lines += ["", f"{'MUSHRA':<32}{'median':>8}{'quartiles':>14}{'ratings':>9}{'p':>8}"]
        for c in heard.conditions:
            p = "" if c.p is None else f"{c.p:.3f}"
            quartiles = f"{c.low:.0f} to {c.high:.0f}"
            lines.append(f"{c.name[:31]:<32}{c.median:>8.0f}{quartiles:>14}{c.count:>9}{p:>8}")
        lines.append("p: sign test, paired, against the first codec, corrected (Holm)")
    if heard.pairs:
        lines += ["", f"{'ABX':<56}{'right':>12}{'p':>8}"]
        for q in heard.pairs:
            asked = f"{q.recording}: {q.a} / {q.b}"
            lines.append(f"{asked[:55]:<56}{f'{q.right} of {q.trials}':>12}{q.p:>8.3f}")
        lines.append("p: by guessing, corrected for the number of questions (Holm)")
    return "\n".join(lines)

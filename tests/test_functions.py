"""Functions stay short enough to be read at once: 40 lines of code, 15 branches."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("ncodec", "ncodec_cli", "formats/ncodec_formats")
MOST_LINES, MOST_BRANCHES = 40, 15
ALLOWED = {
    "ncodec/bench/compare.py: compare",
    "ncodec/codec/whole_files.py: compress",
    "ncodec/codec/whole_files.py: decompress",
}
"""Whose lines are counted without their parameters: these three take, by keyword, all that a person
may want to say of a file or a comparison, a line each. May only shrink."""

_ONE = (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.match_case)


def functions_of(text: str) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            yield node


def lines_of(function: ast.FunctionDef, text: str, *, parameters: bool) -> int:
    """Count lines that are neither empty nor comments nor the docstring."""
    first, body = function.lineno, function.body
    documented = ast.get_docstring(function, clean=False) is not None
    passed = range(body[0].lineno, (body[0].end_lineno or 0) + 1) if documented else range(0)
    if not parameters:
        first = body[0].lineno
    lines = text.splitlines()
    return sum(
        bool(line) and not line.startswith("#")
        for number in range(first, (function.end_lineno or 0) + 1)
        if number not in passed
        for line in [lines[number - 1].strip()]
    )


def branches_of(function: ast.FunctionDef) -> int:
    """Count where the way can part: conditions, what joins them, loops, handlers, cases."""
    count = 0
    for node in ast.walk(function):
        if isinstance(node, _ONE):
            count += 1
        elif isinstance(node, ast.BoolOp):
            count += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            count += 1 + len(node.ifs)
    return count


def too_long(name: str, text: str) -> Iterator[str]:
    """Say which functions of a module are over a limit."""
    for function in functions_of(text):
        called = f"{name}: {function.name}"
        lines = lines_of(function, text, parameters=called not in ALLOWED)
        if lines > MOST_LINES:
            yield f"{called} has {lines} lines of code"
        if branches_of(function) > MOST_BRANCHES:
            yield f"{called} has {branches_of(function)} branches"


def sources() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_no_function_is_too_long() -> None:
    assert [line for name, text in sources() for line in too_long(name, text)] == []


def test_the_list_of_exceptions_is_needed() -> None:
    long = {
        called
        for name, text in sources()
        for function in functions_of(text)
        if (called := f"{name}: {function.name}") in ALLOWED
        and lines_of(function, text, parameters=True) > MOST_LINES
    }
    assert long == ALLOWED


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    x = 1\n" * 40, "a.py: f has 41 lines of code"),
        ("    if x and y: pass\n" * 8, "a.py: f has 16 branches"),
        ("    # a comment\n\n    x = 1\n" * 39, None),
        ("    x = [i for i in y if i]\n" * 7, None),
    ],
)
def test_what_is_too_long_is_told(body: str, said: str | None) -> None:
    assert list(too_long("a.py", f"def f(x, y):\n{body}")) == ([said] if said else [])

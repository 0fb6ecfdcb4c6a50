"""What people read: lines that stay, and the one line of a terminal that is written over.

Every command says what it says through `say`, `put` and `show`, so that nothing is ever glued to
the live line. There is no escape sequence in it: old consoles would print those.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

_ECHO = 2
"""Columns behind the live line in which a terminal shows a ^C."""

_lock = threading.RLock()
_shown = 0
"""Columns that the live line takes now."""


def say(text: str, *, quiet: bool = False) -> None:
    """Print a line on standard error, so that standard output stays free for data."""
    if not quiet:
        _print(text, err=True)


def put(text: str) -> None:
    """Print a line on standard output: what was asked for."""
    _print(text, err=False)


def put_json(found: object) -> None:
    """Print an object for programs, on one line that every reader of JSON takes.

    Bytes of a name that are no text are written as in "b\\xff.ecdc".
    """
    put(_SURROGATES.sub(lambda code: _plain(code[0]), json.dumps(found)))


_SURROGATES = re.compile(r"(?:\\u[0-9a-f]{4})+")


def _plain(codes: str) -> str:
    """Return escapes of JSON text without halves of characters."""
    text: str = json.loads(f'"{codes}"')
    return json.dumps(text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))[
        1:-1
    ]


def say_error(text: str, kind: str = "error", *, quiet: bool = False) -> None:
    """Print what went wrong as every command does; kind may be a warning or a note."""
    if quiet:
        return
    colour = {"error": "red", "warning": "yellow"}.get(kind)
    mark = click.style(f"{kind}:", fg=colour) if colour and _coloured() else f"{kind}:"
    with _lock:
        clear()
        click.echo(f"ncodec: {mark} {_printable(text, sys.stderr)}", err=True)


def show(text: str) -> None:
    """Write over the live line, as far as the terminal is wide; nothing where there is none."""
    global _shown  # noqa: PLW0603 - there is one terminal
    if not has_line():
        return
    with _lock:
        text = cut(" ".join(_printable(text, sys.stderr).split("\n")), width())
        now = cells(text)
        before = min(_shown + _ECHO, width()) if _shown else 0
        rest = max(0, before - now)
        sys.stderr.write("\r" + text + " " * rest + "\b" * rest)
        sys.stderr.flush()
        _shown = now


def clear() -> None:
    """Take the live line away."""
    with _lock:
        if _shown:
            show("")


def has_line() -> bool:
    """Say whether standard error is a terminal on which a line can be written over."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Return how many columns a line may take without wrapping; the last one is left free."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    if columns <= 0:
        given = os.environ.get("COLUMNS", "")
        columns = int(given) if given.isdecimal() and int(given) else 80
    return max(columns - 1, 10)


def room() -> int | None:
    """Return how many columns a line that stays should take; None where it goes to no terminal."""
    return width() if sys.stderr.isatty() else None


def cells(text: str) -> int:
    """Return how many columns a terminal gives to a text.

    >>> cells("talk"), cells("音楽"), cells("e\N{COMBINING ACUTE ACCENT}")
    (4, 4, 1)
    """
    return len(text) if text.isascii() else sum(_cells(text))


def _cells(text: str) -> Iterator[int]:
    for character in text:
        if unicodedata.category(character) in ("Mn", "Me", "Cf"):
            yield 0
        else:
            yield 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """Return as much of a text's beginning as fits."""
    if cells(text) <= columns:
        return text
    taken = 0
    for place, size in enumerate(_cells(text)):
        taken += size
        if taken > columns:
            return text[:place]
    return text


def shorten(name: str, columns: int) -> str:
    """Take so much out of the middle of a name that it fits; its ending and beginning stay.

    >>> shorten("a recording with a long name.wav", 20)
    'a recordi...name.wav'
    """
    if cells(name) <= columns:
        return name
    if columns < 8:
        return cut(name, columns)
    end = cut(name[::-1], (columns - 3) // 2)[::-1]
    return cut(name, columns - 3 - cells(end)) + "..." + end


def meter(db: float, width: int = 6, floor: float = -60.0) -> str:
    """Return a bar for a level between `floor` and 0 dB."""
    filled = round(width * min(1.0, max(0.0, 1 - db / floor)))
    return "#" * filled + "-" * (width - filled)


def result(source: str, target: str, texts: Sequence[str], *, single: bool = True) -> str:
    """Return "source -> target: texts"; on a terminal what one line cannot hold gives way.

    First one name goes, of a single file the source's, of several the target's; then the texts,
    last ones first, so that the name stays whole; then its folders, and its middle.
    """
    source, target = (name.replace("\n", "\\n") for name in (source, target))
    line, columns = f"{source} -> {target}: {', '.join(texts)}", room()
    if columns is None or cells(line) <= columns:
        return line
    name = target if single else source
    for count in range(len(texts), 0, -1):
        line = f"{name}: {', '.join(texts[:count])}"
        if cells(line) <= columns:
            return line
    left = columns - cells(texts[0]) - 2
    if left < _NAME_COLUMNS:  # the text has a line of its own
        return f"{shorten(Path(name).name, columns - 1)}:\n  {texts[0]}"
    return f"{shorten(Path(name).name, left)}: {texts[0]}"


_NAME_COLUMNS = 12


def in_lines(text: str, rest: str) -> str:
    """Return "text; rest", on two lines of a terminal if one cannot hold it."""
    columns, line = room(), f"{text}; {rest}"
    return line if columns is None or cells(line) <= columns else f"{text}\n  {rest}"


class Once:
    """Remarks that are made once in a run, whatever number of files they hold for."""

    def __init__(self, *, quiet: bool) -> None:
        """Nothing has been said."""
        self._quiet, self._said = quiet, set[str]()

    def __call__(self, text: str, kind: str = "note") -> None:
        """Print a remark, unless it was made before."""
        with _lock:
            if not self._quiet and text not in self._said:
                say_error(text, kind)
            self._said.add(text)


class Line:
    """The live line of a command that shows meters or positions; taken away at the end."""

    def __init__(self, *, quiet: bool) -> None:
        """Begin with nothing."""
        self._quiet = quiet

    def __enter__(self) -> Line:
        """Nothing to begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        clear()

    def show(self, text: str) -> None:
        """Write over what was there."""
        if not self._quiet:
            show(text)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        say(text, quiet=self._quiet)


def _print(text: str, *, err: bool) -> None:
    with _lock:
        clear()
        stream = sys.stderr if err else sys.stdout
        stream.write(_printable(text, stream) + "\n")
        stream.flush()


def _coloured() -> bool:
    return has_line() and not os.environ.get("NO_COLOR")


_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)
}


def _printable(text: str, stream: object) -> str:
    """Return a text as a terminal will show it, so that its width is known; pipes get all of it.

    A file's name or tag must not tell the terminal what to do either.
    """
    isatty = getattr(stream, "isatty", None)
    if isatty is None or not isatty():
        return text
    encoding = str(getattr(stream, "encoding", None) or "utf-8")
    if codecs.lookup(encoding).name != "utf-8":
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    return text.translate(_CONTROLS)


def _as_well_as_possible(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode what a stream's encoding has not: bytes of a name as they were, the rest escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    if all("\udc80" <= character <= "\udcff" for character in text):
        return bytes(ord(character) - 0xDC00 for character in text), error.end
    return codecs.backslashreplace_errors(error)


_closed: set[str] = set()


def replace_closed_streams() -> None:
    """Put something in the place of standard streams that the caller has closed.

    Otherwise a file that is opened next would get a closed stream's number, and what libraries
    print there would go into it. What is said then goes nowhere; data is refused (`is_closed`).
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        _closed.add(name)
        handle = os.open(os.devnull, os.O_RDWR)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def is_closed(name: str) -> bool:
    """Say whether the caller closed "stdin", "stdout" or "stderr"."""
    return name in _closed


def print_every_name() -> None:
    """Let no name stop a command because standard output or error cannot encode it."""
    codecs.register_error("ncodec", _as_well_as_possible)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="ncodec")

"""One line on a terminal that is written over and over."""

from __future__ import annotations

import shutil
import sys

import click


class Line:
    """Shows the latest text on standard error where that is a terminal; silent elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        """Begin with nothing."""
        self._quiet = quiet
        self._on = not quiet and sys.stderr.isatty()

    def __enter__(self) -> Line:
        """Nothing to begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        self.show("")

    def show(self, text: str) -> None:
        """Write over what was there."""
        if self._on:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{text[:width]}")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if not self._quiet:
            self.show("")
            click.echo(text, err=True)


def meter(db: float, width: int = 6, floor: float = -60.0) -> str:
    """Return a bar for a level between `floor` and 0 dB."""
    filled = round(width * min(1.0, max(0.0, 1 - db / floor)))
    return "#" * filled + "-" * (width - filled)

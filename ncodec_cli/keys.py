"""Single keys from a terminal, without waiting and without Enter."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol

_NAMES = {"A": "up", "B": "down", "C": "right", "D": "left"}
"""The last character of an arrow's escape sequence."""
_CODES = {"H": "up", "P": "down", "M": "right", "K": "left"}
"""What follows the first character of an arrow on a Windows console."""


class Keys(Protocol):
    """Where keys come from."""

    def read(self) -> str | None:
        """Return the next key if one was pressed: a character, or up, down, left, right."""
        ...


def told(keys: Keys, text: str) -> str:
    """Return what keys there are, to be said after something else; nothing where there are none."""
    return "" if isinstance(keys, NoKeys) else f"; {text}"


class NoKeys:
    """Nobody to press any: standard input is no terminal."""

    def read(self) -> None:
        """Return None."""


class TerminalKeys:
    """Keys of a terminal that gives them one by one."""

    def __init__(self, handle: int) -> None:
        """Take the terminal's file descriptor."""
        self._handle = handle

    def read(self) -> str | None:
        """Return the next key if one was pressed."""
        if not self._ready(0):
            return None
        text = os.read(self._handle, 1).decode("latin-1")
        # An arrow comes as three bytes at once; a lone Escape does not.
        while text in ("\x1b", "\x1b[", "\x1bO") and self._ready(0.01):
            text += os.read(self._handle, 1).decode("latin-1")
        return _NAMES.get(text[-1:], text) if len(text) == 3 else text or None

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._handle], [], [], seconds)[0])


class ConsoleKeys:
    """Keys of a Windows console."""

    def __init__(self, console: Any) -> None:
        """Take the module msvcrt."""
        self._console = console

    def read(self) -> str | None:
        """Return the next key if one was pressed."""
        if not self._console.kbhit():
            return None
        text: str = self._console.getwch()
        if text in ("\x00", "\xe0"):
            return _CODES.get(self._console.getwch())
        if text == "\x03":  # Ctrl-C is a key there while characters are read one by one
            raise KeyboardInterrupt
        return text


@contextmanager
def keys() -> Generator[Keys]:
    """Let the terminal give keys one by one, unseen, while the block lasts; Ctrl-C still works."""
    if sys.stdin is None or not sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        yield NoKeys()
        return
    try:
        import termios
        import tty
    except ImportError:  # Windows
        import msvcrt

        yield ConsoleKeys(msvcrt)
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    tty.setcbreak(handle)
    try:
        yield TerminalKeys(handle)
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)

"""Single keys from a terminal, without waiting and without Enter."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Generator
from contextlib import contextmanager

_NAMES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
}


class Keys:
    """Reads keys where standard input is a terminal; elsewhere there never is one."""

    def __init__(self, handle: int | None) -> None:
        """Take the terminal's file descriptor, or None."""
        self._handle = handle

    def read(self) -> str | None:
        """Return the next key if one was pressed: a character, or up, down, left, right."""
        if self._handle is None or not select.select([self._handle], [], [], 0)[0]:
            return None
        text = os.read(self._handle, 1).decode("latin-1")
        if text == "\x1b":
            # An arrow comes as three bytes at once; a lone Escape does not.
            while len(text) < 3 and select.select([self._handle], [], [], 0.01)[0]:
                text += os.read(self._handle, 1).decode("latin-1")
        return _NAMES.get(text, text) or None


@contextmanager
def keys() -> Generator[Keys]:
    """Let the terminal give keys one by one, unseen, while the block lasts; Ctrl-C still works."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield Keys(None)
        return
    if not sys.stdin.isatty():
        yield Keys(None)
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    tty.setcbreak(handle)
    try:
        yield Keys(handle)
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)

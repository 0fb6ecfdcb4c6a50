"""What ends a command from outside: Ctrl-C, a closed terminal, a request to terminate.

Python turns Ctrl-C into an exception wherever it is. In the middle of an import that is a
traceback, is lost, or crosses C++ code that ends the process by it; there, and before anything has
begun, the process just ends, as long as no output is open that would have to be taken away.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 128 + 2
CLOSED_PIPE = 128 + 13
"""The statuses that a shell shows for a program that Ctrl-C or SIGPIPE ended."""
_ENDING = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGBREAK")
"""Signals that end a process; outputs are taken away first. Not all are there on each system."""

_outputs = 0
_begun = False


@contextmanager
def signals_handled() -> Generator[None]:
    """Let Ctrl-C and other signals end the command well; those that are ignored stay so."""
    global _begun  # noqa: PLW0603 - signals are the process's
    _begun = False
    handlers = dict.fromkeys(_ENDING, _terminate) | {"SIGINT": _interrupt}
    before: dict[int, Any] = {}
    for name, handler in handlers.items():
        number = getattr(signal, name, None)
        # nohup, and shells in the background, have them ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def begin() -> None:
    """Let Ctrl-C be KeyboardInterrupt from now on: there is somebody to catch it."""
    global _begun  # noqa: PLW0603
    _begun = True


@contextmanager
def output_open() -> Generator[None]:
    """Say that there is something to be taken away if the command ends early."""
    global _outputs  # noqa: PLW0603
    _outputs += 1
    try:
        yield
    finally:
        _outputs -= 1


def _interrupt(_signal: int, frame: FrameType | None) -> NoReturn:
    if not _begun or (_outputs == 0 and _importing(frame)):
        os.write(2, b"ncodec: interrupted\n")
        os._exit(INTERRUPTED)
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    """Say whether a module is being loaded."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _terminate(number: int, _frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second one must not stop the cleaning up
    sys.exit(128 + number)

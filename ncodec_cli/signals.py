"""What ends a command from outside: Ctrl-C, a closed terminal, a request to terminate.

Python turns Ctrl-C into an exception wherever it is; in the middle of an import that is a
traceback, or is lost. While nothing is there to be cleaned up, the process just ends.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

INTERRUPTED = 128 + 2
CLOSED_PIPE = 128 + 13
"""The statuses that a shell shows for a program that Ctrl-C or SIGPIPE ended."""
_ENDING = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGBREAK")
"""Signals that end a process; outputs are taken away first. Not all are there on each system."""


def interrupt_at_once() -> None:
    """Let Ctrl-C end the process without cleaning up; for as long as nothing has begun."""
    _on_interrupt(_end)


def interrupt_by_error() -> None:
    """Let Ctrl-C be KeyboardInterrupt, so that outputs are taken away."""
    _on_interrupt(signal.default_int_handler)


@contextmanager
def nothing_begun() -> Generator[None]:
    """Load libraries and models, while no output is open: Ctrl-C ends the process at once."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    interrupt_at_once()
    try:
        yield
    finally:
        interrupt_by_error()


def terminate_by_error() -> None:
    """Let other signals that end a process be SystemExit with the status that shells give them."""
    for name in _ENDING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


def _on_interrupt(handler: object) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # nohup, a shell's background
        signal.signal(signal.SIGINT, handler)  # pyright: ignore[reportArgumentType]


def _end(_signal: int, _frame: object) -> NoReturn:
    os.write(2, b"ncodec: interrupted\n")
    os._exit(INTERRUPTED)


def _terminate(number: int, _frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second one must not stop the cleaning up
    sys.exit(128 + number)

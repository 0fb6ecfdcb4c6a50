"""Stopping between two steps: what Ctrl-C and a request to end become while a run goes on."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


class StopRequest:
    """While entered, the first signal is only noted; a second one acts as it did before.

    Weights that are half stepped must not be saved, so a step is never interrupted. Outside the
    main thread, where Python hands out no signals, nothing is noted.
    """

    def __init__(self) -> None:
        """Nobody has asked."""
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        """Note signals from here on."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Handle signals as before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        self.__exit__()

    def act(self) -> None:
        """End as the signal would have ended it.

        Raises:
            KeyboardInterrupt: It was Ctrl-C.
            SystemExit: It was another, with the status that shells expect.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


def ignore_signals(_worker: int = 0) -> None:
    """Let a process that reads data outlive a signal to all: the run asks it to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)

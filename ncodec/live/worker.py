"""The thread between the callbacks."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ncodec.live.devices import realtime


class Worker:
    """A thread that runs `work` whenever it is woken, until it says that there is no more.

    An error in it is kept for `check` to raise where the user is.
    """

    PATIENCE, IMPATIENCE = 10.0, 0.5
    """Seconds that `stop` waits: work that reads from a silent pipe would never end."""

    def __init__(self, work: Callable[[], bool]) -> None:
        """Prepare; `start` begins."""
        self._work = work
        self._woken, self._ended = threading.Event(), threading.Event()
        self._finish = True
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ncodec-worker", daemon=True)

    def start(self) -> None:
        """Begin with a first look at what there is to do."""
        self._woken.set()
        with realtime():
            self._thread.start()

    def wake(self) -> None:
        """Say that there is something to do; never waits long."""
        self._woken.set()

    def stop(self, *, finish: bool = True) -> None:
        """Let the thread finish what is there, or else only what it has in hand, and end it."""
        self._finish = finish
        self._ended.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(self.PATIENCE if finish else self.IMPATIENCE)

    def check(self) -> None:
        """Raise what the work has raised."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._woken.wait()
                self._woken.clear()
                while self._work():
                    if self._ended.is_set() and not self._finish:
                        return
        except BaseException as error:  # noqa: BLE001 - handed on by `check`
            self._error = error

"""What each token takes of a server: streams and files at once, and bytes an hour."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

from ncodec.serve.jobs import BusyError
from ncodec.serve.settings import MIB, Limits

_HOUR = 3600.0


class QuotaError(BusyError):
    """A token has all that one may have; try again later."""


class Account:
    """One token's, or that of all where there are no tokens.

    Bytes leak away evenly, all that one token may move within an hour. What is under way is not
    broken off when they are used up: nothing more begins.

    Attributes:
        streams: That run.
        jobs: Files that are worked on or wait.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self.streams = self.jobs = 0
        self._bytes, self._at = 0.0, clock()

    @contextmanager
    def taking(self, what: Literal["streams", "jobs"]) -> Generator[None]:
        """Have one more of them while the block lasts.

        Raises:
            QuotaError: This token has its share.
        """
        most = self._limits.token_streams if what == "streams" else self._limits.token_jobs
        present = self.streams if what == "streams" else self.jobs
        called = "streams" if what == "streams" else "files"
        if most is not None and present >= most:
            raise QuotaError(f"{present} {called} of this token run already")
        self.spend(0)
        limit = self._limits.token_bytes
        if limit is not None and self._bytes >= limit:
            raise QuotaError(f"this token has moved its {limit / MIB:g} MiB of an hour")
        setattr(self, what, present + 1)
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) - 1)

    def spend(self, count: int) -> None:
        """Count bytes that came or went."""
        limit, now = self._limits.token_bytes, self._clock()
        if limit is not None:
            self._bytes = max(0.0, self._bytes - (now - self._at) * limit / _HOUR) + count
        self._at = now

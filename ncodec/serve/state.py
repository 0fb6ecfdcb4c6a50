"""Server: all that requests share, from start to stop."""

from __future__ import annotations

import asyncio

from ncodec.errors import NcodecError
from ncodec.serve.gate import Books
from ncodec.serve.jobs import BusyError, JobError, Jobs
from ncodec.serve.remote import RemoteEngine
from ncodec.serve.settings import Settings

_STATUS = {
    "ArgumentError": 400,
    "LimitError": 413,
    "BusyError": 503,
    "QuotaError": 429,
    "SlowError": 408,
}
"""Of errors of the library; those of files are 422."""
RETRY_SECONDS = 5
"""What a client that is refused is told to wait."""


class Server:
    """Engine, jobs, streams and counts.

    Attributes:
        draining: It stops: what runs ends, nothing begins.
        calls: Streams that run.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.books = settings, Books()
        self.engine, self.jobs = RemoteEngine(settings), Jobs(settings)
        self.draining = asyncio.Event()
        self.calls: set[asyncio.Task[None]] = set()

    def check_stream(self) -> None:
        """Let another stream in.

        Raises:
            BusyError: There is no room, measured or counted.
        """
        limits, engine = self.settings.limits, self.engine
        self.check_open()
        if not engine.alive or not engine.models:
            raise BusyError("the engine is not ready")
        if len(self.calls) >= limits.streams:
            raise BusyError(f"{len(self.calls)} streams run already")
        if engine.load > limits.load:
            raise BusyError(f"the engine works {100 * engine.load:.0f} % of its time already")

    def check_open(self) -> None:
        """Raise BusyError when the server stops."""
        if self.draining.is_set():
            raise BusyError("the server stops")

    async def drain(self) -> None:
        """Let what runs end, for as long as there is grace."""
        self.draining.set()
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.settings.limits.grace_seconds
        while loop.time() < ends and (self.calls or self.jobs.running or self.jobs.waiting):
            await asyncio.sleep(0.02)

    def gauges(self) -> dict[str, float]:
        """Return what there is at present."""
        return {
            "streams": len(self.calls),
            "jobs_running": self.jobs.running,
            "jobs_waiting": self.jobs.waiting,
            "engine_load": self.engine.load,
            "engine_layers": self.engine.layers,
            "engine_up": float(self.engine.alive),
        }


def status_of(error: NcodecError) -> int:
    """Return the HTTP status of an error."""
    kind = error.kind if isinstance(error, JobError) else type(error).__name__
    return _STATUS.get(kind, 422)

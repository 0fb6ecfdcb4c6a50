"""What a session, a recorder and a player are: a worker and devices that start and end together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, TypeVar

from ncodec.live.devices import realtime
from ncodec.live.worker import Worker

R = TypeVar("R", bound="Running")


class Stream(Protocol):
    """A device, or what stands in for one."""

    def start(self) -> None:
        """Begin."""
        ...

    def check(self) -> None:
        """Raise what went wrong in its thread."""
        ...

    def close(self) -> None:
        """End."""
        ...


class Running:
    """A thread that does `work`, and streams; all of them run while the block lasts."""

    FINISHES = True
    """Whether what is still to be done is done when the block ends."""

    def __init__(self, work: Callable[[], bool], streams: Sequence[Stream]) -> None:
        """Prepare; the streams are open and have not started."""
        self._worker = Worker(work)
        self._streams = streams

    def __enter__(self: R) -> R:
        """Start."""
        self._worker.start()
        try:
            for stream in self._streams:
                stream.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; a recording is whole whatever happened."""
        self._close()

    def check(self) -> None:
        """Raise what went wrong in the threads, if anything did.

        Raises:
            DeviceError: a device has stopped.
        """
        self._worker.check()
        for stream in self._streams:
            stream.check()

    def wait(self, each: Callable[[], bool]) -> None:
        """Call `each` ten times a second until it returns False; raise what goes wrong meanwhile.

        The calling thread is put among those that must not wait: if it lost the processor while it
        holds the interpreter's lock, the callbacks would wait with it.
        """
        with realtime():
            while each():
                self.check()
                time.sleep(0.1)

    def _end(self) -> None:
        """End what a subclass has open, when all has stopped."""

    def _close(self) -> None:
        for stream in self._streams:
            stream.close()
        self._worker.stop(finish=self.FINISHES)
        self._end()

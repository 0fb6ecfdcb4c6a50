"""What carries datagrams: a thread with an event loop that reads, whatever the codec does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from ncodec.errors import NcodecError
from ncodec.net.bad_line import BadLine, Conditions

Receive = Callable[[bytes, float], None]
"""Given a datagram and when it arrived, in seconds of `time.monotonic`."""
HEADERS = 20 + 8 + 12
"""Bytes of IPv4, UDP and RTP around a payload."""
LINGER = 0.2


class Transport:
    """Send datagrams to one peer, and hand those that come to `receive`, in this object's thread.

    With `conditions` both directions go over a simulated line. An error of the network is kept
    for `check` to raise where the user is.
    """

    LINGERS = False
    """Whether what was sent last needs some time."""
    headers = HEADERS
    """Bytes that stand around each payload on the wire."""
    hello = "connecting"
    """What this object does before anybody answers."""
    refused = False
    """Whether the other end has said that nobody is there."""
    hint: str | None = None
    """What may be wrong if nobody does; None where that may take any time."""

    def __init__(self, conditions: Conditions | None = None) -> None:
        """Prepare; `start` begins."""
        self.receive: Receive = lambda _data, _arrival: None
        # A selector's loop, on Windows too: the default one there cannot watch a socket.
        self.loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._run, name="ncodec-network", daemon=True)
        self._lines = None
        if conditions is not None:
            self._lines = BadLine(conditions, "out"), BadLine(replace(conditions), "in")
        self._error: NcodecError | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def peer(self) -> str | None:
        """Who is at the other end; None while nobody is."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Send a datagram, or lose it; never waits. From any thread."""
        if self._closed:
            return
        if self._lines is None:
            self._put(data)
            return
        self._soon(self._carry, self._lines[0], data, self.loop.time(), self._put_at)

    def close(self) -> None:
        """Stop reading and let go of the network."""
        if self._closed:
            return
        self._closed = True
        if self._thread.ident is not None:
            asyncio.run_coroutine_threadsafe(self._closing(), self.loop)
            self._thread.join(5.0)

    def check(self) -> None:
        """Raise what went wrong in the thread, if anything did."""
        if self._error is not None:
            raise self._error

    def wait_for(self, work: Coroutine[Any, Any, Any], seconds: float | None = None) -> Any:
        """Run a coroutine in this object's thread; return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def came(self, data: bytes, arrival: float) -> None:
        """Hand a datagram on, by the simulated line if there is one. From this object's thread."""
        if self._lines is None:
            self.receive(data, arrival)
        else:
            self._carry(self._lines[1], data, arrival, self.receive)

    def fail(self, error: NcodecError) -> None:
        """Keep an error for `check`."""
        self._error = error

    def _put(self, data: bytes) -> None:
        """Send at once."""
        raise NotImplementedError

    async def _opening(self) -> None:
        """Begin to read, in the loop."""

    async def _shutting(self) -> None:
        """Let go, in the loop."""

    def _put_at(self, data: bytes, _arrival: float) -> None:
        self._put(data)

    def _carry(self, line: BadLine, data: bytes, now: float, onward: Receive) -> None:
        for arrival in line.carry(now, len(data) + 28):
            delay = max(0.0, arrival - self.loop.time())
            self.loop.call_later(delay, onward, data, arrival)

    def _soon(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            if not self._closed:
                raise

    async def _closing(self) -> None:
        if self.LINGERS or self._lines is not None:
            await asyncio.sleep(LINGER)  # the last words are still on the line
        try:
            await self._shutting()
        finally:
            self.loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.create_task(self._opening())
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

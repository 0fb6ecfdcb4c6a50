"""The sockets' side of the engine's process: streams as queues."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import queue
import threading
from typing import Any

from ncodec.errors import NcodecError
from ncodec.serve.settings import Settings
from ncodec_formats import Header


def _run_engine(*args: Any) -> None:
    from ncodec.serve.process import run_engine  # has torch, which this process does without

    run_engine(*args)


class RemoteStream:
    """One stream of the engine.

    Attributes:
        header: Of its codes.
        given: What came of it, as ("given", list), ("ended", list, samples) or ("error", line).
    """

    header: Header

    def __init__(self, engine: RemoteEngine, number: int) -> None:
        self._engine, self._number = engine, number
        self.given: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def push(self, data: Any) -> None:
        """Send bytes of samples, or a list of packets."""
        self._engine.send(("push", self._number, data))

    def end(self, samples: int | None = None) -> None:
        """Let it end; `given` then has the rest."""
        self._engine.send(("end", self._number, samples))

    def drop(self) -> None:
        """Leave it."""
        self._engine.streams.pop(self._number, None)
        self._engine.send(("drop", self._number))


class RemoteEngine:
    """The engine's process.

    Attributes:
        models: Names of models that have streams; empty until it is ready.
        load: Share of its time that it works.
        layers: Codebooks that encoders use at most at present.
        streams: Those that run, by number.
        alive: It has not ended.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.models: tuple[str, ...] = ()
        self.load, self.layers, self.alive = 0.0, 0, False
        self.streams: dict[int, RemoteStream] = {}
        self._numbers = itertools.count()
        self._outgoing: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self.ready = asyncio.Event()

    def start(self) -> None:
        """Start the process, and listen to it in this thread's loop."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_run_engine,
            args=(theirs, self._settings.models, self._settings.limits.load),
            daemon=True,
        )
        self._process.start()
        theirs.close()
        self.alive = True
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._hear)
        self._sender = threading.Thread(target=self._send_all, daemon=True)
        self._sender.start()

    async def open(self, model: str, options: dict[str, Any]) -> RemoteStream:
        """Begin a stream.

        Raises:
            NcodecError: The engine refuses it, or has ended.
        """
        if not self.alive:
            raise NcodecError("the engine has ended")
        number = next(self._numbers)
        stream = self.streams[number] = RemoteStream(self, number)
        self.send(("open", number, model, options))
        what, *rest = await stream.given.get()
        if what == "error":
            raise NcodecError(rest[0])
        stream.header = Header.parse(rest[0])
        return stream

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message, without waiting."""
        self._outgoing.put(message)

    def close(self) -> None:
        """End the process."""
        if self.alive:
            self._lost()
        self._outgoing.put(None)
        self._sender.join(2)
        self._pipe.close()
        self._process.join(2)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()

    def _send_all(self) -> None:
        while (message := self._outgoing.get()) is not None:
            try:
                self._pipe.send(message)
            except OSError:  # it has ended, which the loop hears too
                return

    def _hear(self) -> None:
        try:
            replies = self._pipe.recv()
        except (EOFError, OSError):
            self._lost()
            return
        for what, *rest in replies:
            if what == "load":
                self.load, self.layers = rest
            elif what == "models":
                self.models = rest[0]
                self.ready.set()
            elif (stream := self.streams.get(rest[0])) is not None:
                stream.given.put_nowait((what, *rest[1:]))
                if what in ("ended", "error"):
                    self.streams.pop(rest[0], None)

    def _lost(self) -> None:
        """Tell all streams that the engine has ended."""
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self.alive = False
        for stream in self.streams.values():
            stream.given.put_nowait(("error", "the engine has ended"))
        self.streams.clear()

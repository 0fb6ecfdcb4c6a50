"""The engine in a process of its own, and how the sockets' process speaks with it.

Messages are tuples over a pipe between our own two processes. What the engine gives leaves in one
message a step, so that the pipe costs little.
"""

from __future__ import annotations

import logging
import signal
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ncodec.audio.pcm import encode_pcm
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.errors import ArgumentError, NcodecError
from ncodec.serve.engine import BatchEngine
from ncodec_formats import Header

log = logging.getLogger("ncodec")

REPORT_SECONDS = 0.25
"""Between two reports of the load."""


class Load:
    """How much of its time the engine works: over about a second, newer time counts more."""

    def __init__(self) -> None:
        self.value, self._busy, self._since = 0.0, 0.0, time.monotonic()

    def worked(self, seconds: float) -> None:
        """Add time of work."""
        self._busy += seconds

    def report(self, now: float) -> float | None:
        """Return the share of time, when it is time for that."""
        past = now - self._since
        if past < REPORT_SECONDS:
            return None
        weight = min(1.0, past)
        self.value += weight * (min(self._busy / past, 1.0) - self.value)
        self._busy, self._since = 0.0, now
        return self.value


def choose_layers(load: float, most: float, present: int, total: int) -> int:
    """Return how many codebooks encoders shall use: fewer above 6/7 of the most load, more below.

    Two at a time, and never fewer than two: what is lower is no speech any more.
    """
    if load > most * 6 / 7:
        return max(min(2, total), present - 2)
    return min(total, present + 2) if load < most / 2 else present


class _Stream:
    """One stream in the engine's process."""

    def __init__(self, codec: StreamEncoder | StreamDecoder, encoding: str) -> None:
        self.codec, self.encoding = codec, encoding

    def push(self, data: Any) -> list[Any]:
        """Take bytes of samples, or packets; return what is ready."""
        if isinstance(self.codec, StreamEncoder):
            return list(self.codec.push_bytes(data, self.encoding))
        return [pcm for packet in data if (pcm := self._pcm(self.codec.push(packet)))]

    def ready(self) -> list[Any]:
        """Return what steps have made ready."""
        if isinstance(self.codec, StreamEncoder):
            return list(self.codec.ready())
        pcm = self._pcm(self.codec.ready())
        return [pcm] if pcm else []

    def finish(self, samples: int | None) -> tuple[list[Any], int]:
        """End: return the rest, and how many samples there were in all."""
        if isinstance(self.codec, StreamEncoder):
            return list(self.codec.finish()), self.codec.samples
        pcm = self._pcm(self.codec.finish(samples))
        return ([pcm] if pcm else []), self.codec.decoded_samples

    def _pcm(self, samples: np.ndarray) -> bytes:
        return encode_pcm(samples, self.encoding) if samples.shape[1] else b""


class EngineLoop:
    """Take messages, step, send what came of it, until the pipe closes.

    Steps are a frame's time apart at least, two or three where there is much to do. Small batches
    cost nearly as much as large ones: an engine that stepped as soon as anything came would always
    be busy, and its load would say nothing.
    """

    def __init__(self, pipe: Connection, models: tuple[str, ...], most_load: float) -> None:
        from ncodec.checkpoints import load

        self._pipe, self._most_load = pipe, most_load
        self._engines: dict[str, BatchEngine] = {}
        self._streams: dict[int, _Stream] = {}
        self._replies: list[tuple[Any, ...]] = []
        self._load = Load()
        for name in models:
            try:
                self._engines[name] = BatchEngine(load(name))
            except NcodecError as error:
                log.warning("no streams of %s: %s", name, error)
        codecs = [engine.model for engine in self._engines.values()]
        self._frame = min((codec.hop / codec.sample_rate for codec in codecs), default=1.0)
        self._tick = self._frame

    def run(self) -> None:
        """Work until the other side closes."""
        self._replies.append(("models", tuple(self._engines)))
        tick = 0.0
        while True:
            self._send()
            waits = any(engine.waiting for engine in self._engines.values())
            try:
                self._pipe.poll(max(tick - time.monotonic(), 0) if waits else REPORT_SECONDS)
                began = time.monotonic()
                while self._pipe.poll():
                    self._take(self._pipe.recv())
            except EOFError:
                return
            if began >= tick and self._step():
                tick = began + self._tick
            now = time.monotonic()
            self._load.worked(now - began)
            self._report(now)

    def _step(self) -> bool:
        """Step until nothing waits; return whether anything did."""
        done = sum([engine.run() for engine in self._engines.values()])
        if done:
            for number, stream in self._streams.items():
                if given := stream.ready():
                    self._replies.append(("given", number, given))
        return done > 0

    def _report(self, now: float) -> None:
        load = self._load.report(now)
        if load is None:
            return
        self._tick = self._frame * (1 + (load > 0.3) + (load > 0.5))
        for engine in self._engines.values():
            total = engine.model.total_codebooks
            engine.most_codebooks = choose_layers(
                load, self._most_load, engine.most_codebooks, total
            )
        layers = min((engine.most_codebooks for engine in self._engines.values()), default=0)
        self._replies.append(("load", load, layers))

    def _take(self, message: tuple[Any, ...]) -> None:
        what, number, *rest = message
        if what != "open" and number not in self._streams:
            return  # it has ended in an error, of which its owner has been told
        try:
            getattr(self, f"_{what}")(number, *rest)
        except NcodecError as error:
            self._drop(number)
            self._replies.append(("error", number, str(error)))

    def _open(self, number: int, model: str, options: dict[str, Any]) -> None:
        """Begin a stream; its encoding is that of its samples."""
        if model not in self._engines:
            raise ArgumentError(f"model {model}: no streams here, only files")
        encoding, header = options.pop("encoding"), options.pop("header", None)
        engine = self._engines[model]
        codec = (
            engine.decoder(Header.parse(header), **options)
            if header is not None
            else engine.encoder(**options)
        )
        self._streams[number] = _Stream(codec, encoding)
        self._replies.append(("opened", number, codec.header.to_bytes()))

    def _push(self, number: int, data: Any) -> None:
        if given := self._streams[number].push(data):
            self._replies.append(("given", number, given))

    def _end(self, number: int, samples: int | None) -> None:
        given, total = self._streams.pop(number).finish(samples)
        self._replies.append(("ended", number, given, total))

    def _drop(self, number: int) -> None:
        self._streams.pop(number, None)

    def _send(self) -> None:
        if self._replies:
            replies, self._replies = self._replies, []
            self._pipe.send(replies)


def run_engine(pipe: Connection, models: tuple[str, ...], most_load: float) -> None:
    """Be the engine's process; the sockets' process says when it ends."""
    import torch

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    try:
        EngineLoop(pipe, models, most_load).run()
    except (BrokenPipeError, ConnectionResetError):
        return

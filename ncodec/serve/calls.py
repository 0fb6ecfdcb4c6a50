"""A stream over a WebSocket: samples in and packets out, or packets in and samples out."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from ncodec.audio.pcm import BYTES
from ncodec.checkpoints.tables import tables_by_hash
from ncodec.errors import ArgumentError, BadFileError, NcodecError
from ncodec.serve.accounts import QuotaError
from ncodec.serve.gate import PROTOCOL
from ncodec.serve.jobs import BusyError
from ncodec.serve.remote import RemoteStream
from ncodec.serve.state import Server
from ncodec_formats import EcdcWriter, Header, Packet
from ncodec_formats.entropy.tables import register

register(tables_by_hash)

OPTIONS: dict[str, dict[str, type]] = {
    "encode": {
        "sample_rate": int, "channels": int, "bandwidth": float, "codebooks": int,
        "packet_frames": int,
    },
    "decode": {"sample_rate": int, "codebooks": int},
}  # fmt: skip
"""What the first message may say besides `direction`, `model` and `encoding`."""
_GOING, _INVALID, _POLICY, _LATER = 1001, 1007, 1008, 1013


class _Over(Exception):  # noqa: N818
    """The stream ends: code and reason for the WebSocket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


async def take_call(server: Server, websocket: Any) -> None:
    """Serve one WebSocket from its first message to its last."""
    from starlette.websockets import WebSocketDisconnect

    protocols = [p for p in websocket.scope["subprotocols"] if not p.startswith(PROTOCOL)]
    await websocket.accept(subprotocol=next(iter(protocols), None))
    task = asyncio.current_task()
    assert task is not None
    try:
        server.check_stream()
        server.calls.add(task)
        with websocket.state.account.taking("streams"):
            await Call(websocket, server).run()
        code, reason = 1000, ""
    except WebSocketDisconnect:
        return
    except RuntimeError as error:
        if "websocket.close" not in str(error):
            raise
        return  # uvicorn, which is stopping, closed the socket first, and says so in this way
    except _Over as over:
        code, reason = over.code, over.reason
    except BusyError as error:
        server.books.refused["share" if isinstance(error, QuotaError) else "load"] += 1
        code, reason = _LATER, str(error)
    except BadFileError as error:
        code, reason = _INVALID, str(error)
    except NcodecError as error:
        code, reason = _POLICY, str(error)
    finally:
        server.calls.discard(task)
    await _close(websocket, code, reason)


async def _close(websocket: Any, code: int, reason: str) -> None:
    """Say why, if anyone listens, and close; a reason has room for 123 bytes only."""
    try:
        async with _Within(2):
            if reason:
                await websocket.send_text(json.dumps({"error": reason}))
            await websocket.close(code, reason.encode()[:120].decode(errors="ignore"))
    except (RuntimeError, OSError, asyncio.TimeoutError, _disconnected()):
        return


def _disconnected() -> type[Exception]:
    from starlette.websockets import WebSocketDisconnect

    return WebSocketDisconnect


class _Within:
    """A context that is cancelled, as an `asyncio.TimeoutError`, after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._late = seconds, False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._stop)

    def _stop(self) -> None:
        self._late = True
        self._task.cancel()

    async def __aexit__(self, kind: Any, *_: object) -> None:
        self._handle.cancel()
        if self._late and kind is asyncio.CancelledError:
            raise asyncio.TimeoutError


class Call:
    """One stream: what comes in is paced and handed to the engine, what it gives is sent."""

    _stream: RemoteStream
    _header: Header

    def __init__(self, websocket: Any, server: Server) -> None:
        self._socket, self._server = websocket, server
        self._limits = server.settings.limits
        self._began, self._seconds = 0.0, 0.0

    async def run(self) -> None:
        """Serve it."""
        said = await self._hello()
        model = self._server.settings.model(said.pop("model", None))
        self._encodes = said.pop("direction") == "encode"
        self._encoding = said["encoding"]
        if not self._encodes:
            said["header"] = await self._bytes()
        self._stream = await self._server.engine.open(model, said)
        try:
            self._header, self._rate = self._stream.header, self._stream.header.source_rate
            self._rate = said.get("sample_rate", self._rate)
            await self._socket.send_text(json.dumps({"ready": True, "model": model}))
            await self._both_ways()
        finally:
            self._stream.drop()

    async def _hello(self) -> dict[str, Any]:
        """Take the first message."""
        message = await self._receive()
        try:
            said = json.loads(message.get("text") or "")
        except ValueError:
            said = None
        if not isinstance(said, dict) or said.get("direction") not in OPTIONS:
            raise ArgumentError(
                'the first message must be {"direction": "encode" or "decode", ...}'
            )
        known = OPTIONS[said["direction"]]
        for key, value in said.items():
            wanted = known.get(key, str)
            if key not in (*known, "direction", "model", "encoding"):
                raise ArgumentError(f"{key}: must be one of {', '.join(known)}, model, encoding")
            if not isinstance(value, (int, float) if wanted is float else wanted) or value is True:
                raise ArgumentError(f"{key} {value!r}: must be {wanted.__name__}")
        said.setdefault("encoding", "s16")
        if said["direction"] == "encode":
            said.setdefault("packet_frames", 1)
            said["entropy"] = "none"  # what a prediction saves is not worth its time here
        encodings = tuple(BYTES) if said["direction"] == "encode" else ("s16", "s24", "f32")
        if said["encoding"] not in encodings:
            raise ArgumentError(f"encoding {said['encoding']}: must be {', '.join(encodings)}")
        return said

    async def _both_ways(self) -> None:
        """Hear and send until one of both is over."""
        tasks = [asyncio.create_task(way) for way in (self._hear(), self._send(), self._stopping())]
        try:
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _stopping(self) -> None:
        """End the stream when the server stops: what came until then is given back whole."""
        await self._server.draining.wait()
        self._stream.end()

    async def _hear(self) -> None:
        self._began = time.monotonic()
        width = 1
        if self._encodes:
            width = BYTES[self._encoding] * self._header.source_channels * self._rate
        while True:
            message = await self._receive()
            if message.get("text") is not None:
                self._stream.end(self._end_of(message["text"]))
                return
            data = message.get("bytes") or b""
            if self._encodes:
                self._stream.push(data)
                self._seconds += len(data) / width
            elif (packet := await self._parsed(data)) is not None:
                self._stream.push([packet])
                self._seconds += packet.frames * self._header.hop / self._header.sample_rate
            await self._pace()

    async def _parsed(self, data: bytes) -> Packet | None:
        """Parse a message; predicted layers take time, in which others are served."""
        if any(self._header.kinds):
            return await asyncio.to_thread(self._packet, data)
        return self._packet(data)

    def _packet(self, data: bytes) -> Packet | None:
        """Return the packet in a message; what ends a file is none."""
        if data[2:3] and data[:2] == b"\xec\xdc" and data[2] & 15:
            return None
        packet = Packet.from_bytes(data, self._header, keep_going=True)
        ahead = packet.first_frame * self._header.hop / self._header.sample_rate - self._seconds
        if ahead > self._limits.idle_seconds:
            raise BadFileError(f"a packet {ahead:.0f} s after the last one")
        return packet

    def _end_of(self, text: str) -> int | None:
        try:
            said = json.loads(text)
            samples = said.get("samples") if said["end"] is True else -1
        except (ValueError, TypeError, KeyError, AttributeError):
            samples = -1
        if samples is not None and (type(samples) is not int or samples < 0 or self._encodes):
            raise ArgumentError(
                'a text message must be {"end": true}, where decoded with "samples"'
            )
        if samples is not None and samples > (self._seconds + 60) * self._header.source_rate:
            raise ArgumentError(f"samples {samples}: more than came")
        return samples

    async def _pace(self) -> None:
        """Let a client that sends faster than real time wait: its messages stay with it."""
        ahead = self._seconds - (time.monotonic() - self._began)
        if ahead > self._limits.ahead_seconds:
            await asyncio.sleep(ahead - self._limits.ahead_seconds)

    async def _receive(self) -> dict[str, Any]:
        """Return the next message."""
        try:
            message = await asyncio.wait_for(self._socket.receive(), self._limits.idle_seconds)
        except asyncio.TimeoutError:
            raise _Over(_POLICY, f"no message for {self._limits.idle_seconds:g} s") from None
        if message["type"] == "websocket.disconnect":
            raise _disconnected()(message.get("code", 1005))
        return message

    async def _bytes(self) -> bytes:
        data = (await self._receive()).get("bytes")
        if not data:
            raise ArgumentError("the second message must be the header, as bytes")
        return data

    async def _send(self) -> None:
        written = _Written()
        writer = EcdcWriter(written, self._header) if self._encodes else None  # type: ignore[arg-type]
        await self._put(written.take())
        while True:
            what, *rest = await self._stream.given.get()
            if what == "error":
                raise _Over(_INVALID, rest[0])
            for item in rest[0]:
                if writer is None:
                    await self._put(item)
                    continue
                writer.write(item.codes, item.scale, first_frame=item.first_frame)
                await self._put(written.take())
            if what == "ended":
                if writer is not None:
                    writer.finish(rest[1])
                    await self._put(written.take())
                await self._socket.send_text(json.dumps({"end": True, "samples": rest[1]}))
                if self._server.draining.is_set():
                    raise _Over(_GOING, "the server stops")
                return

    async def _put(self, data: bytes) -> None:
        """Send a message; end a stream whose client does not take it."""
        if not data:
            return
        limit = self._limits.behind_seconds
        try:
            async with _Within(limit):
                await self._socket.send_bytes(data)
        except asyncio.TimeoutError:
            raise _Over(_LATER, f"nothing was taken for {limit:g} s") from None


class _Written:
    """What a writer has written since it was last asked."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data

"""Serving: the socket, uvicorn, and an end that lets streams end whole."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any

from ncodec.errors import ArgumentError
from ncodec.serve.settings import Settings, check_place

SEND_BUFFER = 64 * 1024
"""Bytes that the system keeps of what a client does not read; by default megabytes."""
MESSAGE_BYTES = 64 * 1024
"""Of the longest WebSocket message: 1.4 s of 16-bit samples at 24 kHz."""


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then let what runs end.

    Args:
        settings: Models, tokens, origins, limits.
        host: Address to listen at; others than this machine's own need tokens.
        port: Its port; 0 takes a free one.
        started: Called with the server's URL as soon as it listens.

    Raises:
        ArgumentError: A package of the extra `serve` is missing, a value breaks a rule, or the
            port cannot be had.
        CheckpointError: A model is not on this machine, or is none.
    """
    from ncodec.checkpoints import find, read_model_info
    from ncodec.serve.app import check_extra

    check_extra()
    check_place(host, port, settings)
    for name in settings.models:
        read_model_info(find(name))
    with contextlib.closing(_listen(host, port)) as listener:
        asyncio.run(_serve(settings, listener, started))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ArgumentError(f"{host}, port {port}: {error.strerror or error}") from error
    return listener


async def _serve(
    settings: Settings, listener: socket.socket, started: Callable[[str], None] | None
) -> None:
    import uvicorn

    from ncodec.serve.app import make_app

    app = make_app(settings)

    class Uvicorn(uvicorn.Server):
        """Leaves signals to us."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        server_header=False,
        timeout_keep_alive=10,
        h11_max_incomplete_event_size=32 * 1024,
        timeout_graceful_shutdown=2,
    )
    server = Uvicorn(config)
    loop, stopping = asyncio.get_running_loop(), list[asyncio.Task[Any]]()

    async def stop() -> None:
        await app.state.server.drain()
        server.should_exit = True

    def signalled() -> None:
        if stopping:  # a second time: at once
            server.should_exit = server.force_exit = True
        else:
            stopping.append(loop.create_task(stop()))

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    if started is not None:
        host, port = listener.getsockname()[:2]
        started(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    await server.serve(sockets=[listener])

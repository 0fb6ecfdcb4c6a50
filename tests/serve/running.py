"""A server in a process of its own, and clients of it, for tests."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.live.virtual_card import ENVIRONMENT, ROOT

TOKEN = "a token of sixteen bytes and more"
_PROGRAM = """
import hashlib, json, sys
from ncodec.serve.server import serve
from ncodec.serve.settings import Limits, Settings
limits, tokens, origins, models = json.loads(sys.argv[1])
serve(
    Settings(
        models=tuple(models),
        tokens=tuple(hashlib.sha256(token.encode()).digest() for token in tokens),
        origins=tuple(origins),
        limits=Limits(**limits),
    ),
    port=0,
    started=lambda url: print(url, flush=True),
)
"""


class Running:
    """A server that runs.

    Attributes:
        url: Where it is.
        process: Its process.
    """

    def __init__(self, url: str, process: subprocess.Popen[str], token: str | None) -> None:
        self.url, self.process = url, process
        self.headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self.port = int(url.rpartition(":")[2])

    def client(self, **options: Any) -> Any:
        import httpx

        return httpx.Client(base_url=self.url, headers=self.headers, timeout=120, **options)

    def socket(self, **options: Any) -> Any:
        from websockets.sync.client import connect

        return connect(
            f"ws{self.url[4:]}/v1/stream",
            additional_headers=self.headers,
            compression=None,
            **options,
        )

    def resident(self) -> int:
        """Return the bytes that it and the processes it has started hold."""
        parent = psutil.Process(self.process.pid)
        processes = [parent, *parent.children(recursive=True)]
        return sum(process.memory_info().rss for process in processes if process.is_running())


@contextlib.contextmanager
def running(
    token: str | None = None,
    origins: tuple[str, ...] = (),
    models: tuple[str, ...] = ("ncodec_24khz",),
    cache: Path | None = None,
    **limits: Any,
) -> Iterator[Running]:
    """Run a server with these limits until the end of the context; `cache` holds models."""
    told = json.dumps([limits, [token] if token else [], origins, models])
    environment = ENVIRONMENT if cache is None else {**ENVIRONMENT, "NCODEC_CACHE": str(cache)}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, told],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url, process.communicate()[1]
        server = Running(url, process, token)
        with server.client() as client:
            wait_until_ready(client)
        yield server
    finally:
        process.terminate()
        output = process.communicate()[1]
    assert "Traceback" not in output, output


def wait_until_ready(client: Any) -> None:
    """Ask for its health until it is well; and for a job, whose process must have started."""
    import time

    import httpx

    while True:
        with contextlib.suppress(httpx.ConnectError):
            if client.get("/health").status_code == 200:
                return
        time.sleep(0.1)


def collect(socket: Any) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Take all messages until the server closes: bytes and texts."""
    from websockets.exceptions import ConnectionClosed

    data: list[bytes] = []
    said: list[dict[str, Any]] = []
    with contextlib.suppress(ConnectionClosed):
        for message in socket:
            if isinstance(message, bytes):
                data.append(message)
            else:
                said.append(json.loads(message))
    return data, said

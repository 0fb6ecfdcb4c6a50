"""What every request passes before anything of it is read: token, origin, books and accounts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ncodec.serve.accounts import Account
from ncodec.serve.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/health"})
"""For those who watch over the server, without a token."""
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
PROTOCOL = "ncodec-token."
"""Begins the subprotocol by which a page, which cannot set headers, brings its token."""


class Books:
    """Counts for `/metrics`.

    Attributes:
        requests: By path and status.
        refused: By reason.
        bytes_in: Of bodies and messages.
        bytes_out: Likewise.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.refused: Counter[str] = Counter()
        self.bytes_in = self.bytes_out = 0

    def text(self, gauges: dict[str, float]) -> str:
        """Return all as Prometheus reads it."""
        lines = ["# TYPE ncodec_requests_total counter"]
        lines += [
            f'ncodec_requests_total{{path="{path}",status="{status}"}} {count}'
            for (path, status), count in sorted(self.requests.items())
        ]
        lines.append("# TYPE ncodec_refused_total counter")
        lines += [
            f'ncodec_refused_total{{reason="{reason}"}} {count}'
            for reason, count in sorted(self.refused.items())
        ]
        for way, count in (("in", self.bytes_in), ("out", self.bytes_out)):
            lines += [
                f"# TYPE ncodec_bytes_{way}_total counter",
                f"ncodec_bytes_{way}_total {count}",
            ]
        for name, value in gauges.items():
            lines += [f"# TYPE ncodec_{name} gauge", f"ncodec_{name} {value:g}"]
        return "\n".join(lines) + "\n"


class Gate:
    """ASGI around the application: refuses who has no token, and pages of other origins.

    What it lets in has the account of its token as `state.account`.
    """

    def __init__(
        self, app: App, *, settings: Settings, books: Books, paths: frozenset[str]
    ) -> None:
        self._app, self._settings, self._books, self._paths = app, settings, books, paths
        self._accounts: dict[bytes, Account] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {key.lower(): value for key, value in scope["headers"]}
        holder = self._settings.holder(_token(scope, headers))
        reason = self._reason(scope, headers, holder)
        if reason is None:
            account = self._account(holder)
            scope.setdefault("state", {})["account"] = account
            await self._app(
                scope, self._taken(account, receive), self._given(account, scope["path"], send)
            )
            return
        self._books.refused[reason[1]] += 1
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": reason[2]})
        else:
            await _refuse(self._given(None, scope["path"], send), reason[0], reason[2])

    def _reason(
        self, scope: Message, headers: dict[bytes, bytes], holder: bytes | None
    ) -> tuple[int, str, str] | None:
        origin = headers.get(b"origin")
        if origin is not None and not self._is_ours(origin, headers.get(b"host", b"")):
            return 403, "origin", "pages of this origin are not let in"
        if holder is None and scope["path"] not in OPEN_PATHS:
            return 401, "token", "a token is needed: Authorization: Bearer TOKEN"
        return None

    def _account(self, holder: bytes | None) -> Account | None:
        """Return what a token has taken; nobody's, on the open paths, is not counted."""
        if holder is None:
            return None
        return self._accounts.setdefault(holder, Account(self._settings.limits))

    def _is_ours(self, origin: bytes, host: bytes) -> bool:
        """Say whether a page may ask: one on the list, or this machine's own.

        Any other that has our own name may have got it by changing what its name stands for.
        """
        name, own = origin.decode("latin-1"), host.decode("latin-1")
        local = own.rpartition(":")[0] in _LOCAL or own in _LOCAL
        return name in self._settings.origins or (local and name == f"http://{own}")

    def _taken(self, account: Account | None, receive: Receive) -> Receive:
        async def taken() -> Message:
            message = await receive()
            count = _size(message)
            self._books.bytes_in += count
            if account is not None:
                account.spend(count)
            return message

        return taken

    def _given(self, account: Account | None, path: str, send: Send) -> Send:
        async def given(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Names of others' making fill memory.
                known = path if path in self._paths else "other"
                self._books.requests[known, message["status"]] += 1
            count = _size(message)
            self._books.bytes_out += count
            if account is not None:
                account.spend(count)
            await send(message)

        return given


def _size(message: Message) -> int:
    """Return the bytes of a body's piece, or of a WebSocket's binary message."""
    return len(message.get("body") or message.get("bytes") or b"")


def _token(scope: Message, headers: dict[bytes, bytes]) -> bytes:
    kind, _, token = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer":
        return token.strip()
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(PROTOCOL):
            return protocol[len(PROTOCOL) :].encode("latin-1", "replace")
    return b""


async def _refuse(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

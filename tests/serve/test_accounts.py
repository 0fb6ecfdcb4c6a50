"""What one token may take, while others go on."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from ncodec.serve.accounts import Account, QuotaError
from ncodec.serve.gate import Books, Gate
from ncodec.serve.settings import MIB, Limits, Settings

TOKENS = b"0123456789abcdef", b"fedcba9876543210"


def test_a_token_has_so_many_streams_and_files_at_once() -> None:
    account = Account(Limits(token_streams=2, token_jobs=1))
    with account.taking("streams"), account.taking("jobs"):
        with account.taking("streams"):
            for what, said in (("streams", "2 streams"), ("jobs", "1 files")):
                with pytest.raises(QuotaError, match=f"{said} of this token"):
                    account.taking(what).__enter__()
        with account.taking("streams"):
            assert account.streams == 2
    assert (account.streams, account.jobs) == (0, 0)
    with account.taking("jobs"):
        pass


def test_bytes_are_counted_by_the_hour_and_leak_away_evenly() -> None:
    now = 1000.0
    account = Account(Limits(token_bytes=60 * MIB), lambda: now)
    with account.taking("jobs"):
        account.spend(90 * MIB)  # what is under way goes on
    for minutes, free in ((0, False), (29, False), (31, True)):
        now = 1000.0 + 60 * minutes
        if free:
            account.taking("jobs").__enter__()
            continue
        with pytest.raises(QuotaError, match="its 60 MiB of an hour"):
            account.taking("jobs").__enter__()
    without = Account(Limits())
    without.spend(1 << 50)
    without.taking("streams").__enter__()


def test_the_gate_counts_for_each_token_what_it_moves() -> None:
    found, books = list[Account](), Books()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope["state"]["account"])
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(5)})

    async def ask(token: bytes) -> None:
        parts = [
            {"type": "http.request", "body": bytes(7), "more_body": True},
            {"type": "http.request", "body": bytes(8)},
        ]

        async def receive() -> Any:
            return parts.pop(0)

        async def send(_: Any) -> None:
            pass

        headers = [(b"authorization", b"Bearer " + token)]
        scope = {"type": "http", "path": "/v1/info", "headers": headers}
        await gate(scope, receive, send)

    settings = Settings(
        tokens=tuple(hashlib.sha256(token).digest() for token in TOKENS),
        limits=Limits(token_bytes=19),
    )
    gate = Gate(app, settings=settings, books=books, paths=frozenset({"/v1/info"}))
    for token in (*TOKENS, b"none of ours", TOKENS[0]):
        asyncio.run(ask(token))
    one, other, again = found
    assert one is again is not other
    assert (books.bytes_in, books.requests["/v1/info", 200]) == (45, 3)
    assert (books.refused["token"], books.requests["/v1/info", 401]) == (1, 1)
    with pytest.raises(QuotaError):
        one.taking("jobs").__enter__()
    with pytest.raises(QuotaError):  # 15 in and 5 out
        other.taking("jobs").__enter__()


def test_a_token_that_has_its_share_is_told_when_to_come_back() -> None:
    httpx = pytest.importorskip("httpx", reason="needs httpx")
    pytest.importorskip("fastapi", reason="needs FastAPI, the extra `serve`")
    from ncodec.serve.app import make_app

    app = make_app(Settings(limits=Limits(token_bytes=0)))

    async def ask() -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            return await client.post("/v1/info", content=b"ECDC"), await client.get("/v1/models")

    refused, other = asyncio.run(ask())
    assert (refused.status_code, other.status_code) == (429, 200)
    assert refused.json() == {"error": "this token has moved its 0 MiB of an hour"}
    assert int(refused.headers["retry-after"]) > 0

"""Tokens, places, the gate's books, and how load becomes fewer layers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ncodec.errors import ArgumentError, BadFileError
from ncodec.serve.gate import Books
from ncodec.serve.process import Load, choose_layers
from ncodec.serve.settings import Limits, Settings, check_place, read_tokens


def test_tokens_are_read_and_compared_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(b"# of the team\n\n0123456789abcdef\r\n\xff\xfe23456789abcdef\n")
    path.chmod(0o600)
    settings = Settings(tokens=read_tokens(path))
    one, other = (settings.holder(t) for t in (b"0123456789abcdef", b"\xff\xfe23456789abcdef"))
    assert one
    assert other
    assert one != other
    for wrong in (b"", b"0123456789abcde", b"0123456789abcdef ", b"\xc3\xbf", b"# of the team"):
        assert settings.holder(wrong) is None
    assert Settings().holder(b"") == b""


def test_token_files_that_protect_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    for text, said in ((b"\n# none\n", "no token"), (b"short\n", "can be guessed")):
        path.write_bytes(text)
        path.chmod(0o600)
        with pytest.raises(BadFileError, match=said):
            read_tokens(path)
    path.write_bytes(b"0123456789abcdef")
    path.chmod(0o644)
    with pytest.raises(BadFileError, match="others may read"):
        read_tokens(path)


def test_a_server_without_tokens_serves_its_own_machine_only() -> None:
    for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"):
        check_place(host, 0, Settings())
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", ""):
        with pytest.raises(ArgumentError, match="needs tokens"):
            check_place(host, 8000, Settings())
        check_place(host, 8000, Settings(tokens=(b"x" * 32,)))
    with pytest.raises(ArgumentError, match="port 65536"):
        check_place("::1", 65536, Settings())


def test_models_are_those_of_the_list() -> None:
    settings = Settings(models=("a", "b"))
    assert settings.model(None) == "a"
    assert settings.model("b") == "b"
    for name in ("", "c", "../a"):
        with pytest.raises(ArgumentError, match="this server has a, b"):
            settings.model(name)


@pytest.mark.parametrize(
    "origin", ["", "example.org", "https://example.org/", "https://Example.org", "ftp://a", "*"]
)
def test_origins_that_no_browser_sends_are_refused(origin: str) -> None:
    Settings(origins=("https://example.org", "http://localhost:5173", "http://[::1]:80"))
    with pytest.raises(ArgumentError, match="must be http"):
        Settings(origins=(origin,))


def test_no_server_where_nothing_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.fork")
    with pytest.raises(ArgumentError, match="does not have"):
        check_place("localhost", 8000, Settings())


def test_layers_go_before_streams() -> None:
    assert choose_layers(0.65, 0.7, 16, 16) == 14
    assert choose_layers(0.65, 0.7, 3, 16) == choose_layers(1.0, 0.7, 2, 16) == 2
    assert choose_layers(0.65, 0.7, 1, 1) == 1
    assert choose_layers(0.5, 0.7, 8, 16) == 8
    assert choose_layers(0.2, 0.7, 15, 16) == 16


def test_the_load_is_the_share_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("ncodec.serve.process.time.monotonic", lambda: now)
    load = Load()
    assert load.report(100.1) is None
    for _ in range(40):
        load.worked(0.15)
        now += 0.3
        load.report(now)
    assert load.value == pytest.approx(0.5, abs=0.01)


def test_a_stream_is_let_in_by_count_load_and_time_of_day() -> None:
    from ncodec.serve.jobs import BusyError
    from ncodec.serve.state import Server

    async def try_all() -> list[str]:
        server, said = Server(Settings(limits=Limits(streams=1, load=0.7))), []
        steps = (
            lambda: None,
            lambda: setattr(server.engine, "alive", True),
            lambda: setattr(server.engine, "models", ("ncodec_24khz",)),
            lambda: setattr(server.engine, "load", 0.71),
            lambda: setattr(server.engine, "load", 0.69),
            lambda: server.calls.add(asyncio.current_task()),
            server.draining.set,
        )
        for step in steps:
            step()
            try:
                server.check_stream()
                said.append("in")
            except BusyError as error:
                said.append(str(error))
        return said

    assert asyncio.run(try_all()) == [
        "the engine is not ready",
        "the engine is not ready",
        "in",
        "the engine works 71 % of its time already",
        "in",
        "1 streams run already",
        "the server stops",
    ]


def test_books_are_prometheus_text() -> None:
    books = Books()
    books.requests["/v1/info", 200] += 2
    books.refused["token"] += 1
    lines = books.text({"streams": 3}).splitlines()
    assert 'ncodec_requests_total{path="/v1/info",status="200"} 2' in lines
    assert 'ncodec_refused_total{reason="token"} 1' in lines
    assert lines[-2:] == ["# TYPE ncodec_streams gauge", "ncodec_streams 3"]

"""Downloads from a server on this machine that misbehaves on request."""

import errno
import hashlib
import resource
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ncodec.checkpoints import fetch as fetch_module
from ncodec.checkpoints.fetch import fetch
from ncodec.errors import CheckpointError

BODY = bytes(i * 7 % 251 for i in range(1_000_003))
DIGEST = hashlib.sha256(BODY).hexdigest()


class Server:
    """What the server does next; `log` has the Range of every request."""

    def __init__(self) -> None:
        self.body = BODY
        self.etag: str | None = '"one"'
        self.cuts: list[int] = []  # bytes to send before cutting, one a request
        self.announce: int | None = None  # a Content-Length that is not true
        self.status = 200
        self.log: list[str | None] = []
        self.hold = threading.Event()
        self.hold.set()
        self.url = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.log.append(wanted)
            state.hold.wait(10)
            if state.status != 200:
                self.send_error(state.status)
                return
            start = 0
            unchanged = self.headers.get("If-Range", state.etag) == state.etag
            if wanted and unchanged:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(state.body):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(state.body) - 1}/{len(state.body)}"
                )
            else:
                self.send_response(200)
            payload = state.body[start:]
            self.send_header("Content-Length", str(state.announce or len(payload)))
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            self.wfile.write(payload[: state.cuts.pop(0)] if state.cuts else payload)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_port}/model.th"
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


def leftovers(folder: Path) -> set[str]:
    return {p.suffix for p in folder.iterdir()} - {".lock"}


def test_good_file_and_progress(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    target = tmp_path / "cache" / "model.th"
    assert fetch(server.url, target, DIGEST[:8], lambda *a: told.append(a)) == DIGEST
    assert target.read_bytes() == BODY
    assert told[-1] == (len(BODY), len(BODY))
    assert leftovers(target.parent) == {".th"}


def test_a_second_call_needs_no_server(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "model.th"
    fetch(server.url, target, DIGEST)
    assert fetch(server.url, target, DIGEST) == DIGEST
    assert len(server.log) == 1


def test_cut_connection_is_resumed_within_the_call(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000, 100_000]
    target = tmp_path / "model.th"
    assert fetch(server.url, target, DIGEST) == DIGEST
    assert target.read_bytes() == BODY
    assert server.log == [None, "bytes=300000-", "bytes=400000-"]


def test_cut_connection_is_resumed_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000, 0]
    target = tmp_path / "model.th"
    with pytest.raises(CheckpointError, match=r"cut after 300000 of 1000003 bytes.*resumes"):
        fetch(server.url, target)
    assert not target.exists()
    assert fetch(server.url, target) == DIGEST
    assert server.log[-1] == "bytes=300000-"


def test_a_file_that_changed_meanwhile_is_not_mixed(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000, 0]
    target = tmp_path / "model.th"
    with pytest.raises(CheckpointError):
        fetch(server.url, target)
    server.body, server.etag = BODY[::-1], '"two"'
    fetch(server.url, target)
    assert target.read_bytes() == BODY[::-1]


def test_without_validator_or_digest_it_starts_anew(server: Server, tmp_path: Path) -> None:
    server.etag, server.cuts = None, [300_000]
    assert fetch(server.url, tmp_path / "model.th") == DIGEST
    assert server.log == [None, None]


def test_part_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "model.th.part").write_bytes(BODY + b"more")
    assert fetch(server.url, tmp_path / "model.th", DIGEST) == DIGEST


def test_corrupted_byte(server: Server, tmp_path: Path) -> None:
    server.body = BODY[:-1] + bytes([BODY[-1] ^ 1])
    with pytest.raises(CheckpointError, match=f"SHA-256.*should begin with {DIGEST[:8]}"):
        fetch(server.url, tmp_path / "model.th", DIGEST[:8])
    assert leftovers(tmp_path) <= {".tag"}


def test_damaged_file_in_place_is_removed(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "model.th"
    target.write_bytes(b"half")
    with pytest.raises(CheckpointError, match="SHA-256"):
        fetch(server.url, target, DIGEST)
    assert fetch(server.url, target, DIGEST) == DIGEST


def test_404(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(CheckpointError, match="404"):
        fetch(server.url, tmp_path / "model.th", DIGEST)
    assert leftovers(tmp_path) == set()


def test_wrong_size(server: Server, tmp_path: Path) -> None:
    server.announce = len(BODY) + 10
    server.etag = None
    with pytest.raises(CheckpointError, match="cut after 1000003 of 1000013 bytes"):
        fetch(server.url, tmp_path / "model.th")
    assert not (tmp_path / "model.th").exists()


def test_no_network(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be reached"):
        fetch("http://127.0.0.1:1/model.th", tmp_path / "model.th")
    with pytest.raises(CheckpointError, match="only http"):
        fetch("ftp://127.0.0.1/model.th", tmp_path / "model.th")


def test_disk_that_is_known_to_be_full(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(CheckpointError, match="disk is full: 1000003 bytes needed, 1000 free"):
        fetch(server.url, tmp_path / "model.th", DIGEST)
    assert leftovers(tmp_path) <= {".tag"}


def test_disk_that_fills_up(server: Server, tmp_path: Path) -> None:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, old[1]))
    try:
        with pytest.raises(CheckpointError, match="disk is full") as caught:
            fetch(server.url, tmp_path / "model.th", DIGEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert leftovers(tmp_path) <= {".tag"}


def test_two_at_once_download_once(server: Server, tmp_path: Path) -> None:
    server.hold.clear()
    results: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(fetch(server.url, tmp_path / "model.th", DIGEST))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    server.hold.set()
    for thread in threads:
        thread.join(20)
    assert results == [DIGEST, DIGEST]
    assert len(server.log) == 1

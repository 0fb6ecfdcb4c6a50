"""The Hugging Face hub's cache and environment variables."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ncodec.checkpoints import Entry, Source, exports, hub, pull, registry
from ncodec.checkpoints.cache import model_path
from ncodec.checkpoints.model_file import save
from ncodec.config import DacConfig
from ncodec.errors import CheckpointError
from ncodec.models.dac import DacModel

TINY = DacConfig(16000, 4, (2, 4), 16, 16, 2, 16, 4)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
VARIABLES = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE")


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return the weights of `someone/tiny`, which the registry knows as "tiny"."""
    for name in (*VARIABLES, "TRANSFORMERS_OFFLINE", "http_proxy", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    save(DacModel(TINY, "tiny"), tmp_path / "own.safetensors")
    exports.export_model(tmp_path / "own.safetensors", tmp_path / "hf", "hf")
    source = Source("https://huggingface.co/someone/tiny/resolve/main/model.safetensors",
                    repository="someone/tiny")  # fmt: skip
    entry = Entry("tiny", "dac", "for tests", "CC0", TINY.to_dict(), (source,))
    monkeypatch.setitem(registry.REGISTRY, "tiny", entry)
    return (tmp_path / "hf" / "model.safetensors").read_bytes()


def fill_cache(folder: Path, content: bytes, name: str | None = None) -> None:
    """Lay a file down as huggingface_hub does."""
    repository = folder / "models--someone--tiny"
    blob = repository / "blobs" / (name or hashlib.sha256(content).hexdigest())
    link = repository / "snapshots" / COMMIT / "model.safetensors"
    for path in (blob, link, repository / "refs" / "main"):
        path.parent.mkdir(parents=True)
    blob.write_bytes(content)
    link.symlink_to(blob)
    (repository / "refs" / "main").write_text(COMMIT)


@pytest.mark.parametrize(
    ("variable", "value", "folder"),
    [
        ("HF_HUB_CACHE", "there", "there"),
        ("HF_HOME", "there", "there/hub"),
        ("XDG_CACHE_HOME", "there", "there/huggingface/hub"),
        ("X", "", "home/.cache/huggingface/hub"),
    ],
)
def test_what_the_cache_has_is_not_downloaded(
    weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable, value, folder
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / value))
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    fill_cache(tmp_path / folder, weights)
    info = pull("someone/tiny")
    assert (info.name, info.licence, info.is_published) == ("tiny", "CC0", True)
    assert info.notes["sha256"] == hashlib.sha256(weights).hexdigest()


def test_what_lies_damaged_in_the_cache_is_passed_over(
    weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fill_cache(tmp_path / "hub", weights[:-1], hashlib.sha256(weights).hexdigest())
    with pytest.raises(CheckpointError) as raised:
        pull("tiny")
    first, second, last = str(raised.value).splitlines()
    assert "damaged or replaced" in first
    assert "not asked, since HF_HUB_OFFLINE is set" in second
    assert "ncodec models import FILE" in last
    assert "mirror=URL" in last
    assert not model_path("tiny").exists()


@pytest.fixture
def server(weights: bytes) -> Iterator[http.server.ThreadingHTTPServer]:
    """Give a hub that tells the digest and sends on to where the file lies; `asked` is kept."""

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.asked.append(f"{self.command} {self.path}")
            if "/blob" in self.path:
                self.send_response(200)
                self.send_header("Content-Length", str(len(weights)))
                self.end_headers()
                self.wfile.write(weights)
                return
            self.send_response(302)
            self.send_header("X-Linked-ETag", f'"{self.server.digest}"')
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/blob")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked, server.digest = [], hashlib.sha256(weights).hexdigest()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_endpoint_is_asked_for_the_digest_and_the_file(
    server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    assert pull("tiny").is_published
    path = "/someone/tiny/resolve/main/model.safetensors"
    assert server.asked == [f"HEAD {path}", f"GET {path}", "GET /blob"]


def test_a_file_that_is_not_what_the_hub_says_is_refused(
    server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    server.digest = "ab" * 32
    with pytest.raises(CheckpointError, match="damaged or replaced: its SHA-256 is"):
        pull("tiny")


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_offline_asks_nobody(server, value, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set"):
        pull("tiny")
    assert server.asked == []


def test_proxies_are_used(server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is asked for whole addresses."""
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert pull("tiny").is_published
    assert server.asked[0] == "HEAD http://hub.invalid/someone/tiny/resolve/main/model.safetensors"


def test_a_mirror_in_a_folder(weights: bytes, tmp_path: Path) -> None:
    """Nobody vouches for what a mirror has, unless the registry knows the digest."""
    info = pull("tiny", mirror=str(tmp_path / "hf"))
    assert (info.name, info.is_published) == ("tiny", False)


def test_as_huggingface_hub_lays_it_down(
    weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "there"))
    fill_cache(tmp_path / "there", weights)
    expected = theirs.try_to_load_from_cache(
        "someone/tiny", "model.safetensors", cache_dir=tmp_path / "there"
    )
    found = hub.cached("someone/tiny", "model.safetensors")
    assert found is not None
    assert str(found[0]) == expected

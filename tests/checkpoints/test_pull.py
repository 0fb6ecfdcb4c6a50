"""`pull` end to end: a checkpoint in an official layout, from a server on this machine."""

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from ncodec.checkpoints import Entry, Source, load, pull, registry, stored_names
from ncodec.checkpoints import exports as exports_module
from ncodec.checkpoints.cache import model_path
from ncodec.checkpoints.fetch import file_sha256
from ncodec.checkpoints.model_file import read_model_info, save
from ncodec.config import DacConfig
from ncodec.errors import CheckpointError
from ncodec.models.dac import DacModel

CONFIG = DacConfig(16000, 4, (2, 4), 16, 8, 2, 16, 4)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is served; the registry knows its weights.pth as "tiny"."""
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    torch.manual_seed(0)
    put(DacModel(CONFIG, "tiny"), folder)
    url = f"http://127.0.0.1:{server.server_port}/weights.pth"
    source = Source(url, file_sha256(folder / "weights.pth")[:8])
    entry = Entry("tiny", "dac", "for tests", "MIT", CONFIG.to_dict(), (source,))
    monkeypatch.setitem(registry.REGISTRY, "tiny", entry)
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def put(model: DacModel, folder: Path) -> None:
    save(model, folder / "own.safetensors")
    exports_module.export_model(folder / "own.safetensors", folder, "dac", force=True)


def test_pulled_converted_and_used_offline(site: Path) -> None:
    with pytest.raises(CheckpointError, match="ncodec models pull tiny"):
        load("tiny")
    told: list[int] = []
    info = pull("tiny", progress=lambda had, total: told.append(had))
    assert info.licence == "MIT"
    assert info.notes["sha256"] == file_sha256(site / "weights.pth")
    assert told[-1] == (site / "weights.pth").stat().st_size
    (site / "weights.pth").unlink()
    assert pull("tiny") == info
    model = load("tiny")
    assert model.name == "tiny"
    torch.manual_seed(0)
    assert model.fingerprint == DacModel(CONFIG).fingerprint
    assert stored_names() == ["tiny"]
    assert not list((model_path("tiny").parents[1] / "downloads").rglob("*.pth"))


def test_another_model_under_the_name_is_refused(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(DacModel(DacConfig(16000, 4, (2, 4), 16, 8, 3, 16, 4)), site)
    loose = Source(registry.REGISTRY["tiny"].sources[0].url)
    entry = Entry("tiny", "dac", "for tests", "MIT", CONFIG.to_dict(), (loose,))
    monkeypatch.setitem(registry.REGISTRY, "tiny", entry)
    with pytest.raises(CheckpointError, match="is not tiny: its codebooks is 3, not 2"):
        pull("tiny")
    assert stored_names() == []


def test_the_full_hash_of_the_first_time_holds(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a published hash, the first download's is what later ones must have."""
    loose = Source(registry.REGISTRY["tiny"].sources[0].url)
    entry = Entry("tiny", "dac", "for tests", "MIT", CONFIG.to_dict(), (loose,))
    monkeypatch.setitem(registry.REGISTRY, "tiny", entry)
    first = pull("tiny")
    assert pull("tiny", force=True) == first
    put(DacModel(CONFIG), site)
    with pytest.raises(CheckpointError, match="damaged or replaced"):
        pull("tiny", force=True)
    assert read_model_info(model_path("tiny")) == first


def test_corrupted_file_is_no_model(site: Path) -> None:
    file = site / "weights.pth"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="SHA-256"):
        pull("tiny")
    assert stored_names() == []
    assert not model_path("tiny").exists()


def test_next_source_is_tried(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = registry.REGISTRY["tiny"].sources[0]
    gone = Source(good.url.replace("weights.pth", "gone.pth"))
    entry = Entry("tiny", "dac", "for tests", "MIT", CONFIG.to_dict(), (gone, good))
    monkeypatch.setitem(registry.REGISTRY, "tiny", entry)
    assert pull("tiny").notes["source"] == good.url


def test_mirror_has_the_file_under_its_name(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = registry.REGISTRY["tiny"].sources[0]
    far = Source("https://models.invalid/1.0/weights.pth", source.sha256)
    entry = Entry("tiny", "dac", "for tests", "MIT", CONFIG.to_dict(), (far,))
    monkeypatch.setitem(registry.REGISTRY, "tiny", entry)
    with pytest.raises(CheckpointError, match="cannot be reached"):
        pull("tiny")
    assert pull("tiny", mirror=source.url.removesuffix("weights.pth")).name == "tiny"


def test_two_pulls_at_once_convert_once(site: Path) -> None:
    infos: list[object] = []
    threads = [threading.Thread(target=lambda: infos.append(pull("tiny"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(infos) == 3
    assert infos[0] == infos[1] == infos[2]


def test_what_cannot_be_pulled(site: Path) -> None:
    with pytest.raises(CheckpointError, match="comes with the package"):
        pull("ncodec_24khz")
    with pytest.raises(CheckpointError, match="unknown model 'x'; here: ncodec_24khz "):
        pull("x")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 101])
def test_names_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"unknown model|no such model file"):
        load(name)

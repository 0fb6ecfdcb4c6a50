import importlib.util
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ncodec_cli.main import main
from tests.cli.audio import wav


@pytest.fixture(scope="session")
def toy_model():
    """The smallest model of the codec's tests: 8 kHz, 200 frames a second, 4 x 5 bits."""
    path = Path(__file__).parents[1] / "codec" / "conftest.py"
    spec = importlib.util.spec_from_file_location("toys", path)
    toys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toys)
    return toys.ToyModel()


@dataclass
class Ended:
    status: int
    data: bytes
    err: str

    @property
    def out(self):
        return self.data.decode()


class Pipe(io.RawIOBase):
    """Bytes that can only be read once, in order."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._data.readinto(buffer)


class Input:
    def __init__(self, data):
        self.buffer = io.BufferedReader(Pipe(data))


@pytest.fixture
def ncodec(monkeypatch, capsysbinary, tmp_path, toy_model):
    """Run a command line in a temporary folder, the toy in place of any model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ncodec.checkpoints.loading.load", lambda name, device: toy_model)

    def call(*args, stdin=b""):
        monkeypatch.setattr(sys, "stdin", Input(stdin))
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        out, err = capsysbinary.readouterr()
        return Ended(ended.value.code, out, err.decode())

    return call


@pytest.fixture(scope="session")
def coded(toy_model, tmp_path_factory):
    """The bytes of 3.2 s of coded stereo noise: 4 packets, 4 codebooks, 8 kbps, two tags."""
    from ncodec.codec import compress

    source, target = (tmp_path_factory.mktemp("coded") / name for name in ("a.wav", "a.ecdc"))
    wav(source, 3.2, 2, 11025)
    compress(source, target, model=toy_model, tags=(("title", "noise"), ("artist", "dice")))
    return target.read_bytes()

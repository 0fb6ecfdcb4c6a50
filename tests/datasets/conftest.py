"""Sets of recordings, and their codes."""

import io
import json
import tarfile

import numpy as np
import pytest
import soundfile

from ncodec.checkpoints import load
from ncodec.datasets import tokenize

LENGTHS = (1, 7000, 24000, 24000, 24000, 30001, 5, 48000, 319, 320, 24000)
RATES = (24000, 24000, 24000, 24000, 24000, 16000, 24000, 44100, 24000, 24000, 24000)


def sound(seed: int, samples: int, channels: int = 1) -> np.ndarray:
    """A gliding tone over noise, `[T, C]`."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples)[:, None] / 24000
    tone = np.sin(2 * np.pi * (200 + 80 * seed + 300 * t) * t)
    return (0.2 * tone + 0.02 * rng.standard_normal((samples, channels))).astype(np.float32)


@pytest.fixture(scope="session")
def model():
    """The embedded one."""
    return load()


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """Eleven recordings and a broken one, in a folder of folders."""
    folder = tmp_path_factory.mktemp("set") / "in"
    (folder / "more.of").mkdir(parents=True)
    for i, (length, rate) in enumerate(zip(LENGTHS, RATES, strict=True)):
        place = folder / ("more.of" if i % 3 == 0 else ".")
        soundfile.write(place / f"{i:02d}.a.wav", sound(i, length, 1 + i % 2), rate, "FLOAT")
    (folder / "05.b.wav").write_bytes(b"RIFF, but no more")
    return folder


@pytest.fixture(scope="session")
def made(sources, model, tmp_path_factory):
    """Their codes in each format, by its name."""
    folder = tmp_path_factory.mktemp("codes")
    return {
        name: tokenize([sources], folder / name, format=name, model=model, shard_size=4).run
        for name in ("parquet", "webdataset", "shar")
        if name != "parquet" or has_pyarrow()
    }


def has_pyarrow() -> bool:
    """Whether Parquet can be written here."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


def tar_of(path, members) -> None:
    """Write a tar of names and bytes."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def flac(seed: int, samples: int = 2000) -> bytes:
    """A small recording as the bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, sound(seed, samples), 24000, format="FLAC")
    return file.getvalue()


def lines(path) -> list:
    """The objects of a .jsonl file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

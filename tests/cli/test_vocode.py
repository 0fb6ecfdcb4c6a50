"""`ncodec mel` and `ncodec vocode` on files and pipes, and what they refuse."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from ncodec import checkpoints
from ncodec.vocoder import Vocoder
from ncodec.vocoder.files import read_mels
from tests.vocoder.test_vocoder import SMALL, vocoder


@pytest.fixture
def model(tmp_path: Path) -> Vocoder:
    made = vocoder(SMALL)
    checkpoints.save(made, tmp_path / "small.safetensors")
    return made


@pytest.fixture
def talk(tmp_path: Path) -> np.ndarray:
    x = (0.1 * np.random.default_rng(0).standard_normal(30000)).astype(np.float32)
    soundfile.write(tmp_path / "talk.wav", x, 24000, subtype="FLOAT")
    return x


def test_there_and_back(ncodec, model: Vocoder, talk: np.ndarray, tmp_path: Path) -> None:
    assert ncodec("mel", "talk.wav", "talk.npy", "--model", "small.safetensors").status == 0
    mel = np.load(tmp_path / "talk.npy")
    want = model.mel(torch.from_numpy(talk))[0]
    assert np.allclose(mel, want, atol=1e-4)
    ncodec("mel", "talk.wav", "-o", "turned.npy", "--model", "small.safetensors", "--frames-first")
    assert np.array_equal(np.load(tmp_path / "turned.npy"), mel.T)
    sound = model(torch.from_numpy(mel)[None])[0, 0].numpy()
    np.savez(tmp_path / "talk.npz", mel=mel, other=np.zeros(3))
    for source, more in (
        ("talk.npy", ()),
        ("talk.npz", ()),
        ("turned.npy", ("--frames-first",)),
        ("talk.wav", ()),
    ):
        done = ncodec(
            "vocode", source, "-o", "back.wav", "-f", "--model", "small.safetensors", *more,
            "--encoding", "f32",
        )  # fmt: skip
        assert done.status == 0, done.err
        back, rate = soundfile.read(tmp_path / "back.wav", dtype="float32")
        assert rate == 24000
        assert np.allclose(back, sound, atol=1e-5)
    piped = ncodec(
        "vocode",
        "-",
        "-",
        "--model",
        "small.safetensors",
        stdin=(tmp_path / "talk.npy").read_bytes(),
    )
    assert piped.status == 0
    assert piped.data.startswith(b"RIFF")
    flowing = ncodec(
        "mel", "-", "-", "--model", "small.safetensors", stdin=(tmp_path / "talk.wav").read_bytes()
    )
    assert flowing.data == (tmp_path / "talk.npy").read_bytes()


class Slow(io.RawIOBase):
    """A pipe that tells how much of it has been read."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._data.readinto(buffer)

    def tell(self) -> int:
        return self._data.tell()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_mels_of_pipes_are_not_waited_for(turned: bool, order: str) -> None:
    """Where frames lie one after another; where bands do, the whole must be there."""
    model = SimpleNamespace(name="small", bands=100, sample_rate=24000, hop=320)
    mel = np.random.default_rng(0).standard_normal((100, 500)).astype(np.float32)
    kept = io.BytesIO()
    np.save(kept, np.array(mel.T if turned else mel, order=order))
    pipe = Slow(kept.getvalue())
    blocks, frames = read_mels(io.BufferedReader(pipe, 512), ".npy", model, frames_first=turned)
    first = next(blocks)
    assert (pipe.tell() < 200 * 400) == ((order == "F") != turned)
    assert frames == 500
    assert np.array_equal(np.concatenate([first, *blocks], axis=1), mel)


def test_folders(ncodec, model: Vocoder, tmp_path: Path) -> None:
    (tmp_path / "mels").mkdir()
    for i in range(3):
        np.save(tmp_path / "mels" / f"{i}.npy", np.full((100, 5 + i), -5, np.float32))
    assert ncodec("vocode", "mels", "sounds/", "--model", "small.safetensors").status == 0
    lengths = [soundfile.info(tmp_path / "sounds" / f"{i}.wav").frames for i in range(3)]
    assert lengths == [1600, 1920, 2240]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((80, 9), np.float32), "80 bands: hifigan takes 100"),
        (np.zeros((9, 100), np.float32), "--frames-first"),
        (np.zeros((100, 9), np.int16), "int16"),
        (np.zeros((100, 0), np.float32), "no frames"),
        (np.zeros(100, np.float32), "must be"),
        (np.full((100, 9), np.nan, np.float32), "finite"),
        (np.full((100, 9), -60, np.float32), "dB"),
    ],
)
def test_other_arrays(ncodec, model: Vocoder, tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.save(tmp_path / "x.npy", array)
    done = ncodec("vocode", "x.npy", "x.wav", "--model", "small.safetensors")
    assert done.status == 1
    assert said.replace("small takes", "hifigan takes") in done.err.replace(
        "small takes", "hifigan takes"
    )
    assert done.err.count("\n") == 1
    assert not (tmp_path / "x.wav").exists()


def test_damaged_files_and_other_models(ncodec, model: Vocoder, talk, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((100, 9), np.float32))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-9])
    done = ncodec("vocode", "x.npy", "x.wav", "--model", "small.safetensors")
    assert (done.status, "ends early" in done.err) == (1, True)
    assert not (tmp_path / "x.wav").exists()
    done = ncodec("mel", "talk.wav", "talk.npy", "--model", "ncodec_24khz")
    assert (done.status, "is no vocoder" in done.err) == (1, True)
    broken = np.where(np.arange(30000) == 9000, np.nan, talk)
    for samples, said in (
        (talk[:50], "at least"),
        (talk[:0], "less than a frame of sound"),
        (broken, "not finite"),
        (broken + np.inf, "not finite"),
    ):
        soundfile.write(tmp_path / "in.wav", samples, 24000, subtype="FLOAT")
        for words in (("mel", "in.wav", "out.npy"), ("vocode", "in.wav", "out.flac")):
            done = ncodec(*words, "--model", "small.safetensors", "-q")
            assert (done.status, said in done.err, done.err.count("\n")) == (1, True, 1), done.err
            assert not (tmp_path / words[2]).exists()

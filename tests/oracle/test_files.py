"""`.ecdc` version 0: our files are the package's byte for byte, and each reads the other's."""

import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ncodec.checkpoints import import_model, load
from ncodec.codec import compress, convert, decompress
from tests.oracle.reference import noise, randomise

from encodec.model import EncodecModel, LMModel  # isort: skip

# The package's own name `compress` is a function.
reference = importlib.import_module("encodec.compress")

KINDS = {
    "encodec_24khz": (EncodecModel.encodec_model_24khz, 24000, 1, 32, 262),
    "encodec_48khz": (EncodecModel.encodec_model_48khz, 48000, 2, 16, 525),
}


@pytest.fixture(scope="module", params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The package's model and LM, small, with random weights; the same in our cache folder."""
    torch.manual_seed(0)
    build, rate, channels, codebooks, context = KINDS[request.param]
    model = build(pretrained=False).eval()
    model.name = request.param
    lm = LMModel(codebooks, 1024, num_layers=5, dim=200, past_context=context).eval()
    for parameter in lm.parameters():
        parameter.data.mul_(1.5)  # else every probability is about 1 / 1024
    randomise(model, 0.1)
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NCODEC_CACHE", str(folder / "cache"))
        torch.save(model.state_dict(), folder / "model.th")
        torch.save(lm.state_dict(), folder / "lm.th")
        import_model(folder / "model.th", request.param)
        import_model(folder / "lm.th", request.param.replace("encodec_", "encodec_lm_"))
        patch.setattr(type(model), "get_lm_model", lambda self: lm)
        patch.setitem(reference.MODELS, request.param, lambda: model)
        yield model, rate, channels, folder


@pytest.fixture(autouse=True)
def same_cache(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCODEC_CACHE", str(world[3] / "cache"))


def by_reference(model: Any, x: torch.Tensor, kbps: float, *, lm: bool) -> bytes:
    model.set_target_bandwidth(kbps)
    return reference.compress(model, x, use_lm=lm)


@pytest.mark.parametrize(("seconds", "kbps"), [(0.31, 24.0), (1.0, 3.0)])
def test_raw_files_are_the_same_bytes(
    world: Any, tmp_path: Path, seconds: float, kbps: float
) -> None:
    model, rate, channels, _ = world
    x = noise(seconds, rate, channels)[0]
    theirs = by_reference(model, x, kbps, lm=False)
    (tmp_path / "theirs.ecdc").write_bytes(theirs)
    done = convert(tmp_path / "theirs.ecdc", tmp_path / "one.ecdc")
    assert (done.source, done.target, done.model, done.lost) == ("ecdc0", "ecdc", model.name, ())
    done = convert(tmp_path / "one.ecdc", tmp_path / "back.ecdc", to="encodec")
    assert done.lost == ("the name of the weights",)
    assert (tmp_path / "back.ecdc").read_bytes() == theirs
    for kind in ("npz", "safetensors"):
        convert(tmp_path / "theirs.ecdc", tmp_path / f"codes.{kind}")
        convert(tmp_path / f"codes.{kind}", tmp_path / f"{kind}.ecdc", to="encodec")
        assert (tmp_path / f"{kind}.ecdc").read_bytes() == theirs


@pytest.mark.parametrize("seconds", [0.1, pytest.param(1.1, marks=pytest.mark.slow)])
def test_lm_coded_files_are_the_same_bytes(world: Any, tmp_path: Path, seconds: float) -> None:
    model, rate, channels, _ = world
    x = noise(seconds, rate, channels)[0]
    raw = by_reference(model, x, 3.0, lm=False)
    coded = by_reference(model, x, 3.0, lm=True)
    assert raw != coded
    (tmp_path / "raw.ecdc").write_bytes(raw)
    (tmp_path / "lm.ecdc").write_bytes(coded)
    assert convert(tmp_path / "lm.ecdc", tmp_path / "a.ecdc", to="encodec").lm
    assert (tmp_path / "a.ecdc").read_bytes() == raw
    convert(tmp_path / "raw.ecdc", tmp_path / "b.ecdc", to="encodec", lm=True)
    assert (tmp_path / "b.ecdc").read_bytes() == coded


@pytest.mark.parametrize("seconds", [0.4, pytest.param(1.99, marks=pytest.mark.slow)])
def test_their_files_sound_alike(world: Any, tmp_path: Path, seconds: float) -> None:
    model, rate, channels, _ = world
    x = noise(seconds, rate, channels)[0]
    data = by_reference(model, x, 6.0, lm=False)
    expected, _ = reference.decompress(data)
    (tmp_path / "theirs.ecdc").write_bytes(data)
    for name in ("theirs.ecdc", "one.ecdc"):
        if name == "one.ecdc":
            convert(tmp_path / "theirs.ecdc", tmp_path / name)
        out = tmp_path / f"{name}.wav"
        decompress(tmp_path / name, out, encoding="f32")
        got = read(out)
        assert got.shape == tuple(expected.shape)
        assert np.abs(got - expected.numpy()).max() <= 1e-5 * expected.abs().max().item()


def test_the_package_reads_ours(world: Any, tmp_path: Path) -> None:
    model, rate, channels, _ = world
    write(tmp_path / "in.wav", noise(0.5, rate, channels)[0].numpy(), rate)
    compress(tmp_path / "in.wav", tmp_path / "one.ecdc", model=load(model.name), bandwidth=6)
    convert(tmp_path / "one.ecdc", tmp_path / "zero.ecdc", to="encodec")
    decompress(tmp_path / "one.ecdc", tmp_path / "ours.wav", encoding="f32")
    theirs, their_rate = reference.decompress((tmp_path / "zero.ecdc").read_bytes())
    ours = read(tmp_path / "ours.wav")
    assert their_rate == rate
    assert np.abs(ours - theirs.numpy()).max() <= 1e-5 * theirs.abs().max().item()


def test_a_pipe_of_version_0(world: Any, tmp_path: Path) -> None:
    model, rate, channels, _ = world
    data = by_reference(model, noise(0.4, rate, channels)[0], 3.0, lm=False)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    (tmp_path / "x.ecdc").write_bytes(data)
    decompress(tmp_path / "x.ecdc", tmp_path / "a.wav")
    decompress(Pipe(data), tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def read(path: Path) -> np.ndarray:
    import soundfile

    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


def write(path: Path, samples: np.ndarray, rate: int) -> None:
    import soundfile

    soundfile.write(path, samples.T, rate, subtype="FLOAT")

"""descript-audio-codec 1.0.0, which needs an environment of its own.

NCODEC_DAC_PYTHON names an interpreter that has it:
`python -m venv dacvenv && dacvenv/bin/pip install descript-audio-codec`.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ncodec.checkpoints import export_model, import_model, inspect, load
from ncodec.codec import compress, convert, decompress
from ncodec.errors import ArgumentError
from tests.oracle.reference import assert_close

PYTHON = os.environ.get("NCODEC_DAC_PYTHON")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON,
        reason="NCODEC_DAC_PYTHON names no interpreter with descript-audio-codec "
        "(test_transformers.py holds DAC against transformers all the same)",
    ),
]


def run(action: str, folder: Path) -> None:
    script = Path(__file__).with_name("dac_reference.py")
    subprocess.run(
        [PYTHON, script, action, folder], check=True, env={**os.environ, "PYTHONPATH": ""}
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dac")
    run("make", folder)
    return folder


@pytest.fixture
def model(made: Path):
    taken = import_model(made / "weights.pth", "tiny")
    assert "descript-audio-codec" in taken.layout
    return load("tiny")


def array(made: Path, name: str) -> torch.Tensor:
    return torch.from_numpy(np.load(made / f"{name}.npy"))


@pytest.mark.parametrize("name", ["short", "long"])
def test_codes_and_audio(made: Path, model, name: str) -> None:
    x, codes = array(made, f"{name}.x"), array(made, f"{name}.codes")
    assert torch.equal(model.encode(x)[0], codes)
    assert codes.unique().numel() > 10
    assert_close(model.decode_latent(codes), array(made, f"{name}.z"))
    assert_close(model.decode(codes), array(made, f"{name}.y"))


@pytest.mark.parametrize("name", ["short", "long"])
def test_their_files(made: Path, model, tmp_path: Path, name: str) -> None:
    """ "long" is in windows without padding; the loudness comes back to a tenth of a dB."""
    decompress(made / f"{name}.dac", tmp_path / "out.wav", model="tiny", encoding="f32")
    ours = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    theirs = array(made, f"{name}.decoded").numpy().reshape(-1)
    compare(ours, theirs)


def test_conversion_and_back(made: Path, model, tmp_path: Path) -> None:
    from ncodec_formats.foreign.dac import read_dac

    convert(made / "short.dac", tmp_path / "a.ecdc", model="tiny")
    decompress(tmp_path / "a.ecdc", tmp_path / "out.wav", encoding="f32")
    compare(
        soundfile.read(tmp_path / "out.wav", dtype="float32")[0],
        array(made, "short.decoded").numpy().reshape(-1),
    )
    convert(tmp_path / "a.ecdc", tmp_path / "b.dac")
    with (made / "short.dac").open("rb") as one, (tmp_path / "b.dac").open("rb") as two:
        first, second = read_dac(one), read_dac(two)
    assert np.array_equal(first.codes, second.codes)
    assert second.input_db[0] == pytest.approx(first.input_db[0], abs=0.01)
    assert (first.original_length, first.sample_rate) == (second.original_length, 16000)
    with pytest.raises(ArgumentError, match="several windows"):
        convert(made / "long.dac", tmp_path / "c.ecdc", model="tiny")


def test_they_read_ours(made: Path, model, tmp_path: Path) -> None:
    x = array(made, "long.x").numpy().reshape(-1)
    soundfile.write(tmp_path / "in.wav", x, 16000, subtype="FLOAT")
    compress(tmp_path / "in.wav", tmp_path / "one.ecdc", model=model, codebooks=2)
    convert(tmp_path / "one.ecdc", made / "ours.dac", force=True)
    run("read", made)
    decompress(tmp_path / "one.ecdc", tmp_path / "out.wav", encoding="f32")
    ours = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    compare(array(made, "ours.decoded").numpy().reshape(-1), ours)


def test_export_is_their_checkpoint(made: Path, model, tmp_path: Path) -> None:
    files = export_model("tiny", tmp_path / "out", "dac")
    theirs = torch.load(made / "weights.pth", weights_only=True)["state_dict"]
    ours = torch.load(files[0], weights_only=True)
    assert ours["state_dict"].keys() == theirs.keys()
    assert ours["metadata"]["kwargs"]["encoder_rates"] == [2, 4]
    again = inspect(files[0]).tensors
    before = inspect(made / "weights.pth").tensors
    assert all(torch.equal(again[key], before[key]) for key in before)


def compare(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal but for a small gain: the package's loudness filter is not quite the standard's."""
    assert ours.shape == theirs.shape
    gain = float(np.dot(ours, theirs) / np.dot(theirs, theirs))
    assert abs(20 * np.log10(gain)) < 0.15
    assert np.abs(ours - gain * theirs).max() <= 2e-5 * np.abs(theirs).max()

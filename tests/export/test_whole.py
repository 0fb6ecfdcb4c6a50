"""Graphs of whole signals under the names of Transformers.js, at lengths that no trace has seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ncodec import checkpoints
from ncodec.errors import ArgumentError, OutputExistsError
from ncodec.export.checking import TIE, largest_gap
from ncodec.models.dac import DacModel
from ncodec_cli.commands import cli
from tests.export.test_export import SMALL_DAC, make_various
from tests.models.test_wrong_calls import FAMILIES

pytest.importorskip("onnx", reason="the extra `export` is not installed: no onnx")
runtime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")

FILES = {
    *("onnx/encoder_model.onnx", "onnx/decoder_model.onnx"),
    *("config.json", "preprocessor_config.json"),
}


def run(path: Path, name: str, x: torch.Tensor) -> torch.Tensor:
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: x.numpy()})[0])


@pytest.mark.parametrize("family", ["dac", "mimi"])
@torch.no_grad()
def test_whole_signals_give_the_models_codes_and_audio(family, tmp_path):
    torch.manual_seed(0)
    model = DacModel(SMALL_DAC) if family == "dac" else FAMILIES[family]()
    model = model.eval().requires_grad_(False)
    make_various(model)
    checkpoints.save(model, tmp_path / "model.safetensors")
    folder = tmp_path / "web"
    command = ["export", str(tmp_path / "model.safetensors"), str(folder), "--whole"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert found == FILES
    assert json.loads((folder / "config.json").read_text())["model_type"] == family
    for batch, samples in ((1, 1), (1, 40 * model.hop + 7), (3, 23 * model.hop)):
        audio = torch.randn(batch, 1, samples)
        meant, _ = model.encode(audio)
        codes = run(folder / "onnx" / "encoder_model.onnx", "input_values", audio)
        assert codes.shape == meant.shape
        assert largest_gap(model, audio, meant, codes) <= TIE
        for count in (1, model.total_codebooks):
            expected = model.decode(meant[:, :count])
            sound = run(folder / "onnx" / "decoder_model.onnx", "audio_codes", meant[:, :count])
            assert sound.shape == expected.shape
            assert (sound - expected).abs().max() <= 2e-6 * max(0.1, float(expected.abs().max()))
    with pytest.raises(OutputExistsError):
        checkpoints.export_whole_graphs(model, folder)


def test_what_transformers_js_has_no_model_for_is_said(tmp_path):
    with pytest.raises(ArgumentError, match="dac and mimi"):
        checkpoints.export_whole_graphs(FAMILIES["encodec"]().eval(), tmp_path / "web")
    assert not list(tmp_path.iterdir())

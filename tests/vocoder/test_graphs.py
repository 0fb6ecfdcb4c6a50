"""Exported vocoders: equal to their models in pieces and batches of any size, in any command."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import ncodec
from ncodec import checkpoints
from ncodec.errors import ArgumentError, CheckpointError, DeviceError
from ncodec.export import read_description
from ncodec.streaming import join_all
from ncodec.vocoder import OnnxVocoder, Vocoder, export_vocoder
from ncodec.vocoder.graphs import check_vocoder
from ncodec_cli.commands import cli
from tests.vocoder.test_vocoder import V3, mels, vocoder

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed: no onnx")
pytest.importorskip("onnxruntime", reason="the extra `export` is not installed: no onnxruntime")

SMALLER = {"channels": 8, "rates": (16, 16), "kernels": (32, 32)}
CONFIGS = {  # each layer costs the exporter its time
    "zeros": replace(V3, **SMALLER),
    "reflected": replace(V3, **SMALLER, edges="reflect", normalize=True),
}
Pair = tuple[Vocoder, OnnxVocoder]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("graphs")
    found = dict[str, Pair]()
    for name, config in CONFIGS.items():
        model = vocoder(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)  # a signal well above rounding
            if config.normalize:
                model.mean.copy_(torch.linspace(-6, -4, config.bands))
                model.deviation.fill_(2.0)
        export_vocoder(model, folder / name, licence="MIT")
        found[name] = model, OnnxVocoder(folder / name)
    return found


def in_pieces(model: Vocoder, mel: Tensor, frames: int) -> Tensor:
    state, parts = model.initial_state(len(mel)), list[Tensor]()
    for piece in mel.split(frames, dim=2):
        y, state = model.step(piece, state)
        parts.append(y)
    return join_all([*parts, model.flush(state)])


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=10)
@given(frames=st.integers(1, 40), batch=st.integers(1, 3), step=st.integers(1, 20))
def test_mels_in_any_pieces_give_the_models_sound(pairs, name, frames, batch, step):
    model, graphs = pairs[name]
    torch.manual_seed(frames)
    mel = mels(model.config, frames, batch)
    expected = model(mel)
    sound = in_pieces(graphs, mel, step)
    assert sound.shape == expected.shape
    assert (sound - expected).abs().max() <= 2e-6 * max(0.1, float(expected.abs().max()))
    assert torch.allclose(graphs(mel), expected, atol=2e-6)


def test_graphs_are_whole_and_sizes_free(pairs):
    for _, vocoded in pairs.values():
        known = read_description(vocoded.folder)
        assert (known.kind, known.encoder, known.codebook_sizes) == ("vocoder", None, ())
        for path in vocoded.folder.glob("*.onnx"):
            onnx.checker.check_model(path, full_check=True)
            first = onnx.load(path).graph.input[0]
            dims = first.type.tensor_type.shape.dim
            assert first.name == "mel"
            assert (dims[0].dim_param, dims[2].dim_param) == ("batch", "frames")


def test_a_folder_is_a_vocoder_wherever_one_is_named(pairs, tmp_path):
    model, graphs = pairs["zeros"]
    again = Vocoder.get_pretrained(graphs.folder)
    assert isinstance(again, OnnxVocoder)
    mel = mels(model.config, 30)
    np.save(tmp_path / "talk.npy", mel[0].numpy())
    checkpoints.save(model, tmp_path / "model.safetensors")
    sounds = []
    for used in (tmp_path / "model.safetensors", graphs.folder):
        where = tmp_path / f"{len(sounds)}.wav"
        options = ["--model", str(used), "--encoding", "f32"]
        done = CliRunner().invoke(cli, ["vocode", str(tmp_path / "talk.npy"), str(where), *options])
        assert done.exit_code == 0, done.output
        sounds.append(soundfile.read(where, dtype="float32")[0])
    assert np.allclose(*sounds, rtol=0, atol=2e-6)
    audio = 0.1 * torch.randn(1, 1, 5000)
    assert torch.equal(again.mel(audio), model.mel(audio))
    for same in (copy.deepcopy(graphs), pickle.loads(pickle.dumps(graphs))):
        assert torch.equal(same(mel), graphs(mel))


def test_what_graphs_of_a_vocoder_cannot_be_is_said(pairs, tmp_path):
    _, graphs = pairs["reflected"]
    with pytest.raises(ArgumentError, match="exported already"):
        export_vocoder(graphs, tmp_path / "again")
    with pytest.raises(CheckpointError, match="vocoder, not a codec"):
        ncodec.load_model(graphs.folder)
    with pytest.raises(DeviceError, match="on the CPU"):
        graphs.to("meta")
    with pytest.raises(ArgumentError, match=r"\[batch, 80, frames\]"):
        graphs(torch.zeros(1, 7, 3))


def test_graphs_of_other_weights_are_found(pairs):
    model, graphs = pairs["zeros"]
    other = copy.deepcopy(model)
    other.generator.layers[0].weight[0, 0, 0] += 0.05
    with pytest.raises(ArgumentError, match="other audio"):
        check_vocoder(other, graphs.folder)

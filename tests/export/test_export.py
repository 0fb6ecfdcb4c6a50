"""Exported graphs: equal to their models, at sizes that no trace has seen; and each known trap."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import ncodec
from ncodec import checkpoints
from ncodec.config import DacConfig
from ncodec.errors import (
    ArgumentError,
    CheckpointError,
    DeviceError,
    NcodecError,
    OutputExistsError,
)
from ncodec.export import OnnxCodec, export_graphs, read_description
from ncodec.export.checking import TIE, check_graphs, decoded, encoded, largest_gap
from ncodec.export.tracing import encoder_of, phase_of, to_onnx
from ncodec.models.base import CompressionModel
from ncodec.models.dac import DacModel
from ncodec.models.spectral import SpectralCodec
from ncodec.page import make_page
from ncodec.quantize import Codebook
from tests.models.test_wrong_calls import FAMILIES

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed: no onnx")
pytest.importorskip("onnxruntime", reason="the extra `export` is not installed: no onnxruntime")

SPEECH = Path(__file__).parents[1] / "data" / "speech.flac"
SMALL_DAC = DacConfig(4000, 4, (4,), 8, 8, 3, 16, 4)  # each layer costs the exporter its time
STREAMED = {
    **{family: make for family, make in FAMILIES.items() if family != "encodec segments"},
    "dac": lambda: DacModel(SMALL_DAC),
}
Pair = tuple[CompressionModel, OnnxCodec]


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def embedded(folder: Path) -> Pair:
    model = ncodec.load_model()
    export_graphs(model, folder / "embedded", dtype="float16", licence="MIT")
    return model, OnnxCodec(folder / "embedded")


@pytest.fixture(scope="module")
def pairs(folder: Path) -> dict[str, Pair]:
    torch.manual_seed(0)
    found = dict[str, Pair]()
    for family, make in STREAMED.items():
        model = make().eval().requires_grad_(False)
        make_various(model)
        export_graphs(model, folder / family)
        found[family] = model, OnnxCodec(folder / family)
    return found


def make_various(model: CompressionModel) -> None:
    """Bring random weights to where frames of noise have different codes."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.mul_(0.05)
    noise = torch.randn(1, model.channels, 50 * model.hop)
    for book in (x for x in model.modules() if isinstance(x, Codebook)):
        book.embed.mul_(0.03)
    codes = model.encode(noise)[0][0]
    assert sum(len(row.unique()) for row in codes) > 8


@pytest.fixture(scope="module")
def speech() -> Tensor:
    return torch.from_numpy(soundfile.read(SPEECH, dtype="float32")[0])[None, None]


def graphs_of(codec: OnnxCodec) -> dict[str, Any]:
    return {path.stem: onnx.load(path) for path in sorted(codec.folder.glob("*.onnx"))}


def operators(model: Any) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


# The embedded model


@pytest.mark.parametrize("frames", [None, 75, 1])
def test_the_embedded_model_gives_the_same_codes_and_audio(embedded, speech, frames):
    model, codec = embedded
    audio = speech[..., : 2 * 24000 + 100] if frames == 1 else speech
    meant, _ = model.encode(audio)
    found = encoded(codec, audio, None if frames is None else frames * model.hop)
    assert torch.equal(found, meant)
    assert torch.equal(codec.decode_latent(meant[:, :3]), model.decode_latent(meant[:, :3]))
    sound, expected = decoded(codec, meant, frames), model.decode(meant)
    assert sound.shape == expected.shape
    assert (sound - expected).abs().max() <= 2e-6


def test_the_embedded_model_in_batches(embedded, speech):
    model, codec = embedded
    audio = speech[..., : 3 * 24000].view(3, 1, -1)
    codes = encoded(codec, audio, 4000)
    assert torch.equal(codes, model.encode(audio)[0])
    assert (codec.decode(codes) - model.decode(codes)).abs().max() <= 2e-6


def test_half_precision_files_are_small(embedded):
    _, codec = embedded
    sizes = {name: (codec.folder / f"{name}.onnx").stat().st_size for name in graphs_of(codec)}
    assert sizes.keys() == {"encoder_step", "dequantize", "decoder_step"}
    assert sizes["dequantize"] + sizes["decoder_step"] <= 14e6


def test_files_made_with_graphs_are_the_models(embedded, tmp_path):
    model, codec = embedded
    assert codec.fingerprint == model.fingerprint
    for name, used in (("ours", model), ("theirs", codec.folder)):
        ncodec.compress(SPEECH, tmp_path / f"{name}.ecdc", model=used, bandwidth=6)
    ours, theirs = ((tmp_path / f"{x}.ecdc").read_bytes() for x in ("ours", "theirs"))
    assert ours == theirs
    a, _ = ncodec.read(tmp_path / "ours.ecdc", model=codec)
    b, _ = ncodec.read(tmp_path / "ours.ecdc")
    assert np.abs(a - b).max() <= 2e-6


# All families


@pytest.mark.parametrize("family", STREAMED)
@settings(max_examples=12)
@given(
    samples=st.integers(1, 900),
    batch=st.integers(1, 3),
    step=st.integers(1, 300),
    codebooks=st.integers(1, 3),
)
def test_any_stream_in_any_pieces_gives_the_same(pairs, family, samples, batch, step, codebooks):
    model, codec = pairs[family]
    generator = torch.Generator().manual_seed(samples)
    audio = torch.randn(batch, model.channels, samples, generator=generator)
    meant, _ = model.encode(audio)
    found = encoded(codec, audio, step)
    assert found.shape == meant.shape
    assert largest_gap(model, audio, meant, found) <= TIE
    few = meant[:, :codebooks]
    sound, expected = decoded(codec, few, max(1, step // model.hop)), model.decode(few)
    assert sound.shape == expected.shape
    assert (sound - expected).abs().max() <= 2e-6 * max(0.1, float(expected.abs().max()))


@pytest.mark.parametrize("family", STREAMED)
def test_no_samples_no_frames_and_no_streams(pairs, family):
    model, codec = pairs[family]
    assert codec.encode(torch.zeros(2, model.channels, 0))[0].shape == (2, 3, 0)
    assert codec.decode(torch.zeros(1, 2, 0, dtype=torch.long)).shape[2] == 0
    assert codec.encode_flush(codec.encoder_state(1)) == []
    assert codec.decode_flush(codec.decoder_state(2)).shape == (2, model.channels, 0)
    assert codec.encode(torch.zeros(0, model.channels, 5 * model.hop))[0].shape == (0, 3, 5)


@pytest.mark.parametrize("family", STREAMED)
def test_streams_are_rows(pairs, family):
    model, codec = pairs[family]
    frames = codec.config.encoder.least + 8
    audio = 0.1 * torch.randn(2, model.channels, frames * model.hop)
    ready, state = codec.encode_step(audio, codec.encoder_state(2))
    alone = [codec.take_rows(state, [row]) for row in (0, 1)]
    more = 0.1 * torch.randn(2, model.channels, 3 * model.hop)
    together, _ = codec.encode_step(more, codec.stack_rows(alone))
    apart = [codec.encode_step(more[i : i + 1], alone[i])[0][0].codes for i in (0, 1)]
    assert torch.equal(together[0].codes, torch.cat(apart))
    assert torch.equal(together[0].codes, codec.encode_step(more, state)[0][0].codes)
    assert ready[0].codes.shape[0] == 2


@pytest.mark.parametrize("family", STREAMED)
def test_fewer_codebooks_copies_and_pickles(pairs, family):
    model, codec = pairs[family]
    audio = 0.1 * torch.randn(1, model.channels, 6 * model.hop)
    codec.set_num_codebooks(2)
    try:
        for same in (codec, copy.deepcopy(codec), pickle.loads(pickle.dumps(codec))):
            assert torch.equal(same.encode(audio)[0], model.encode(audio)[0][:, :2])
    finally:
        codec.set_num_codebooks(3)


def test_what_graphs_cannot_do_is_said(pairs, embedded):
    _, codec = embedded
    with pytest.raises(ArgumentError, match="beam 2"):
        codec.set_beam(2)
    with pytest.raises(NcodecError, match=r"cannot change|this machine's cpu has none"):
        codec.set_precision("bf16")
    with pytest.raises(ArgumentError, match="code 1024"):
        codec.decode(torch.full((1, 2, 3), 1024))
    with pytest.raises(ArgumentError, match="exported already"):
        export_graphs(codec, codec.folder.parent / "again")
    with pytest.raises(DeviceError, match="on the CPU"):
        codec.to("meta")
    with pytest.raises(CheckpointError, match="model that they were made of"):
        checkpoints.export_model(codec.folder, codec.folder.parent / "again")
    with pytest.raises(ArgumentError, match="model that they were made of"):
        make_page(model=codec)


# What must not be exported, and what is no export


def test_folders_are_whole_or_as_they_were(pairs, tmp_path, monkeypatch):
    model, _ = pairs["spectral"]
    with pytest.raises(ArgumentError, match="codes segments"):
        export_graphs(FAMILIES["encodec segments"](), tmp_path / "segments")
    with pytest.raises(ArgumentError, match="dtype 'int8'"):
        export_graphs(model, tmp_path / "wrong", dtype="int8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="full"):
        export_graphs(model, tmp_path / "full")
    export_graphs(model, tmp_path / "full", force=True)
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"
    monkeypatch.setattr("ncodec.export.checking.AUDIO", 0.0)
    with pytest.raises(ArgumentError, match="other audio"):
        export_graphs(model, tmp_path / "unequal")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_damaged_folders_are_told_in_one_line(pairs, tmp_path):
    model, _ = pairs["spectral"]
    export_graphs(model, tmp_path / "graphs")
    description = tmp_path / "graphs" / "ncodec.json"
    text = description.read_text()
    for wrong in ("", "[]", "{", text.replace('"hop": 16', '"hop": 0'), '{"version": 2}'):
        description.write_text(wrong)
        with pytest.raises(CheckpointError, match=r"ncodec\.json") as raised:
            ncodec.load_model(tmp_path / "graphs")
        assert "\n" not in str(raised.value)
    description.write_text(text)
    step = tmp_path / "graphs" / "encoder_step.onnx"
    content = step.read_bytes()
    step.write_bytes(content[:-1] + b"?")
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        ncodec.load_model(tmp_path / "graphs").encode(torch.zeros(1, 1, 64))
    step.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        ncodec.load_model(tmp_path / "graphs").encode(torch.zeros(1, 1, 64))


def test_the_description_says_how_to_run(pairs, embedded):
    _, codec = embedded
    known = read_description(codec.folder)
    assert (known.decoder.drop, known.flush_frames, known.encoder.least) == (960, 3, 0)
    assert known.decoder.states[0].shape == (None, 6, 384)
    assert [state.name for state in known.encoder.states] == [
        "past",
        *(f"net_{i}" for i in range(4)),
    ]
    assert json.loads(known.to_json())["files"].keys() == {
        path.name for path in codec.folder.iterdir() if path.name != "ncodec.json"
    }
    assert pairs["encodec"][1].config.encoder.least == 7  # what reflection waits for
    assert pairs["mimi"][1].config.encoder.most == 5
    assert pairs["dac"][1].config.decoder.held > 0


# Traps, each of which gives wrong results without an error


def test_floors_are_kept(embedded, pairs):
    model, codec = embedded
    silence = torch.cat([torch.zeros(1, 1, 3200), 0.1 * torch.randn(1, 1, 3200)], dim=2)
    assert torch.equal(codec.encode(silence)[0], model.encode(silence)[0])

    def floors(graph: Any) -> int:
        values = [a.t for node in graph.graph.node for a in node.attribute if a.name == "value"]
        return sum(np.any(onnx.numpy_helper.to_array(x) == np.float32(1e-9)) for x in values)

    assert floors(graphs_of(codec)["encoder_step"]) == 2
    snakes = operators(graphs_of(pairs["dac"][1])["decoder_step"])["Sin"]
    assert floors(graphs_of(pairs["dac"][1])["decoder_step"]) == snakes > 0


@pytest.mark.parametrize("family", STREAMED)
def test_graphs_have_all_inputs_and_free_sizes(pairs, family):
    _, codec = pairs[family]
    for name, graph in graphs_of(codec).items():
        inputs = {value.name: value.type.tensor_type.shape.dim for value in graph.graph.input}
        outputs = [value.name for value in graph.graph.output]
        for dims in inputs.values():
            assert dims[0].dim_param == "batch"
        if name.endswith("_step"):
            first, *states = inputs
            assert inputs[first][2].dim_param in ("samples", "frames")
            assert outputs[1:] == [f"{state}_out" for state in states]
            known = getattr(codec.config, name.removesuffix("_step")).states
            assert states == [state.name for state in known]
        onnx.checker.check_model(codec.folder / f"{name}.onnx", full_check=True)


def test_no_graph_has_an_operator_that_is_inexact(embedded, pairs):
    for _, codec in (embedded, *pairs.values()):
        for graph in graphs_of(codec).values():
            assert not operators(graph).keys() & {"DFT", "STFT", "Loop", "If", "Scan"}
    counts = operators(graphs_of(embedded[1])["decoder_step"])
    assert counts["Erf"] == 5  # GELU as it is, not by tanh
    assert counts["Tanh"] == 0


def test_half_precision_is_of_weights_alone(embedded):
    for graph in graphs_of(embedded[1]).values():
        halves = {
            x.name for x in graph.graph.initializer if x.data_type == onnx.TensorProto.FLOAT16
        }
        assert halves
        for node in graph.graph.node:
            assert node.op_type == "Cast" or not halves & set(node.input)


def test_weights_that_are_no_halves_are_rounded_and_say_so(tmp_path):
    torch.manual_seed(1)
    wide = replace(FAMILIES["spectral"]().config, encoder_width=48, decoder_width=48)
    model = SpectralCodec(wide).eval()
    for dtype in ("float32", "float16"):
        export_graphs(model, tmp_path / dtype, dtype=dtype)
    whole, half = (OnnxCodec(tmp_path / dtype) for dtype in ("float32", "float16"))
    assert whole.fingerprint == model.fingerprint != half.fingerprint
    codes = torch.randint(16, (1, 3, 20))
    assert 1e-6 < (whole.decode(codes) - half.decode(codes)).abs().max() < 0.01


class _Numpy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_numpy(x.numpy().max(axis=1))


def test_numpy_in_a_trace_is_refused():
    x = torch.zeros(2, 3)
    with pytest.raises(ArgumentError, match="numpy"):
        to_onnx(_Numpy(), {"x": x}, ["y"], {"x": {0: "batch"}})


def test_numbers_that_never_rest_are_refused(monkeypatch):
    model = FAMILIES["spectral"]().eval()
    way = encoder_of(model)

    def counting(x: Tensor, state: Any) -> Any:
        y, after = way.step(x, state[0])
        return y, (after, state[1] + 1)

    with pytest.raises(ArgumentError, match="400 frames"):
        phase_of(way._replace(begin=lambda n: (way.begin(n), 0), step=counting))


def test_a_graph_of_the_examples_branch_is_found(pairs, tmp_path, monkeypatch):
    """A trace at one frame takes the branch of one frame; running others shows it."""
    monkeypatch.setattr("ncodec.export.writing.FRAMES", 1)
    monkeypatch.setattr("ncodec.export.tracing.FRAMES", 1)
    with pytest.raises((ArgumentError, CheckpointError), match=r"the graphs give|onnxruntime"):
        export_graphs(pairs["spectral"][0], tmp_path / "one")
    assert not (tmp_path / "one").exists()


def test_an_end_is_the_models_own(pairs):
    """Zeros stand before and after each layer of DAC, not before and after the signal."""
    model, codec = pairs["dac"]
    codes = torch.randint(16, (1, 3, 60))
    sound = codec.decode(codes)
    longer = codec.decode(torch.cat([codes, codes[:, :, :20]], dim=2))[..., : sound.shape[2]]
    assert (sound - model.decode(codes)).abs().max() <= 2e-6
    assert (sound - longer).abs().max() > 1e-3


def test_differences_are_told_from_ties(embedded, speech):
    model, _ = embedded
    audio = speech[..., :24000]
    meant, _ = model.encode(audio)
    assert largest_gap(model, audio, meant, meant) == 0
    wrong = meant.clone()
    wrong[0, 5, 20] = (wrong[0, 5, 20] + 1) % 1024
    assert largest_gap(model, audio, meant, wrong) > 100 * TIE
    gap = largest_gap(model, audio, meant, wrong)
    wrong[0, 6:, 20] = 0  # what follows in the frame is coded from another rest
    assert largest_gap(model, audio, meant, wrong) == gap


def test_a_graph_with_other_weights_is_found(pairs):
    model, codec = pairs["encodec"]
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.decoder.layers[0].weight[0, 0, 0] += 0.05
    with pytest.raises(ArgumentError, match="other audio"):
        check_graphs(other, codec.folder)

"""Plain PyTorch and whatever this machine has besides give the same; what is broken is left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import ncodec
from ncodec import kernels
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.config import DacConfig, EncodecConfig
from ncodec.kernels import table
from ncodec.models.base import CompressionModel
from ncodec.models.dac import DacModel
from ncodec.models.encodec import EncodecModel
from ncodec.nn import LSTM, Conv1d, ConvTranspose1d
from ncodec.nn.linear import Linear
from tests.models.test_wrong_calls import FAMILIES, audio


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def spoken() -> CompressionModel:
    return ncodec.load_model()


MODELS: dict[str, Callable[[], CompressionModel]] = FAMILIES | {"embedded": spoken}
WIDE: dict[str, Callable[[], CompressionModel]] = {  # enough channels for each way to convolve
    "wide encodec": lambda: EncodecModel(EncodecConfig(filters=64, ratios=(4, 2), codebooks=3)),
    "wide dac": lambda: DacModel(DacConfig(4000, 64, (2, 4), 256, 64, 3)),
}


@pytest.mark.parametrize("family", MODELS)
def test_codes_are_the_same_and_audio_to_rounding(family: str) -> None:
    model = MODELS[family]().eval()
    x = audio(model, 2, 3000 if family != "embedded" else 24000)
    with kernels.portable():
        codes, scale = model.encode(x)
        heard = model.decode(codes, scale)
    assert torch.equal(model.encode(x)[0], codes)
    assert (model.decode(codes, scale) - heard).abs().max() < 1e-5
    with kernels.portable():
        state, chunks = model.encoder_state(2), []
        for part in x.split(700, dim=2):
            ready, state = model.encode_step(part, state)
            chunks += ready
        found = torch.cat([c.codes for c in chunks + model.encode_flush(state)], dim=2)
        assert torch.equal(found, codes)


@pytest.mark.parametrize("family", MODELS | WIDE)
def test_every_entry_gives_the_same_codes(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that another processor's instructions would be faster with."""
    make = (MODELS | WIDE)[family]
    model = make().eval()
    x = audio(model, 1, 3000 if family != "embedded" else 12000)
    with kernels.portable():
        codes, scale = model.encode(x)
        heard = model.decode(codes, scale)
    original = dict(table.OPERATIONS)
    for name, about in original.items():
        for entry in about.entries:
            alone = about._replace(entries=(entry._replace(pays=lambda dtype: True),))
            for other, whole in original.items():
                monkeypatch.setitem(table.OPERATIONS, other, whole._replace(entries=()))
            monkeypatch.setitem(table.OPERATIONS, name, alone)
            table._found.cache_clear()
            try:
                again = make().eval()
                again.load_state_dict(model.state_dict())
                assert torch.equal(again.encode(x)[0], codes), (name, entry.name)
                off = (again.decode(codes, scale) - heard).abs().max()
                assert off < 1e-5, (name, entry.name)
            finally:
                table._found.cache_clear()


@pytest.mark.parametrize(
    ("capability", "want"),
    [
        ("AVX2", {"rows": None, "windows": "minimal filtering"}),
        ("AVX512", {"rows": "oneDNN", "windows": "oneDNN"}),
    ],
)
def test_instructions_choose(
    capability: str, want: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    table._found.cache_clear()
    try:
        for operation, name in want.items():
            entry = table.choose(operation, torch.float32)
            assert (entry and entry.name) == name
    finally:
        table._found.cache_clear()


def operators(work: Callable[[], Any]) -> set[str]:
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    return {event.key for event in seen.key_averages()}


def onednn_off() -> AbstractContextManager[None]:
    return torch.backends.mkldnn.flags(enabled=False)


@pytest.mark.parametrize("way", [kernels.portable, onednn_off])
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_private_runs_when_portable_or_without_onednn(
    family: str, way: Callable[[], AbstractContextManager[None]]
) -> None:
    model = FAMILIES[family]().eval()
    x = audio(model, 1, 1200)

    def both() -> None:
        codes, scale = model.encode(x)
        model.decode(codes, scale)

    both()
    private = ("mkldnn::", "fbgemm", "quantized::")
    with way():
        called = operators(both)
    assert not [name for name in called if any(part in name.lower() for part in private)]


LAYERS: dict[str, Callable[[], Any]] = {
    "linear": lambda: (Linear(32, 48), torch.randn(1, 3, 32)),
    "one row": lambda: (Linear(32, 48), torch.randn(1, 1, 32)),
    "convolution": lambda: (Conv1d(32, 64, 4, stride=2), torch.randn(2, 32, 5001)),
    "transposed": lambda: (ConvTranspose1d(48, 32, 6, stride=3), torch.randn(1, 48, 2000)),
    "lstm": lambda: (LSTM(16, 2), torch.randn(2, 16, 20)),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("fault", ["missing", "another signature", "wrong"])
def test_entries_that_fail_are_left_out_with_one_line(
    layer: str, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*weights: Any) -> Any:
        if fault == "missing":
            raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_x'")
        if fault == "another signature":
            return lambda: None
        return lambda *inputs: table.OPERATIONS[operation].make(*weights)(*inputs) + 1

    made, x = LAYERS[layer]()
    want = made(x)
    for operation, about in table.OPERATIONS.items():
        entries = tuple(entry._replace(make=broken) for entry in about.entries)
        monkeypatch.setitem(table.OPERATIONS, operation, about._replace(entries=entries))
    table._found.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            twin = LAYERS[layer]()[0]
            twin.load_state_dict(made.state_dict())
            for _ in range(3):
                assert torch.allclose(twin(x), want, atol=1e-5)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == len(set(said))
        assert all("is not used: " in line for line in said)
        assert {name for _, _, name in table.describe()} == {"PyTorch"}
    finally:
        table._found.cache_clear()


def test_the_first_call_may_come_from_mixed_precision(caplog: pytest.LogCaptureFixture) -> None:
    before = list(table.describe())
    table._found.cache_clear()
    with torch.autocast("cpu", torch.bfloat16), caplog.at_level(logging.WARNING):
        assert list(table.describe()) == before
    assert not caplog.records


def test_the_table_says_what_computes_what() -> None:
    rows = list(table.describe())
    assert {operation for operation, _, _ in rows} == set(table.OPERATIONS)
    with kernels.portable():
        assert {name for _, _, name in table.describe()} == {"PyTorch"}


@pytest.mark.parametrize("way", [nullcontext, kernels.portable])
def test_streams_are_the_same(way: Callable[[], AbstractContextManager[None]]) -> None:
    model = FAMILIES["encodec"]().eval()
    x = np.random.default_rng(0).normal(0, 0.1, (1, 4000)).astype(np.float32)
    with kernels.portable():
        want, _ = model.encode(torch.from_numpy(x)[None])
    with way():
        encoder = StreamEncoder(model, sample_rate=24000, channels=1, codebooks=3)
        packets = encoder.push(x) + encoder.finish()
        codes = np.concatenate([packet.codes for packet in packets], axis=2)
        assert np.array_equal(codes[:, 0], want[0].numpy())
        decoder = StreamDecoder(model, encoder.header)
        parts = [decoder.push(packet) for packet in packets]
        assert np.concatenate([*parts, decoder.finish(4000)], axis=1).shape == (1, 4000)

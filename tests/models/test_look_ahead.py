"""DAC and Mimi stream exactly: any pieces give the whole signal's result, as late as declared."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from ncodec.config import DacConfig, MimiConfig
from ncodec.models.base import CompressionModel
from ncodec.models.dac import DacModel, window_samples
from ncodec.models.mimi import MimiModel
from tests.machine import needs_bf16

SIZES = {"encoder_dim": 4, "decoder_dim": 32, "latent_dim": 16, "codebooks": 3, "bins": 32}


def dac(ratios: tuple[int, ...] = (2, 4, 5, 8)) -> CompressionModel:
    return DacModel(DacConfig(ratios=ratios, **SIZES)).eval()


def mimi() -> CompressionModel:
    config = MimiConfig(
        filters=4,
        latent_dim=32,
        layers=2,
        heads=4,
        feed_forward=64,
        context=8,
        codebooks=4,
        bins=32,
        codebook_dim=16,
    )
    model = MimiModel(config).eval()
    for transformer in (model.encoder.layers[1], model.decoder.layers[1]):
        for layer in transformer.layers:
            layer.attention_scale.data.fill_(0.7)
    return model


MODELS = {"dac44": lambda: dac((2, 4, 8, 8)), "dac24": dac, "mimi": mimi}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    torch.manual_seed(0)
    random.seed(0)
    with torch.no_grad():
        yield


def pieces(total: int, size: int | None) -> Iterator[tuple[int, int]]:
    at = 0
    while at < total:
        n = size or random.randint(0, 3000)
        yield at, min(at + n, total)
        at += n


def encode(model: CompressionModel, x: Tensor, size: int | None) -> Tensor:
    state = model.encoder_state(x.shape[0])
    chunks = []
    for a, b in pieces(x.shape[-1], size):
        new, state = model.encode_step(x[..., a:b], state)
        chunks += new
    return torch.cat([c.codes for c in [*chunks, *model.encode_flush(state)]], dim=-1)


def decode(model: CompressionModel, codes: Tensor, frames: int) -> Tensor:
    state = model.decoder_state(codes.shape[0])
    parts = []
    for a in range(0, codes.shape[-1], frames):
        latent = model.decode_latent(codes[..., a : a + frames])
        y, state = model.decode_latent_step(latent, None, state)
        parts.append(y)
    return torch.cat([*parts, model.decode_flush(state)], dim=-1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("push", [1, -1, 0, 1000, None], ids=["1", "hop-1", "hop", "1000", "any"])
def test_pieces_give_the_whole(name: str, push: int | None) -> None:
    model = MODELS[name]()
    # Beyond the context of 8 positions for Mimi; one sample at a time is slow, so fewer.
    x = torch.randn(2, 1, 523 if push == 1 else model.hop * 12 - 77)
    size = {1: 1, -1: model.hop - 1, 0: model.hop}.get(push, push) if push is not None else None
    whole, _ = model.encode(x)
    assert whole.shape[-1] == -(-x.shape[-1] // model.hop)
    assert torch.equal(encode(model, x, size), whole)
    audio = model.decode(whole)
    assert audio.shape == (2, 1, whole.shape[-1] * model.hop)
    for frames in (1, 3):
        torch.testing.assert_close(decode(model, whole, frames), audio, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("length", [0, 1, -1, 0.0, 1.0])
def test_edges(name: str, length: float) -> None:
    model = MODELS[name]()
    samples = int(length) if isinstance(length, int) and length >= 0 else model.hop + int(length)
    codes, _ = model.encode(torch.randn(1, 1, samples))
    assert codes.shape == (1, model.total_codebooks, -(-samples // model.hop))
    if samples:
        assert model.decode(codes).shape[-1] == codes.shape[-1] * model.hop
    assert model.encode_flush(model.encoder_state(1)) == []
    assert model.decode_flush(model.decoder_state(3)).shape == (3, 1, 0)


@pytest.mark.parametrize("name", MODELS)
def test_latency_is_what_is_declared(name: str) -> None:
    """Push a signal sample by frame: what has come out lags by the declared latency, not less."""
    model = MODELS[name]()
    frames = 200 if name == "dac44" else 120
    x = torch.randn(1, 1, frames * model.hop)
    state, decoder = model.encoder_state(1), model.decoder_state(1)
    pushed = out = 0
    lags = []
    for a in range(0, x.shape[-1], model.hop):
        chunks, state = model.encode_step(x[..., a : a + model.hop], state)
        pushed += model.hop
        for chunk in chunks:
            y, decoder = model.decode_step(chunk, decoder)
            out += y.shape[-1]
        lags.append(pushed - out)
    assert model.latency_samples <= lags[-1] <= model.latency_samples + model.hop


def test_seek_after_preroll_is_exact() -> None:
    model = dac()
    codes = torch.randint(32, (1, 3, model.preroll_frames + 30))
    whole = model.decode(codes)
    begin = 10
    target = begin + model.preroll_frames
    part = model.decode(codes[..., begin:])
    offset = (target - begin) * model.hop
    torch.testing.assert_close(
        part[..., offset:], whole[..., target * model.hop :], rtol=1e-5, atol=1e-5
    )
    early = (target - begin - 2) * model.hop
    assert not torch.allclose(part[..., early:], whole[..., (target - 2) * model.hop :], atol=1e-7)


def test_postroll_is_what_the_end_needs() -> None:
    model = dac()
    codes = torch.randint(32, (1, 3, 60))
    whole = model.decode(codes)
    wanted = 30
    cut = model.decode(codes[..., : wanted + model.postroll_frames])
    end = wanted * model.hop
    torch.testing.assert_close(cut[..., :end], whole[..., :end], rtol=1e-5, atol=1e-5)


def test_receptive_field_is_finite_and_exact() -> None:
    model = dac((2, 4))
    x = torch.randn(1, 1, 4 * model.receptive_field // model.hop * model.hop)
    middle = x.shape[-1] // 2
    x.requires_grad_(True)
    with torch.enable_grad():
        latent = model.encoder(x)
        model.decoder(latent)[0, 0, middle].backward()
    seen = x.grad[0, 0].nonzero().reshape(-1)
    assert seen[-1] - seen[0] + 1 <= model.receptive_field
    assert seen[-1] - seen[0] + 1 > 0.9 * model.receptive_field


def test_windows_without_padding() -> None:
    """A window decodes to its declared length."""
    model = dac((2, 4))
    frames = 60
    windowed = model.windowed(frames)
    latent = torch.randn(1, 16, frames)
    y, _ = windowed.decode_latent_step(latent, None, windowed.decoder_state(1))
    assert y.shape[-1] == window_samples(model.config, frames) == windowed.segment[0]


@needs_bf16
def test_dac_in_bf16_is_close_streams_and_keeps_the_fingerprint() -> None:
    model, x = dac((2, 4)), 0.1 * torch.randn(2, 1, 803)
    exact, fingerprint = model.encode(x)[0], model.fingerprint
    heard = model.decode(exact)
    model.set_precision("bf16")
    assert model.fingerprint == fingerprint == model.windowed(60).fingerprint
    codes, close = model.encode(x)[0], model.decode(exact)
    assert (codes == exact)[:, 0].float().mean() > 0.9
    assert close.dtype == torch.float32
    error = (close - heard).square().mean() / heard.square().mean()
    assert 1e-9 < error < 1e-3
    assert (encode(model, x, 100) == codes)[:, 0].float().mean() > 0.9
    streamed = (decode(model, exact, 3) - close).square().mean() / heard.square().mean()
    assert streamed < 1e-3
    with torch.enable_grad():
        assert torch.allclose(model.decode(exact), close, atol=0.1 * float(heard.abs().max()))
    windowed = model.windowed(60)
    state = windowed.decoder_state(1)
    y, _ = windowed.decode_latent_step(torch.randn(1, 16, 60), None, state)
    assert y.dtype == torch.float32


def test_mimi_memory_is_bounded() -> None:
    model = mimi()
    state = model.encoder_state(1)
    sizes = []
    for _ in range(8):
        _, state = model.encode_step(torch.randn(1, 1, 4 * model.hop), state)
        sizes.append(sum(t.numel() for t in tensors(state.net)))
    assert sizes[-1] == sizes[3]


def tensors(tree: object) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple):
        for item in tree:
            yield from tensors(item)
    elif hasattr(tree, "__dataclass_fields__"):
        for field in tree.__dataclass_fields__:
            yield from tensors(getattr(tree, field))

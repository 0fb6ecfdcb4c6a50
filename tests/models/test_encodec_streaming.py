"""EnCodec piece by piece: what comes out, and when."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ncodec.config import EncodecConfig
from ncodec.errors import ArgumentError
from ncodec.models import seanet
from ncodec.models.encodec import EncodecModel
from tests.machine import needs_bf16

SMALL = EncodecConfig(
    filters=4, latent_dim=8, ratios=(4, 2), lstm_layers=1, codebooks=4, bins=64, bandwidths=(6.0,)
)
CONFIGS = {
    "reflect": SMALL,
    "constant": replace(SMALL, pad_mode="constant", conv_shortcut=False),
    "look-ahead": replace(SMALL, causal=False),
    "stateless": replace(SMALL, lstm_layers=0, pad_mode="constant"),
    "segments": replace(
        SMALL, channels=2, causal=False, norm="time_group_norm", normalize=True, segment=0.01
    ),
}


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> EncodecModel:
    torch.manual_seed(0)
    return EncodecModel(CONFIGS[request.param]).eval()


def pieces(x: Tensor, sizes: tuple[int, ...]) -> Iterator[Tensor]:
    start = 0
    for size in itertools.cycle(sizes):
        if start >= x.shape[-1]:
            return
        yield x[..., start : start + size]
        start += size


def latents(model: EncodecModel, audio: Tensor, sizes: tuple[int, ...]) -> Tensor:
    state, parts = model.encoder.initial_state(len(audio)), list[Tensor]()
    for piece in pieces(audio, sizes):
        z, state = model.encoder.step(piece, state)
        parts.append(z)
    return torch.cat([*parts, model.encoder.flush(state)], dim=2)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 40, 331])
@pytest.mark.parametrize("sizes", [(1,), (7,), (0, 8), (3, 50, 1), (1000,)])
def test_any_pieces_give_the_whole(
    model: EncodecModel, length: int, sizes: tuple[int, ...]
) -> None:
    audio = torch.randn(2, model.channels, length)
    state, chunks = model.encoder_state(2), []
    for piece in pieces(audio, sizes):
        ready, state = model.encode_step(piece, state)
        chunks += ready
    chunks += model.encode_flush(state)
    codes, scale = model.encode(audio)
    assert sum(chunk.codes.shape[2] for chunk in chunks) == codes.shape[2]
    if model.segment is None:
        assert codes.shape[2] == -(-length // model.hop)
        whole = model.encoder(audio) if length else torch.zeros(2, 8, 0)
        assert (latents(model, audio, sizes) - whole).abs().sum() < 5e-4
    decoder, parts = model.decoder_state(2), []
    cuts = chunks if model.segment else []
    if not cuts:
        cuts = [type(c)(p, None) for c in chunks for p in pieces(c.codes, (2, 3, 0, 1))]
    for chunk in cuts:
        part, decoder = model.decode_step(chunk, decoder)
        parts.append(part)
    parts.append(model.decode_flush(decoder))
    streamed = torch.cat(parts, dim=2)
    decoded = model.decode(torch.cat([c.codes for c in chunks], dim=2) if chunks else codes, scale)
    assert streamed.shape == decoded.shape
    assert streamed.shape[2] >= length
    assert torch.allclose(streamed, decoded, atol=5e-5)


def test_a_state_replays_and_streams_do_not_touch(model: EncodecModel) -> None:
    a, b = torch.randn(2, 1, model.channels, 600)
    state, other = model.encoder_state(1), model.encoder_state(1, codebooks=2)
    _, state = model.encode_step(a[..., :301], state)
    first, _ = model.encode_step(a[..., 301:], state)
    _, other = model.encode_step(b, other)
    again, _ = model.encode_step(a[..., 301:], state)
    assert len(first) == len(again)
    for x, y in zip(first, again, strict=True):
        assert torch.equal(x.codes, y.codes)
    latent = torch.randn(2, 1, 8, 20)
    start = model.decoder_state(1)
    if model.segment is not None:
        latent = latent[..., :10]
    scale = torch.ones(1) if model.scaled else None
    _, state = model.decode_latent_step(latent[0], scale, start)
    first_audio, _ = model.decode_latent_step(latent[1], scale, state)
    model.decode_latent_step(latent[0], scale, state)
    again_audio, _ = model.decode_latent_step(latent[1], scale, state)
    assert torch.equal(first_audio, again_audio)


def test_the_caller_may_reuse_its_buffer(model: EncodecModel) -> None:
    audio = torch.randn(1, model.channels, 400)
    buffer, state, chunks = torch.zeros(1, model.channels, 1), model.encoder_state(1), []
    for i in range(400):
        buffer.copy_(audio[..., i : i + 1])
        ready, state = model.encode_step(buffer, state)
        chunks += ready
    chunks += model.encode_flush(state)
    assert torch.equal(torch.cat([c.codes for c in chunks], dim=2), model.encode(audio)[0])


@pytest.mark.parametrize("name", ["constant", "reflect", "look-ahead"])
def test_lags_are_as_stated(name: str) -> None:
    config = CONFIGS[name]
    model = EncodecModel(config).eval()
    for length in (800, 803, 807):
        chunks, _ = model.encode_step(torch.randn(1, 1, length), model.encoder_state(1))
        lag = seanet.encoder_lag(config)
        assert chunks[0].codes.shape[2] == (length - lag) // model.hop
    audio, _ = model.decode_latent_step(torch.randn(1, 8, 50), None, model.decoder_state(1))
    held = 50 * model.hop - audio.shape[2]
    assert held == seanet.decoder_lag(config) <= model.postroll_frames * model.hop
    assert model.latency_samples == held + lag
    assert (model.latency_samples == 0) == config.causal


def test_preroll_is_exact_without_an_lstm() -> None:
    torch.manual_seed(0)
    model = EncodecModel(CONFIGS["stateless"]).eval()
    latent = torch.randn(1, 8, 60)
    whole = model.decoder(latent)
    target = 40
    start = target - model.preroll_frames
    part = model.decoder(latent[..., start:])
    skipped = model.preroll_frames * model.hop
    assert torch.allclose(part[..., skipped:], whole[..., target * model.hop :], atol=1e-5)
    short = model.decoder(latent[..., start + 1 :])[..., skipped - model.hop :]
    assert not torch.allclose(short, whole[..., target * model.hop :], atol=1e-6)


@needs_bf16
def test_bf16_is_close_and_keeps_the_fingerprint(model: EncodecModel) -> None:
    audio = torch.randn(1, model.channels, 400) * 0.1
    latent = torch.randn(1, 8, 10)
    before = model.fingerprint
    scale = torch.ones(1) if model.scaled else None
    exact, _ = model.decode_latent_step(latent, scale, model.decoder_state(1))
    model.set_precision("bf16")
    close, _ = model.decode_latent_step(latent, scale, model.decoder_state(1))
    assert close.dtype == torch.float32
    error = (close - exact).square().mean() / exact.square().mean()
    assert 1e-9 < error < 1e-2  # 8 bits of mantissa, a few layers
    assert model.encode(audio)[0].shape == (1, 4, model.encode(audio)[0].shape[2])
    assert model.fingerprint == before
    with pytest.raises(ArgumentError, match="cannot change"):
        model.set_precision("float32")
    with pytest.raises(ArgumentError, match="must be"):
        model.set_precision("int8")


def test_causal_models_answer_at_once() -> None:
    model = EncodecModel(CONFIGS["constant"]).eval()
    chunks, _ = model.encode_step(torch.randn(1, 1, model.hop), model.encoder_state(1))
    assert [c.codes.shape[2] for c in chunks] == [1]
    audio, _ = model.decode_step(chunks[0], model.decoder_state(1))
    assert audio.shape[2] == model.hop

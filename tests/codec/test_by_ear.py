"""The search by ear: codes that sound nearer, whatever way the samples come."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import ncodec
from ncodec.codec import StreamEncoder
from ncodec.codec.by_ear import WEIGHTS, ByEar
from ncodec.codec.options import EFFORTS
from ncodec.config import SpectralConfig
from ncodec.errors import ArgumentError
from ncodec.losses.table import LossTable
from ncodec.models.spectral import SpectralCodec
from ncodec.models.spectral_start import start_linear_path
from ncodec.quantize.bits import Search
from ncodec.train.codec_step import start_codebooks
from ncodec_formats import EcdcReader

RATE = 24000
DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture(scope="module")
def speech():
    samples, rate = soundfile.read(DATA / "speech.flac", dtype="float32")
    assert rate == RATE
    return samples


@pytest.fixture
def few(monkeypatch):
    """A few passes show what the quality does not hang on."""
    monkeypatch.setitem(EFFORTS, "extreme", EFFORTS["extreme"]._replace(passes=3))


@pytest.fixture(scope="module")
def small(speech):
    """A codec of few weights that knows the speech: quick to search through."""
    torch.manual_seed(0)
    config = SpectralConfig(
        latent=24, encoder_width=8, encoder_depth=1, decoder_width=8, decoder_depth=1,
        codebooks=4, cardinality=64,
    )  # fmt: skip
    model = SpectralCodec(config, "small").eval().requires_grad_(False)
    audio = torch.from_numpy(speech[None, None, : 4 * RATE])
    start_linear_path(model, [audio])
    start_codebooks(model.quantizer, model.to_latent(audio)[0].t())
    return model


def codes_of(model, samples, step, effort="extreme", channels=1):
    options = {"sample_rate": RATE, "channels": channels, "codebooks": 4, "packet_frames": 25}
    encoder = StreamEncoder(model, effort=effort, **options)
    pieces = [samples[:, i : i + step] for i in range(0, samples.shape[1], step)]
    return np.concatenate([packet.codes for packet in encoder.packets(pieces)], axis=2)


def distance(model, codes, samples):
    sound = model.decode(torch.from_numpy(codes.astype(np.int64)).transpose(0, 1))
    real = torch.from_numpy(samples)[:, None]
    losses = LossTable(WEIGHTS, RATE)
    each = losses(sound[..., : real.shape[2]], real, torch.ones(len(real)))
    return float(sum(WEIGHTS[name] * each[name] for name in each))


def test_it_sounds_nearer(speech):
    model, samples = ncodec.load_model(), speech[None, RATE : 2 * RATE]
    nearest, heard = (codes_of(model, samples, RATE, e) for e in ("best", "extreme"))
    assert distance(model, heard, samples) < 0.95 * distance(model, nearest, samples)


def test_a_window_goes_on_from_what_was_chosen_before(small, speech):
    samples = speech[None, :132480]  # two windows: 300 frames and 114
    nearest, heard = (codes_of(small, samples, RATE, e) for e in ("best", "extreme"))
    mixed = heard.copy()
    mixed[:, :, 300:] = nearest[:, :, 300:]
    assert distance(small, heard, samples) < distance(small, mixed, samples)
    assert distance(small, mixed, samples) < distance(small, nearest, samples)


def test_pushes_of_any_size_give_the_same_codes(small, speech, few):
    samples = speech[None, : 5 * RATE + 123]
    whole = codes_of(small, samples, samples.shape[1])
    assert whole.shape == (4, 1, 376)
    assert np.array_equal(codes_of(small, samples, 7001), whole)
    with torch.inference_mode():
        assert np.array_equal(codes_of(small, samples, 30000), whole)


def test_a_snapshot_goes_on_alike(small, speech, few):
    samples = speech[None, : 5 * RATE]
    encoder = StreamEncoder(small, sample_rate=RATE, channels=1, codebooks=4, effort="extreme")
    before = encoder.push(samples[:, : 2 * RATE])
    twin = encoder.snapshot()
    ends = [e.push(samples[:, 2 * RATE :]) + e.finish() for e in (encoder, twin)]
    codes = [np.concatenate([p.codes for p in [*before, *end]], axis=2) for end in ends]
    assert np.array_equal(*codes)
    assert codes[0].shape == (4, 1, 375)


def test_streams_side_by_side(small, speech, few):
    samples = np.stack([speech[: 2 * RATE], np.zeros(2 * RATE, np.float32)])
    codes = codes_of(small, samples, 9999, channels=2)
    assert codes.shape == (4, 2, 150)
    assert not np.array_equal(codes, codes_of(small, samples, 9999, "best", channels=2))


@pytest.mark.parametrize("samples", [0, 1, 320, 5000])
def test_what_is_short_or_silent_has_the_nearest_codes(small, speech, samples):
    for sound in (speech[None, :samples], np.zeros((1, RATE), np.float32)):
        if sound.shape[1]:
            assert np.array_equal(*(codes_of(small, sound, 999, e) for e in ("best", "extreme")))
    encoder = StreamEncoder(small, sample_rate=RATE, channels=1, effort="extreme")
    assert sum(p.frames for p in encoder.packets([speech[None, :samples]])) == -(-samples // 320)


def test_no_gradient_is_left_behind(small, speech, few):
    small.requires_grad_()
    try:
        codes_of(small, speech[None, :RATE], RATE)
        assert all(p.grad is None for p in small.parameters())
    finally:
        small.requires_grad_(False)


def test_what_has_no_such_search_says_so(toys):
    with pytest.raises(ArgumentError, match="effort 'extreme': toy is coded with 'best' at most"):
        ByEar(toys["causal"], 1, 1, Search(), 20)


def test_a_model_without_gradients_says_so():
    with torch.inference_mode():
        model = SpectralCodec(SpectralConfig(latent=24), "frozen")
    with pytest.raises(ArgumentError, match="frozen was loaded in inference mode"):
        ByEar(model, 1, 1, Search(), 20)


def test_a_file_of_it_is_a_file(small, speech, few):
    out = io.BytesIO()
    ncodec.compress(
        DATA / "speech.flac", out, model=small, effort="extreme", file_rate=1.4, verify=True
    )
    codes = np.concatenate([p.codes[:1] for p in EcdcReader(io.BytesIO(out.getvalue()))], axis=2)
    assert codes.shape == (1, 1, -(-len(speech) // 320))

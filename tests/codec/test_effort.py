"""Levels of effort: other codes for the same decoder, smaller or nearer."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

import ncodec
from ncodec.codec import StreamEncoder
from ncodec.codec.options import EFFORTS
from ncodec.errors import ArgumentError
from ncodec_formats import EcdcReader, peel, verify

from .conftest import ToyModel

RATE = 24000
DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture(scope="module")
def audio():
    samples, rate = soundfile.read(DATA / "speech.flac", dtype="float32")
    assert rate == RATE
    return samples[: 2 * RATE]


@pytest.fixture(scope="module")
def model():
    return ncodec.load_model()


def coded(audio, model, **options):
    out = io.BytesIO()
    ncodec.write(out, audio, RATE, model=model, **{"bandwidth": 3, **options})
    return out.getvalue()


def codes_of(data):
    return np.concatenate([packet.codes for packet in EcdcReader(io.BytesIO(data))], axis=2)


def test_bits_are_weighed_where_codes_are_predicted(audio, model):
    fast, good = (coded(audio, model, effort=level) for level in ("fast", "good"))
    assert len(good) < 0.97 * len(fast)
    assert verify(io.BytesIO(good)).ok
    assert coded(audio, model) == fast
    packed = [coded(audio, model, effort=e, entropy="none") for e in ("fast", "good")]
    assert packed[0] == packed[1]


def test_a_good_file_is_a_prefix_too(audio, model):
    whole, few = (coded(audio, model, effort="good", bandwidth=kbps) for kbps in (3, 1.5))
    out = io.BytesIO()
    peel(io.BytesIO(whole), out, codebooks=2)
    assert np.array_equal(codes_of(out.getvalue()), codes_of(few))


def test_a_wider_search_is_nearer(audio, model, monkeypatch):
    errors, encode = [], model.quantizer.encode

    def spied(latent, *how):
        codes = encode(latent, *how)
        errors.append(float((latent - model.quantizer.decode(codes)).square().sum()))
        return codes

    monkeypatch.setattr(model.quantizer, "encode", spied)
    totals = []
    for level in ("good", "better"):
        coded(audio, model, effort=level, bandwidth=6)
        totals.append(sum(errors))
        errors.clear()
    assert totals[1] < 0.95 * totals[0]


def test_pushes_of_any_size_give_the_same_codes(audio, model):
    def found(step):
        encoder = StreamEncoder(model, sample_rate=RATE, channels=1, bandwidth=1.5, effort="better")
        pieces = [audio[None, first : first + step] for first in range(0, len(audio), step)]
        return np.concatenate([packet.codes for packet in encoder.packets(pieces)], axis=2)

    assert np.array_equal(found(len(audio)), found(7001))


def test_what_a_family_cannot_do_is_said(audio):
    toy = ToyModel()
    with pytest.raises(ArgumentError, match="beam 4: toy has only the greedy search"):
        StreamEncoder(toy, sample_rate=8000, channels=1, effort="better")
    StreamEncoder(toy, sample_rate=8000, channels=1, effort="good")
    with pytest.raises(ArgumentError, match="effort 'slow': must be one of fast, good"):
        coded(audio, toy, effort="slow", bandwidth=None)


def test_the_command_line_has_the_levels_of_the_library():
    from ncodec_cli.compress import compress

    option = next(p for p in compress.params if p.name == "effort")
    assert tuple(option.type.choices) == tuple(EFFORTS)

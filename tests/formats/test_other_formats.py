"""EnCodec's version 0 and descript's `.dac`: known bytes, round trips, damage, hostility."""

import io
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncodec_formats import info
from ncodec_formats.entropy.arithmetic import ArithmeticDecoder, ArithmeticEncoder, quantize_cdf
from ncodec_formats.errors import (
    ArgumentError,
    BadFileError,
    LimitError,
    NcodecError,
    UnsupportedVersionError,
)
from ncodec_formats.foreign.dac import DacFile, read_dac, write_dac
from ncodec_formats.foreign.ecdc0 import Ecdc0Reader, Ecdc0Writer, Header0

TOTAL = 1 << 24
SKEWED = quantize_cdf(np.array([0.5, 0.25, 0.125, 0.125], np.float32))


def test_header_bytes_of_version_0():
    data = Header0("encodec_24khz", 24000, 8, False).to_bytes()
    assert data == b'ECDC\0\0\0\0\x39{"m": "encodec_24khz", "al": 24000, "nc": 8, "lm": false}'


def test_the_coder_s_known_values():
    assert SKEWED.tolist() == [8388606, 12582910, 14680063, 16777216]
    out = io.BytesIO()
    encoder = ArithmeticEncoder(out)
    for symbol in (0, 1, 2, 3, 0):
        encoder.push(symbol, SKEWED)
    encoder.flush()
    assert out.getvalue().hex(" ") == "da fe bf 4c 00"


@given(st.lists(st.integers(0, 3), max_size=200))
def test_the_coder_takes_exactly_its_own_bytes(symbols):
    out = io.BytesIO()
    encoder = ArithmeticEncoder(out)
    for symbol in symbols:
        encoder.push(symbol, SKEWED)
    encoder.flush()
    file = io.BytesIO(out.getvalue() + b"next")
    decoder = ArithmeticDecoder(file)
    assert [decoder.pull(SKEWED) for _ in symbols] == symbols
    assert file.read() == b"next"


def test_the_coder_on_a_file_that_ends():
    with pytest.raises(BadFileError, match="ends"):
        ArithmeticDecoder(io.BytesIO(b"a")).pull(SKEWED)


def test_the_coder_on_codes_that_never_settle():
    # Half-way values keep both ends of the interval apart for ever.
    halves = np.array([TOTAL // 2 - 1, TOTAL // 2 + 1, TOTAL])
    encoder = ArithmeticEncoder(io.BytesIO())
    with pytest.raises(BadFileError, match="settle"):
        list(map(encoder.push, [1] * 100000, [halves] * 100000))


@pytest.mark.parametrize(
    ("model", "samples", "expected"),
    [
        ("encodec_24khz", 0, []),
        ("encodec_24khz", 1, [1]),
        ("encodec_24khz", 320, [1]),
        ("encodec_24khz", 321, [2]),
        ("encodec_24khz", 24000, [75]),
        ("encodec_48khz", 48000, [150, 2]),
        ("encodec_48khz", 47520, [149]),
        ("encodec_48khz", 100000, [150, 150, 16]),
    ],
)
def test_segments_and_frames(model, samples, expected):
    header = Header0(model, samples, 2, False)
    assert [segment.frames for segment in header.segments()] == expected


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["encodec_24khz", "encodec_48khz"]),
    st.integers(0, 100000),
    st.integers(1, 16),
    st.lists(st.integers(0, 400), max_size=3),
)
def test_round_trip_of_version_0(model, samples, codebooks, pieces):
    header = Header0(model, samples, codebooks, False)
    out = io.BytesIO()
    writer = Ecdc0Writer(out, header)
    rng = np.random.default_rng(samples)
    expected = []
    for segment in header.segments():
        codes = rng.integers(0, 1024, (codebooks, segment.frames))
        scale = np.float32(rng.random() + 0.1)
        expected.append((scale, codes))
        if header.layout.segment:
            writer.write_scale(float(scale))
        for part in np.split(codes, np.minimum(np.cumsum(pieces), segment.frames).astype(int), 1):
            writer.write_codes(part)
        writer.end_codes()
    reader = Ecdc0Reader(io.BytesIO(out.getvalue()))
    assert reader.header == header
    for segment, (scale, codes) in zip(header.segments(), expected, strict=True):
        assert reader.read_scale() == (scale if header.layout.segment else None)
        blocks = list(reader.read_codes(segment.frames))
        assert np.array_equal(np.concatenate(blocks, 1), codes)
    assert reader.at_end()
    assert info(io.BytesIO(out.getvalue()))["samples"] == samples


def old(text: bytes, version: int = 0) -> bytes:
    return struct.pack("!4sBI", b"ECDC", version, len(text)) + text


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", BadFileError),
        (b"RIFF00000", BadFileError),
        (old(b"{}", 1), UnsupportedVersionError),
        (old(b"{}"), BadFileError),
        (old(b"[]"), BadFileError),
        (old(b"{"), BadFileError),
        (old(b"[" * 100000), BadFileError),
        (old(b'{"m": "other", "al": 1, "nc": 1, "lm": false}'), UnsupportedVersionError),
        (old(b'{"m": "encodec_24khz", "al": true, "nc": 1, "lm": false}'), BadFileError),
        (old(b'{"m": "encodec_24khz", "al": -1, "nc": 1, "lm": false}'), BadFileError),
        (old(b'{"m": "encodec_24khz", "al": 1, "nc": 33, "lm": false}'), BadFileError),
        (old(b'{"m": "encodec_48khz", "al": 1, "nc": 17, "lm": false}'), BadFileError),
        (b"ECDC\0\xff\xff\xff\xff", LimitError),
        (old(b"{}")[:-1], BadFileError),
    ],
)
def test_wrong_headers_of_version_0(data, error):
    with pytest.raises(error):
        Ecdc0Reader(io.BytesIO(data))


def test_version_0_claims_more_than_there_is():
    header = Header0("encodec_24khz", 2**40, 32, False)
    reader = Ecdc0Reader(io.BytesIO(header.to_bytes() + bytes(1000)))
    with pytest.raises(BadFileError, match="cut short"):
        next(reader.read_codes(next(header.segments()).frames))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e30])
def test_wrong_scales_of_version_0(scale):
    header = Header0("encodec_48khz", 48000, 1, False)
    reader = Ecdc0Reader(io.BytesIO(header.to_bytes() + struct.pack("!f", scale)))
    with pytest.raises(BadFileError, match="scale"):
        reader.read_scale()


def test_what_version_0_cannot_hold():
    writer = Ecdc0Writer(io.BytesIO(), Header0("encodec_24khz", 320, 2, False))
    for codes in (np.zeros((3, 1), int), np.full((2, 1), 1024), np.full((2, 1), -1)):
        with pytest.raises(ArgumentError):
            writer.write_codes(codes)


def dac(**changes) -> DacFile:
    codes = np.random.default_rng(0).integers(0, 1024, (2, 9, 50)).astype(np.uint16)
    values = {
        "codes": codes,
        "input_db": (-20.5,),
        "original_length": 22050,
        "sample_rate": 44100,
        "chunk_length": 50,
        "channels": 2,
        "padding": True,
    }
    return DacFile(**{**values, **changes})


def written(file: DacFile) -> bytes:
    out = io.BytesIO()
    write_dac(out, file)
    return out.getvalue()


def test_dac_is_what_numpy_reads():
    found = np.load(io.BytesIO(written(dac())), allow_pickle=True)[()]
    assert np.array_equal(found["codes"], dac().codes)
    assert found["metadata"].pop("input_db").tolist() == [-20.5]
    assert found["metadata"] == {
        "original_length": 22050,
        "sample_rate": 44100,
        "chunk_length": 50,
        "channels": 2,
        "padding": True,
        "dac_version": "1.0.0",
    }


@pytest.mark.parametrize("protocol", [3, 4])
def test_dac_as_numpy_writes_it(protocol):
    metadata = {
        "input_db": np.array([-20.5], np.float32),
        "original_length": np.int64(22050),
        "sample_rate": 44100,
        "chunk_length": 50,
        "channels": 2,
        "padding": False,
        "dac_version": "1.0.0",
    }
    codes = np.asfortranarray(dac().codes)
    value = np.array({"codes": codes, "metadata": metadata}, dtype=object)
    begin = written(dac()).index(b"\n") + 1
    found = read_dac(io.BytesIO(written(dac())[:begin] + pickle.dumps(value, protocol)))
    assert np.array_equal(found.codes, dac().codes)
    assert (found.padding, found.input_db, found.original_length) == (False, (-20.5,), 22050)


def test_dac_round_trip():
    for file in (dac(), dac(padding=False), dac(input_db=(-1.0, -2.0), original_length=2**40)):
        found = read_dac(io.BytesIO(written(file)))
        assert np.array_equal(found.codes, file.codes)
        for name in ("input_db", "original_length", "sample_rate", "chunk_length", "padding"):
            assert getattr(found, name) == getattr(file, name)
    assert info(io.BytesIO(written(dac())))["codebooks"] == 9


def test_what_is_no_dac_is_refused_by_its_beginning():
    class Endless(io.RawIOBase):
        given = 0

        def __init__(self, start: bytes) -> None:
            self.start = start

        def read(self, count=-1):
            self.given += count
            start, self.start = self.start, b""
            return (start + bytes(count))[:count]

    for start in (
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'shape': ()}".ljust(118),
        b"\x93NUMPY",
    ):
        file = Endless(start)
        with pytest.raises(BadFileError):
            read_dac(file)
        assert file.given < 10000


def test_every_shorter_dac_is_refused():
    data = written(dac())
    for length in [*range(600), *range(600, len(data), 37)]:
        with pytest.raises(BadFileError):
            read_dac(io.BytesIO(data[:length]))


class Hostile:
    """Pickles as a call that would leave a mark."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def __reduce__(self):
        return (os.mkdir, (self._mark,))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_hostile_pickle_runs_nothing(tmp_path, protocol):
    mark = str(tmp_path / "mark")
    begin = written(dac()).index(b"\n") + 1
    for value in (Hostile(mark), {"codes": Hostile(mark)}, np.array({"a": Hostile(mark)}, object)):
        data = written(dac())[:begin] + pickle.dumps(value, protocol)
        with pytest.raises(BadFileError):
            read_dac(io.BytesIO(data))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "tail",
    [
        b"\x80\x03r\xff\xff\xff\xff.",
        b"\x80\x03J\x00\x00\x00\x7fr\xf0\xff\xff\xff.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x03(((((((.",
        b"\x80\x03]q\x00h\x00a.",
        b"\x80\x03" + b"(" * 5000 + b"t" * 5000 + b".",
        b"I" + b"9" * 5000 + b"\n.",
        b".",
        b"",
    ],
)
def test_pickles_that_claim_or_loop(tail):
    begin = written(dac()).index(b"\n") + 1
    with pytest.raises(NcodecError):
        read_dac(io.BytesIO(written(dac())[:begin] + tail))


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 3},
        {"channels": 0},
        {"chunk_length": 0},
        {"sample_rate": 0},
        {"original_length": -1},
        {"padding": 1},
        {"input_db": (float("inf"),)},
        {"codes": np.zeros((2, 9, 0), np.uint16)},
        {"codes": np.zeros((2, 9, 5), np.int64)},
    ],
)
def test_what_dac_cannot_hold(changes):
    with pytest.raises(ArgumentError):
        dac(**changes)


def test_another_version_of_dac():
    data = written(dac()).replace(b"1.0.0", b"2.0.0")
    with pytest.raises(UnsupportedVersionError):
        read_dac(io.BytesIO(data))

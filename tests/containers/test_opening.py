"""Opening any file of codes, from files and pipes."""

import io

import numpy as np
import pytest

import ncodec
from ncodec.containers import open_links
from ncodec.errors import ArgumentError, BadFileError, LimitError
from tests.formats.files import Pipe, make


@pytest.mark.parametrize(
    "start", [b"ECDC\0", b"\x93NUMPY\x01\0", b"PK\x03\x04", bytes(8) + b"{"], ids=repr
)
def test_a_pipe_of_another_kind_is_spooled_within_a_limit(monkeypatch, start: bytes) -> None:
    monkeypatch.setattr("ncodec.containers.opening.MAX_PIPE", 1 << 21)
    source = Pipe(start + bytes(1 << 23), 1 << 20)
    with pytest.raises(LimitError, match="more than 2097152 bytes"):
        next(open_links(source))
    assert source._file.tell() < 1 << 22
    with pytest.raises(BadFileError):
        next(open_links(Pipe(start + bytes(1000), 1 << 20)))


def test_a_damaged_header_is_mended_when_reading_goes_on() -> None:
    data = bytearray(make(700))
    data[20] ^= 1
    with pytest.raises(BadFileError, match="header is damaged"):
        next(open_links(io.BytesIO(data)))
    reader = next(open_links(io.BytesIO(data), keep_going=True))
    assert len(list(reader)) == 700
    assert str(reader.losses) == "header replaced"


def test_a_given_model_stays_as_it_is(monkeypatch) -> None:
    """It may already compute in bf16, which it cannot leave again; that is its owner's affair."""
    model = ncodec.load_model()
    audio = np.sin(np.arange(12000) / 9).astype(np.float32) / 2
    coded, arrays = io.BytesIO(), io.BytesIO()
    ncodec.write(coded, audio, 24000, model=model, codebooks=2)
    ncodec.convert(io.BytesIO(coded.getvalue()), arrays, to="npz")
    expected, _ = ncodec.read(coded.getvalue(), model=model)
    monkeypatch.setattr(model, "_precision", "bf16")
    with pytest.raises(ArgumentError, match="cannot change"):
        model.set_precision("float32")
    found, _ = ncodec.read(arrays.getvalue(), model=model)
    assert np.array_equal(found, expected)

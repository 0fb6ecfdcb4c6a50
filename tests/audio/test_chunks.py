"""Chunks of AIFF and CAF, and where the samples of these and of AU and W64 files stand."""

import io
import struct

import numpy as np
import pytest
import soundfile

from ncodec.audio.chunks import append_chunk, chunk, data_span
from ncodec.audio.source import Source
from tests.audio.sounds import noise, sound_bytes

KINDS = {"aiff": "AIFF", "caf": "CAF", "au": "AU", "w64": "W64"}


def source_of(data: bytes) -> Source:
    return Source(io.BytesIO(data), own=True, name="x", allow_truncated=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", [0, 5])
def test_the_span_holds_all_samples_and_nothing_else(kind: str, base: int) -> None:
    data = sound_bytes(noise(2, 500), container=KINDS[kind])
    span = data_span(kind, source_of(bytes(base) + data), base)
    assert span is not None
    assert span.length == 500 * 2 * 2
    samples = np.frombuffer((bytes(base) + data)[span.begin :][: span.length], np.int16)
    order = "<" if kind in ("w64", "caf") and data[8:12] != b"desc" else ">"
    found = samples.view(samples.dtype.newbyteorder(order)).astype(int)
    expected = soundfile.read(io.BytesIO(data), dtype="int16")[0].reshape(-1)
    assert any((other == expected).all() for other in (found, samples.byteswap(), samples))


@pytest.mark.parametrize("kind", KINDS)
def test_a_length_that_was_never_set_is_put_right(kind: str) -> None:
    data = bytearray(sound_bytes(noise(1, 300), container=KINDS[kind]))
    whole = soundfile.read(io.BytesIO(data))[0]
    span = data_span(kind, source_of(bytes(data)), 0)
    assert span is not None
    size = struct.calcsize(span.code)
    data[span.field : span.field + size] = bytes(size)
    view = span.view(source_of(bytes(data)), 0, span.begin + 600)
    found = soundfile.read(io.BytesIO(view.read()))[0]
    assert np.array_equal(found, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_headers_that_end_early_have_no_span(kind: str) -> None:
    data = sound_bytes(noise(1, 10), container=KINDS[kind])
    for length in range(12 if kind == "au" else 24):
        assert data_span(kind, source_of(data[:length]), 0) is None
    assert data_span("flac", source_of(data), 0) is None


@pytest.mark.parametrize("kind", ["aiff", "caf"])
@pytest.mark.parametrize("body", [b"", b"odd", b"even"])
def test_a_chunk_that_was_added_is_found(kind: str, body: bytes) -> None:
    data = sound_bytes(noise(1, 200), container=KINDS[kind])
    file = io.BytesIO(data)
    append_chunk(file, kind, b"note", body)
    append_chunk(file, kind, b"more", b"behind it")
    after = file.getvalue()
    assert chunk(source_of(after), 0, kind, b"more") == b"behind it"
    assert chunk(source_of(after), 0, kind, b"note") == body
    assert chunk(source_of(after), 0, kind, b"none") == b""
    assert np.array_equal(*(soundfile.read(io.BytesIO(x))[0] for x in (data, after)))
    if kind == "aiff":
        assert struct.unpack(">I", after[4:8])[0] == len(after) - 8
        assert len(after) % 2 == 0

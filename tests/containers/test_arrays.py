"""Codes as plain arrays: what goes in comes back; what is hostile or wrong is refused."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from ncodec.containers.arrays import read_npz, read_safetensors, write_arrays
from ncodec.containers.content import Content, make_content_header, packets_of, shape_of
from ncodec.errors import ArgumentError, BadFileError, LimitError, NcodecError
from ncodec_formats import info, sniff

READERS = {"npz": read_npz, "safetensors": read_safetensors}


def content(streams: int, codebooks: int, frames: int, name: str) -> Content:
    header = make_content_header(
        name,
        shape_of(name),
        streams=streams,
        codebooks=codebooks,
        source_rate=22050,
        source_channels=streams,
        source_samples=frames * 300,
    )
    rng = np.random.default_rng(frames)
    codes = rng.integers(0, 1024, (codebooks, streams, frames)).astype(np.uint16)
    size = header.packet_frames
    sizes = [min(size, frames - at) for at in range(0, frames, size)]
    scales = rng.random((len(sizes), streams)).astype(np.float32) if header.segment else None

    def again():
        return packets_of(codes, scales, sizes)

    return Content("ecdc", header, again(), frames * 300, again)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(READERS)),
    st.integers(1, 3),
    st.integers(1, 12),
    st.integers(0, 500),
    st.sampled_from(["encodec_24khz", "encodec_48khz", "dac_44khz"]),
)
def test_there_and_back(kind: str, streams: int, codebooks: int, frames: int, name: str) -> None:
    before = content(streams, min(codebooks, 9), frames, name)
    file = io.BytesIO()
    write_arrays(before, file, kind)
    file.seek(0)
    after = READERS[kind](file, None)
    assert (after.header, after.source_samples) == (before.header, before.source_samples)
    for one, two in zip(before.again(), after.packets, strict=True):
        assert one.first_frame == two.first_frame
        assert np.array_equal(one.codes, two.codes)
        assert (one.scale is None) == (two.scale is None)
        assert one.scale is None or np.array_equal(one.scale, two.scale)


class Hostile:
    def __init__(self, marker: object) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_pickles_in_an_archive_run_nothing(tmp_path) -> None:
    file = io.BytesIO()
    np.savez(file, codes=np.array([Hostile(tmp_path / "ran")], dtype=object))
    file.seek(0)
    with pytest.raises(BadFileError, match="not an"):
        read_npz(file, "mimi")
    assert not (tmp_path / "ran").exists()


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncodec.containers.arrays.MAX_BYTES", 1 << 20)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("codes.npy", bytes(1 << 21))
    assert len(file.getvalue()) < 1 << 14
    file.seek(0)
    with pytest.raises(LimitError, match="bytes of arrays"):
        read_npz(file, "mimi")


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((2, 2, 2, 2), int),
        np.zeros((2, 3)),
        np.full((2, 3), -1),
        np.full((2, 3), 1 << 16),
        np.full((2, 3), 2048),
        np.zeros((0, 3), int),
    ],
    ids=["rank", "float", "negative", "large", "outside", "none"],
)
def test_wrong_codes(codes: np.ndarray) -> None:
    file = io.BytesIO()
    np.savez(file, codes=codes)
    file.seek(0)
    with pytest.raises(NcodecError):
        read_npz(file, "encodec_24khz")


def test_wrong_descriptions() -> None:
    codes = np.zeros((1, 2, 3), np.int64)
    for text in ("", "[]", "{}", json.dumps({"source_samples": 1, "model_hash": "xy"})):
        data = save({"codes": codes}, metadata={"ncodec": text})
        with pytest.raises(BadFileError, match="description"):
            read_safetensors(io.BytesIO(data), None)
    with pytest.raises(ArgumentError, match="does not say which model"):
        read_safetensors(io.BytesIO(save({"codes": codes})), None)
    with pytest.raises(BadFileError, match="no array 'codes'"):
        read_safetensors(io.BytesIO(save({"other": codes})), None)
    with pytest.raises(BadFileError, match="not a safetensors"):
        read_safetensors(io.BytesIO(b"\x00" * 50), None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e30])
def test_scales_that_can_not_be(value: float) -> None:
    file = io.BytesIO()
    scale = np.full((1, 1), value, np.float32)
    np.savez(file, codes=np.zeros((2, 3), int), scale=scale, segment_frames=np.array([3]))
    file.seek(0)
    with pytest.raises(BadFileError, match="scale"):
        list(read_npz(file, "encodec_48khz").packets)
    file = io.BytesIO()
    np.savez(file, codes=np.zeros((2, 3), int))
    file.seek(0)
    with pytest.raises(BadFileError, match="scale is missing"):
        list(read_npz(file, "encodec_48khz").packets)


@pytest.mark.parametrize("kind", READERS)
def test_info_of_arrays(kind: str) -> None:
    file = io.BytesIO()
    write_arrays(content(2, 8, 500, "encodec_24khz"), file, kind)
    file.seek(0)
    found = info(file)
    json.dumps(found)
    assert (found["format"], found["model"], found["codebooks"]) == (kind, "encodec_24khz", 8)
    assert (found["samples"], found["streams"], found["frames"]) == (150000, 2, 500)
    assert found["seconds"] == 150000 / 22050


def test_info_of_plain_and_of_hostile_arrays(tmp_path) -> None:
    file = io.BytesIO()
    np.savez(file, codes=np.zeros((2, 3), int))
    file.seek(0)
    found = info(file)
    assert (found["codebooks"], found["frames"], found["seconds"]) == (2, 3, None)
    hostile = [io.BytesIO() for _ in range(2)]
    np.savez(hostile[0], other=np.zeros(3))
    np.savez(
        hostile[1], codes=np.zeros((2, 3)), ncodec=np.array([Hostile(tmp_path / "ran")], object)
    )
    texts = [
        save({"codes": np.zeros((1, 2, 3), int)}, metadata={"ncodec": text})
        for text in ("[]", "{", '{"a": 1}')
    ]
    texts += [(1 << 19).to_bytes(8, "little") + b"{", bytes(8) + b"{}", b"PK\x03\x04" + bytes(40)]
    for bad in (*hostile, *map(io.BytesIO, texts)):
        bad.seek(0)
        with pytest.raises(BadFileError):
            info(bad)
    assert not (tmp_path / "ran").exists()
    for data in (b"RIFF", b"", b"not audio, but text"):
        with pytest.raises(BadFileError):
            sniff(data)

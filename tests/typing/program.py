"""A user's program: `test_typing.py` has pyright say whether each value is of the type asserted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import assert_type

import ncodec

Audio = NDArray[np.float32]


def files(path: Path) -> None:
    audio, rate = ncodec.read(path, start=1, end=2.5)
    assert_type(audio, Audio)
    assert_type(rate, int)
    done = ncodec.write("a.ecdc", audio, rate, bandwidth=6, tags={"title": "A"})
    assert_type(done.kbps, float)
    ncodec.write(io.BytesIO(), torch.zeros(2, 9), 48000, tags=[("a", "b"), ("a", "c")])
    ncodec.write("a.ecdc", [0.0, 0.5], 24000, model=ncodec.load_model())
    with ncodec.open(b"bytes") as coded:
        assert_type(coded, ncodec.CodedFile)
        assert_type(coded.frames, int | None)
        assert_type(coded.seek(1.5), float)
        assert_type(coded.blocks(0.5), Iterator[Audio])
        assert_type(coded.header, ncodec.Header)
        assert_type(coded.tags, tuple[tuple[str, str], ...])


def operations(path: Path) -> None:
    about = ncodec.info(path)
    assert_type(about, ncodec.FileInfo)
    assert_type(about.seconds, float)
    assert_type(about.kbps, float | None)
    assert_type(ncodec.verify(path).ok, bool)
    assert_type(ncodec.peel(path, "b.ecdc", bandwidth=3), ncodec.Header)
    assert_type(ncodec.tags(path), tuple[tuple[str, str], ...])
    assert_type(ncodec.list_models(), list[str])
    assert_type(ncodec.compress(path, "b.ecdc", bandwidth=3).seconds, float)
    assert_type(ncodec.decompress(b"bytes", io.BytesIO()).samples, int)
    assert_type(ncodec.convert(path, "b.npz").lost, tuple[str, ...])
    ncodec.cat([path, "b.ecdc"], "c.ecdc", force=True)


def streams(samples: Audio) -> None:
    model = ncodec.load_model("ncodec_24khz", device=torch.device("cpu"))
    assert_type(model, ncodec.CompressionModel)
    codes, scale = model.encode(torch.zeros(1, 1, 24000))
    assert_type(codes, torch.Tensor)
    assert_type(scale, torch.Tensor | None)
    encoder = ncodec.StreamEncoder(model, sample_rate=24000, channels=1)
    assert_type(encoder.push(samples), list[ncodec.Packet])
    decoder = ncodec.StreamDecoder(model, encoder.header)
    for packet in encoder.finish():
        data = packet.to_bytes(encoder.header)
        assert_type(data, bytes)
        assert_type(decoder.push(ncodec.Packet.from_bytes(data, encoder.header)), Audio)
    try:
        assert_type(decoder.finish(encoder.samples), Audio)
    except (ncodec.BadFileError, ncodec.OutputExistsError) as error:
        assert_type(error, ncodec.BadFileError | ncodec.OutputExistsError)

"""Files whose codes are predicted: the same codes in other bytes, wherever they are asked for."""

import io

import numpy as np
import pytest

import ncodec
from ncodec import checkpoints
from ncodec.checkpoints import keep_tables, write_tables
from ncodec.codec import StreamDecoder, StreamEncoder, compress, decompress, file_decoder
from ncodec.codec.file_decoder import FileDecoder
from ncodec.errors import ArgumentError, NcodecError
from ncodec_formats import EcdcReader, peel
from ncodec_formats.entropy import tables as formats_tables
from ncodec_formats.entropy.toy import toy_tables

from .conftest import ToyModel

RATE = 8000


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A toy model whose tables are on this machine."""
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(formats_tables, "_FOUND", {})
    toy = ToyModel()
    path = tmp_path / "toy.tables"
    tables = toy_tables(toy.codebook_sizes, width=3, units=6)
    write_tables(tables, path, model="toy", fingerprint=toy.fingerprint.hex())
    keep_tables(path)
    return toy


@pytest.fixture
def audio():
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal((1, 12 * RATE))).astype(np.float32)


def coded(audio, model, **options):
    out = io.BytesIO()
    done = ncodec.write(out, audio, RATE, channels_first=True, model=model, lift=False, **options)
    return out.getvalue(), done


def codes_of(data):
    return [packet.codes for packet in EcdcReader(io.BytesIO(data))]


@pytest.mark.parametrize("codebooks", [1, 3, 4])
def test_the_same_codes_and_samples_in_other_bytes(model, audio, codebooks):
    packed, _ = coded(audio, model, entropy="none", codebooks=codebooks)
    predicted, _ = coded(audio, model, codebooks=codebooks)
    header = EcdcReader(io.BytesIO(predicted)).header
    assert header.kinds == (1,) * codebooks
    assert header.tables == checkpoints.tables_for(model.fingerprint).hash
    assert EcdcReader(io.BytesIO(packed)).header.tables is None
    for a, b in zip(codes_of(packed), codes_of(predicted), strict=True):
        assert np.array_equal(a, b)
    heard = [
        np.concatenate(list(FileDecoder(io.BytesIO(data), model=model)), axis=1)
        for data in (packed, predicted)
    ]
    assert np.array_equal(*heard)


def test_short_packets_and_models_without_tables_are_packed(model, audio):
    for frames, predicted in ((7, False), (8, True), (200, True)):
        encoder = StreamEncoder(model, sample_rate=RATE, channels=1, packet_frames=frames)
        assert (encoder.header.tables is not None) == predicted, frames
        assert bool(encoder.header.kinds) == predicted
    other = ToyModel(channels=2)
    assert StreamEncoder(other, sample_rate=RATE, channels=2).header.tables is None


def test_layers_beyond_the_tables_are_packed(model, tmp_path):
    tables = toy_tables(model.codebook_sizes[:2], width=3, units=6)
    path = tmp_path / "two.tables"
    write_tables(tables, path, model="toy", fingerprint=model.fingerprint.hex())
    for file in (tmp_path / "cache" / "models").iterdir():
        file.unlink()
    keep_tables(path)
    encoder = StreamEncoder(model, sample_rate=RATE, channels=1)
    assert encoder.header.kinds == (1, 1, 0, 0)


def test_packets_of_a_stream_are_predicted_too(model, audio):
    encoder = StreamEncoder(model, sample_rate=RATE, channels=1, packet_frames=20)
    decoder = StreamDecoder(model, encoder.header)
    sent = [packet.to_bytes(encoder.header) for packet in encoder.packets([audio])]
    heard = [decoder.push(ncodec.Packet.from_bytes(data, encoder.header)) for data in sent]
    heard.append(decoder.finish(encoder.samples))
    assert np.concatenate(heard, axis=1).shape == audio.shape


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.1), (3.3, 4.0), (7.1, None), (11.9, 12.0)])
def test_any_part_is_that_part_of_the_whole(model, audio, start, end, monkeypatch):
    data, _ = coded(audio, model, packet_frames=20)
    whole = np.concatenate(list(FileDecoder(io.BytesIO(data), model=model)), axis=1)
    read = []
    plain = EcdcReader._read
    monkeypatch.setattr(EcdcReader, "_read", lambda self: (plain(self), read.append(self))[0])
    part = FileDecoder(io.BytesIO(data), model=model, start=start, end=end)
    found = np.concatenate(list(part), axis=1)
    stop = None if end is None else round(end * RATE)
    assert np.array_equal(found, whole[:, round(start * RATE) : stop])
    if end is not None:  # no packet behind the end is decoded
        assert read[-1].end_frame <= part._decoder.stop_frame + 20


def test_many_packets_are_decoded_together_but_not_from_a_pipe(model, audio, monkeypatch):
    data, _ = coded(audio, model, packet_frames=8)
    together = []
    plain = EcdcReader._read
    monkeypatch.setattr(
        EcdcReader, "_read", lambda self: (together.append(self.together), plain(self))[1]
    )
    for _ in FileDecoder(io.BytesIO(data), model=model):
        pass
    assert together[:4] == [8, 16, 32, 64]
    assert max(together) == file_decoder.MOST_TOGETHER

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    together.clear()
    for _ in FileDecoder(Pipe(data), model=model):
        pass
    assert set(together) == {1}


def test_peeled_it_is_what_fewer_codebooks_give(model, audio):
    all_layers, _ = coded(audio, model)
    few, _ = coded(audio, model, codebooks=2)
    out = io.BytesIO()
    peel(io.BytesIO(all_layers), out, codebooks=2)
    assert len(out.getvalue()) == len(few)
    for a, b in zip(codes_of(out.getvalue()), codes_of(few), strict=True):
        assert np.array_equal(a, b)


def test_without_its_tables_a_file_is_not_decoded_but_known(model, audio, tmp_path, monkeypatch):
    data, _ = coded(audio, model)
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(formats_tables, "_FOUND", {})
    assert ncodec.info(io.BytesIO(data)).seconds == 12.0
    target = tmp_path / "out.wav"
    with pytest.raises(NcodecError, match="coded with prediction tables"):
        decompress(io.BytesIO(data), target, model=model)
    assert not target.exists()


def test_entropy_is_one_of_two(model, audio):
    with pytest.raises(ArgumentError, match="entropy 'most': must be one of none, auto"):
        compress(io.BytesIO(b""), io.BytesIO(), model=model, entropy="most")


@pytest.mark.parametrize("codebooks", [1, 4])
def test_files_are_packed_and_predicted_again(model, audio, codebooks):
    packed, _ = coded(audio, model, entropy="none", codebooks=codebooks)
    predicted, _ = coded(audio, model, codebooks=codebooks)

    def converted(data, **options):
        out = io.BytesIO()
        done = ncodec.convert(io.BytesIO(data), out, to="ecdc", **options)
        assert (done.source, done.target, done.lost) == ("ecdc", "ecdc", ())
        return out.getvalue()

    assert converted(packed, entropy="auto") == predicted
    assert converted(predicted, entropy="none") == packed
    assert converted(predicted, entropy="auto") == predicted
    with pytest.raises(ArgumentError, match="entropy says how"):
        converted(packed)


def test_what_cannot_be_predicted_is_not_converted(model, audio, monkeypatch):
    short, _ = coded(audio, model, packet_frames=4)
    with pytest.raises(ArgumentError, match="from 8 on"):
        ncodec.convert(io.BytesIO(short), io.BytesIO(), to="ecdc", entropy="auto")
    packed, _ = coded(audio, model, entropy="none")
    monkeypatch.setenv("NCODEC_CACHE", "nowhere")
    with pytest.raises(ArgumentError, match="no tables"):
        ncodec.convert(io.BytesIO(packed), io.BytesIO(), to="ecdc", entropy="auto")
    with pytest.raises(ArgumentError, match=r"for \.ecdc version 1"):
        ncodec.convert(io.BytesIO(packed), io.BytesIO(), to="npz", entropy="none")

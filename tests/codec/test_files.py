import errno
import io
import os
import struct
import threading

import numpy as np
import pytest
import soundfile

from ncodec.audio import RawFormat
from ncodec.codec import FileDecoder, compress, decompress, file_decoder
from ncodec.errors import ArgumentError, BadFileError, LimitError, ModelMismatchError
from ncodec_formats import EcdcReader, EcdcWriter, repair, verify


def wav(path, x, rate=8000):
    soundfile.write(path, x.T, rate, "FLOAT")
    return path


def decoded(data, model, **options):
    out = io.BytesIO()
    decompress(io.BytesIO(data), out, model=model, container="raw", encoding="f32", **options)
    return np.frombuffer(out.getvalue(), "<f4")


def compressed(model, x, rate=8000, **options):
    out = io.BytesIO()
    raw = RawFormat("f32", rate, x.shape[0])
    source = io.BytesIO(x.T.astype("<f4").tobytes())
    done = compress(source, out, model=model, raw=raw, **options)
    assert done.bytes == len(out.getvalue())
    return out.getvalue()


class FailingDisk(io.BytesIO):
    """A file whose second half cannot be read."""

    def read(self, size=-1):
        if self.tell() >= len(self.getbuffer()) // 2:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(min(size, 100))

    read1 = read


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_read_error_in_the_middle_is_not_taken_for_the_end(toys, sound, tmp_path, keep_going):
    data = compressed(toys["causal"], sound(1, 40000), packet_frames=50)
    out = tmp_path / "out.wav"
    with pytest.raises(OSError, match="Input/output error"):
        decompress(FailingDisk(data), out, model=toys["causal"], keep_going=keep_going)
    assert list(tmp_path.iterdir()) == []
    for action in (verify, lambda file: repair(file, io.BytesIO())):
        with pytest.raises(OSError, match="Input/output error"):
            action(FailingDisk(data))


def test_a_few_bytes_do_not_become_hours_of_silence(toys, sound, monkeypatch):
    model = toys["causal"]
    data = compressed(model, sound(1, 800))
    header = EcdcReader(io.BytesIO(data)).header
    out = io.BytesIO()
    writer = EcdcWriter(out, header)
    for _ in range(100):  # packets of no layers: silence that is meant
        writer.write(np.zeros((0, 1, header.packet_frames), np.int64))
    writer.finish(100 * header.packet_frames * header.hop)
    bomb = out.getvalue() + out.getvalue()
    assert len(decoded(bomb, model)) == 200 * header.packet_frames * header.hop
    monkeypatch.setattr(file_decoder, "MOST_SAMPLES", (10**6, 100))
    with pytest.raises(LimitError, match=r"more than 1\d{6} samples from \d+ bytes: beyond"):
        decoded(bomb, model)
    assert len(decoded(bomb, model, max_seconds=None)) == 200 * header.packet_frames * header.hop


def test_a_file_equals_a_pipe(toy, sound, tmp_path):
    x = sound(2, 70000)
    path = wav(tmp_path / "a.wav", x, 22050)
    compress(path, tmp_path / "a.ecdc", model=toy, verify=True)
    want = (tmp_path / "a.ecdc").read_bytes()

    samples = io.BytesIO(path.read_bytes())
    read_end, write_end = os.pipe()
    got_end, out_end = os.pipe()

    def feed():
        with os.fdopen(write_end, "wb", buffering=0) as file:
            while data := samples.read(1234):
                file.write(data)

    received = []

    def collect():
        with os.fdopen(got_end, "rb") as file:
            received.append(file.read())

    threads = [threading.Thread(target=feed), threading.Thread(target=collect)]
    for thread in threads:
        thread.start()
    with os.fdopen(read_end, "rb", buffering=0) as source, os.fdopen(out_end, "wb") as target:
        compress(source, target, model=toy)
    for thread in threads:
        thread.join()
    assert received == [want]
    assert compressed(toy, x, 22050) == want


@pytest.mark.parametrize("container", ["wav", "flac"])
def test_rate_channels_and_length_come_back(toys, sound, tmp_path, container):
    x = sound(3, 12345)
    path = wav(tmp_path / "a.wav", x, 44100)
    compress(path, tmp_path / "a.ecdc", model=toys["causal"], codebooks=2)
    done = decompress(tmp_path / "a.ecdc", tmp_path / f"b.{container}", model=toys["causal"])
    info = soundfile.info(tmp_path / f"b.{container}")
    assert (info.samplerate, info.channels, info.frames) == (44100, 3, 12345)
    assert (done.sample_rate, done.channels, done.samples, done.damage) == (44100, 3, 12345, ())
    decompress(
        tmp_path / "a.ecdc", tmp_path / "c.wav", model=toys["causal"], sample_rate=8000, mono=True
    )
    info = soundfile.info(tmp_path / "c.wav")
    assert (info.samplerate, info.channels, info.frames) == (8000, 1, -(-12345 * 8000 // 44100))


def test_what_was_done_is_told(toys, sound, tmp_path):
    path = wav(tmp_path / "a.wav", sound(2, 80000))
    done = compress(path, tmp_path / "a.ecdc", model=toys["causal"], bandwidth=7.5)
    assert (done.codebooks, done.kbps, done.seconds) == (3, 6.0, 10.0)
    assert 6.0 < done.real_kbps < 6.6
    assert done.bytes == (tmp_path / "a.ecdc").stat().st_size
    assert done.source_bytes == 320000


def test_a_stretch_of_time(toys, sound, tmp_path):
    x = sound(1, 80000)
    data = compressed(toys["causal"], x)
    whole = decoded(data, toys["causal"])
    spans = [(0, 10), (3.3, 4.75), (9.5, None), (None, 0.2), (9.99, 99), (5, 5), (10, None)]
    for start, end in spans:
        begin = round((start or 0) * 8000)
        want = whole[begin : None if end is None else round(end * 8000)]
        np.testing.assert_array_equal(decoded(data, toys["causal"], start=start, end=end), want)
    for start, end in ((-1, None), (5, 4), (float("nan"), None), (0, float("inf"))):
        with pytest.raises(ArgumentError, match="must be 0 <= start <= end"):
            decoded(data, toys["causal"], start=start, end=end)
    with pytest.raises(ArgumentError, match="start 20 s lies beyond the end, at 10 s"):
        decoded(data, toys["causal"], start=20, end=30)


def test_a_stretch_reads_only_what_it_needs(toys, sound):
    class Counting(io.BytesIO):
        count = 0

        def read(self, size=-1):
            data = super().read(size)
            self.count += len(data)
            return data

        read1 = read

    reader = EcdcReader(io.BytesIO(compressed(toys["causal"], sound(1, 8000))))
    packet = next(iter(reader))
    out = io.BytesIO()
    writer = EcdcWriter(out, reader.header)
    for _ in range(4000):
        writer.write(packet.codes)
    writer.finish(4000 * 8000)
    file = Counting(out.getvalue())
    decoder = FileDecoder(file, model=toys["causal"], start=3500, end=3501)
    assert sum(block.shape[1] for block in decoder) == 8000
    assert file.count < 600_000 < 2_000_000 < len(out.getvalue())


def test_a_stretch_from_a_pipe(toys, sound):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *args):
            raise io.UnsupportedOperation("seek")

        tell = seek

    data = compressed(toys["causal"], sound(1, 80000))
    out = io.BytesIO()
    decompress(
        Pipe(data), out, model=toys["causal"], container="raw", encoding="f32", start=5, end=6
    )
    want = decoded(data, toys["causal"])[40000:48000]
    np.testing.assert_array_equal(np.frombuffer(out.getvalue(), "<f4"), want)


def test_links_are_joined(toys, sound):
    one = compressed(toys["causal"], sound(1, 20001))
    decoder = FileDecoder(io.BytesIO(one + one), model=toys["causal"])
    joined = np.concatenate(list(decoder), axis=1)[0]
    alone = decoded(one, toys["causal"])
    np.testing.assert_array_equal(joined, np.concatenate([alone, alone]))
    want = joined[round(2.0 * 8000) : round(3.1 * 8000)]
    part = FileDecoder(io.BytesIO(one + one), model=toys["causal"], start=2.0, end=3.1)
    np.testing.assert_array_equal(np.concatenate(list(part), axis=1)[0], want)


def test_the_wrong_model_is_named(toys, sound, make_toy):
    data = compressed(toys["causal"], sound(1, 100))
    with pytest.raises(ModelMismatchError, match=r"input: made with model toy \([0-9a-f]{12}\)"):
        decoded(data, make_toy(hop=50))


def test_damage_is_an_error_or_is_bridged_and_told(toys, sound):
    model = toys["causal"]
    data = bytearray(compressed(model, sound(1, 80000)))
    whole = decoded(bytes(data), model)
    data[len(data) // 2] ^= 1
    with pytest.raises(BadFileError, match=r"input: .*damaged"):
        decoded(bytes(data), model)
    out = io.BytesIO()
    done = decompress(
        io.BytesIO(bytes(data)), out, model=model, container="raw", encoding="f32", keep_going=True
    )
    got = np.frombuffer(out.getvalue(), "<f4")
    changed = np.flatnonzero(got != whole)
    assert len(got) == len(whole)
    assert 0 < len(changed) <= 8000 + 80
    assert len(done.damage) == 1
    assert "damaged" in str(done.damage[0])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_cut_file_plays_to_the_cut(toys, sound, share):
    model = toys["causal"]
    data = compressed(model, sound(1, 80000))
    whole = decoded(data, model)
    cut = decoded(data[: int(len(data) * share)], model, keep_going=True)
    assert len(cut) % 40 == 0
    assert abs(len(cut) / 80000 - share) < 0.13
    # Of the packet in which the cut is, the lower layers may be there.
    sure = max(len(cut) - 8000, 0)
    np.testing.assert_array_equal(cut[:sure], whole[:sure])


def test_peeled_files_decode_as_fewer_codebooks(toy, sound):
    x = sound(2, 20000)
    data, low = compressed(toy, x, codebooks=4), compressed(toy, x, codebooks=2)
    np.testing.assert_array_equal(decoded(data, toy, codebooks=2), decoded(low, toy))
    reader = EcdcReader(io.BytesIO(data))
    kbps = 5 * reader.header.streams * reader.header.sample_rate / reader.header.hop / 1000
    np.testing.assert_array_equal(decoded(data, toy, bandwidth=kbps * 2.9), decoded(low, toy))
    with pytest.raises(ArgumentError, match="must be at least"):
        decoded(data, toy, bandwidth=kbps * 0.9)


def test_redundancy_recovers_lost_packets(toys, sound):
    """Two neighbours are lost: copies of their first two layers take their places."""
    model, x = toys["causal"], sound(1, 80000)
    plain = compressed(model, x, packet_frames=10)
    packets = list(EcdcReader(io.BytesIO(plain)))
    header = EcdcReader(io.BytesIO(plain)).header
    thin = io.BytesIO()
    writer = EcdcWriter(thin, header)
    for packet in packets:
        writer.write(packet.codes[: 2 if packet.sequence in (50, 51) else 4])
    writer.finish(80000)

    whole = io.BytesIO()
    writer, ends = EcdcWriter(whole, header, redundancy=(2, 2)), []
    for packet in packets:
        writer.write(packet.codes)
        ends.append(whole.tell())
    writer.finish(80000)
    data = whole.getvalue()
    assert data == compressed(model, x, packet_frames=10, redundancy=(2, 2))
    damaged = data[: ends[49]] + data[ends[51] :]
    out = io.BytesIO()
    done = decompress(
        io.BytesIO(damaged), out, model=model, container="raw", encoding="f32", keep_going=True
    )
    np.testing.assert_array_equal(
        np.frombuffer(out.getvalue(), "<f4"), decoded(thin.getvalue(), model)
    )
    assert (done.damage[0].losses.recovered, done.damage[0].losses.frames) == (2, 0)


def test_verify_needs_a_file_that_can_be_read(toys, sound):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    raw = RawFormat("f32", 8000, 1)
    with pytest.raises(BadFileError, match="verify: the output cannot be read again"):
        compress(io.BytesIO(bytes(400)), Pipe(), model=toys["causal"], raw=raw, verify=True)


def test_verify_notices_a_bad_disk(toys):
    class Bad(io.BytesIO):
        def write(self, data):
            data = bytearray(data)
            if len(data) > 60 and self.tell() > 200:
                data[50] ^= 4
            return super().write(bytes(data))

    raw = RawFormat("f32", 8000, 1)
    noise = np.random.default_rng(0).normal(0, 0.2, 40000).astype("<f4").tobytes()
    compress(io.BytesIO(noise), Bad(), model=toys["causal"], raw=raw)
    with pytest.raises(BadFileError):
        compress(io.BytesIO(noise), Bad(), model=toys["causal"], raw=raw, verify=True)


def test_nothing_is_left_behind_by_a_failure(toys, tmp_path):
    x = np.zeros(50000, "<f4")
    x[40000] = np.nan
    with pytest.raises(ArgumentError, match="sample 40000"):
        compress(
            io.BytesIO(x.tobytes()), tmp_path / "a.ecdc", model=toys["causal"],
            raw=RawFormat("f32", 8000, 1),
        )  # fmt: skip
    assert os.listdir(tmp_path) == []


def test_silence_and_thin_packets(toys, sound):
    """A writer may leave out layers, down to none; the time still passes."""
    model = toys["causal"]
    data = compressed(model, sound(1, 32000))
    reader = EcdcReader(io.BytesIO(data))
    out = io.BytesIO()
    writer = EcdcWriter(out, reader.header)
    for packet in reader:
        writer.write(packet.codes[: 0 if packet.sequence == 2 else 4])
    writer.finish(32000)
    got, whole = decoded(out.getvalue(), model), decoded(data, model)
    assert len(got) == 32000
    changed = np.flatnonzero(got != whole)
    assert changed[0] >= 16000
    assert changed[-1] < 24000 + 80


def test_an_endless_file_is_refused_unless_asked_for(toys, sound):
    from ncodec.errors import LimitError

    model = toys["causal"]
    reader = EcdcReader(io.BytesIO(compressed(model, sound(1, 8000))))
    packet = next(iter(reader))
    out = io.BytesIO()
    writer = EcdcWriter(out, reader.header)
    writer.write(packet.codes, first_frame=1 << 40)
    with pytest.raises(LimitError):
        decoded(out.getvalue() + struct.pack("B", 0), model, keep_going=True)

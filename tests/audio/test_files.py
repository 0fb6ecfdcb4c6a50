import errno
import io
import logging
import os
import struct
import threading

import numpy as np
import pytest
import soundfile

from ncodec.audio import RawFormat, check_finite, format_of, open_audio, open_writer
from ncodec.errors import ArgumentError, BadFileError
from tests.audio.sounds import Pipe, noise, read_all
from tests.audio.sounds import sound_bytes as wav_bytes


def write_all(writer, x):
    for part in np.array_split(x, 20, axis=1):
        writer.write(part)
    writer.finish()


@pytest.mark.parametrize(
    ("container", "encoding"),
    [
        (container, encoding)
        for container in ("wav", "flac", "aiff", "au", "caf")
        for encoding in ("s16", "s24", "f32")
        if (container, encoding) != ("flac", "f32")
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_written_files_read_back_exactly(tmp_path, container, encoding, channels):
    x = noise(channels, 2501)
    path = tmp_path / f"a.{container}"
    with path.open("w+b") as file:
        writer = open_writer(
            file, container=format_of(str(path)), sample_rate=22050, channels=channels,
            encoding=encoding,
        )  # fmt: skip
        writer.write(x[:, :7])
        writer.write(x[:, 7:])
        writer.finish()
    y, reader = read_all(path)
    assert (reader.sample_rate, reader.channels, reader.samples) == (22050, channels, 2501)
    tolerance = {"s16": 0.5 / 32768, "s24": 0.5 / 8388608, "f32": 0}[encoding]
    np.testing.assert_allclose(y, x, atol=tolerance * 1.001, rtol=0)
    assert soundfile.info(path).frames == 2501


def test_full_scale_clips_instead_of_wrapping(tmp_path):
    path = tmp_path / "a.flac"
    x = np.array([[1.5, 1.0, -1.0, -2.0, 0.0]], np.float32)
    for container in ("wav", "flac"):
        with path.open("w+b") as file:
            writer = open_writer(file, container=container, sample_rate=8000, channels=1)
            writer.write(x)
            writer.finish()
        y, _ = soundfile.read(path, dtype="int16")
        assert y.tolist() == [32767, 32767, -32768, -32768, 0]


@pytest.mark.parametrize("container", ["ogg", "opus", "mp3"])
def test_lossy_outputs_on_files_and_pipes_agree(tmp_path, container):
    x = noise(1, 24000) * 0.1
    path = tmp_path / f"a.{container}"
    pipe = Pipe()
    with path.open("w+b") as file:
        for target in (file, pipe):
            writer = open_writer(target, container=container, sample_rate=24000, channels=1)
            writer.write(x)
            writer.finish()
    assert soundfile.info(path).samplerate == 24000
    got, want = io.BytesIO(pipe.out), path
    assert len(soundfile.read(got)[0]) == len(soundfile.read(want)[0]) > 23000


def test_a_format_that_cannot_hold_the_audio_says_so():
    with pytest.raises(ArgumentError, match="mp3 cannot hold 6 channels: 2 at most"):
        open_writer(io.BytesIO(), container="mp3", sample_rate=48000, channels=6)
    with pytest.raises(ArgumentError, match="flac cannot hold 700000 Hz") as caught:
        open_writer(io.BytesIO(), container="flac", sample_rate=700000, channels=1)
    assert "object at" not in str(caught.value)
    with pytest.raises(ArgumentError, match="output format 'docx'"):
        format_of("a.docx")


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
def test_wav_on_a_pipe_equals_the_file(subtype, container):
    data = wav_bytes(noise(3, 1234), subtype=subtype, container=container)
    want, _ = read_all(io.BytesIO(data))
    got, reader = read_all(Pipe(data))
    assert reader.samples == 1234
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("sizes", [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0x7FFFF024, 0x7FFFF000)])
@pytest.mark.parametrize("make", [Pipe, io.BytesIO])
def test_wav_of_unknown_length_is_read_to_its_end(sizes, make):
    x = noise(2, 777)
    data = bytearray(wav_bytes(x))
    data[4:8], data[40:44] = (struct.pack("<I", size) for size in sizes)
    got, _ = read_all(make(bytes(data)))
    np.testing.assert_allclose(got, x, atol=2 / 32768)


@pytest.mark.parametrize("subtype", ["ULAW", "IMA_ADPCM"])
def test_codings_that_need_libsndfile_are_spooled_from_a_pipe(subtype):
    data = wav_bytes(noise(1, 5000), subtype=subtype)
    want, _ = read_all(io.BytesIO(data))
    got, _ = read_all(Pipe(data))
    np.testing.assert_array_equal(got, want)


def test_flac_from_a_pipe():
    x = noise(2, 9000)
    got, reader = read_all(Pipe(wav_bytes(x, container="FLAC")))
    assert reader.samples == 9000
    np.testing.assert_allclose(got, x, atol=2 / 32768)


def test_wav_writer_on_a_pipe_needs_no_seek():
    x = noise(2, 500)
    for samples, promised in ((None, None), (500, 500)):
        pipe = Pipe()
        writer = open_writer(pipe, container="wav", sample_rate=8000, channels=2, samples=samples)
        writer.write(x)
        writer.finish()
        got, reader = read_all(Pipe(bytes(pipe.out)))
        assert reader.samples == promised
        np.testing.assert_allclose(got, x, atol=0.51 / 32768)


def test_wav_beyond_4_gib_becomes_rf64(tmp_path, monkeypatch):
    class Sparse(io.FileIO):
        def write(self, data):
            if len(data) < 4096:
                return super().write(data)
            self.seek(len(data) - 1, os.SEEK_CUR)
            return super().write(b"\0") + len(data) - 1

    path = tmp_path / "big.wav"
    block = np.zeros((8, 1 << 22), np.float32)
    data = bytes(block.size * 2)
    monkeypatch.setattr("ncodec.audio.wav.encode_pcm", lambda x, encoding: data)
    with Sparse(str(path), "w+") as file:
        writer = open_writer(file, container="wav", sample_rate=96000, channels=8, encoding="s16")
        for _ in range(65):
            writer.write(block)
        writer.finish()
    info = soundfile.info(path)
    assert path.stat().st_size > 1 << 32
    assert (info.format, info.frames, info.channels) == ("RF64", 65 << 22, 8)


@pytest.mark.parametrize("make", [Pipe, io.BytesIO])
@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_audio_cut_short_is_an_error_or_a_warning(make, container, caplog):
    data = wav_bytes(noise(1, 40000), container=container)
    data = data[: len(data) // 2]
    with pytest.raises(BadFileError, match="cut short"):
        read_all(make(data))
    with caplog.at_level(logging.WARNING, "ncodec"):
        got, _ = read_all(make(data), allow_truncated=True)
    assert 8000 < got.shape[1] < 32000
    assert "cut short" in caplog.text


@pytest.mark.parametrize("make", [Pipe, io.BytesIO])
def test_what_is_not_audio_is_refused(make):
    for data, reason in (
        (b"", "empty"),
        (b"hello, I am a text and no sound at all\n" * 9, "not readable as audio"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "header ends"),
        (wav_bytes(noise(1, 10))[:43], "header ends"),
    ):
        with pytest.raises(BadFileError, match=reason):
            open_audio(make(data))


def test_raw_samples_on_a_pipe(caplog):
    x = noise(2, 1001)
    s16 = np.rint(x.T * 32767).astype("<i2")
    got, reader = read_all(Pipe(s16.tobytes()), raw=RawFormat("s16", 44100, 2))
    assert (reader.sample_rate, reader.channels, reader.samples) == (44100, 2, None)
    np.testing.assert_array_equal(got, s16.T / np.float32(32768))
    with caplog.at_level(logging.WARNING, "ncodec"):
        got, _ = read_all(Pipe(x.T.tobytes() + b"abc"), raw=RawFormat("f32", 44100, 2))
    np.testing.assert_array_equal(got, x)
    assert "3 odd bytes" in caplog.text


def test_a_read_error_in_the_middle_is_not_taken_for_the_end():
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 30000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    for container in ("WAV", "FLAC"):
        data = wav_bytes(noise(1, 40000), container=container)
        with pytest.raises(OSError, match="Input/output error"):
            read_all(Failing(data))


def test_a_write_error_is_not_swallowed_by_libsndfile():
    class Full(io.BytesIO):
        def __init__(self, buffers):
            super().__init__()
            self._buffers, self._waiting = buffers, False

        def write(self, data):
            full = self.tell() > 10000
            if full and not self._buffers:
                raise OSError(28, "No space left on device")
            self._waiting |= full
            return super().write(data)

        def seek(self, offset, whence=0):
            if self._waiting:  # what was buffered is written now
                raise OSError(28, "No space left on device")
            return super().seek(offset, whence)

    cases = [("wav", False), ("flac", False), ("ogg", False), ("flac", True), ("mp3", True)]
    for container, buffers in cases:
        writer = open_writer(Full(buffers), container=container, sample_rate=8000, channels=1)
        with pytest.raises(OSError, match="No space left"):
            write_all(writer, noise(1, 160000))
        del writer


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(noise(1, 3000)))
    reader = open_audio(path)
    reader.read(1000)
    with path.open("ab") as file:
        file.write(b"more")
    reader.read(2000)
    with pytest.raises(BadFileError, match="changed while it was read"):
        reader.read(1000)


def test_a_real_pipe_works():
    x = noise(1, 200000)
    data = wav_bytes(x)
    read_end, write_end = os.pipe()

    def feed():
        with os.fdopen(write_end, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(read_end, "rb") as file:
        got, _ = read_all(file, block=4096)
    thread.join()
    np.testing.assert_allclose(got, x, atol=2 / 32768)


def test_check_finite_says_where():
    x = np.zeros((2, 100), np.float32)
    check_finite(x, 0, 8000, "a")
    x[1, 40] = np.inf
    x[0, 60] = np.nan
    with pytest.raises(ArgumentError, match=r"sample 8040 of channel 2 \(1\.005 s\) is inf"):
        check_finite(x, 8000, 8000, "a")


@pytest.mark.filterwarnings("error")
def test_a_pipe_without_a_name_is_called_input() -> None:
    reads, writes = os.pipe()
    with os.fdopen(writes, "wb") as end:
        end.write(b"no sound")
    with os.fdopen(reads, "rb") as pipe, pytest.raises(BadFileError, match=r"^input: "):
        open_audio(pipe)


@pytest.mark.parametrize("promised", [1000, 19904])
def test_flac_with_more_sound_than_its_header_says(promised) -> None:
    out = io.BytesIO()
    soundfile.write(out, noise(1, 24000)[0], 24000, format="FLAC")
    whole = bytearray(out.getvalue())
    read_all(io.BytesIO(whole))
    whole[22:26] = promised.to_bytes(4, "big")
    with pytest.raises(BadFileError, match=f"more sound than the {promised} samples"):
        read_all(io.BytesIO(whole))


def test_errors_of_reading_name_the_file():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error: 'tape'"):
        open_audio(Broken(), name="tape")

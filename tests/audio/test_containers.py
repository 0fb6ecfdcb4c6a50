"""Files as people have them: lengths not known or wrong, streams joined, headers damaged."""

import io
import logging
import struct

import numpy as np
import pytest
import soundfile

import ncodec
from ncodec.audio import format_of, measure_audio, mp3, open_audio, read_audio
from ncodec.audio.source import Source
from ncodec.errors import ArgumentError, BadFileError
from tests.audio.sounds import Pipe, noise, read_all, sound_bytes, tone, written

BOTH = pytest.mark.parametrize("make", [Pipe, io.BytesIO])
ID3V1 = b"TAG" + bytes(125)


def id3(size):
    sizes = [size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]
    return b"ID3\x03\0\0" + bytes(sizes) + bytes(size)


def unknown_length(flac):
    """Take length and checksum out of a FLAC's header, as an encoder on a pipe leaves them."""
    held = bytearray(flac)
    held[21] &= 0xF0
    held[22:26], held[26:42] = bytes(4), bytes(16)
    return bytes(held)


def flac_bytes(x, rate=24000):
    return sound_bytes(x, rate, container="FLAC")


def ogg_bytes(x, rate=24000, subtype="VORBIS"):
    return sound_bytes(x, rate, subtype, "OGG")


def mp3_bytes(x, rate=44100, mode="CONSTANT", level=0.5):
    held = io.BytesIO()
    with soundfile.SoundFile(
        held, "w", rate, x.shape[0], format="MP3", compression_level=level, bitrate_mode=mode
    ) as file:
        file.write(x.T)
    return held.getvalue()


def without_tag_frame(data):
    return data[mp3.parse(data[:4]).size :]


def wav_header(size, riff=None, fmt=None, chunks=b""):
    fmt = fmt or struct.pack("<HHIIHH", 1, 1, 24000, 48000, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + chunks + b"data"
    riff = len(body) + 4 + size if riff is None else riff
    return b"RIFF" + struct.pack("<I", riff) + body + struct.pack("<I", size)


def s16(x):
    return np.rint(x.T * 32767).astype("<i2").tobytes()


# FLAC


@BOTH
@pytest.mark.parametrize("behind", [b"", ID3V1], ids=["bare", "id3v1"])
@pytest.mark.parametrize("before", [b"", id3(3000)], ids=["bare", "id3v2"])
def test_flac_of_unknown_length_is_read_whole(make, before, behind):
    x = tone(20011)
    for data in (flac_bytes(x), unknown_length(flac_bytes(x))):
        got, _ = read_all(make(before + data + behind))
        np.testing.assert_allclose(got, x, atol=1e-4)


@pytest.mark.parametrize("change", [lambda b: b, unknown_length], ids=["known", "unknown"])
def test_flac_streams_behind_each_other_are_one(change):
    x, y = tone(20011), tone(9000, 0.07)
    got, _ = read_all(io.BytesIO(change(flac_bytes(x)) + change(flac_bytes(y))))
    np.testing.assert_allclose(got, np.concatenate([x, y], axis=1), atol=1e-4)


def test_flac_streams_of_another_rate_are_resampled_and_of_other_channels_refused():
    x = tone(24000)
    got, reader = read_all(io.BytesIO(flac_bytes(x) + flac_bytes(tone(48000, 0.02), 48000)))
    assert (reader.sample_rate, got.shape) == (24000, (1, 48000))
    with pytest.raises(BadFileError, match="stream 2 in it has 2 channels, the first has 1"):
        read_all(io.BytesIO(flac_bytes(x) + flac_bytes(noise(2, 500))))


@pytest.mark.parametrize("change", [lambda b: b, unknown_length], ids=["known", "unknown"])
def test_flac_damaged_in_the_middle_keeps_what_stands_before(change, caplog):
    x = noise(1, 60000)
    data = bytearray(change(flac_bytes(x)))
    data[60000:60050] = b"\x55" * 50
    with pytest.raises(BadFileError, match="damaged or cut short at sample"):
        read_all(io.BytesIO(bytes(data)))
    got, _ = read_all(io.BytesIO(bytes(data)), allow_truncated=True)
    assert 60000 * 0.5 - 4096 < got.shape[1] < 30000
    assert "damaged" in caplog.text


def test_flac_in_ogg():
    from mutagen.oggflac import OggFLAC  # noqa: F401 - what reads it elsewhere

    x = tone(9000)
    data = flac_bytes(x)
    blocks, at, last = [], 4, 0
    while not last:
        last, size = data[at] & 0x80, int.from_bytes(data[at + 1 : at + 4], "big")
        blocks.append(data[at : at + 4 + size])
        at += 4 + size
    first = b"\x7fFLAC\1\0" + struct.pack(">H", len(blocks) - 1) + b"fLaC" + blocks[0]
    frames = data[at:]
    packets = [first, *blocks[1:], *(frames[i : i + 900] for i in range(0, len(frames), 900))]
    pages = b"".join(
        page(packet, i, (2 if i == 0 else 0) | (4 if i == len(packets) - 1 else 0))
        for i, packet in enumerate(packets)
    )
    got, _ = read_all(io.BytesIO(pages))
    np.testing.assert_allclose(got, x, atol=1e-4)


def page(packet, number, flags, serial=7):
    segments = [255] * (len(packet) // 255) + [len(packet) % 255]
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, 0, serial, number, 0, len(segments))
    return head + bytes(segments) + packet


# Ogg


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@BOTH
def test_ogg_links_are_read_one_after_the_other(make, subtype):
    links = [ogg_bytes(tone(n, s), subtype=subtype) for n, s in ((36000, 0.05), (24000, 0.08))]
    parts = [read_all(io.BytesIO(link))[0] for link in links]
    got, reader = read_all(make(b"".join(links)))
    np.testing.assert_array_equal(got, np.concatenate(parts, axis=1))
    assert got.shape == (1, 60000)
    assert reader.samples is None


def test_ogg_links_of_another_rate_are_resampled_and_of_other_channels_refused():
    first = ogg_bytes(tone(24000))
    got, _ = read_all(io.BytesIO(first + ogg_bytes(tone(44100, 0.02), 44100)))
    assert got.shape == (1, 48000)
    with pytest.raises(BadFileError, match="stream 2 in it has 2 channels"):
        read_all(io.BytesIO(first + ogg_bytes(tone(9000, channels=2))))


def test_a_link_may_be_behind_one_that_is_cut(caplog):
    whole = ogg_bytes(tone(100000))
    cut = whole[: whole.rindex(b"OggS")]
    with pytest.raises(BadFileError, match="link 1 of 2: cut short"):
        read_all(io.BytesIO(cut + whole))
    got, _ = read_all(io.BytesIO(cut + whole), allow_truncated=True)
    assert got.shape[1] > 150000
    assert "link 1 of 2: cut short" in caplog.text


def test_streams_beside_the_sound_are_passed_over():
    data = ogg_bytes(tone(30000))
    bos = data.index(b"OggS", 4)
    skeleton = page(b"fishead\0" + bytes(56), 0, 2, serial=99), page(b"", 1, 4, serial=99)
    got, _ = read_all(io.BytesIO(skeleton[0] + data[:bos] + skeleton[1] + data[bos:]))
    np.testing.assert_array_equal(got, read_all(io.BytesIO(data))[0])


def test_a_lost_page_is_told():
    data = ogg_bytes(noise(1, 150000) * 0.3)
    at = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"]
    with pytest.raises(BadFileError, match="cut short"):
        read_all(io.BytesIO(data[: at[4]] + data[at[5] :]))


# MP3


@BOTH
def test_mp3_of_variable_bitrate_without_a_tag_frame_is_read_whole(make):
    x = tone(132300)
    x[:, :22050] += noise(1, 22050) * 0.5
    data = without_tag_frame(mp3_bytes(x, mode="VARIABLE", level=0.2))
    got, reader = read_all(make(data))
    assert 132300 <= got.shape[1] < 132300 + 4 * 1152
    assert reader.samples == got.shape[1]


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_frame_of_an_mp3_is_counted(rate, channels):
    x = tone(rate, channels=channels)
    data = mp3_bytes(x, rate)
    assert read_all(io.BytesIO(data))[0].shape == (channels, rate)
    got, _ = read_all(io.BytesIO(without_tag_frame(data)))
    assert rate <= got.shape[1] < rate + 4 * 1152


def test_mp3_files_behind_each_other_are_one():
    parts = [mp3_bytes(tone(n, s)) for n, s in ((60000, 0.05), (30000, 0.08))]
    joined = (parts[0] + parts[1], id3(500) + parts[0] + ID3V1 + id3(700) + parts[1] + ID3V1)
    want = np.concatenate([read_all(io.BytesIO(part))[0] for part in parts], axis=1)
    assert want.shape[1] == 90000
    for data in joined:
        np.testing.assert_array_equal(read_all(io.BytesIO(data))[0], want)


def test_mp3_cut_out_of_a_stream_at_any_byte_is_read(caplog):
    data = without_tag_frame(mp3_bytes(tone(132300)))
    got, _ = read_all(io.BytesIO(data[777:-55]))
    assert got.shape[1] > 132300 - 4 * 1152
    assert "in part only" in caplog.text


def test_mp3_damaged_in_the_middle_is_told_and_read_behind_the_damage(caplog):
    data = bytearray(mp3_bytes(tone(132300)))
    data[12000:18000] = b"\x55" * 6000
    with pytest.raises(BadFileError, match=r"damaged: \d+ bytes before byte \d+ are no MPEG audio"):
        read_all(io.BytesIO(bytes(data)))
    got, _ = read_all(io.BytesIO(bytes(data)), allow_truncated=True)
    assert 80000 < got.shape[1] < 132300


def test_bytes_around_an_mp3_are_not_its_own():
    x = tone(30000)
    data = mp3_bytes(x, 24000)
    for before, behind in ((bytes(9000), b""), (b"\x11" * 700, b""), (b"", bytes(50000))):
        got, _ = read_all(io.BytesIO(before + data + behind))
        assert got.shape == (1, 30000)


def test_other_files_are_not_taken_for_mp3(monkeypatch):
    monkeypatch.setenv("PATH", "")
    rng = np.random.default_rng(3)
    for n in range(6):
        data = bytearray(rng.integers(0, 256, 60000, dtype=np.uint8).tobytes())
        data[100 * n + 50 :: 417] = b"\xff" * len(data[100 * n + 50 :: 417])
        data[100 * n + 51 :: 417] = b"\xfb" * len(data[100 * n + 51 :: 417])
        with pytest.raises(BadFileError, match="not readable as audio"):
            open_audio(io.BytesIO(bytes(data)))


def test_an_id3_tag_without_sound_is_told():
    for data in (id3(300), b"ID3\3\0\0\x7f\x7f\x7f\x7f" + mp3_bytes(tone(9000))):
        with pytest.raises(BadFileError, match="an ID3 tag and no sound behind it"):
            open_audio(io.BytesIO(data))


def test_walk_over_mp3_ends_on_any_bytes():
    rng = np.random.default_rng(5)
    for n in range(60):
        data = bytearray(rng.integers(0, 256, 3000, dtype=np.uint8).tobytes())
        data[n::7] = b"\xff" * len(data[n::7])
        source = Source(io.BytesIO(data), own=False, name="x", allow_truncated=True)
        mp3.find_runs(source, 0, len(data))


def test_libraries_do_not_write_to_standard_error(capfd):
    data = bytearray(mp3_bytes(noise(2, 132300), level=0.9))
    data[9000:9400] = b"\x55" * 400
    for at in range(10000, len(data), 777):
        data[at] ^= 0xFF
    read_all(io.BytesIO(bytes(data)), allow_truncated=True)
    assert "mpg123" not in capfd.readouterr().err


# WAV


@BOTH
@pytest.mark.parametrize(
    ("riff", "size"), [(36, 0), (0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (36, 0xFFFFFFFF), (0xFFFFFFFF, 0)]
)
def test_wav_of_a_recorder_that_died_is_read_to_its_end(make, riff, size, caplog):
    x = tone(5000)
    data = wav_header(size, riff) + s16(x)
    got, _ = read_all(make(data))
    np.testing.assert_allclose(got, x, atol=1e-4)
    assert make is Pipe or "does not know its length" in caplog.text


@BOTH
def test_an_empty_wav_with_chunks_behind_it_is_empty(make):
    data = wav_header(0, 36 + 12) + b"LIST\4\0\0\0INFO"
    assert read_all(make(data))[0].shape == (1, 0)


@pytest.mark.parametrize("riff", [36, 0])
def test_unfinished_wav_of_another_coding_is_read_to_its_end(riff):
    data = bytearray(sound_bytes(tone(5000), subtype="ULAW"))
    at = data.index(b"data") + 4
    data[at : at + 4], data[4:8] = bytes(4), struct.pack("<I", riff)
    assert read_all(io.BytesIO(bytes(data)))[0].shape == (1, 5000)


@BOTH
def test_chunks_of_any_size_stand_before_the_samples(make):
    x = tone(5000)
    chunks = b"".join(
        name + struct.pack("<I", n) + bytes(n + n % 2)
        for name, n in ((b"bext", 858), (b"odd ", 3), (b"id3 ", 3_000_000), (b"JUNK", 28))
    )
    got, _ = read_all(make(wav_header(10000, chunks=chunks) + s16(x)))
    np.testing.assert_allclose(got, x, atol=1e-4)


@BOTH
def test_a_chunk_without_its_padding(make):
    x = tone(50)
    chunks = b"odd \3\0\0\0abc" + b"LIST\4\0\0\0INFO"
    got, _ = read_all(make(wav_header(100, chunks=chunks) + s16(x)))
    np.testing.assert_allclose(got, x, atol=1e-4)


@BOTH
def test_a_second_wav_is_not_lost_in_silence(make):
    data = wav_header(100) + s16(tone(50))
    with pytest.raises(BadFileError, match="a second WAV"):
        read_all(make(data + data))


@pytest.mark.parametrize(
    ("bits", "width"), [(12, 2), (20, 3), (24, 4), (16, 3), (8, 1), (0, 2), (24, 3)]
)
@BOTH
def test_samples_stand_at_the_upper_end_of_their_bytes(make, bits, width):
    x = np.array([[0.5, -0.25, 0.0]], np.float32)
    scale = 1 << 8 * width - 1
    values = [int(v * scale) + (128 if width == 1 else 0) for v in x[0]]
    data = b"".join(v.to_bytes(width, "little", signed=width > 1) for v in values)
    fmt = struct.pack("<HHIIHH", 1, 1, 24000, 24000 * width, width, bits)
    got, _ = read_all(make(wav_header(len(data), fmt=fmt) + data))
    np.testing.assert_array_equal(got, x)


@BOTH
def test_bw64(make):
    data = sound_bytes(tone(500), container="RF64")
    got, reader = read_all(make(b"BW64" + data[4:]))
    assert reader.samples == 500
    np.testing.assert_allclose(got, tone(500), atol=1e-4)


@pytest.mark.parametrize(
    ("fmt", "reason"),
    [
        (struct.pack("<HHIIHH", 1, 0, 24000, 0, 0, 16), "0 channels: must be 1 to 8"),
        (struct.pack("<HHIIHH", 1, 96, 24000, 0, 192, 16), "96 channels: must be 1 to 8"),
        (struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16), "sample rate 0 Hz"),
        (struct.pack("<HHIIHH", 1, 1, 4_000_000_000, 0, 2, 16), "sample rate 4000000000 Hz"),
        (b"\1\0\1\0", "a fmt chunk of 4 bytes"),
    ],
)
@BOTH
def test_impossible_formats_are_told_with_the_name(make, fmt, reason):
    with pytest.raises(BadFileError, match=f"^take.wav: .*{reason}"):
        open_audio(make(wav_header(100, fmt=fmt) + bytes(100)), name="take.wav")


# Tags before, lengths that lie


@pytest.mark.parametrize("container", ["WAV", "AIFF", "FLAC"])
def test_id3_before_the_file_takes_nothing_from_its_end(container):
    data = sound_bytes(tone(9000), container=container)
    for tag in (id3(5000), id3(20) + id3(300)):
        got, _ = read_all(io.BytesIO(tag + data))
        np.testing.assert_allclose(got, tone(9000), atol=1e-4)


SHORT = [
    ("WAV", "PCM_16"),
    ("WAV", "ULAW"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "GSM610"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AIFF", "IMA_ADPCM"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("W64", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", None),
]


@pytest.mark.parametrize(("container", "subtype"), SHORT)
def test_a_source_that_ends_before_its_header_says_is_told(container, subtype, caplog):
    x = np.concatenate([tone(20000), 0.2 * noise(1, 60000)], axis=1)
    data = sound_bytes(x, 24000, subtype, container)
    cut = io.BytesIO(data[: len(data) * 6 // 10])
    with pytest.raises(BadFileError, match="cut short"):
        read_all(cut)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "ncodec"):
        cut.seek(0)
        got = read_all(cut, allow_truncated=True)[0] if subtype != "ALAC_16" else None
    assert "cut short" in caplog.text or subtype == "ALAC_16"
    assert got is None or 20000 < got.shape[1] < 70000
    whole, _ = read_all(io.BytesIO(data))
    assert 80000 <= whole.shape[1] < 82000


@pytest.mark.parametrize(("container", "at"), [("CAF", b"data"), ("AU", b".snd\0\0\0\x18")])
def test_lengths_that_were_never_set_reach_to_the_end(container, at):
    data = bytearray(sound_bytes(tone(5000), container=container))
    field = data.index(at) + len(at)
    width = 8 if container == "CAF" else 4
    data[field : field + width] = b"\xff" * width
    got, _ = read_all(io.BytesIO(bytes(data)))
    np.testing.assert_allclose(got, tone(5000), atol=1e-4)


# Parts


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda x, y: sound_bytes(x), id="wav"),
        pytest.param(lambda x, y: sound_bytes(x, subtype="ULAW"), id="ulaw"),
        pytest.param(lambda x, y: flac_bytes(x), id="flac"),
        pytest.param(lambda x, y: unknown_length(flac_bytes(x)), id="unknown"),
        pytest.param(lambda x, y: unknown_length(flac_bytes(x)) + flac_bytes(y), id="joined"),
        pytest.param(lambda x, y: ogg_bytes(x) + ogg_bytes(y), id="links"),
        pytest.param(lambda x, y: ogg_bytes(x) + ogg_bytes(y, 12000), id="rates"),
        pytest.param(lambda x, y: mp3_bytes(x), id="mp3"),
        pytest.param(lambda x, y: mp3_bytes(x) + mp3_bytes(y), id="mp3s"),
        pytest.param(lambda x, y: sound_bytes(x, container="AIFF"), id="aiff"),
    ],
)
def test_a_part_is_what_the_whole_has_there(data):
    held = io.BytesIO(data(tone(30011), tone(9000, 0.08)))
    whole, reader = read_all(held)
    held.seek(0)
    measured = measure_audio(held)
    assert (measured.samples, measured.sample_rate) == (whole.shape[1], reader.sample_rate)
    for start, frames in ((0, None), (100, 50), (29000, 3000), (31000, None), (10**9, 5)):
        held.seek(0)
        part, _ = read_audio(held, start, frames)
        want = whole[:, start : None if frames is None else start + frames]
        np.testing.assert_allclose(part, want, atol=2e-3)


# Writing


def test_flac_without_samples_is_a_flac():
    data, _ = written(np.zeros((2, 0), np.float32), "flac", 44100)
    info = soundfile.info(io.BytesIO(data))
    assert (info.samplerate, info.channels, info.format) == (44100, 2, "FLAC")
    assert read_all(io.BytesIO(data))[0].shape == (2, 0)


@pytest.mark.parametrize(
    ("container", "rate", "got"),
    [("opus", 44100, 48000), ("opus", 11025, 12000), ("opus", 96000, 48000), ("mp3", 96000, 48000)],
)
def test_rates_that_a_format_does_not_have_are_resampled(container, rate, got):
    data, writer = written(tone(rate, 0.01), container, rate)
    info = soundfile.info(io.BytesIO(data))
    assert (info.samplerate, writer.sample_rate) == (got, got)
    assert abs(info.frames / got - 1) < 0.01
    assert writer.notes == [f"resampled to {got} Hz: {container} has no {rate} Hz"]


@pytest.mark.parametrize("encoding", ["s16", "s24", "f32"])
@pytest.mark.parametrize("container", ["wav", "flac", "raw"])
def test_samples_that_are_too_loud_are_counted(container, encoding):
    x = np.array([[1.5, 1.0, -1.0, 0.0], [-1.2, 0.5, 0.9999, -1.0]], np.float32)
    if container == "flac" and encoding == "f32":
        return
    _, writer = written(x, container, encoding=encoding)
    assert writer.clipped == (0 if encoding == "f32" else 3)


@pytest.mark.parametrize("container", ["ogg", "opus", "mp3"])
def test_quality_makes_files_larger(container):
    x = noise(1, 48000) * 0.3
    sizes = [len(written(x, container, 48000, quality=q)[0]) for q in (0, 3, 10)]
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize(("container", "quality"), [("flac", 5), ("opus", 11), ("mp3", -1)])
def test_quality_is_of_lossy_formats_from_0_to_10(container, quality):
    with pytest.raises(ArgumentError, match=f"quality {quality} of {container}: must be 0 to 10"):
        written(noise(1, 100), container, quality=quality)


def test_a_file_name_without_an_ending_means_wav():
    assert format_of("talk") == "wav"
    with pytest.raises(ArgumentError, match="output format 'sd2'"):
        format_of("talk.sd2")


def test_channels_that_cost_twice_or_more_are_told(tmp_path, tiny_model):
    def notes(x):
        data = io.BytesIO(written(x, "wav")[0])
        return ncodec.compress(data, tmp_path / "a.ecdc", model=tiny_model, force=True).notes

    x = tone(5000)
    assert notes(np.tile(x, (2, 1))) == (
        "both channels are the same: mixed to one they would take half the room",
    )
    assert notes(np.concatenate([x, -x])) == ()
    assert notes(x) == ()
    (text,) = notes(noise(6, 500))
    assert text.startswith("6 channels, ")
    assert text.endswith(" kbps each")

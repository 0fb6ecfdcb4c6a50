"""Channels stay at their speakers, whatever order a format keeps them in."""

import io
import struct

import numpy as np
import pytest
import soundfile

import ncodec
from ncodec.audio import open_audio
from ncodec.audio.layout import FLAC_MASKS, VORBIS_ORDER, to_vorbis
from ncodec_formats import EcdcReader
from tests.audio.sounds import Pipe, noise, written

# Vorbis I, 4.3.9, as speakers of WAVE's mask.
VORBIS = {
    3: "FL FC FR",
    5: "FL FC FR BL BR",
    6: "FL FC FR BL BR LFE",
    7: "FL FC FR SL SR BC LFE",
    8: "FL FC FR SL SR BL BR LFE",
}
WAVE = ["FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR"]


def tones(channels, samples=24000):
    t = np.arange(samples) / 24000
    return 0.3 * np.sin(2 * np.pi * np.outer(200 + 150 * np.arange(channels), t)).astype("f4")


def pitches(x):
    spectrum = np.abs(np.fft.rfft(x[:, :24000] * np.hanning(x.shape[1])[None, :24000]))
    return [round((peak - 200) / 150) for peak in spectrum.argmax(axis=1)]


@pytest.mark.parametrize("channels", VORBIS)
def test_the_order_of_vorbis(channels):
    names = VORBIS[channels].split()
    x = np.arange(channels, dtype=np.float32)[:, None]  # as Vorbis has them
    got = [names[int(i)] for i in x[VORBIS_ORDER[channels]][:, 0]]
    assert got == sorted(names, key=WAVE.index)
    assert sum(1 << WAVE.index(name) for name in names) == FLAC_MASKS[channels]
    np.testing.assert_array_equal(to_vorbis(x[VORBIS_ORDER[channels]]), x)


@pytest.mark.parametrize("container", ["ogg", "opus"])
@pytest.mark.parametrize("channels", [3, 6, 8])
def test_ogg_keeps_channels_at_their_speakers(container, channels):
    x = tones(channels)
    data, writer = written(x, container, mask=FLAC_MASKS[channels])
    stored, _ = soundfile.read(io.BytesIO(data))
    names = VORBIS[channels].split()
    order = [sorted(names, key=WAVE.index).index(name) for name in names]
    reader = open_audio(io.BytesIO(data))
    heard, want = pitches(reader.read(24000)), list(range(channels))
    stored_order = pitches(stored.T)
    if container == "opus" and channels > 5:  # Opus keeps no tones in the LFE
        heard[3], stored_order[names.index("LFE")] = 3, 3
    assert (stored_order, heard) == (order, want)
    assert writer.notes == []


@pytest.mark.parametrize("make", [Pipe, io.BytesIO])
@pytest.mark.parametrize("container", ["wav", "flac", "caf", "aiff"])
@pytest.mark.parametrize(
    ("channels", "mask"),
    [(4, 0x107), (6, 0x60F), (2, 0x30), (4, None), (7, 0x70F), (7, None), (3, 0)],
)
def test_masks_are_written_and_read(make, container, channels, mask):
    data, _ = written(noise(channels, 500), container, mask=mask)
    reader = open_audio(make(data))
    assert reader.mask == mask
    assert reader.notes == []
    assert reader.read(1000).shape == (channels, 500)
    if container == "wav" and mask:
        assert struct.unpack("<I", data[data.index(b"fmt ") + 28 :][:4])[0] == mask


def test_a_mask_of_no_speakers_is_kept_and_one_that_is_wrong_is_not():
    data = bytearray(written(noise(4, 500), "wav", mask=0)[0])
    assert open_audio(io.BytesIO(bytes(data))).mask == 0
    at = data.index(b"fmt ") + 28
    for wrong in (0x3F, 0x80000007, 1):
        data[at : at + 4] = struct.pack("<I", wrong)
        assert open_audio(io.BytesIO(bytes(data))).mask is None


def test_speakers_that_ogg_does_not_know_are_told():
    _, writer = written(noise(4, 24000), "ogg", mask=0x107)
    assert writer.notes == ["ogg plays the channels on FL FR BL BR, not FL FR FC BC"]


def test_speakers_travel_through_a_coded_file(tmp_path, tiny_model):
    source, coded, back = (tmp_path / name for name in ("a.wav", "a.ecdc", "b.wav"))
    source.write_bytes(written(noise(4, 3000), "wav", mask=0x107)[0])
    ncodec.compress(source, coded, model=tiny_model)
    with coded.open("rb") as file:
        assert EcdcReader(file).header.channel_mask == 0x107
    ncodec.decompress(coded, back, model=tiny_model)
    assert open_audio(back).mask == 0x107
    ncodec.compress(source, coded, model=tiny_model, mono=True, force=True)
    ncodec.decompress(coded, back, model=tiny_model, force=True)
    assert open_audio(back).mask is None


def core_audio_file(container, x, chan):
    """Return a file with a chunk that names its speakers before the samples."""
    data = written(x, container)[0]
    if container == "caf":
        at = data.index(b"data")
        data = data[: data.index(b"chan", at)] if b"chan" in data else data
        return data[:at] + b"chan" + struct.pack(">q", len(chan)) + chan + data[at:]
    at = data.index(b"SSND")
    data = data[: data.index(b"CHAN", at)] if b"CHAN" in data else data
    data = data[:at] + b"CHAN" + struct.pack(">I", len(chan)) + chan + data[at:]
    return data[:4] + struct.pack(">I", len(data) - 8) + data[8:]


def described(*labels):
    return struct.pack(">III", 0, 0, len(labels)) + b"".join(
        struct.pack(">II12x", label, 0) for label in labels
    )


@pytest.mark.parametrize("container", ["caf", "aiff"])
@pytest.mark.parametrize(
    ("chan", "order", "mask"),
    [
        (struct.pack(">III", 122 << 16 | 6, 0, 0), [0, 1, 4, 5, 2, 3], None),  # L R Ls Rs C LFE
        (struct.pack(">III", 127 << 16 | 8, 0, 0), [1 + 2, 4, 0, 7, 5, 6, 1, 2], 0xFF),
        (struct.pack(">III", 128 << 16 | 8, 0, 0), [0, 1, 2, 3, 6, 7, 4, 5], None),  # 7.1
        (struct.pack(">III", 1 << 16, 0x107, 0), [0, 1, 2, 3], 0x107),
        (struct.pack(">III", 147 << 16 | 4, 0, 0), [0, 1, 2, 3], 0),
        (described(3, 1, 2, 9), [1, 2, 0, 3], 0x107),
        (described(10, 11, 1, 2), [2, 3, 0, 1], 0x603),
    ],
)
def test_channels_of_core_audio_stand_at_their_speakers(container, chan, order, mask):
    x = np.arange(1, len(order) + 1, dtype=np.float32)[:, None].repeat(100, 1) / 10
    reader = open_audio(io.BytesIO(core_audio_file(container, x, chan)))
    np.testing.assert_allclose(reader.read(100), x[order], atol=1e-4)
    assert (reader.mask, reader.notes) == (mask, [])


@pytest.mark.parametrize(
    "chan",
    [b"", bytes(11), described(1, 2, 3), described(1, 2, 3, 3), described(1, 2, 3, 400),
     struct.pack(">III", 122 << 16 | 6, 0, 0), struct.pack(">III", 1 << 16, 0x3F, 0),
     struct.pack(">III", 0, 0, 4), struct.pack(">III", 0xFFFF << 16 | 4, 0, 0)],
)  # fmt: skip
def test_layouts_that_name_other_speakers_are_told(chan):
    x = noise(4, 100)
    reader = open_audio(io.BytesIO(core_audio_file("caf", x, chan)))
    np.testing.assert_allclose(reader.read(100), x, atol=1e-4)
    assert reader.mask is None
    told = ["4 channels in an order that is not known: kept as is"]
    assert reader.notes == (told if chan else [])

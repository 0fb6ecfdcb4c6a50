"""Channels stay at their speakers, whatever order a format keeps them in."""

import io
import struct

import numpy as np
import pytest
import soundfile

import ncodec
from ncodec.audio import open_audio
from ncodec.audio.layout import FLAC_MASKS, from_vorbis, to_vorbis
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
    got = [names[int(i)] for i in from_vorbis(x)[:, 0]]
    assert got == sorted(names, key=WAVE.index)
    assert sum(1 << WAVE.index(name) for name in names) == FLAC_MASKS[channels]
    np.testing.assert_array_equal(to_vorbis(from_vorbis(x)), x)


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
@pytest.mark.parametrize("container", ["wav", "flac"])
@pytest.mark.parametrize(("channels", "mask"), [(4, 0x107), (6, 0x60F), (2, 0x30), (4, None)])
def test_masks_are_written_and_read(make, container, channels, mask):
    data, _ = written(noise(channels, 500), container, mask=mask)
    reader = open_audio(make(data))
    assert reader.mask == mask
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

"""Tags from audio and to audio, through every format that has them."""

import io
import struct

import numpy as np
import pytest
from mutagen import File, id3
from mutagen.apev2 import APEv2
from mutagen.flac import FLAC, Picture

import ncodec
from ncodec.audio import open_audio
from ncodec.audio.tags import MAX_VALUE
from ncodec_formats import EcdcReader
from tests.audio.sounds import Pipe, sound_bytes, tone, written

TAGS = (
    ("title", "Über Maschinen"),
    ("artist", "Ada"),
    ("artist", "Charles"),
    ("album", "Notes"),
    ("date", "1843"),
    ("tracknumber", "3"),
    ("tracktotal", "9"),
    ("genre", "talk"),
    ("comment", "first\nof its kind"),
    ("my own", "key = value"),
)


def tags_of(data, **options):
    reader = open_audio(io.BytesIO(data), **options)
    reader.close()
    return reader.tags, reader.notes


@pytest.mark.parametrize("container", ["flac", "ogg", "opus", "mp3", "aiff", "wav"])
def test_tags_are_written_and_read_back(container):
    x = tone(9000)
    data, writer = written(x, container, tags=TAGS)
    assert writer.notes == []
    found, notes = tags_of(data)
    assert set(found) == set(TAGS)
    assert notes == []
    plain, _ = written(x, container)
    reader, other = open_audio(io.BytesIO(data)), open_audio(io.BytesIO(plain))
    np.testing.assert_array_equal(reader.read(9000), other.read(9000))


@pytest.mark.parametrize("container", ["au", "caf"])
def test_formats_without_a_place_for_tags_say_so(container):
    _, writer = written(tone(500), container, tags=TAGS)
    assert writer.notes == [f"10 tags left out: {container} has no place"]


def test_wav_on_a_pipe_has_its_tags_before_the_samples():
    pipe = Pipe()
    data, _ = written(tone(500), "wav", tags=(("title", "odd"), ("x", "y")))
    pipe = Pipe(data)
    reader = open_audio(pipe)
    assert set(reader.tags) == {("title", "odd"), ("x", "y")}
    assert reader.read(1000).shape == (1, 500)


def test_tags_behind_the_samples_of_a_wav_are_found():
    items = b"INAM\6\0\0\0title\0" + b"IART\4\0\0\0Ad\xe9\0" + b"ISFT\4\0\0\0abc\0"
    chunk = b"LIST" + struct.pack("<I", 4 + len(items)) + b"INFO" + items
    data = sound_bytes(tone(501), subtype="PCM_U8") + chunk
    assert tags_of(data)[0] == (("title", "title"), ("artist", "Adé"))


def test_frames_of_id3_become_plain_keys():
    held = io.BytesIO(written(tone(9000), "mp3")[0])
    tag = id3.ID3()
    for frame in (
        id3.TIT2(3, "t"), id3.TPE2(3, "band"), id3.TRCK(3, "4/12"), id3.TPOS(3, "1/2"),
        id3.TCON(3, "(17)"), id3.TDRC(3, "1999-02"), id3.TSSE(3, "LAME"),
        id3.COMM(3, "eng", "", "hello"), id3.COMM(3, "eng", "iTunNORM", "0000"),
        id3.TXXX(3, "MusicBrainz Album Id", "abc"), id3.USLT(3, "eng", "", "la la"),
        id3.APIC(3, "image/png", 3, "", b"\x89PNG" * 99),
    ):  # fmt: skip
        tag.add(frame)
    tag.save(held)
    found, notes = tags_of(held.getvalue())
    assert dict(found) == {
        "title": "t", "albumartist": "band", "tracknumber": "4", "tracktotal": "12",
        "discnumber": "1", "disctotal": "2", "genre": "Rock", "date": "1999-02",
        "comment": "hello", "musicbrainz album id": "abc", "lyrics": "la la",
    }  # fmt: skip
    assert notes == ["1 picture left out"]


def test_ape_tags_behind_an_mp3(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(written(tone(9000), "mp3")[0])
    tag = APEv2()
    tag["Title"], tag["Track"], tag["Album Artist"] = "t", "2/7", "band"
    tag.save(path)
    reader = open_audio(path)
    assert dict(reader.tags) == {
        "title": "t", "tracknumber": "2", "tracktotal": "7", "albumartist": "band",
    }  # fmt: skip
    assert reader.read(10000).shape == (1, 9000)


def test_pictures_and_values_without_room_are_named():
    held = io.BytesIO(written(tone(9000), "flac", tags=TAGS[:1])[0])
    flac = FLAC(held)
    picture = Picture()
    picture.data, picture.mime = bytes(20000), "image/png"
    flac.add_picture(picture)
    flac["lyrics"] = "la " * MAX_VALUE
    flac["encoder"] = "Lavf"
    held.seek(0)
    flac.save(held)
    found, notes = tags_of(held.getvalue())
    assert found == TAGS[:1]
    assert notes == ["1 picture left out", f"tag 'lyrics' left out: {MAX_VALUE * 3 - 1} bytes"]


def test_broken_tags_do_not_keep_the_sound_from_being_read():
    data = written(tone(9000), "mp3")[0]
    frame = b"TIT2" + struct.pack(">I", 1 << 30) + b"\0\0\3x"
    tag = b"ID3\4\0\x80\0\0\0\x20" + frame.ljust(32, b"\xff")
    reader = open_audio(io.BytesIO(tag + data))
    assert reader.tags == ()
    assert reader.read(10000).shape == (1, 9000)


def test_tags_travel_through_a_coded_file(tmp_path, tiny_model):
    source, coded, back = (tmp_path / name for name in ("a.flac", "a.ecdc", "b.mp3"))
    source.write_bytes(written(tone(9000), "flac", tags=TAGS)[0])
    done = ncodec.compress(
        source, coded, model=tiny_model, tags=(("Genre", "speech"), ("who", "me"))
    )
    kept = [tag for tag in TAGS if tag[0] != "genre"]
    with coded.open("rb") as file:
        assert list(EcdcReader(file).header.tags) == [("Genre", "speech"), ("who", "me"), *kept]
    assert done.notes == ()
    ncodec.decompress(coded, back, model=tiny_model)
    assert str(File(back)["TIT2"]) == "Über Maschinen"
    assert str(File(back)["TRCK"]) == "3/9"
    ncodec.decompress(coded, back, model=tiny_model, tags=False, force=True)
    assert File(back).tags is None
    for options in ({"source_tags": False}, {"tags": False}):
        ncodec.compress(source, coded, model=tiny_model, force=True, **options)
        with coded.open("rb") as file:
            assert EcdcReader(file).header.tags == ()

"""Tags from audio and to audio, through every format that has them.

What Mutagen, a program that has read and written tags for many years, makes of the same files is
compared where it is installed.
"""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ncodec
from ncodec.audio import comments, id3, open_audio
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


@pytest.mark.parametrize("container", ["flac", "ogg", "opus", "mp3", "aiff", "wav", "caf"])
def test_tags_are_written_and_read_back(container):
    x = tone(9000)
    data, writer = written(x, container, tags=TAGS)
    assert writer.notes == []
    found, notes = tags_of(data)
    want = TAGS
    if container == "caf":  # one value a key
        want = (
            *TAGS[:1],
            ("artist", "Ada; Charles"),
            *TAGS[3:5],
            ("tracknumber", "3/9"),
            *TAGS[7:],
        )
    assert set(found) == set(want)
    assert notes == []
    plain, _ = written(x, container)
    reader, other = open_audio(io.BytesIO(data)), open_audio(io.BytesIO(plain))
    np.testing.assert_array_equal(reader.read(9000), other.read(9000))


@pytest.mark.parametrize("container", ["au", "w64"])
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


@pytest.fixture
def mutagen():
    return pytest.importorskip("mutagen")


@pytest.mark.parametrize("container", ["flac", "ogg", "opus", "mp3", "aiff"])
def test_another_program_reads_what_is_written(mutagen, container):
    x = tone(60000)
    # More than one page of Ogg, so that all pages behind are numbered anew.
    many = (*TAGS, *((f"key {i}", "value " * 400) for i in range(60)))
    for tags in (TAGS, many):
        data, _ = written(x, container, tags=tags)
        file = mutagen.File(io.BytesIO(data))
        if container in ("mp3", "aiff"):
            assert str(file["TIT2"]) == "Über Maschinen"
            assert file["TPE1"].text == ["Ada", "Charles"]
            assert file["COMM::XXX"].text == ["first\nof its kind"]
            assert len(file.tags) == len({key for key, _ in tags}) - 1  # 3/9 is one
        else:
            found = {(key.lower(), value) for key, value in file.tags}
            assert found >= set(tags)
            assert all(key == "encoder" for key, _ in found - set(tags))
        np.testing.assert_array_equal(
            open_audio(io.BytesIO(data)).read(60000),
            open_audio(io.BytesIO(written(x, container)[0])).read(60000),
        )


def test_ogg_pages_are_whole_after_tags(tmp_path):
    """Their numbers follow each other, and their checks are what ffmpeg computes."""
    data = written(tone(90000), "ogg", tags=(("lyrics", "la " * 50000),))[0]
    at, numbers = 0, []
    while at < len(data):
        assert data[at : at + 4] == b"OggS"
        number, check, segments = struct.unpack_from("<IIB", data, at + 18)
        stop = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        page = data[at : at + 22] + bytes(4) + data[at + 26 : stop]
        value = 0
        for byte in page:
            value ^= byte << 24
            for _ in range(8):
                value = (value << 1) ^ (0x104C11DB7 if value >> 31 else 0)
        assert value == check
        numbers.append(number)
        at = stop
    assert numbers == list(range(len(numbers)))


def test_frames_of_id3_become_plain_keys(mutagen):
    from mutagen import id3 as frames

    held = io.BytesIO(written(tone(9000), "mp3")[0])
    tag = frames.ID3()
    for frame in (
        frames.TIT2(3, "t"), frames.TPE2(1, "bänd"), frames.TRCK(0, "4/12"),
        frames.TPOS(2, "1/2"), frames.TCON(3, "(17)"), frames.TDRC(3, "1999-02-03"),
        frames.TSSE(3, "LAME"), frames.COMM(1, "eng", "", "hello"),
        frames.COMM(3, "eng", "iTunNORM", "0000"),
        frames.TXXX(1, "MusicBrainz Album Id", "abc"), frames.USLT(2, "eng", "", "la la"),
        frames.APIC(3, "image/png", 3, "", b"\x89PNG" * 99),
    ):  # fmt: skip
        tag.add(frame)
    for version in (3, 4):
        if version == 3:
            tag.update_to_v23()
        tag.save(held, v2_version=version)
        found, notes = tags_of(held.getvalue())
        assert dict(found) == {
            "title": "t", "albumartist": "bänd", "tracknumber": "4", "tracktotal": "12",
            "discnumber": "1", "disctotal": "2", "genre": "Rock", "date": "1999-02-03",
            "comment": "hello", "musicbrainz album id": "abc", "lyrics": "la la",
        }  # fmt: skip
        assert notes == ["1 picture left out"]
        tag.update_to_v24()


def frame(name, data, flags=0, *, version=4):
    size = len(data)
    if version == 2:
        return name + size.to_bytes(3, "big") + data
    coded = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return name + (coded if version == 4 else size.to_bytes(4, "big")) + bytes([0, flags]) + data


def tag(*frames, version=4, flags=0):
    body = b"".join(frames)
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, flags]) + size + body


def read_frames(data):
    return {found.name: found.texts for found in id3.read(data)[0]}


def test_id3_of_every_version():
    old = tag(
        frame(b"TT2", b"\0title", version=2), frame(b"TCO", b"\0(4)Disco", version=2),
        frame(b"PIC", b"\0PNG\3\0xx", version=2), version=2,
    )  # fmt: skip
    frames, pictures = id3.read(old)
    assert [(f.name, f.texts) for f in frames] == [("TIT2", ("title",)), ("TCON", ("Disco",))]
    assert pictures == 1
    dates = (frame(b"TYER", b"\x001843", version=3), frame(b"TDAT", b"\x001012", version=3))
    assert read_frames(tag(*dates, version=3))["TDRC"] == ("1843-12-10",)
    genres = frame(b"TCON", b"\3(17)(RX)((odd)\x0031\0Talk")
    assert read_frames(tag(genres))["TCON"] == ("Rock", "Remix", "(odd)", "Trance", "Talk")


def test_what_the_flags_of_id3_say_is_undone():
    import zlib

    text = b"\1\xff\xfet\0\xff\0"
    stuffed = text.replace(b"\xff", b"\xff\0")
    whole = tag(frame(b"TIT2", text, version=3), version=3, flags=0x80)
    body = whole[10:].replace(b"\xff", b"\xff\0")
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    packed = zlib.compress(b"\3packed")
    long = frame(b"TIT2", b"\3" + b"x" * 300)
    for data, want in (
        (whole[:6] + size + body, "tÿ"),
        (tag(frame(b"TIT2", stuffed, 0x02)), "tÿ"),
        (tag(frame(b"TIT2", bytes(4) + packed, 0x09)), "packed"),
        (tag(frame(b"TIT2", bytes(4) + packed, 0x80, version=3), version=3), "packed"),
        (tag(frame(b"TIT2", b"g\3grouped", 0x40)), "grouped"),
        (tag(b"\0\0\0\6\1\0", frame(b"TIT2", b"\3behind"), flags=0x40), "behind"),
        # Sizes as in 2.3 in a tag of 2.4, as iTunes wrote them.
        (tag(long[:4] + (301).to_bytes(4, "big") + long[8:], frame(b"TALB", b"\3a")), "x" * 300),
    ):
        assert read_frames(data)["TIT2"] == (want,)
    assert read_frames(tag(frame(b"TIT2", b"\3secret", 0x04), frame(b"TALB", b"\3a"))) == {
        "TALB": ("a",)
    }
    assert read_frames(tag(frame(b"TIT2", bytes(4) + b"no zlib", 0x09))) == {}


def test_id3_of_version_1_is_read_where_there_is_no_other():
    data = written(tone(9000), "mp3")[0]
    old = b"TAG" + b"title".ljust(30, b"\0")
    old += b"Ad\xe9".ljust(30) + b"album".ljust(30, b"\0") + b"1843"
    old += b"hello".ljust(28, b"\0") + b"\0\7" + b"\x11"
    assert len(old) == 128
    found, _ = tags_of(data + old)
    assert dict(found) == {
        "title": "title", "artist": "Adé", "album": "album", "date": "1843", "comment": "hello",
        "tracknumber": "7", "genre": "Rock",
    }  # fmt: skip
    assert tags_of(tag(frame(b"TIT2", b"\3new")) + data + old)[0] == (("title", "new"),)


@pytest.mark.parametrize("behind", [b"", b"TAG".ljust(128, b"\0")])
def test_ape_tags_behind_an_mp3(behind):
    items = b"".join(
        struct.pack("<II", len(value), kind << 1) + name + b"\0" + value
        for name, value, kind in (
            (b"Title", b"t", 0),
            (b"Track", b"2/7", 0),
            (b"Album Artist", b"one\0two", 0),
            (b"Cover Art (Front)", b"\x89PNG", 1),
        )
    )
    sizes = struct.pack("<III", 2000, len(items) + 32, 4)
    ape = items + b"APETAGEX" + sizes + bytes(12)
    data = written(tone(9000), "mp3")[0] + ape + behind
    found, _ = tags_of(data)
    assert set(found) - {("genre", "Blues")} == {
        ("title", "t"), ("tracknumber", "2"), ("tracktotal", "7"),
        ("albumartist", "one"), ("albumartist", "two"),
    }  # fmt: skip
    assert open_audio(io.BytesIO(data)).read(10000).shape == (1, 9000)


def test_pictures_and_values_without_room_are_named():
    data = written(tone(9000), "flac", tags=(*TAGS[:1], ("lyrics", "la " * MAX_VALUE)))[0]
    about = struct.pack(">II9sI16xI", 3, 9, b"image/png", 0, 19963)
    picture = bytes([6]) + (len(about) + 19963).to_bytes(3, "big") + about + bytes(19963)
    data = data[:42] + picture + data[42:]
    found, notes = tags_of(data)
    assert found == TAGS[:1]
    assert notes == ["1 picture left out", f"tag 'lyrics' left out: {MAX_VALUE * 3 - 1} bytes"]


@pytest.mark.parametrize("container", ["flac", "ogg", "opus", "mp3", "aiff", "wav", "caf"])
def test_tags_of_odd_text_are_written_as_far_as_they_can_be(container):
    odd = (("a", "x\0y"), ("b", "\udcff"), ("c", "\x1b[31m\r\n"), ("ünï\tx", "v"), ("k" * 99, "v"),
           ("long", "x" * 10000), ("empty", ""))  # fmt: skip
    data, _ = written(tone(9000), container, tags=odd)
    found, notes = tags_of(data)
    assert {("a", "x y"), ("b", "?"), ("c", "\x1b[31m")} <= set(found)
    assert "tag 'long' left out: 10000 bytes" in notes
    assert any(note.startswith(f"tag '{'k' * 32}' left out") for note in notes)
    assert open_audio(io.BytesIO(data)).read(10000).shape[1] == 9000


def test_names_that_a_header_does_not_take_are_told():
    data = tag(frame(b"TXXX", "\3日本\0x".encode())) + written(tone(9000), "mp3")[0]
    told = "tag '日本' left out: names are ASCII, of at most 64 letters"
    assert tags_of(data) == ((), [told])


@given(st.binary(max_size=300), st.sampled_from([2, 3, 4]), st.integers(0, 255))
@settings(deadline=None, max_examples=200)
def test_no_bytes_in_a_tag_are_an_error(data, version, flags):
    frames, pictures = id3.read(tag(data, version=version, flags=flags))
    assert pictures >= 0
    assert all(isinstance(text, str) for found in frames for text in found.texts)


@given(
    st.lists(
        st.tuples(
            st.text("abcdefgh -", min_size=1),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=99),
        ),
        max_size=9,
    )
)
@settings(deadline=None, max_examples=30)
def test_comments_of_any_text_come_back(pairs):
    assert comments.parse(comments.build(b"me", pairs)) == (b"me", pairs)
    ogg, flac = (io.BytesIO(written(tone(300), kind)[0]) for kind in ("opus", "flac"))
    comments.put_into_ogg(ogg, "opus", pairs)
    comments.put_into_flac(flac, pairs)
    assert comments.of_ogg(ogg, "opus")[-len(pairs) :] == pairs if pairs else True
    assert comments.of_flac(flac)[0][-len(pairs) :] == pairs if pairs else True
    ogg.seek(0)
    flac.seek(0)
    assert open_audio(ogg).read(1000).shape == open_audio(flac).read(1000).shape == (1, 300)


def test_broken_tags_do_not_keep_the_sound_from_being_read():
    data = written(tone(9000), "mp3")[0]
    broken = b"TIT2" + struct.pack(">I", 1 << 30) + b"\0\0\3x"
    reader = open_audio(io.BytesIO(tag(broken.ljust(32, b"\xff"), flags=0x80) + data))
    assert all(key == "title" for key, _ in reader.tags)
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
    assert {("title", "Über Maschinen"), ("tracktotal", "9")} < set(open_audio(back).tags)
    ncodec.decompress(coded, back, model=tiny_model, tags=False, force=True)
    assert open_audio(back).tags == ()
    for options in ({"source_tags": False}, {"tags": False}):
        ncodec.compress(source, coded, model=tiny_model, force=True, **options)
        with coded.open("rb") as file:
            assert EcdcReader(file).header.tags == ()

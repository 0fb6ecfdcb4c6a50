"""Audio that libsndfile does not read, with ffmpeg and without it."""

import io
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import psutil
import pytest

from ncodec.audio import AUDIO_SUFFIXES, format_of, is_audio_name, needs_ffmpeg, open_audio
from ncodec.audio.kinds import NAMES, sniff
from ncodec.errors import ArgumentError, BadFileError
from tests.audio.sounds import Pipe, noise, read_all, sound_bytes, tone, written
from tests.machine import needs

HEADS = {
    "a.m4a": b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0",
    "a.webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01webm",
    "a.aac": b"\xff\xf1\x50\x80\x02\x1f\xfc",
    "a.wv": b"wvpk\x10\0\0\0",
    "a.tta": b"TTA1\1\0\1\0",
    "a.wma": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    "a.avi": b"RIFF\x10\0\0\0AVI LIST",
}


@pytest.fixture
def no_ffmpeg(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


def make(path, *options, tags=()):
    """Let ffmpeg make a file of three seconds of sound."""
    source = path.with_suffix(".src.wav")
    source.write_bytes(written(tone(72000, channels=2), "wav")[0])
    metadata = [word for key, value in tags for word in ("-metadata", f"{key}={value}")]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-i", source, *options, *metadata, path],
        check=True,
    )  # fmt: skip
    source.unlink()
    return path


def processes():
    """List the ffmpegs of this process that run or are not waited for."""
    return [p for p in psutil.Process().children() if p.name().startswith("ff")]


# Without it


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("kind", [Pipe, io.BytesIO])
def test_without_ffmpeg_the_error_says_what_it_is_and_the_way(name, kind, no_ffmpeg):
    data = HEADS[name] + bytes(300)
    with pytest.raises(BadFileError) as caught:
        open_audio(kind(data), name=name)
    text = str(caught.value)
    assert text.startswith(f"{name}: is {NAMES[sniff(data)]}, ")
    assert "ffmpeg -i FILE -f wav - | ncodec compress - " in text
    assert "\n" not in text


def test_without_ffmpeg_it_cannot_be_written_either(no_ffmpeg):
    assert format_of("a.m4a") == "m4a"
    with pytest.raises(ArgumentError, match="'m4a' is written by way of ffmpeg, which is not on"):
        written(tone(100), "m4a")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"MThd\0\0\0\6", "MIDI: notes, no sound"),
        (b"#EXTM3U\n/etc/passwd\n", "a playlist"),
        (b"ECDC\1", "decompress makes audio of it"),
        (b"some text", "not readable as audio"),
    ],
)
def test_files_that_hold_no_sound_are_told(data, reason):
    with pytest.raises(BadFileError, match=reason):
        open_audio(io.BytesIO(data + b" " * 300))


def test_endings_and_hidden_files():
    assert {".wav", ".m4a", ".mkv", ".opus"} <= AUDIO_SUFFIXES
    assert is_audio_name("music/A.M4A")
    assert not is_audio_name("music/._a.wav")
    assert not is_audio_name(".wav")
    assert not is_audio_name("a.txt")
    assert needs_ffmpeg("a.WebM")
    assert not needs_ffmpeg("a.flac")


# With it


@needs("ffmpeg", "ffprobe")
@pytest.mark.parametrize(
    ("name", "options", "slack"),
    [
        ("a.m4a", ["-c:a", "aac"], 2048),
        ("a.aac", ["-c:a", "aac"], 4096),
        ("a.webm", ["-c:a", "libopus"], 2000),
        ("a.wv", ["-c:a", "wavpack"], 0),
        ("a.tta", ["-c:a", "tta"], 0),
        ("a.mka", ["-c:a", "flac"], 0),
        ("a.avi", ["-c:a", "pcm_s16le"], 0),
        ("in_wav.wav", ["-c:a", "g726", "-ar", "8000", "-ac", "1"], 24000 * 4),
    ],
)
def test_what_libsndfile_does_not_read_is_decoded(tmp_path, name, options, slack):
    path = make(tmp_path / name, *options)
    got, reader = read_all(path)
    if name != "in_wav.wav":
        assert (reader.sample_rate in (24000, 48000), reader.channels) == (True, 2)
        assert abs(got.shape[1] * 24000 / reader.sample_rate - 72000) <= slack
        assert abs((reader.samples or 0) - got.shape[1]) <= 8 * slack + 500
    if slack == 0:
        np.testing.assert_allclose(got, tone(72000, channels=2), atol=1e-4)
    if name == "a.m4a":
        piped, _ = read_all(Pipe(path.read_bytes(), piece=1 << 16), name=name)
        np.testing.assert_array_equal(piped, got)
    assert processes() == []


@needs("ffmpeg", "ffprobe")
def test_the_sound_of_a_video_with_its_tags(tmp_path):
    path = make(
        tmp_path / "a.mkv", "-f", "lavfi", "-i", "color=s=32x32:r=5:d=3", "-map", "0", "-map", "1",
        "-c:a", "flac", "-c:v", "mpeg4",
        tags=[("title", "Über"), ("artist", "Ada"), ("track", "3/9"), ("comment", "x")],
    )  # fmt: skip
    got, reader = read_all(path)
    np.testing.assert_allclose(got, tone(72000, channels=2), atol=1e-4)
    assert dict(reader.tags) == {
        "title": "Über", "artist": "Ada", "tracknumber": "3", "tracktotal": "9", "comment": "x",
    }  # fmt: skip
    assert reader.notes == ["video left out"]


@needs("ffmpeg")
def test_without_ffprobe_it_works_too(tmp_path, monkeypatch):
    import shutil

    path = make(tmp_path / "a.wv", "-c:a", "wavpack", tags=[("title", "t")])
    alone = tmp_path / "bin"
    alone.mkdir()
    (alone / "ffmpeg").symlink_to(shutil.which("ffmpeg"))
    monkeypatch.setenv("PATH", str(alone))
    got, reader = read_all(path)
    assert (got.shape, reader.samples) == ((2, 72000), None)


@needs("ffmpeg")
@pytest.mark.parametrize("name", ["-y.wv", "http:x.wv", "concat:a|b.wv", "a\nb %03d 'q'.wv"])
def test_names_that_look_like_options_or_protocols(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make(tmp_path / "plain.wv", "-c:a", "wavpack")
    made.rename(tmp_path / name)
    assert read_all(name)[0].shape == (2, 72000)


@needs("ffmpeg")
def test_a_playlist_in_disguise_opens_nothing(tmp_path):
    make(tmp_path / "secret.wv", "-c:a", "wavpack")
    for text in (
        "ffconcat version 1.0\nfile secret.wv\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wv\n#EXT-X-ENDLIST\n",
    ):
        (tmp_path / "a.m4a").write_text(text)
        with pytest.raises(BadFileError):
            open_audio(tmp_path / "a.m4a")


@needs("ffmpeg")
@pytest.mark.parametrize("name", ["a.m4a", "a.webm"])
def test_what_ffmpeg_cannot_read_is_one_line(name):
    with pytest.raises(BadFileError) as caught:
        open_audio(io.BytesIO(HEADS[name] + bytes(300)), name=name)
    what = NAMES[sniff(HEADS[name])]
    assert str(caught.value).startswith(f"{name}: is {what}; ffmpeg cannot read it (")
    assert "\n" not in str(caught.value)
    assert processes() == []


@needs("ffmpeg", "ffprobe")
def test_a_file_without_sound_is_told(tmp_path):
    path = tmp_path / "a.mkv"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "color=s=32x32:d=1", path],
        check=True,
    )  # fmt: skip
    with pytest.raises(BadFileError, match="it has no sound"):
        open_audio(path)


@needs("ffmpeg", "ffprobe")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.m4a", ["-c:a", "aac", "-movflags", "faststart"]),
        ("a.wv", ["-c:a", "wavpack"]),
        ("a.mka", ["-c:a", "flac"]),
    ],
)
def test_a_source_that_ends_early_is_told(tmp_path, name, options, caplog):
    path = make(tmp_path / name, *options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(BadFileError, match=r"cut short|could not read it to its end"):
        read_all(path)
    got, _ = read_all(path, allow_truncated=True)
    assert 24000 <= got.shape[1] < 60000
    assert "cut short" in caplog.text or "to its end" in caplog.text
    assert processes() == []


@needs("ffmpeg")
def test_a_recording_off_the_air_that_ends_early_is_told(tmp_path, caplog):
    """WebM that was written to a pipe does not know its length; only ffmpeg sees that it is cut."""
    whole = make(tmp_path / "a.webm", "-c:a", "libopus")
    live = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", whole, "-c", "copy", "-f", "webm", "pipe:1"],
        check=True, stdin=subprocess.DEVNULL, capture_output=True,
    ).stdout  # fmt: skip
    path = tmp_path / "live.webm"
    path.write_bytes(live)
    assert read_all(path)[0].shape[1] > 100_000
    path.write_bytes(live[: len(live) * 6 // 10])
    with pytest.raises(BadFileError, match="cut short"):
        read_all(path)
    assert 24000 < read_all(path, allow_truncated=True)[0].shape[1] < 100_000
    assert "cut short" in caplog.text


@needs("ffmpeg")
def test_giving_up_leaves_no_process_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    path = make(tmp_path / "a.wv", "-c:a", "wavpack")
    for source in (path, io.BytesIO(path.read_bytes())):
        reader = open_audio(source)
        reader.read(10)
        assert len(processes()) == 1
        reader.close()
        assert processes() == []
    assert os.listdir(tmp_path / "temp") == []


@needs("ffmpeg")
@pytest.mark.parametrize(
    ("container", "options", "slack"),
    [("m4a", {}, 3000), ("webm", {}, 1000), ("wv", {}, 0), ("tta", {"encoding": "s24"}, 0)],
)
def test_what_libsndfile_does_not_write_is_coded(container, options, slack):
    x = tone(48000, channels=2)
    data, writer = written(x, container, rate=48000, tags=(("title", "t"),), **options)
    got, reader = read_all(io.BytesIO(data))
    assert abs(got.shape[1] - 48000) <= slack
    assert ("title", "t") in reader.tags
    if not slack:
        np.testing.assert_allclose(got, x, atol=1e-4)
    assert (processes(), writer.notes) == ([], [])


@needs("ffmpeg")
def test_surround_stays_at_its_speakers(tmp_path):
    for mask in (0x60F, 0x3F):
        data, _ = written(noise(6, 24000), "wv", mask=mask)
        reader = open_audio(io.BytesIO(data))
        assert reader.mask == (None if mask == 0x3F else mask)
        reader.close()


@needs("ffmpeg")
def test_a_process_that_fails_while_it_is_written_to(tmp_path, monkeypatch):
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho '[aac @ 0x55] encoder on fire' >&2\nexit 3\n")
    fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ArgumentError, match=r"ffmpeg cannot write m4a \(encoder on fire\)"):
        written(noise(2, 500000), "m4a")


# Standard error, while a library is kept quiet


def test_what_others_say_meanwhile_is_not_lost():
    code = (
        "import os, sys\n"
        "from ncodec.quiet import quiet_libraries\n"
        "with quiet_libraries(forward=True):\n"
        "    os.write(2, b'[src/libmpg123/x.c:f():1] error: chatter\\nNote: Illegal header\\n')\n"
        "    print('ours', file=sys.stderr)\n"
        "    with quiet_libraries(forward=True):\n"
        "        os.write(2, b'a crash report\\n')\n"
        "os.write(2, b'after\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["ours", "a crash report", "after"]


def test_threads_that_read_mp3_leave_standard_error_as_it_was():
    data = sound_bytes(tone(30000), 24000, None, "MP3")
    before = os.fstat(2)
    threads = [
        threading.Thread(target=lambda: [read_all(io.BytesIO(data)) for _ in range(3)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.path.samestat(before, os.fstat(2))

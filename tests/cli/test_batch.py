"""Files made from files: what is checked before a model loads, what is said, what is counted."""

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from ncodec_cli.parameters import KBPS, TIME, Between
from tests.cli.audio import wav


@pytest.fixture
def no_model(monkeypatch):
    """Let the test fail if a model is asked for."""

    def load(name, device):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("ncodec.checkpoints.loading.load", load)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("compress a.wav there.ecdc", "there.ecdc: exists already (--force overwrites)"),
        ("compress a.wav a.wav -", "several inputs need a folder"),
        ("compress gone.wav", "gone.wav: No such file or directory"),
        ("compress a.wav nowhere/b.ecdc", " nowhere: No such file or directory"),
        ("compress a.wav a.wav/b.ecdc", "a.wav: Not a directory"),
        ("compress a.wav -o a.wav --force", "a.wav: is the input"),
        ("compress a.wav - --json", "--json prints to standard output"),
        ("compress a.wav --force --skip-existing", "only one of them can be given"),
        ("compress there.ecdc talk.wav", "there.ecdc: is an ECDC file; did you mean `ncodec decom"),
        ("decompress a.wav", "a.wav: is audio (WAV), not an ECDC file; did you mean"),
        ("compress there.ecdc a.wav", "there.ecdc: is an ECDC file; did you mean `ncodec decom"),
        ("decompress a.wav there.ecdc", "did you mean `ncodec compress a.wav`?"),
        ("decompress a.wav b.ecdc", "did you mean `ncodec compress a.wav`?"),
        ("decompress there.ecdc a.wav", "a.wav: exists already (--force overwrites)"),
    ],
)
def test_what_is_cheap_is_checked_first(ncodec, coded, no_model, words, text):
    wav("a.wav")
    Path("there.ecdc").write_bytes(coded)
    before = sorted(os.listdir())
    ended = ncodec(*words.split())
    assert ended.status in (1, 2)
    assert text in ended.err
    assert ended.err.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_a_keyboard_and_a_screen_are_refused(ncodec, coded, no_model, monkeypatch):
    Path("a.ecdc").write_bytes(coded)
    wav("a.wav")
    for module in ("checks", "common"):
        monkeypatch.setattr(f"ncodec_cli.{module}.check_stream", refuse, raising=False)
    assert "a terminal" in ncodec("compress", "-", "b.ecdc").err
    assert "a terminal" in ncodec("decompress", "a.ecdc", "-").err


def refuse(name):
    from ncodec.errors import ArgumentError

    raise ArgumentError(f"{name} is a terminal")


def test_standard_input_that_is_a_terminal(monkeypatch):
    from ncodec.errors import ArgumentError
    from ncodec_cli.common import check_stream

    class Keyboard:
        buffer = type("Buffer", (), {"isatty": staticmethod(lambda: True)})

    monkeypatch.setattr(sys, "stdin", Keyboard)
    with pytest.raises(ArgumentError, match="standard input is a terminal"):
        check_stream("stdin")


def test_what_exists_is_passed_over_or_told_in_one_line(ncodec):
    for name in ("in/a.wav", "in/b.wav", "in/c.wav"):
        wav(name)
    assert ncodec("compress", "in/a.wav", "in/b.wav", "out/").status == 0
    ended = ncodec("compress", "in", "out")
    assert ended.status == 1
    assert "out/a.ecdc and 1 more: exist already (--skip-existing passes over, --force" in ended.err
    assert "3 files: 1 done, 2 failed; 0:01 of sound, 16 kB -> " in ended.err
    assert ended.err.endswith("ncodec: error: 2 of 3 files failed\n")
    objects = ncodec("compress", "in", "out", "--json").out.splitlines()
    assert ["error" in json.loads(line) for line in objects] == [True, True, True]
    before = Path("out/a.ecdc").stat().st_mtime_ns
    ended = ncodec("compress", "in", "out", "--skip-existing")
    assert (ended.status, ended.err) == (0, "3 files: 0 done, 3 existed\n")
    assert ncodec("compress", "in", "out", "--skip-existing", "--quiet").err == ""
    assert Path("out/a.ecdc").stat().st_mtime_ns == before
    ended = ncodec("compress", "in/a.wav", "out/a.ecdc", "--skip-existing")
    assert (ended.status, ended.err) == (0, "out/a.ecdc: exists already, left as it is\n")


def test_the_sum_of_a_folder(ncodec):
    wav("in/a.wav", 2)
    wav("in/b.wav", 3)
    Path("in/bad.wav").write_text("no sound")
    Path("in/notes.txt").touch()
    ended = ncodec("compress", "in", "out", "--jobs", "2")
    assert ended.status == 1
    assert "3 files: 2 done, 1 failed, 1 left out; 0:05 of sound, 80 kB -> " in ended.err
    assert "left out: 1 .txt (--verbose names them)" in ended.err
    assert "left out: in/notes.txt" in ncodec("compress", "in", "out", "-f", "-v").err
    peeled = ncodec("peel", "out", "small", "--codebooks", "1")
    assert "2 files: 2 done; " in peeled.err


def test_a_new_folder_is_made_for_one_file_and_not_left_empty(ncodec):
    wav("a.wav")
    Path("bad.wav").write_text("no sound")
    assert ncodec("compress", "bad.wav", "new/deep/").status == 1
    assert not Path("new").exists()
    assert ncodec("compress", "a.wav", "new/deep/").status == 0
    assert ncodec("decompress", "new/deep/a.ecdc", "back/").status == 0
    assert os.listdir("back") == ["a.wav"]


def test_names_that_meet(ncodec):
    wav("in/a.wav")
    wav("in/a.flac")
    assert ncodec("compress", "in").status == 0
    assert sorted(os.listdir("in")) == ["a.flac", "a.flac.ecdc", "a.wav", "a.wav.ecdc"]
    assert ncodec("decompress", "in", "back").status == 0
    assert sorted(os.listdir("back")) == ["a.flac.wav", "a.wav"]


def test_devices_and_pipes_are_outputs(ncodec, coded):
    wav("a.wav")
    Path("a.ecdc").write_bytes(coded)
    for words in (["compress", "a.wav"], ["decompress", "a.ecdc"], ["peel", "a.ecdc", "--bw", "2"]):
        assert ncodec(*words, os.devnull).status == 0
    os.mkfifo("pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()), daemon=True)
    reader.start()
    assert ncodec("decompress", "a.ecdc", "pipe").status == 0
    reader.join(10)
    assert got[0][:4] == b"RIFF"
    assert sorted(os.listdir()) == ["a.ecdc", "a.wav", "pipe"]


def test_a_name_without_ending_becomes_a_wav(ncodec, coded):
    Path("a.ecdc").write_bytes(coded)
    assert ncodec("decompress", "a.ecdc", "-o", "sound").status == 0
    assert Path("sound").read_bytes()[:4] == b"RIFF"


def test_json_of_what_was_done(ncodec):
    wav("a.wav", 1.5, 2)
    Path("bad.wav").write_text("no sound")
    ended = ncodec("compress", "a.wav", "--json")
    made = json.loads(ended.out)
    assert ended.err == ""
    assert made | {"took": 0, "real_kbps": 0} == {
        "file": "a.wav", "output": "a.ecdc", "model": "toy", "codebooks": 4, "kbps": 8.0,
        "real_kbps": 0, "seconds": 1.5, "sample_rate": 8000, "channels": 2,
        "source_bytes": 48044, "bytes": os.stat("a.ecdc").st_size, "took": 0, "notes": [],
    }  # fmt: skip
    back = json.loads(ncodec("decompress", "a.ecdc", "b.wav", "--json").out)
    assert (back["samples"], back["damage"], back["bytes"]) == (12000, [], os.stat("b.wav").st_size)
    failed = ncodec("compress", "bad.wav", "--json")
    assert json.loads(failed.out)["error"] in failed.err
    both = ncodec("compress", "bad.wav", "a.wav", "out/", "--json")
    objects = [json.loads(line) for line in both.out.splitlines()]
    assert [one.get("error", "")[:22] for one in objects] == ["bad.wav: not readable ", ""]


@pytest.mark.parametrize("words", [["--bw", "100"], ["--bitrate", "100k"], ["-b", "100000"]])
def test_a_bitrate_above_the_model_s_is_said(ncodec, words):
    wav("a.wav", 1, 2)
    ended = ncodec("compress", "a.wav", *words)
    assert ended.status == 0
    assert "warning: 8 kbps is the most that toy has for 2 channels\n" in ended.err
    assert ("100000 is taken as bit/s: 100 kbps" in ended.err) == (words[0] == "-b")
    said = ncodec("decompress", "a.ecdc", "b.wav", "--bw", "100").err
    assert "note: a.ecdc: has 8 kbps, fewer than asked for" in said


def test_times_from_the_end(ncodec, coded):
    Path("a.ecdc").write_bytes(coded)
    ended = ncodec("decompress", "a.ecdc", "b.wav", "--start", "-1.5s", "--end", "-1")
    assert "5512 samples" in ended.err
    ended = ncodec("decompress", "-", "c.wav", "--start", "-1", stdin=coded)
    assert (ended.status, "a pipe's end is not known" in ended.err) == (1, True)


def converted(kind, text):
    return kind.convert(text, None, None)


def test_values():
    times = ["90", "1.5", "90s", "1m30s", "1h2m3.5s", "2m", "1:30", "1:02:03.5", "-3", "-1m", "0"]
    assert [converted(TIME, text) for text in times] == [
        90, 1.5, 90, 90, 3723.5, 120, 90, 3723.5, -3, -60, 0,
    ]  # fmt: skip
    rates = ["6", "6k", "6kbps", "6 kbit/s", "6000", "6000bps", "1.5", "0", "6K"]
    assert [converted(KBPS, text) for text in rates] == [6, 6, 6, 6, 6, 6, 1.5, 0, 6]
    assert converted(Between(1, 8), "8") == 8


@pytest.mark.parametrize(
    "text", ["", "s", "1:2:3:4", "1m30", "x", "1h:2", "--3", "3ms", "1:s", "1:99", "1:60:00"]
)
def test_no_times(text):
    with pytest.raises(Exception, match="must be seconds"):
        converted(TIME, text)


@pytest.mark.parametrize("text", ["", "k", "6x", "6 6", "6mbps"])
def test_no_bitrates(text):
    with pytest.raises(Exception, match="must be kbps"):
        converted(KBPS, text)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (Between(1, 8), "must be a whole number from 1 to 8"),
        (Between(1), "a whole number, 1 or more"),
        (Between(0.5, whole=False), "a number, 0.5 or more"),
    ],
)
def test_numbers_out_of_range(kind, rule):
    for text in ("x", "0", "-1", "nan" if kind.rule.startswith("a number") else "1.5"):
        with pytest.raises(Exception, match=rule):
            converted(kind, text)

"""Which files are made from which: by names, before anything is loaded."""

import os
import unicodedata
from pathlib import Path

import click
import pytest

from ncodec.errors import ArgumentError
from ncodec_cli import common
from ncodec_cli.plan import COPIES, Kind, plan_jobs

CODE = Kind(
    "compress", frozenset({".wav", ".flac"}), ".ecdc", frozenset({".ecdc"}),
    (frozenset({".m4a"}), "ffmpeg"),
)  # fmt: skip
DECODE = Kind("decompress", frozenset({".ecdc", ".dac"}), ".wav")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.flac", "c.ecdc", "in/a.wav", "in/a.flac", "in/deep/d.WAV", "in/x.m4a"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    for name in ("in/notes.txt", "in/.hidden.wav", "in/.git/e.wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    os.symlink(tmp_path / "in" / "deep", "in/linked")
    Path("there").mkdir()


def pairs(paths, kind=CODE, output=None):
    plan = plan_jobs(tuple(paths.split()), output, kind)
    return [f"{job.source} {job.target}{' +' if job.new_folder else ''}" for job in plan.jobs]


@pytest.mark.parametrize(
    ("paths", "made"),
    [
        ("a.wav", ["a.wav a.ecdc"]),
        ("in/a.wav", ["in/a.wav in/a.ecdc"]),
        ("-", ["- -"]),
        ("a.wav x.ecdc", ["a.wav x.ecdc"]),
        ("a.wav -", ["a.wav -"]),
        ("a.wav there", ["a.wav there/a.ecdc +"]),
        ("a.wav new/", ["a.wav new/a.ecdc +"]),
        ("a.wav b.flac new/", ["a.wav new/a.ecdc +", "b.flac new/b.ecdc +"]),
        ("a.wav b.flac coded.v2", ["a.wav coded.v2/a.ecdc +", "b.flac coded.v2/b.ecdc +"]),
        ("a.wav b.flac", ["a.wav a.ecdc +", "b.flac b.ecdc +"]),
        ("a.wav /dev/null", ["a.wav /dev/null"]),
        ("gone.wav", ["gone.wav gone.ecdc"]),
    ],
)
def test_the_output_is_told_from_the_inputs(here, paths, made):
    assert pairs(paths) == made


@pytest.mark.parametrize("end", [os.sep, "\\"])
def test_a_separator_at_the_end_makes_a_folder(here, end, monkeypatch):
    monkeypatch.setattr("ncodec_cli.plan._SEPARATORS", ("/", "\\"))
    job = plan_jobs(("a.wav", "new" + end), None, CODE).jobs[0]
    assert job.new_folder


def test_a_fifo_is_an_output(here):
    os.mkfifo("pipe")
    assert pairs("a.wav pipe") == ["a.wav pipe"]


@pytest.mark.parametrize(
    ("name", "coded"),
    [
        ("meeting 2024.11.30", "meeting 2024.11.30.ecdc"),
        ("mix v1.2.wav", "mix v1.2.ecdc"),
        ("A.WAV", "A.ecdc"),
        ("noending", "noending.ecdc"),
        ("x.tar.gz", "x.tar.gz.ecdc"),
        (".wav", ".wav.ecdc"),
    ],
)
def test_only_known_endings_give_way(name, coded):
    assert CODE.renamed(name) == coded


@pytest.mark.parametrize(
    ("name", "sound"),
    [("a.ecdc", "a.wav"), ("a.wav.ecdc", "a.wav"), ("a.flac.ecdc", "a.flac.wav"), ("a", "a.wav")],
)
def test_names_on_the_way_back(name, sound):
    assert DECODE.renamed(name) == sound


def test_a_tree_is_kept_and_names_that_meet_keep_their_endings(here):
    made = pairs("in coded")
    assert made == [
        "in/a.flac coded/a.flac.ecdc +",
        "in/a.wav coded/a.wav.ecdc +",
        "in/deep/d.WAV coded/deep/d.ecdc +",
    ]


def test_what_a_folder_has_besides_is_counted_and_named(here):
    left = plan_jobs(("in", "out"), None, CODE).left_out
    assert len(left) == 5
    assert list(left.lines(verbose=False)) == [
        "left out: in/x.m4a (ffmpeg is needed); 1 .txt; 2 hidden; 1 linked folder "
        "(--verbose names them)"
    ]
    assert sorted(left.lines(verbose=True)) == [
        "left out: in/.git (hidden)",
        "left out: in/.hidden.wav (hidden)",
        "left out: in/linked (a link to a folder)",
        "left out: in/notes.txt (of no kind that is looked for)",
        "left out: in/x.m4a (needs ffmpeg)",
    ]


def test_what_is_named_already_needs_no_hint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "x.m4a"):
        Path(name).write_bytes(b"")
    left = plan_jobs((".", "out/"), None, CODE).left_out
    assert list(left.lines(verbose=False)) == ["left out: ./x.m4a (ffmpeg is needed)"]


def test_a_folder_that_cannot_be_read_is_told(here, monkeypatch):
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr("os.scandir", scandir)
    left = plan_jobs(("in", "out"), None, CODE).left_out
    assert [error.filename for error in left.closed] == ["in/deep"]


@pytest.mark.parametrize(
    ("paths", "kind", "text"),
    [
        ("a.wav talk.mp3", CODE, "'talk.mp3': not there as an input, and no name of an output: "
         "compress writes .ecdc"),
        ("a.wav gone.wav", CODE, "'gone.wav': not there as an input"),
        ("a.wav out", CODE, "'out.ecdc' would be a file, 'out/' a folder"),
        ("a.wav b.flac x.ecdc", CODE, "'x.ecdc': several inputs need a folder as output"),
        ("in x.ecdc", CODE, "several inputs need a folder"),
        ("- there", CODE, "a pipe needs the name of a file"),
        ("a.wav - there", CODE, "a pipe can only be the single input"),
        ("c.ecdc gone.ecdc", DECODE, "decompress reads .dac, .ecdc"),
        ("c.ecdc", COPIES, "Missing argument 'OUTPUT'."),
    ],
)  # fmt: skip
def test_wrong_calls(here, paths, kind, text):
    with pytest.raises(click.UsageError) as error:
        plan_jobs(tuple(paths.split()), None, kind)
    assert text in str(error.value)


def test_two_files_that_would_become_one(here):
    with pytest.raises(ArgumentError, match="give them folders of their own"):
        plan_jobs(("a.wav", "in/a.wav"), "out/", CODE)


def test_names_that_are_one_where_the_case_of_letters_does_not_count(here, monkeypatch):
    Path("x").mkdir()
    for name in ("x/TALK.wav", "x/talk.flac", "x/caf\N{LATIN SMALL LETTER E WITH ACUTE}.wav",
                 "x/cafe\N{COMBINING ACUTE ACCENT}.flac"):  # fmt: skip
        Path(name).touch()

    def targets():
        return {Path(job.target).name for job in plan_jobs(("x",), "out/", CODE).jobs}

    assert {"TALK.ecdc", "talk.ecdc"} < targets()
    monkeypatch.setattr("ncodec_cli.plan._CASELESS", True)
    assert {"TALK.wav.ecdc", "talk.flac.ecdc"} < targets()
    assert len({unicodedata.normalize("NFC", name) for name in targets()}) == 4
    Path("y").mkdir()
    Path("y/talk.WAV").touch()
    with pytest.raises(ArgumentError, match="would both become"):
        plan_jobs(("x/TALK.wav", "y/talk.WAV"), "out/", CODE)


def test_cores_where_linux_functions_are_missing(monkeypatch, tmp_path):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    monkeypatch.setattr("ncodec_cli.common.Path", lambda _: tmp_path / "none")
    assert common.usable_cores() == 7
    (tmp_path / "none").write_text("150000 100000\n")
    assert common.usable_cores() == 1
    (tmp_path / "none").write_text("max 100000\n")
    assert common.usable_cores() == 7


@pytest.mark.parametrize(
    "paths", ["a.wav ./a.wav", "a.wav a.wav", "in/deep/d.WAV in/linked/d.WAV", "a.wav in/../a.wav"]
)
def test_a_file_that_is_given_twice_is_told(here, paths):
    with pytest.raises(ArgumentError, match="the same file is given twice"):
        plan_jobs(tuple(paths.split()), None, CODE)


def test_two_files_do_not_meet_by_another_way(here):
    Path("in/deep/d.flac").touch()
    assert pairs("in/deep/d.WAV in/linked/d.flac") == [
        "in/deep/d.WAV in/deep/d.WAV.ecdc +",
        "in/linked/d.flac in/linked/d.flac.ecdc +",
    ]

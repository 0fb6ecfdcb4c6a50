"""`ncodec tokenize`: what it says, what it leaves, and what it refuses."""

import json
import sys

import numpy as np
import pytest
import soundfile

from ncodec.datasets import Run, Tokenizer
from tests.cli.audio import wav

FORM = ("--format", "webdataset", "--shard-size", "2", "-j", "1")


@pytest.fixture
def talks(tmp_path):
    """Three recordings and one that cannot be read, in a folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, seconds in enumerate((0.5, 1.0, 0.7)):
        wav(folder / f"{number}.wav", seconds, 1, 8000)
    (folder / "bad.wav").write_bytes(b"RIFF, but no more")
    return folder


def test_a_set_is_coded_told_and_checked(ncodec, talks, toy_model):
    done = ncodec("tokenize", "in", "out", *FORM)
    assert done.status == 0
    assert "out: 3 recordings, 0:02, 2 shards" in done.err
    assert "warning: 1 recording could not be read: see out/errors.jsonl" in done.err
    rows = {row.id: row for number in (0, 1) for row in Run.open("out").read(number)}
    assert sorted(rows) == ["0", "1", "2"]
    for name, row in rows.items():
        x, rate = soundfile.read(talks / f"{name}.wav", dtype="float32")
        np.testing.assert_array_equal(row.codes, Tokenizer(toy_model).codes(x, rate))
    assert "2 of them from before" in ncodec("tokenize", "in", "out", *FORM).err
    checked = ncodec("tokenize", "--verify", "out")
    assert checked.status == 0
    assert "out: 3 recordings, whole; 3 coded again: 0 of " in checked.out


def test_json_tells_the_same(ncodec, talks):
    told = json.loads(ncodec("tokenize", "in", "out", *FORM, "--json").out)
    assert {name: told[name] for name in ("output", "recordings", "errors", "shards")} == {
        "output": "out", "recordings": 3, "errors": 1, "shards": 2,
    }  # fmt: skip
    assert told["seconds"] == pytest.approx(2.2)
    assert told["frames"] == 100 + 200 + 140
    found = json.loads(ncodec("tokenize", "--verify", "out", "--json", "--sample", "0").out)
    assert (found["rows"], found["faults"], found["mel"]) == (3, [], None)


def test_faults_are_named_and_fail(ncodec, talks, tmp_path):
    ncodec("tokenize", "in", "out", *FORM)
    (tmp_path / "out" / "shards" / "codes-000001.tar").write_bytes(b"no tar")
    done = ncodec("tokenize", "--verify", "out")
    assert done.status == 1
    assert "codes-000001.tar: no shard of codes" in done.err
    assert done.err.splitlines()[-1] == "ncodec: error: out: 1 fault"


def test_nothing_that_can_be_read_is_an_error(ncodec, tmp_path):
    (tmp_path / "in").mkdir()
    empty = ncodec("tokenize", "in", "out", *FORM)
    assert (empty.status, empty.err) == (1, "ncodec: error: no recordings in in\n")
    assert not (tmp_path / "out").exists()
    (tmp_path / "in" / "a.wav").write_bytes(b"")
    done = ncodec("tokenize", "in", "out", *FORM)
    assert done.status == 1
    assert "1 recording could not be read" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in"], "inputs and the folder of the output are needed"),
        (["--verify", "in", "out"], "--verify takes the folder OUT alone"),
        (["in", "out", "--address", "auto"], "--address is of --engine ray"),
        (["in", "out", "--codebooks", "0"], "--codebooks"),
        (["in", "out", "--format", "csv"], "'csv' is not one of"),
    ],
)
def test_wrong_words_are_refused(ncodec, talks, tmp_path, words, said):
    done = ncodec("tokenize", *words)
    assert done.status == 2
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_another_run_is_refused_in_one_line(ncodec, talks):
    ncodec("tokenize", "in", "out", *FORM)
    for words, said in (
        (["--format", "shar"], "was begun with format webdataset, not shar"),
        (["--codebooks", "2"], "was begun with codebooks of sizes"),
        (["--shard-size", "3"], "was begun with shard_size 2, not 3"),
    ):
        done = ncodec("tokenize", "in", "out", *FORM, *words)
        assert done.status == 1
        assert done.err.startswith("ncodec: error: out: ")
        assert said in done.err
        assert done.err.count("\n") == 1


def test_without_ray_it_says_what_to_install(ncodec, talks, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = ncodec("tokenize", "in", "out", *FORM, "--engine", "ray")
    assert done.status == 1
    assert "pip install 'ray[data]'" in done.err

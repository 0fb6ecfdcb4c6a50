"""Sets to shards: each recording's codes are its own, and no kill spoils what is written."""

import errno
import importlib.util
import io
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import torch

from ncodec.codec import StreamEncoder
from ncodec.datasets import Run, Tokenizer, list_recordings, run, tokenize
from ncodec.datasets.checking import check
from ncodec.errors import ArgumentError, NcodecError
from tests.datasets.conftest import LENGTHS, flac, has_pyarrow, lines, tar_of
from tests.models.test_wrong_calls import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
needs_pyarrow = pytest.mark.skipif(not has_pyarrow(), reason="pyarrow not installed")


def contents(folder):
    """All that a run has left, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def alone(model, path, codebooks=None):
    """The codes of one file by itself, mixed down."""
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    encoder = StreamEncoder(model, sample_rate=rate, channels=1, codebooks=codebooks)
    packets = encoder.push(x.T.mean(0, keepdims=True, dtype=np.float32)) + encoder.finish()
    return np.concatenate([packet.codes[:, 0] for packet in packets], axis=1)


PARQUET = pytest.param("parquet", marks=needs_pyarrow)


@pytest.mark.parametrize("name", ["webdataset", "shar", PARQUET])
def test_codes_are_those_of_each_file_alone(made, model, name):
    rows = [row for n in range(made[name].shards) for row in made[name].read(n)]
    paths = {recording.id: recording.path for recording in made[name].recordings}
    assert sorted(row.samples for row in rows) == sorted(LENGTHS)
    for row in rows:
        np.testing.assert_array_equal(row.codes, alone(model, paths[row.id]), row.id)
        assert row.codes.shape[1] == -(-row.samples * 24000 // row.rate // 320)
        assert row.codes.dtype == np.uint16
    (error,) = lines(made[name].folder / "errors.jsonl")
    assert error["path"].endswith("05.b.wav")
    assert sum(summary["rows"] for summary in made[name].summaries()) == len(LENGTHS)


@pytest.mark.parametrize("family", ["spectral", "encodec", "dac", "mimi"])
def test_no_family_hears_its_neighbours_or_any_padding(family):
    torch.manual_seed(0)
    model = FAMILIES[family]().eval()
    rng = np.random.default_rng(0)
    block = Tokenizer(model).block
    lengths = [1, model.hop, block, block + 1, 2 * block, 2 * block, 3 * block - 7, 77]
    sounds = [0.1 * rng.standard_normal((model.channels, n)).astype(np.float32) for n in lengths]
    one, many = Tokenizer(model, batch=1), Tokenizer(model, batch=8)
    table = {"audio": sounds, "rate": [model.sample_rate] * len(sounds)}
    for x, codes in zip(sounds, many(table)["codes"], strict=True):
        np.testing.assert_array_equal(codes, one.codes(x, model.sample_rate))


def test_segments_are_refused_and_so_is_what_is_no_sound(model):
    tokenizer = Tokenizer(model, codebooks=2)
    assert tokenizer.codes(np.zeros(640, np.int16), 24000).shape == (2, 2)
    with pytest.raises(ArgumentError, match="finite"):
        tokenizer.codes(np.full(640, np.nan, np.float32), 24000)
    with pytest.raises(ArgumentError, match=r"shape \[2, 3, 4\]"):
        tokenizer.codes(np.zeros((2, 3, 4), np.float32), 24000)
    with pytest.raises(NcodecError, match="no sample"):
        tokenizer.codes(np.zeros(0, np.float32), 24000)
    with pytest.raises(ArgumentError, match="audio and rate, or bytes"):
        tokenizer({"text": ["a"]})
    (codes,) = tokenizer({"bytes": [flac(1)]})["codes"]
    assert codes.shape == (2, 7)


# Inputs


def test_tars_and_manifests_carry_texts_and_labels_along(tmp_path, model):
    labels = b'{"speaker": "x", "text": "no"}'
    members = [("a/1.flac", flac(1)), ("a/1.txt", b"hello\n"), ("b.json", labels), ("b.wav", b"no")]
    tar_of(tmp_path / "a.tar", [*members, ("c.txt", b"no sound")])
    (tmp_path / "x.flac").write_bytes(flac(2))
    (tmp_path / "m.jsonl").write_text('{"path": "x.flac", "id": "one", "text": "hör", "n": 3}')
    found = list_recordings([tmp_path / "a.tar", tmp_path / "m.jsonl", tmp_path / "m.jsonl"])
    assert [(r.id, r.text) for r in found] == [("a/1", "hello"), ("b", "no"), ("one", "hör")]
    done = tokenize([tmp_path], tmp_path / "out", format="webdataset", model=model)
    again = tokenize([tmp_path], tmp_path / "out", format="webdataset", model=model)
    assert (done.rows, done.errors, again.before) == (2, 1, 1)
    rows = {row.id: row for row in done.run.read(0)}
    assert rows["a/1"].text == "hello"
    codes = Tokenizer(model).codes(sound_of(flac(1)), 24000)
    np.testing.assert_array_equal(rows["a/1"].codes, codes)
    tagged = tokenize([tmp_path / "m.jsonl"], tmp_path / "tagged", format="shar", model=model)
    (row,) = tagged.run.read(0)
    assert (row.id, row.text, row.tags) == ("one", "hör", {"n": "3"})


def sound_of(data):
    return soundfile.read(io.BytesIO(data), dtype="float32")[0]


@needs_pyarrow
def test_parquet_with_bytes_of_files_is_read(tmp_path, model):
    import pyarrow
    import pyarrow.parquet

    audio = [{"bytes": flac(i), "path": f"{i}.flac"} for i in range(3)]
    audio.append({"bytes": b"no", "path": ""})
    said = {"sentence": ["a", "b", "c", "d"], "speaker": [1, 2, 3, 4]}
    table = pyarrow.table({"audio": audio, **said})
    pyarrow.parquet.write_table(table, tmp_path / "set.parquet", row_group_size=2)
    done = tokenize([tmp_path / "set.parquet"], tmp_path / "out", model=model)
    rows = done.run.read(0)
    assert [(row.text, row.tags["speaker"]) for row in rows] == [("a", 1), ("b", 2), ("c", 3)]
    assert rows[1].id == "set/0000-000001"
    np.testing.assert_array_equal(rows[2].codes, Tokenizer(model).codes(sound_of(flac(2)), 24000))
    pyarrow.parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "none.parquet")
    with pytest.raises(ArgumentError, match="no column of audio bytes"):
        list_recordings([tmp_path / "none.parquet"])
    assert len(list_recordings([tmp_path], leave_out=tmp_path / "out")) == 4  # with a warning


def test_ids_are_unique(tmp_path):
    for name in ("a.wav", "a.flac", "b/a.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    ids = [r.id for r in list_recordings([tmp_path, tmp_path / "b" / "a.wav"])]
    assert ids == ["a.flac", "a.wav", "b/a"]
    (tmp_path / "b" / "m.jsonl").write_text('{"path": "a.wav", "id": "a.wav"}')
    found = list_recordings([tmp_path / "b" / "m.jsonl", tmp_path])
    assert len({r.id for r in found}) == 3


@pytest.mark.parametrize("kind", ["webdataset", "shar", PARQUET])
def test_odd_names_and_texts_come_through(tmp_path, model, kind):
    text = "a\u2028b\x85c \ud800"
    odd = os.fsencode(tmp_path) + (b"/\xffodd.flac" if sys.platform == "linux" else b"/odd.flac")
    for path in (odd, os.fsencode(tmp_path / "x.flac")):
        with open(path, "wb") as file:
            file.write(flac(1))
    told = {"path": "x.flac", "id": "/a//./b\0", "text": text, "note": text}
    (tmp_path / "m.jsonl").write_text(json.dumps(told) + "\r\n")
    (tmp_path / "l.jsonl").write_bytes('{"path": "x.flac", "n": "\u2028"}\n'.encode())
    assert list_recordings([tmp_path / "l.jsonl"])[0].labels == {"n": "\u2028"}
    run = tokenize([tmp_path / "m.jsonl", tmp_path], tmp_path / "out", format=kind, model=model).run
    assert (
        tokenize([tmp_path / "m.jsonl", tmp_path], run.folder, format=kind, model=model).rows == 2
    )
    rows = {row.id: row for row in run.read(0)}
    assert rows["a/b"].text == "a\u2028b\x85c \\ud800"
    assert rows["a/b"].tags == {"note": text}
    assert len(rows) == 2
    if kind == "shar" and importlib.util.find_spec("lhotse"):
        cuts = importlib.import_module("lhotse").CutSet.from_shar(in_dir=run.folder / "shards")
        assert [cut.id for cut in cuts] == list(rows)


def test_nothing_to_do_is_an_error(tmp_path, model):
    with pytest.raises(ArgumentError, match="no recordings in"):
        tokenize([tmp_path], tmp_path / "out", model=model)
    (tmp_path / "a.tar").write_bytes(bytes(512) + b"no tar")
    (tmp_path / "a.tar.gz").touch()
    with pytest.raises(ArgumentError, match="unpack it"):
        list_recordings([tmp_path / "a.tar.gz"])
    with pytest.raises(ArgumentError, match="no such file"):
        list_recordings([tmp_path / "b.parquet"])


# Runs


@pytest.mark.slow
def test_workers_write_the_same_bytes(made, sources, tmp_path):
    done = tokenize([sources], tmp_path / "out", format="webdataset", shard_size=4, jobs=2)
    assert done.before == 0
    assert contents(tmp_path / "out") == contents(made["webdataset"].folder)
    assert multiprocessing.active_children() == []


def test_a_run_goes_on_where_it_was_interrupted(made, sources, model, tmp_path, monkeypatch):
    folder = tmp_path / "out"

    kind = type(made["webdataset"].format)
    save = kind.save

    def full(self, place, number, *rest):
        if number == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "shard")
        save(self, place, number, *rest)

    monkeypatch.setattr(kind, "save", full)
    with pytest.raises(OSError, match="No space"):
        tokenize([sources], folder, format="webdataset", model=model, shard_size=4)
    monkeypatch.undo()
    (folder / "shards" / ".codes-000001.tar.0a.part").write_bytes(b"half")
    assert Run.open(folder).pending() == [1, 2]
    with pytest.raises(ArgumentError, match="1 of 3 shards are there"):
        check(Run.open(folder))
    before = (folder / "shards" / "codes-000000.tar").stat().st_mtime_ns
    done = tokenize([sources], folder, format="webdataset", model=model, shard_size=4)
    assert done.before == 1
    assert (folder / "shards" / "codes-000000.tar").stat().st_mtime_ns == before
    assert contents(folder) == contents(made["webdataset"].folder)
    (folder / "shards" / "codes-000002.tar").unlink()
    tokenize([sources], folder, format="webdataset", model=model, shard_size=4)
    assert contents(folder) == contents(made["webdataset"].folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "shar"}, "format webdataset, not shar"),
        ({"codebooks": 2}, "codebooks of sizes"),
        ({"shard_size": 5}, "shard_size 4, not 5"),
        ({"batch": 3}, "batch 8, not 3"),
        ({"model": "other"}, "a model of fingerprint"),
    ],
)
def test_another_run_does_not_go_on(made, sources, model, changes, said):
    options = {"format": "webdataset", "model": model, "shard_size": 4} | changes
    if changes == {"model": "other"}:
        torch.manual_seed(1)
        options["model"] = FAMILIES["spectral"]()
        options["model"].name = model.name
    before = contents(made["webdataset"].folder)
    with pytest.raises(ArgumentError, match=said):
        tokenize([sources], made["webdataset"].folder, **options)
    assert contents(made["webdataset"].folder) == before


def test_other_recordings_or_a_folder_of_something_else_are_refused(made, sources, model, tmp_path):
    with pytest.raises(ArgumentError, match="so many recordings: 12, not 1"):
        tokenize(
            [sources / "01.a.wav"], made["webdataset"].folder, format="webdataset", model=model,
            shard_size=4,
        )  # fmt: skip
    (tmp_path / "mine").touch()
    with pytest.raises(ArgumentError, match="holds something else, such as mine"):
        tokenize([sources], tmp_path, model=model)
    with pytest.raises(ArgumentError, match="is a file"):
        tokenize([sources], tmp_path / "mine", model=model)
    with pytest.raises(ArgumentError, match="holds no codes"):
        Run.open(tmp_path)


def test_two_runs_do_not_meet(made, sources, model, monkeypatch):
    monkeypatch.setattr(run, "_WAIT_SECONDS", 0)
    with made["shar"].alone(), pytest.raises(ArgumentError, match="another run is at work"):
        tokenize([sources], made["shar"].folder, format="shar", model=model, shard_size=4)


def test_a_check_finds_what_is_wrong(made, sources, model, tmp_path):
    found = check(made["webdataset"], model=model, sample=4)
    assert (found.rows, found.faults, found.sampled, found.differing) == (11, (), 4, 0)
    tokenize([sources], tmp_path / "out", format="webdataset", model=model, shard_size=4)
    shards = sorted((tmp_path / "out" / "shards").iterdir())
    shards[1].write_bytes(shards[0].read_bytes())
    shards[2].write_bytes(b"no tar")
    faults = check(Run.open(tmp_path / "out"), model=model, sample=0).faults
    assert [("shard 1" in f, "no shard of codes" in f) for f in faults] == [
        (True, False),
        (False, True),
    ]


START = """
import sys
from ncodec.datasets import tokenize
if __name__ == "__main__":
    tokenize([sys.argv[1]], sys.argv[2], format="shar", shard_size=1, jobs=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_kills_spoil_nothing_and_no_worker_is_left(sources, model, tmp_path):
    """Killed as soon as two shards are there; the next run goes to its end."""
    script = tmp_path / "start.py"
    script.write_text(START)
    folder = tmp_path / "out"
    path = os.pathsep.join([str(ROOT), str(ROOT / "formats")])
    environment = {**os.environ, "PYTHONPATH": path}
    started = subprocess.Popen([sys.executable, script, sources, folder], env=environment)
    children: list[psutil.Process] = []
    while started.poll() is None and len(list((folder / "shards").glob("cuts*"))) < 2:
        children = psutil.Process(started.pid).children(recursive=True) or children
        time.sleep(0.01)
    started.kill()
    started.wait()
    _, left = psutil.wait_procs(children, timeout=60)
    assert left == []
    done = tokenize([sources], folder, format="shar", model=model, shard_size=1)
    assert 2 <= done.before < 12
    tokenize([sources], tmp_path / "whole", format="shar", model=model, shard_size=1)
    assert contents(folder) == contents(tmp_path / "whole")

"""What surrounds every command: wrong calls, signals, streams that are closed or narrow."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [sys.executable, "-m", "ncodec_cli"]


def run(folder, *args, **options):
    path = os.pathsep.join([str(ROOT), str(ROOT / "formats")])
    environment = {**os.environ, "PYTHONPATH": path, **options.pop("env", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*PYTHON, *args], cwd=folder, env=environment, **(pipes | options))


@pytest.mark.parametrize("words", [[], ["models"], ["bench"]])
def test_without_a_command_help_is_what_was_asked_for(ncodec, words):
    ended = ncodec(*words)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("Usage: ncodec")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["compress"], "Missing argument 'INPUT... [OUTPUT]' (ncodec compress --help)"),
        (["compress", "--bitrte", "6"], "No such option '--bitrte'"),
        (["compres"], "Did you mean 'compress'? (ncodec --help)"),
        (
            ["peel", "a", "b", "--bw", "x"],
            "'--bitrate': 'x': must be kbps, such as 6, 1.5 or 6k",
        ),
        (["info", "-dash.ecdc"], "To name the file '-dash.ecdc', write './-dash.ecdc'"),
    ],
)
def test_a_wrong_call_is_one_line_as_every_error(ncodec, words, text):
    Path("-dash.ecdc").touch()
    ended = ncodec(*words)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("ncodec: error: ")
    assert text in ended.err


@pytest.mark.parametrize("closed", [[1], [0, 1, 2]])
def test_closed_standard_streams(tmp_path, coded, closed):
    (tmp_path / "a.ecdc").write_bytes(coded)

    def close():
        for number in closed:
            os.close(number)

    process = run(tmp_path, "verify", "a.ecdc", preexec_fn=close)
    said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, (b"", b""))
    refused = run(tmp_path, "peel", "a.ecdc", "-", "--codebooks", "1", preexec_fn=close)
    _, errors = refused.communicate(timeout=60)
    if 1 in closed:
        assert refused.returncode == 1
        assert 2 in closed or b"standard output is closed" in errors


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_that_standard_output_cannot_hold(tmp_path, coded, encoding):
    names = ["\u97f3\u697d.ecdc", os.fsdecode(b"b\xff.ecdc")]
    for name in names:
        (tmp_path / name).write_bytes(coded)
    process = run(tmp_path, "info", *names, env={"PYTHONIOENCODING": encoding})
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    shown = names[0].encode(encoding, "backslashreplace")
    assert [line.split(b": ")[0] for line in out.splitlines() if b"ECDC" in line] == [
        shown,
        b"b\xff.ecdc",
    ]


def test_json_of_a_name_that_is_no_text(ncodec, coded):
    name = os.fsdecode(b"b\xff.ecdc")
    Path(name).write_bytes(coded)
    ended = ncodec("info", name, "--json")
    assert json.loads(ended.out)["file"] == "b\\xff.ecdc"
    assert "\\ud" not in ended.out


@pytest.mark.parametrize("name", ["SIGHUP", "SIGQUIT"])
def test_what_ends_a_process_leaves_no_file(tmp_path, coded, name):
    process = run(tmp_path, "peel", "-", "b.ecdc", "--bw", "2", stdin=subprocess.PIPE)
    process.stdin.write(coded[:500])
    process.stdin.flush()
    while not os.listdir(tmp_path):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + getattr(signal, name), b"")
    assert os.listdir(tmp_path) == []


EARLY = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from ncodec_cli.main import main
main()
"""


@pytest.mark.parametrize("module", ["click", "ncodec_cli.info"])
def test_ctrl_c_while_modules_load(tmp_path, coded, module):
    (tmp_path / "a.ecdc").write_bytes(coded)
    path = os.pathsep.join([str(ROOT), str(ROOT / "formats")])
    done = subprocess.run(
        [sys.executable, "-c", EARLY.format(module=module), "info", "a.ecdc"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"ncodec: interrupted\n")


def test_a_system_that_has_fewer_signals(ncodec, coded, monkeypatch):
    Path("a.ecdc").write_bytes(coded)
    for name in ("SIGHUP", "SIGQUIT", "SIGXCPU"):
        monkeypatch.delattr(signal, name, raising=False)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert ncodec("verify", "a.ecdc").status == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            ModuleNotFoundError("No module named 'soxr'", name="soxr"),
            "the Python package soxr is not installed; installing ncodec again brings it",
        ),
        (EOFError("marshal data too short"), "internal error: RuntimeError: unexpected end of a"),
    ],
)
def test_an_installation_that_is_not_whole_is_told(ncodec, coded, monkeypatch, raised, told):
    def fail(*_args, **_options):
        raise raised

    Path("a.ecdc").write_bytes(coded)
    monkeypatch.setattr("ncodec_formats.info", fail)
    ended = ncodec("info", "a.ecdc")
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert told in ended.err


def test_a_name_with_a_new_line_keeps_a_result_on_one_line(ncodec, coded):
    Path("a\nb.ecdc").write_bytes(coded)
    ended = ncodec("peel", "a\nb.ecdc", "out.ecdc", "--codebooks", "1")
    assert (ended.status, ended.err.count("\n")) == (0, 1)
    assert ended.err.startswith("a\\nb.ecdc -> out.ecdc: ")

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ncodec.config import EncodecConfig
from ncodec.models.encodec import EncodecModel
from tests.cli.audio import wav
from tests.machine import needs_bf16

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(ncodec):
    """Run a command line in a temporary folder with a tiny model; return status and errors."""

    def call(*args):
        ended = ncodec(*args)
        return ended.status, ended.err

    return call


def test_there_and_back(run):
    wav("a.wav", 1.5, 2, 11025)
    status, said = run("compress", "a.wav", "b.ecdc", "--bw", "7", "--verify", "--tag", "TITLE=x")
    assert status == 0
    assert "a.wav -> b.ecdc: 66 kB -> 1.3 kB (1/" in said
    assert " kbps (6 coded, 7 asked), " in said
    assert "note: toy works at 8 kHz: nothing above 4 kHz is kept" in said
    status, said = run("decompress", "b.ecdc", "c.flac")
    assert (status, "b.ecdc -> c.flac: 0:01.499, 16537 samples" in said) == (0, True)
    info = soundfile.info("c.flac")
    assert (info.samplerate, info.channels, info.frames) == (11025, 2, 16537)


def test_a_wider_search_finds_other_codes_for_the_same_decoder(run, monkeypatch):
    tiny = EncodecModel(EncodecConfig(filters=2, latent_dim=8, bins=16)).eval()
    monkeypatch.setattr("ncodec.checkpoints.loading.load", lambda name, device: tiny)
    wav("a.wav", 1.5)
    for width in ("1", "8"):
        assert run("compress", "a.wav", f"{width}.ecdc", "--beam", width)[0] == 0
        assert run("decompress", f"{width}.ecdc", f"{width}.wav")[0] == 0
    assert Path("1.ecdc").stat().st_size == Path("8.ecdc").stat().st_size
    assert Path("1.ecdc").read_bytes() != Path("8.ecdc").read_bytes()


def test_levels_of_effort(run, monkeypatch):
    tiny = EncodecModel(EncodecConfig(filters=2, latent_dim=8, bins=16)).eval()
    monkeypatch.setattr("ncodec.checkpoints.loading.load", lambda name, device: tiny)
    wav("a.wav", 1.5)
    for level in ("fast", "best"):
        assert run("compress", "a.wav", f"{level}.ecdc", "--effort", level)[0] == 0
        assert run("decompress", f"{level}.ecdc", f"{level}.wav")[0] == 0
    assert Path("fast.ecdc").read_bytes() != Path("best.ecdc").read_bytes()
    status, said = run("compress", "a.wav", "--effort", "fast", "--beam", "2")
    assert (status, "only one of them" in said) == (2, True)


def test_a_model_without_a_wider_search_says_so(run):
    wav("a.wav")
    status, said = run("compress", "a.wav", "--beam", "8")
    assert (status, said.count("\n")) == (1, 1)
    assert "beam 8" in said
    assert not Path("a.ecdc").exists()


@needs_bf16
def test_precision_is_the_coder_s_alone(run, monkeypatch):
    config = EncodecConfig(filters=2, latent_dim=8, bins=16)
    tiny, loaded = EncodecModel(config).eval(), []

    def load(name, device):
        loaded.append(EncodecModel(config).eval())
        loaded[-1].load_state_dict(tiny.state_dict())
        return loaded[-1]

    monkeypatch.setattr("ncodec.checkpoints.loading.load", load)
    wav("a.wav", 1.5)
    for precision in ("float32", "bf16"):
        assert run("compress", "a.wav", f"{precision}.ecdc", "--precision", precision)[0] == 0
    assert [model.precision for model in loaded] == ["float32", "bf16"]
    for precision in ("float32", "bf16"):
        assert run("decompress", "bf16.ecdc", f"{precision}.wav", "--precision", precision)[0] == 0
    one, other = (soundfile.read(f"{precision}.wav")[0] for precision in ("float32", "bf16"))
    assert one.shape == other.shape
    assert 0 < np.abs(one - other).max() < 0.05


def test_a_processor_without_bf16_says_so(run, monkeypatch):
    monkeypatch.setattr("ncodec.runtime.has_bf16", lambda device: False)
    wav("a.wav")
    status, said = run("compress", "a.wav", "--precision", "bf16", "--device", "cpu")
    assert (status, said) == (
        1,
        "ncodec: error: precision 'bf16': this machine's cpu has none; use float32\n",
    )
    assert not Path("a.ecdc").exists()


def test_outputs_are_named_after_inputs(run):
    wav("a.wav")
    assert run("compress", "a.wav")[0] == 0
    os.remove("a.wav")
    assert run("decompress", "a.ecdc")[0] == 0
    assert soundfile.info("a.wav").frames == 8000


def test_a_tree_of_files_is_kept(run):
    for name in ("in/a.wav", "in/deep/er/b.flac", "in/.hidden/c.wav"):
        wav(name)
    Path("in/notes.txt").write_text("no sound")
    assert run("compress", "in", "out", "--jobs", "2")[0] == 0
    assert sorted(map(str, Path("out").rglob("*.ecdc"))) == ["out/a.ecdc", "out/deep/er/b.ecdc"]
    assert run("decompress", "out", "-o", "back", "--format", "flac")[0] == 0
    assert sorted(map(str, Path("back").rglob("*.*"))) == ["back/a.flac", "back/deep/er/b.flac"]


def test_one_bad_file_does_not_stop_the_others(run):
    wav("a.wav")
    wav("c.wav")
    Path("b.wav").write_text("no sound at all, only text")
    status, said = run("compress", "a.wav", "b.wav", "c.wav", "out/")
    assert status == 1
    assert "b.wav: not readable as audio" in said
    assert said.endswith("ncodec: error: 1 of 3 files failed\n")
    assert sorted(os.listdir("out")) == ["a.ecdc", "c.ecdc"]


@pytest.mark.parametrize(
    ("args", "status", "text"),
    [
        (["missing.wav"], 1, "missing.wav: No such file or directory"),
        (["text.txt"], 1, "text.txt: not readable as audio"),
        (["empty.wav"], 1, "empty.wav: the input is empty"),
        (["folder"], 1, "folder: no audio files there"),
        (["nan.wav"], 1, "nan.wav: sample 100 of channel 1"),
        (["a.wav", "-o", "a.wav", "-f"], 1, "a.wav: is the input"),
        (["a.wav", "there.ecdc"], 1, "there.ecdc: exists already (--force overwrites)"),
        (["a.wav", "nowhere/b.ecdc"], 1, " nowhere: No such file or directory"),
        (["a.wav", "--bw", "0.9"], 1, "bandwidth 0.9 kbps: must be at least 1"),
        (["a.wav", "--codebooks", "9"], 1, "9 codebooks: toy has 1 to 4"),
        (["a.wav", "--bw", "x"], 2, "'x': must be kbps"),
        (["a.wav", "--bw", "3", "--codebooks", "2"], 2, "only one of them"),
        (["a.wav", "--raw", "s16"], 2, "--raw needs --rate and --channels"),
        (["a.wav", "--channels", "2"], 2, "--channels only describes --raw samples"),
        (["a.wav", "--rate", "x"], 2, "'x': must be kbps"),
        (["a.wav", "--rate", "0"], 2, "--file-rate 0: must be above 0 kbps"),
        (["a.wav", "--rate", "3", "--file-rate", "3"], 2, "only one of them can be given"),
        (["a.wav", "--rate", "3", "--format", "dac"], 2, "files of --format dac have one bitrate"),
        (["a.wav", "--redundancy", "3"], 2, "must be two whole numbers"),
        (["a.wav", "--redundancy", "9,1"], 1, "it must be (layers, packets)"),
        (["a.wav", "a.wav", "-"], 2, "several inputs need a folder"),
        (["a.wav", "--device", "cuda"], 1, "device 'cuda': this machine has cpu"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_goes_wrong_is_one_line(run, args, status, text):
    wav("a.wav")
    Path("text.txt").write_text("hello " * 50)
    Path("empty.wav").touch()
    Path("folder").mkdir()
    Path("there.ecdc").touch()
    x = np.zeros(200, np.float32)
    x[100] = np.nan
    soundfile.write("nan.wav", x, 8000, "FLOAT")
    before = sorted(os.listdir())
    got, said = run("compress", *args)
    assert (got, text in said) == (status, True), said
    assert "Traceback" not in said
    if status == 1:
        assert said.count("\n") == 1
        assert said.startswith("ncodec: error: ")
    assert sorted(os.listdir()) == before


def test_damage_in_decompress(run):
    wav("a.wav", 8)
    run("compress", "a.wav", "a.ecdc")
    data = bytearray(Path("a.ecdc").read_bytes())
    data[len(data) // 2] ^= 8
    Path("bad.ecdc").write_bytes(data)
    status, said = run("decompress", "bad.ecdc", "b.wav")
    assert (status, said.startswith("ncodec: error: bad.ecdc: ")) == (1, True)
    assert not Path("b.wav").exists()
    status, said = run("decompress", "bad.ecdc", "b.wav", "--keep-going")
    assert status == 0
    assert "bad.ecdc: damaged: " in said
    assert soundfile.info("b.wav").frames == 64000


def test_raw_in_and_out_through_pipes(ncodec):
    x = np.random.default_rng(0).normal(0, 3000, (5000, 2)).astype("<i2")
    form = ["--raw", "s16", "--rate", 8000, "--channels", 2]
    coded = ncodec("compress", "-", "-", *form, "--quiet", stdin=x.tobytes())
    assert (coded.status, coded.err, coded.data[:4]) == (0, "", b"ECDC")
    samples = ncodec("decompress", "-", "--raw", "s16", "--quiet", stdin=coded.data)
    assert (samples.status, samples.err, len(samples.data)) == (0, "", 20000)


SLOW = """
import sys, time
import ncodec.codec.whole_files as files
from ncodec_cli.main import main
sys.path.insert(0, {tests!r})
import importlib.util
spec = importlib.util.spec_from_file_location("toys", {toys!r})
toys = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toys)
import ncodec.checkpoints.loading
ncodec.checkpoints.loading.load = lambda name, device: toys.ToyModel()
step = files.StreamEncoder.push
def slow(self, samples):
    sys.stdout.write("working\\n")
    sys.stdout.flush()
    time.sleep(0.2)
    return step(self, samples)
files.StreamEncoder.push = slow
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("number", "status", "inputs"),
    [
        (signal.SIGINT, 130, ["a.wav", "b.wav", "out/"]),
        (signal.SIGTERM, 143, ["a.wav", "out.ecdc"]),
    ],
)
def test_ctrl_c_leaves_nothing(tmp_path, number, status, inputs):
    for name in ("a.wav", "b.wav"):
        wav(tmp_path / name, 60)
    toys = ROOT / "tests" / "codec" / "conftest.py"
    code = SLOW.format(tests=str(ROOT / "tests"), toys=str(toys))
    path = os.pathsep.join([str(ROOT), str(ROOT / "formats")])
    process = subprocess.Popen(
        [sys.executable, "-c", code, "compress", *inputs],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "working\n"
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    left = [p.name for p in tmp_path.rglob("*") if p.is_file()]
    assert sorted(left) == ["a.wav", "b.wav"]


def test_disk_full(tmp_path, run):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    wav("a.wav", 3)
    status, said = run("compress", "a.wav", "-o", "/dev/full")
    assert (status, said) == (1, "ncodec: error: /dev/full: No space left on device\n")

"""Real processes and real pipes: start-up, first output, pipes that close, signals, completion."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ncodec_cli.checks import _torch_is_for_cpus
from tests.cli.audio import wav

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [sys.executable, "-m", "ncodec_cli"]
TOYS = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("toys", sys.argv.pop(1))
toys = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toys)
import ncodec.checkpoints.loading
ncodec.checkpoints.loading.load = lambda name, device: toys.ToyModel()
from ncodec_cli.main import main
main()
"""
WITH_TOY = [sys.executable, "-c", TOYS, str(ROOT / "tests" / "codec" / "conftest.py")]
HEAD = 80
"""Bytes before the samples of a WAV file on a pipe: there is room for RF64's sizes."""
LISTS_MODULES = """
import atexit, sys
atexit.register(lambda: print("modules:", *sorted(sys.modules), file=sys.stderr))
from ncodec_cli.main import main
main()
"""


def start(command, folder, **options):
    path = os.pathsep.join([str(ROOT), str(ROOT / "formats")])
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, **(pipes | options)
    )


@pytest.mark.parametrize(
    "args",
    [
        "--help",
        "compress --help",
        "decompress --help",
        "info a.ecdc",
        "verify a.ecdc",
        "peel a.ecdc b.ecdc --bw 2",
        "cut a.ecdc b.ecdc --end 1",
        "cat a.ecdc a.ecdc b.ecdc",
        "tag a.ecdc --set a=b",
        "repair a.ecdc b.ecdc",
        "completion bash",
        "no-such-command",
    ],
)
def test_what_needs_no_model_loads_none(tmp_path, coded, args):
    (tmp_path / "a.ecdc").write_bytes(coded)
    process = start([sys.executable, "-c", LISTS_MODULES, *args.split()], tmp_path)
    _, errors = process.communicate()
    assert process.returncode == (2 if args == "no-such-command" else 0), errors
    loaded = errors.decode().split("modules:")[1].split()
    assert "ncodec_cli.main" in loaded
    assert not {"torch", "soundfile", "sounddevice", "rich", "numba"} & set(loaded)
    if args != "cut a.ecdc b.ecdc --end 1":
        assert "numpy" not in loaded


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            "compress a.wav b.ecdc --bw 0.1",
            "bandwidth 0.1 kbps: must be at least 0.75 for 1 stream",
        ),
        ("record b.ecdc --bw 0.1", "bandwidth 0.1 kbps: must be at least 0.75 for 1 stream"),
        ("compress a.wav b.ecdc --codebooks 17", "17 codebooks: ncodec_24khz has 1 to 16"),
        ("compress a.wav b.ecdc --device cuda", "device 'cuda': this machine has cpu"),
        ("decompress a.ecdc b.wav --device mps", "device 'mps': this machine has cpu"),
        ("play a.ecdc --device cuda", "device 'cuda': this machine has cpu"),
        ("train ncodec_24khz --device cuda", "device 'cuda': this machine has cpu"),
        ("call nowhere", "address 'nowhere': must be HOST:PORT"),
        ("call nowhere.invalid:4000 --input a.wav -o b.wav", "nowhere.invalid, port 4000: "),
        ("call localhost:4000 --input a.ecdc -o b.wav", "a.ecdc: is an ECDC file"),
        ("call localhost:4000 --input odd.wav -o b.wav", "odd.wav: not readable as audio"),
        ("serve --models ./odd.wav", "odd.wav: not a safetensors file"),
        ("call --offer --stun b", "server 'b': must be stun:HOST"),
        ("serve --host nowhere.invalid", "others reach it, so the server needs tokens"),
        ("serve --models nothere", "'nothere'"),
        ("train nothere.toml", "nothere.toml: no such file, nor a recipe"),
    ],
)
def test_what_cannot_be_is_told_before_pytorch_is_loaded(tmp_path, coded, args, told):
    if "--device" in args and not _torch_is_for_cpus():
        pytest.skip("PyTorch here is built for an accelerator, and has to be asked")
    (tmp_path / "a.ecdc").write_bytes(coded)
    wav(tmp_path / "a.wav")
    (tmp_path / "odd.wav").write_text("no sound at all\n")
    process = start([sys.executable, "-c", LISTS_MODULES, *args.split()], tmp_path)
    _, errors = process.communicate()
    said, _, loaded = errors.decode().partition("modules:")
    assert (process.returncode, said.count("\n")) == (1, 1), said
    assert told in said
    assert not {"torch", "sounddevice"} & set(loaded.split())


def head(rate, channels, size):
    """Return the header of a 16-bit WAV file that claims `size` bytes of samples."""
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(size + 36, 2**32 - 1)) + chunks


def test_audio_flows_while_it_comes_in(tmp_path):
    """compress | decompress: a packet's samples come out before the next packet's go in."""
    compress = start([*WITH_TOY, "compress", "-", "-", "--packet-ms", "100", "--quiet"], tmp_path)
    decompress = start([*WITH_TOY, "decompress", "-", "--quiet"], tmp_path, stdin=compress.stdout)
    compress.stdout.close()
    rng = np.random.default_rng(0)
    pieces = [rng.normal(0, 3000, 800).astype("<i2").tobytes() for _ in range(8)]
    # A WAV file whose length nobody knows, as sox and ffmpeg write it to a pipe.
    compress.stdin.write(head(8000, 1, 2**32 - 1))
    got = b""
    for number, piece in enumerate(pieces):
        compress.stdin.write(piece)
        compress.stdin.flush()
        # All but the last frame, which may reach beyond the end of the source.
        while len(got) < HEAD + (number + 1) * 1600 - 80:
            more = os.read(decompress.stdout.fileno(), 1 << 16)
            assert more, decompress.stderr.read()
            got += more
    compress.stdin.close()
    rest, errors = decompress.communicate(timeout=60)
    assert (compress.wait(60), decompress.returncode, errors) == (0, 0, b"")
    assert len(got + rest) == HEAD + 8 * 1600
    assert got[HEAD - 8 : HEAD - 4] == b"data"


@pytest.mark.parametrize("args", ["compress a.wav - --quiet", "decompress a.ecdc - --quiet"])
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path, coded, args):
    wav(tmp_path / "a.wav", 60, 2, 44100)
    (tmp_path / "a.ecdc").write_bytes(coded)
    process = start([*WITH_TOY, *args.split()], tmp_path)
    process.stdout.read(4)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


@pytest.mark.parametrize("args", ["", "models", "bench", "compress --help", "--version"])
def test_help_that_nobody_reads(tmp_path, args):
    read, write = os.pipe()
    os.close(read)
    process = start([*PYTHON, *args.split()], tmp_path, stdout=write)
    os.close(write)
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


@pytest.mark.parametrize("args", ["infp", "info nothere.ecdc", "info"])
def test_errors_that_nobody_reads(tmp_path, args):
    read, write = os.pipe()
    os.close(read)
    process = start([*PYTHON, *args.split()], tmp_path, stderr=write)
    os.close(write)
    assert process.stdout.read() == b""
    assert process.wait(60) == 141


def test_json_into_a_reader_that_goes_away(tmp_path, coded):
    (tmp_path / "a.ecdc").write_bytes(coded)
    process = start([*PYTHON, "info", "--json", *["a.ecdc"] * 500], tmp_path)
    process.stdout.read(4)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


def test_standard_output_that_is_full(tmp_path, coded):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    (tmp_path / "a.ecdc").write_bytes(coded)
    with open("/dev/full", "wb") as full:
        process = start([*PYTHON, "info", "a.ecdc"], tmp_path, stdout=full)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (1, b"ncodec: error: No space left on device\n")


@pytest.mark.parametrize("args", ["peel - b.ecdc --bw 2", "tag - --clear"])
def test_ctrl_c_while_a_pipe_is_read(tmp_path, coded, args):
    process = start([*PYTHON, *args.split()], tmp_path)
    process.stdin.write(coded[:500])
    process.stdin.flush()
    if "tag" not in args:
        wait_for(lambda: os.listdir(tmp_path), process)
    else:
        process.stdout.read(9)
    time.sleep(0.5)  # past its imports, where Python may lose an interrupt, and reading
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"ncodec: interrupted\n")
    assert os.listdir(tmp_path) == []


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.stderr.read()


def complete(words, folder):
    """Return what bash would be offered after `words`."""
    shell = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    os_environ = {**os.environ, **shell, "_NCODEC_COMPLETE": "bash_complete"}
    path = os.pathsep.join([str(ROOT), str(ROOT / "formats")])
    done = subprocess.run(
        PYTHON,
        cwd=folder,
        env={**os_environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_completion(tmp_path):
    assert complete(["ncodec", "com"], tmp_path) == [
        "plain,compress",
        "plain,completion",
    ]
    assert "plain,--codebooks" in complete(["ncodec", "peel", "--co"], tmp_path)
    assert "plain,mps" in complete(["ncodec", "compress", "--device", "m"], tmp_path)
    assert complete(["ncodec", "verify", "a"], tmp_path) == ["file,a"]
    assert complete(["ncodec", "compress", "a"], tmp_path) == ["file,a"]
    (tmp_path / "a.txt").touch()
    assert complete(["ncodec", "compress", "a"], tmp_path) == ["dir,a"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_code_is_taken_by_its_shell(ncodec, shell):
    said = ncodec("completion", shell)
    assert said.status == 0
    assert "_NCODEC_COMPLETE" in said.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=said.out, text=True, check=True)

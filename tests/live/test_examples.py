"""The example programs run as they stand."""

import subprocess
import sys

import pytest
import soundfile

from tests.live.virtual_card import ENVIRONMENT, ROOT


def run(name, *args):
    command = [sys.executable, f"examples/{name}.py", *map(str, args)]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_stream(tmp_path):
    out = tmp_path / "out.wav"
    assert "5.99 kbps" in run("stream", "tests/data/speech.flac", out)
    assert soundfile.info(out).frames == soundfile.info(ROOT / "tests/data/speech.flac").frames


@pytest.mark.slow
def test_async_stream():
    frames = soundfile.info(ROOT / "tests/data/speech.flac").frames
    assert run("async_stream") == f"sent {frames} samples, heard {frames}\n"


@pytest.mark.slow
def test_many_streams():
    assert run("many_streams", 3, 4).startswith("3 streams, 30 bytes a packet: ")

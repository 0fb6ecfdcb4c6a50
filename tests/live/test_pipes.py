"""Sound through pipes: the first output leaves before the input has ended, and ends are clean."""

import io
import os
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ncodec_formats import EcdcReader, Packet
from tests.live.virtual_card import ENVIRONMENT, ROOT

pytestmark = pytest.mark.slow

RAW = ["--raw", "s16", "--rate", "48000", "--channels", "1"]
SOXR_MS = 40
PACKET = 48000 * 2 * 80 // 1000


def ncodec(*args, stdin):
    command = [sys.executable, "-m", "ncodec_cli", *args]
    return subprocess.Popen(
        command,
        env=ENVIRONMENT,
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def chain():
    first = ncodec("compress", *RAW, "--packet-ms", "80", "-", "-", stdin=subprocess.PIPE)
    second = ncodec("decompress", "--raw", "s16", "-", "-", stdin=first.stdout)
    first.stdout.close()
    yield first, second
    for process in (first, second):
        process.kill()
        process.wait()


def feed(process, data):
    process.stdin.write(data)
    process.stdin.flush()


def broken(process, patience):
    stop = time.monotonic() + patience
    try:
        while time.monotonic() < stop:
            feed(process, bytes(PACKET))
            time.sleep(0.02)
    except BrokenPipeError:
        return True
    return False


def packets(data):
    """Return the frames of each packet that is whole in the beginning of a stream."""
    reader = EcdcReader(io.BytesIO(data), keep_going=True)
    return [item.codes.shape[2] for item in reader if isinstance(item, Packet)]


def some(process, patience=60):
    assert select.select([process.stdout], [], [], patience)[0], "nothing came out"
    return os.read(process.stdout.fileno(), 1 << 16)


@pytest.mark.slow
@pytest.mark.parametrize("packet_ms", [40, 80])
def test_each_packet_leaves_as_soon_as_its_sound_is_in(packet_ms):
    """Each output comes without more input than it needs: soxr works in blocks of 34 ms."""
    compress = ncodec(
        "compress", *RAW, "--packet-ms", str(packet_ms), "-", "-", stdin=subprocess.PIPE
    )
    decompress = ncodec("decompress", "--raw", "s16", "-", "-", stdin=subprocess.PIPE)
    rng = np.random.default_rng(0)

    def sound(ms):
        return rng.integers(-9000, 9000, 48 * ms).astype("<i2").tobytes()

    data, told, heard = some(compress), 0, 0
    feed(compress, sound(SOXR_MS))
    for number in range(1, 5):
        feed(compress, sound(packet_ms))
        while len(packets(data)) < number:
            data += some(compress)
        feed(decompress, data[told:])
        told = len(data)
        # The look-ahead of 40 ms, a frame that may be the last, and the resampler stay inside.
        while heard < (number * packet_ms - 40 - 14 - SOXR_MS) * 48 * 2:
            heard += len(some(decompress))
    assert packets(data) == [packet_ms * 75 // 1000] * 4
    for process in (compress, decompress):
        process.kill()
        process.wait()


@pytest.mark.slow
def test_sound_flows_packet_by_packet_and_comes_back_whole(chain):
    first, second = chain
    samples = (8000 * np.sin(np.arange(48000) * 0.05)).astype("<i2").tobytes()
    # What the model and the resamplers hold back is less than two packets here.
    feed(first, samples[: 3 * PACKET])
    out = some(second)
    assert 0 < len(out) <= 3 * PACKET
    feed(first, samples[3 * PACKET : 6 * PACKET])
    out += some(second)
    feed(first, samples[6 * PACKET :])
    first.stdin.close()
    out += second.stdout.read()
    assert len(out) == len(samples)
    assert (first.wait(90), second.wait(90)) == (0, 0)


@pytest.mark.slow
def test_a_listener_that_leaves_ends_the_speaker_quietly(chain):
    first, second = chain
    feed(first, bytes(3 * PACKET))
    some(second)
    second.stdout.close()
    assert broken(first, patience=60)
    for process in (first, second):
        assert process.wait(90) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""

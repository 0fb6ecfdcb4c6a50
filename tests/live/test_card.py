"""The commands on a virtual sound card, in real time."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ncodec import load_model
from ncodec.codec import FileDecoder, StreamDecoder, StreamEncoder, compress
from ncodec_formats import EcdcReader
from tests.live.virtual_card import RATE, ROOT, Ear

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def speech():
    parts = [soundfile.read(ROOT / f"tests/data/{n}.flac")[0] for n in ("speech", "music")]
    return np.concatenate([part[: 3 * RATE] for part in parts]).astype(np.float32)


def until(process, text, stream="stderr"):
    """Read lines until one has `text`; return all that was read."""
    seen = b""
    for line in getattr(process, stream):
        seen += line
        if text in line.decode():
            return seen.decode()
    raise AssertionError(f"it ended ({process.wait()}) without {text!r}: {seen.decode()}")


def end(process, patience=90):
    """Wait for the end; return status and what was still to read on standard error."""
    try:
        out, err = process.communicate(timeout=patience)
    finally:
        process.kill()
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def lag(late, early):
    """Return by how many samples `late` is behind `early`, by correlation."""
    size = 1 << (len(late) + len(early)).bit_length()
    spectrum = np.fft.rfft(late, size) * np.conj(np.fft.rfft(early, size))
    return int(np.argmax(np.fft.irfft(spectrum, size)[: len(late)]))


def spoken(ear):
    """Return where sound begins and ends in what the microphone heard."""
    heard = np.flatnonzero(ear.mic)
    return int(heard[0]), int(heard[-1]) + 1


def decoded(path):
    with Path(path).open("rb") as file:
        return np.concatenate(list(FileDecoder(file, keep_going=True)), axis=1)[0]


def coded_live(x):
    """Return what `ncodec live` must give for microphone samples `[T]` at its default bitrate."""
    model = load_model()
    encoder = StreamEncoder(model, sample_rate=RATE, channels=1, packet_frames=1)
    decoder = StreamDecoder(model, encoder.header)
    parts = [decoder.push(p) for p in [*encoder.push(x[None]), *encoder.finish()]]
    return np.concatenate([*parts, decoder.finish(len(x))], axis=1)[0]


def talk_live(card, speech, out, *options):
    """Run `ncodec live` while somebody speaks; return its statistics, the ear, the card's block."""
    with Ear(card) as ear:
        live = card.ncodec("live", "--json", "--force", "--record", out, *options)
        until(live, "headphones")
        time.sleep(2)
        assert card.speak(speech).wait(60) == 0
        time.sleep(0.5)
        block = card.block()
        live.send_signal(signal.SIGINT)
        status, summary, said = end(live)
    assert (status, said) == (0, "")
    return json.loads(summary), ear, block


@pytest.mark.parametrize("bypass", [False, True])
def test_live_is_sample_exact_and_as_late_as_it_says(card, speech, tmp_path, bypass):
    out = tmp_path / "talk.ecdc"
    for _ in range(
        3
    ):  # a machine that stops for others may be late once: it says so, or is told so
        stats, ear, block = talk_live(card, speech, out, *(["--bypass"] if bypass else []))
        delay = lag(ear.speaker, ear.mic)
        told = stats["latency"] - block == pytest.approx(delay / RATE, abs=0.02)
        if told and not stats["underruns"] + stats["overruns"]:
            break
    begin, stop = spoken(ear)
    heard = ear.speaker[begin + delay : stop + delay]
    assert stop - begin > len(speech) - RATE // 10
    recorded = decoded(out)
    at = lag(recorded, ear.mic[begin:stop])
    if bypass:
        assert np.array_equal(heard, ear.mic[begin:stop])
    else:
        assert np.array_equal(heard, recorded[at : at + len(heard)])
    # The microphone's own samples, coded again from where the recording began, give the recording.
    source = ear.mic[begin - at : begin - at + len(recorded)]
    assert np.array_equal(coded_live(source), recorded)
    assert (stats["underruns"], stats["overruns"], stats["drift_ppm"]) == (0, 0, 0)
    assert delay / RATE < 0.25
    assert told, (stats["latency"] - block, delay / RATE)
    assert stats["algorithmic_latency"] < stats["latency"]


def test_keys_change_the_codec_while_it_runs(card, speech, tmp_path):
    out = tmp_path / "keys.ecdc"
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 25, 80, 0, 0))
    live = card.ncodec("live", "--record", out, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""

    def show_until(pattern):
        nonlocal shown
        shown, stop = b"", time.monotonic() + 90
        while not re.search(pattern, shown.decode(errors="replace")):
            assert time.monotonic() < stop, shown
            shown += os.read(ours, 1000)

    show_until(r"6 kbps \(8\).*late \d+ ms")
    for key, pattern in (
        ("2", r"1\.5 kbps \(2\)"),
        ("m", "MUTED"),
        ("m", r"in [#-]{6} "),
        ("b", "BYPASS"),
        ("8", r"BYPASS \(8\)"),
    ):
        os.write(ours, key.encode())
        show_until(pattern)
    os.write(ours, b"q")
    show_until("end to end, .* ms of it algorithmic")
    assert live.wait(20) == 0
    os.close(ours)
    with out.open("rb") as file:
        layers = {packet.codes.shape[0] for packet in EcdcReader(file)}
    assert layers == {2, 8}


def test_unplugged_in_the_middle(card, tmp_path):
    out = tmp_path / "whole.ecdc"
    live = card.ncodec("live", "--record", out)
    until(live, "headphones")
    time.sleep(1.5)
    card.unplug()
    status, _, said = end(live)
    assert status == 1
    lines = said.strip().splitlines()
    assert len(lines) == 2, said
    assert re.match(r"ncodec: error: (in|out)put device 'default' has stopped: unplugged", lines[1])
    with out.open("rb") as file:
        reader = EcdcReader(file)
        frames = sum(packet.codes.shape[2] for packet in reader)
        assert reader.end is not None
    assert frames * 320 / RATE > 1.0


def test_a_recording_survives_kill_9(card, speech, tmp_path):
    out = tmp_path / "killed.ecdc"
    record = card.ncodec("record", "--packet-ms", 200, out)
    until(record, "recording")
    card.speak(speech[: 2 * RATE]).wait(30)
    record.kill()
    record.wait()
    sound = decoded(out)
    assert len(sound) > 1.5 * RATE
    assert np.abs(sound).max() > 0.05


def test_play_is_gapless_and_starts_where_it_is_told(card, speech, tmp_path):
    model, paths, want = load_model(), [], []
    for i, part in enumerate(np.split(speech[: 4 * RATE], [RATE + 77])):
        paths.append(tmp_path / f"{i}.ecdc")
        soundfile.write(tmp_path / "part.wav", part, RATE, subtype="FLOAT")
        compress(tmp_path / "part.wav", paths[-1], model=model)
        want.append(decoded(paths[-1]))
    with Ear(card) as ear:
        play = card.ncodec("play", "--start", "0.5", *paths)
        until(play, "playing on")
        status, _, said = end(play)
    assert (status, said) == (0, "")
    expected = np.concatenate([want[0][RATE // 2 :], want[1]])
    at = lag(ear.speaker, expected)
    fade = RATE // 20
    heard = ear.speaker[at : at + len(expected)]
    assert np.array_equal(heard[fade:], expected[fade:])


@pytest.mark.parametrize("closed", ["record", "play"])
def test_a_pipe_from_record_to_play_ends_cleanly_from_either_end(card, closed):
    record = card.ncodec("record", "-")
    play = card.ncodec("play", "-", stdin=record.stdout)
    record.stdout.close()
    until(record, "recording")
    until(play, "playing on")
    time.sleep(0.5)
    {"record": record, "play": play}[closed].send_signal(signal.SIGINT)
    for process in (play, record):
        process.wait(90)
        said = process.stderr.read().decode()
        assert "error" not in said
    # Whose reader has gone ends as SIGPIPE would have it; Ctrl-C is a way to quit.
    gone = {"record": 0, "play": 128 + signal.SIGPIPE}[closed]
    assert (play.returncode, record.returncode) == (0, gone)


def test_a_late_listener_hears_what_is_said_now(card, speech):
    """What a pipe holds when play begins is skipped, so that the delay is not for ever."""
    with Ear(card) as ear:
        record = card.ncodec("record", "-")
        until(record, "recording")
        time.sleep(3)
        play = card.ncodec("play", "-", stdin=record.stdout)
        record.stdout.close()
        until(play, "playing on")
        time.sleep(4)
        assert card.speak(speech[:RATE]).wait(60) == 0
        time.sleep(1.5)
        record.send_signal(signal.SIGINT)
        end(record)
        status, _, said = end(play)
    assert status == 0
    assert float(re.search(r"([\d.]+) s skipped", said).group(1)) > 2
    begin, _ = spoken(ear)
    heard = int(np.flatnonzero(np.abs(ear.speaker[begin:]) > 0.02)[0])
    assert heard / RATE < 1.5


def test_devices_are_listed(card):
    status, out, _ = end(card.ncodec("devices"))
    assert status == 0
    assert re.search(r"\d+\s+default\s+\d+\*\s+\d+\*\s+\d+\s+ALSA", out)
    status, out, _ = end(card.ncodec("devices", "--json"))
    assert json.loads(out)[0]["default_input"]


def test_a_wrong_name_and_no_server_are_one_clear_line(card):
    status, _, said = end(card.ncodec("record", "--input", "banjo", "x.ecdc"))
    assert (status, said.count("\n")) == (1, 1)
    assert "no input device 'banjo': choose one of" in said
    assert not (ROOT / "x.ecdc").exists()
    env, card.env = card.env, {**card.env, "PULSE_SERVER": "unix:/nonexistent"}
    try:
        status, _, said = end(card.ncodec("live"))
    finally:
        card.env = env
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith("ncodec: error: ")
    assert "internal" not in said

"""The player on a device whose clock is the test; keys as a terminal sends them."""

import os
import pty
import time
import tty
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ncodec.checkpoints.model_file import save
from ncodec.codec import FileDecoder, compress, compress_as
from ncodec.config import DacConfig, EncodecConfig
from ncodec.errors import BadFileError
from ncodec.live.devices import find_device
from ncodec.live.player import FADE_SECONDS, Player
from ncodec.models.dac import DacModel
from ncodec.models.encodec import EncodecModel
from ncodec_cli.keys import TerminalKeys
from ncodec_cli.play import _react

RATE = 24000
FADE = round(FADE_SECONDS * RATE)


def until(condition):
    stop = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < stop, "nothing happened"
        time.sleep(0.001)


def noise(seconds, seed):
    return (np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))).astype("f4")


@pytest.fixture
def album(model, tmp_path):
    """Three files of 12 s, 1.23 s and 8 s; their paths, and what each decodes to."""
    paths, sounds = [], []
    for i, seconds in enumerate((12, 1.23, 8)):
        soundfile.write(tmp_path / "x.wav", noise(seconds, i), RATE, subtype="FLOAT")
        paths.append(str(tmp_path / f"{i}.ecdc"))
        compress(tmp_path / "x.wav", paths[-1], model=model)
        with open(paths[-1], "rb") as file:
            sounds.append(np.concatenate(list(FileDecoder(file, model=model)), axis=1)[0])
    return paths, sounds


class Listener:
    """A running player, its speaker in the test's hands, its keys on a terminal."""

    def __init__(self, fake, paths, model, **options):
        self.fake = fake
        opener = partial(FileDecoder, model=model)
        self.player = Player(
            paths, lambda file, start: opener(file, start=start), find_device("1", "output"),
            **options,
        )  # fmt: skip
        self.count = len(paths)
        self.ours, theirs = pty.openpty()
        tty.setcbreak(theirs)
        self.keys = TerminalKeys(theirs)

    def __enter__(self):
        self.player.__enter__()
        self.stream = self.fake.opened[-1]
        return self

    def __exit__(self, *_):
        self.player.__exit__(None, None, None)

    def settled(self):
        """Wait for the worker to have done what it can."""
        player = self.player
        until(lambda: player._request is None)
        until(lambda: player._ended or (player._fifo.room == 0 and len(player._pending)))
        player.check()

    def hear(self, seconds, block=480):
        """Return what the speaker plays in the next seconds."""
        parts = []
        for _ in range(round(seconds * RATE / block)):
            self.settled()
            parts.append(self.stream.pull(block))
        return np.concatenate(parts)[:, 0]

    def press(self, text):
        os.write(self.ours, text.encode())
        time.sleep(0.02)
        going_on = _react(self.player, self.keys, self.count)
        until(lambda: self.player._request is None)
        if self.player._flush_to > self.player._fifo.taken:
            self.stream.pull(1)  # what was decoded before is forgotten in the device's thread
        return going_on


def equal(heard, expected, at, skip=FADE):
    """Whether `heard` is what begins at a sample, but for the fade at its beginning."""
    heard = heard[skip:]
    return np.array_equal(heard, expected[at + skip : at + skip + len(heard)])


def test_files_follow_without_a_gap(sound, model, album):
    paths, sounds = album
    with Listener(sound, paths[1:], model, start=0.5) as listener:
        heard = listener.hear(8.73, block=240)
        assert equal(heard, np.concatenate(sounds[1:]), RATE // 2)
        assert listener.player.position().track == 1
        listener.stream.pull(480)
        assert listener.player.done
        assert listener.player.position().underruns == 0


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [
        ("\x1b[C", 6), ("\x1b[C\x1b[C", 11), ("\x1b[D", 0), ("\x1b[C\x1b[D", 1),
        (",", 0), ("\x1b[C\x1b[C\x1b[D\x1b[D", 1),
    ],
)  # fmt: skip
def test_seek_keys(sound, model, album, keys, seconds):
    paths, sounds = album
    with Listener(sound, paths, model) as listener:
        assert equal(listener.hear(1), sounds[0], 0)
        assert listener.press(keys)
        assert equal(listener.hear(0.5), sounds[0], seconds * RATE)
        here = listener.player.position()
        assert (here.track, here.length, here.underruns) == (0, 12, 0)
        assert here.seconds == pytest.approx(seconds + 0.5, abs=1e-6)


def test_seeking_beyond_the_end_goes_to_the_next_file(sound, model, album):
    with Listener(sound, album[0], model) as listener:
        listener.hear(1)
        listener.press(".")
        assert listener.hear(1).any()
        assert listener.player.position().track == 1
        assert listener.player.failures == []


def test_next_and_previous(sound, model, album):
    paths, sounds = album
    with Listener(sound, paths, model) as listener:
        listener.hear(0.5)
        listener.press("n")
        assert equal(listener.hear(0.5), sounds[1], 0)
        listener.press("n")
        assert equal(listener.hear(3), sounds[2], 0)
        listener.press("n")  # there is none: nothing happens
        assert equal(listener.hear(1), sounds[2], 3 * RATE, skip=0)
        listener.press("p")  # 4 s into it: its own beginning
        assert equal(listener.hear(1), sounds[2], 0)
        listener.press("p")
        assert equal(listener.hear(0.5), sounds[1], 0)
        assert listener.player.position().track == 1


def test_volume(sound, model, album):
    paths, sounds = album
    with Listener(sound, paths, model) as listener:
        listener.hear(0.5)
        listener.press("\x1b[B" * 3)
        heard = listener.hear(0.5)[FADE:]
        expected = 10 ** (-6 / 20) * sounds[0][RATE // 2 + FADE : RATE]
        assert np.abs(heard - expected).max() < 1e-6
        listener.press("\x1b[A" * 3)
        listener.hear(0.1)
        heard = listener.hear(0.4)
        assert np.abs(heard - sounds[0][round(1.1 * RATE) : round(1.5 * RATE)]).max() < 1e-6


def test_pause_and_quit(sound, model, album):
    paths, sounds = album
    with Listener(sound, paths, model) as listener:
        listener.hear(0.5)
        assert listener.press(" ")
        faded = listener.hear(0.1)
        assert not faded[FADE:].any()
        assert not listener.hear(1).any()
        at = round(listener.player.position().seconds * RATE)
        assert RATE // 2 < at <= RATE // 2 + 2 * FADE
        listener.press(" ")
        heard = listener.hear(0.5)
        begin = int(np.flatnonzero(heard)[0])
        heard = heard[begin // 480 * 480 :]
        assert equal(heard, sounds[0], at)
        assert listener.player.position().underruns == 0
        assert not listener.press("q")


def test_a_damaged_file_is_played_to_its_damage_and_the_next_follows(sound, model, album):
    paths, sounds = album
    data = Path(paths[0]).read_bytes()
    Path(paths[0]).write_bytes(data[: len(data) // 2])
    with Listener(sound, paths, model) as listener:
        heard = listener.hear(8)
        follows = next(
            at
            for at in range(4 * RATE, 8 * RATE)
            if np.array_equal(heard[at : at + 50], sounds[1][:50])
        )
        assert equal(heard[:follows], sounds[0], 0)
        assert equal(heard[follows : follows + RATE], sounds[1], 0, skip=0)
        ((path, error),) = listener.player.failures
        assert path == paths[0]
        assert isinstance(error, BadFileError)


def test_a_pipe_at_a_rate_that_the_device_refuses(sound, model, album, monkeypatch):
    paths, sounds = album
    sound.rates = {48000}
    # A file serves as standard input too.
    with Path(paths[2]).open("rb") as stdin, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", stdin)
        listener = Listener(sound, ["-"], model)
        with listener:
            heard = np.concatenate([listener.hear(1) for _ in range(3)])
        assert listener.stream.rate == 48000
        at = np.arange(2 * FADE, len(heard), 2)
        # Noise up to 12 kHz does not come through the resampler as it was; slow parts do.
        slow = np.convolve(heard, np.ones(64) / 64, "same")[at[100:-100]]
        want = np.convolve(sounds[2], np.ones(32) / 32, "same")[at[100:-100] // 2]
        assert np.corrcoef(slow, want)[0, 1] > 0.95


@pytest.mark.parametrize("kind", ["encodec", "dac"])
def test_what_other_tools_write_is_played_and_sought_in(sound, tmp_path, kind):
    torch.manual_seed(0)
    other = EncodecModel(EncodecConfig(filters=2), "encodec_24khz").eval()
    if kind == "dac":
        other = DacModel(DacConfig(24000, 4, (2, 4), 16, 16, 2, 16, 4), "tinydac").eval()
    soundfile.write(tmp_path / "x.wav", noise(2, 0), RATE, subtype="FLOAT")
    path = tmp_path / f"x.{kind}"
    with path.open("wb") as file:
        compress_as(tmp_path / "x.wav", file, to=kind, model=other)
    if kind == "dac":
        save(other, tmp_path / "tinydac.safetensors")
        other = str(tmp_path / "tinydac.safetensors")
    with path.open("rb") as file:
        want = np.concatenate(list(FileDecoder(file, model=other)), axis=1)[0]
    assert len(want) == 2 * RATE
    with Listener(sound, [str(path)], other) as listener:
        assert equal(listener.hear(2), want, 0)
        assert listener.player.done
        listener.player.seek(1.0)
        heard = listener.hear(0.9)
        # A recurrent network runs in before a seek point, so that it is near and not equal.
        assert np.abs(heard[FADE:] - want[RATE + FADE : RATE + len(heard)]).max() < 1e-3

"""The commands with sound devices: what is checked first, keys, recordings that replace others."""

import json
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ncodec.codec import StreamEncoder
from ncodec.errors import ArgumentError, BadFileError, DeviceError
from ncodec.live.playlist import AudioFile
from ncodec.live.recording import PacketFile
from ncodec_cli.keys import ConsoleKeys, NoKeys, keys
from ncodec_cli.main import main
from ncodec_cli.play import _open
from ncodec_cli.sound import open_recording
from ncodec_formats import info
from tests.live import fake_sound


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run a command line where there is no PortAudio, in a folder with a few files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    soundfile.write("talk.wav", np.zeros(2400), 24000)
    Path("text.txt").write_text("Not a sound in here. " * 100)
    Path("old.ecdc").write_bytes(b"precious")
    Path("folder").mkdir()

    def call(*args):
        with pytest.raises(SystemExit) as ended:
            main(list(args))
        said = capfd.readouterr()
        return ended.value.code, said.out, said.err

    return call


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("play nothere.ecdc", "nothere.ecdc: No such file"),
        ("play folder", "folder: Is a directory"),
        ("play text.txt", "text.txt: "),
        ("play old.ecdc", "old.ecdc: "),
        ("play talk.wav", "PortAudio is missing"),
        ("record old.ecdc", "old.ecdc: exists already (--force overwrites)"),
        ("record folder", "folder: is a folder"),
        ("record nowhere/a.ecdc", " nowhere: No such file"),
        ("record a.ecdc --model ncodec_24hz", "did you mean 'ncodec_24khz'?"),
        ("record a.ecdc --input 1", "PortAudio is missing"),
        ("live --record old.ecdc", "old.ecdc: exists already"),
        ("live --latency never", "latency 'never': must be low, medium, high"),
        ("live --model encodec_24khz", "`ncodec models pull encodec_24khz` gets it"),
        ("live", "PortAudio is missing"),
    ],
)
def test_what_is_wrong_is_said_before_devices_are_asked(run, args, said):
    status, out, err = run(*args.split())
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert said in err
    assert Path("old.ecdc").read_bytes() == b"precious"
    assert not Path("a.ecdc").exists()


@pytest.mark.parametrize("args", ["record a.wav", "live --record a.flac"])
def test_packets_are_not_recorded_under_the_name_of_sound(run, args):
    status, _, err = run(*args.split())
    assert (status, err.count("\n")) == (2, 1)
    assert "an .ecdc file is written, which decompress makes sound of" in err


def test_of_several_files_the_bad_ones_are_told(run):
    status, _, err = run("play", "nothere.ecdc", "text.txt")
    assert (status, err.count("\n")) == (1, 3)
    assert err.endswith("2 of 2 files failed\n")
    status, _, err = run("play", "nothere.ecdc", "talk.wav")
    assert "nothere.ecdc: No such file" in err
    assert "PortAudio is missing" in err


def test_devices_as_json_without_portaudio(run):
    status, out, err = run("devices", "--json")
    assert (status, err.count("\n")) == (1, 1)
    assert "PortAudio is missing" in json.loads(out)["error"]


def test_audio_is_a_sound_to_play(tmp_path):
    x = np.random.default_rng(0).normal(0, 0.1, (5000, 2)).astype("f4")
    soundfile.write(tmp_path / "a.wav", x, 8000, subtype="FLOAT")
    with (tmp_path / "a.wav").open("rb") as file:
        sound = AudioFile(file, 0.25)
        assert (sound.sample_rate, sound.channels, sound.seconds) == (8000, 2, 0.375)
        assert np.array_equal(np.concatenate(list(sound), axis=1).T, x[2000:])
    with (tmp_path / "a.wav").open("rb") as file:
        assert isinstance(_open(file, 0.0, options={"keep_going": False}), AudioFile)
    beyond = pytest.raises(ArgumentError, match=r"start 1 s lies beyond the end, at 0\.625 s")
    with (tmp_path / "a.wav").open("rb") as file, beyond:
        AudioFile(file, 1.0)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    with (tmp_path / "b.wav").open("rb") as file, pytest.raises(BadFileError):
        AudioFile(file)


def record(model, file, seconds):
    encoder = StreamEncoder(model, sample_rate=24000, channels=1)
    recording = PacketFile(file, encoder.header)
    rest = encoder.push(np.zeros((1, round(seconds * 24000)), np.float32))
    recording.finish([*rest, *encoder.finish()], encoder.samples)


def seconds(path):
    with Path(path).open("rb") as file:
        return info(file)["seconds"]


@pytest.mark.parametrize("old", [False, True])
def test_a_recording_takes_the_place_of_an_old_one_when_it_is_whole(model, tmp_path, old):
    path = tmp_path / "a.ecdc"
    if old:
        path.write_bytes(b"precious")
    with open_recording(str(path), force=True) as file:
        record(model, file, 0.5)
        if old:
            assert path.read_bytes() == b"precious"
            assert (tmp_path / "a.ecdc.part").exists()
    assert seconds(path) == 0.5
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("old", "length"), [(True, 0.5), (True, 0.0), (False, 0.5), (False, 0.0)])
def test_an_error_ends_a_recording(model, tmp_path, capfd, old, length):
    """What was recorded stays; of nothing, nothing stays; the old one is as it was."""
    path, part = tmp_path / "a.ecdc", tmp_path / "a.ecdc.part"
    if old:
        path.write_bytes(b"precious")
    with pytest.raises(DeviceError), open_recording(str(path), force=old) as file:  # noqa: PT012
        record(model, file, length)
        raise DeviceError("unplugged")
    if old:
        assert path.read_bytes() == b"precious"
    kept = part if old else path
    assert kept.exists() == (length > 0)
    if length:
        assert seconds(kept) == length
        assert ("what was recorded before the error is in" in capfd.readouterr().err) == old


def test_what_a_crash_left_is_not_overwritten(tmp_path):
    (tmp_path / "a.ecdc").write_bytes(b"old")
    (tmp_path / "a.ecdc.part").write_bytes(b"precious")
    with (
        pytest.raises(ArgumentError, match="a recording that was cut off: move it away"),
        open_recording(str(tmp_path / "a.ecdc"), force=True),
    ):
        pass
    assert (tmp_path / "a.ecdc.part").read_bytes() == b"precious"


class Msvcrt(types.ModuleType):
    """A Windows console on which these keys were pressed."""

    def __init__(self, pressed):
        super().__init__("msvcrt")
        self.pressed = list(pressed)

    def kbhit(self):
        return bool(self.pressed)

    def getwch(self):
        return self.pressed.pop(0)


def test_keys_of_a_windows_console(monkeypatch):
    console = Msvcrt("q\xe0H\x00P\xe0K\xe0M\xe0!3\x03")
    monkeypatch.setitem(sys.modules, "termios", None)
    monkeypatch.setitem(sys.modules, "msvcrt", console)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(isatty=lambda: True))
    with keys() as pressed:
        assert isinstance(pressed, ConsoleKeys)
        found = [pressed.read() for _ in range(7)]
        assert found == ["q", "up", "down", "left", "right", None, "3"]
        with pytest.raises(KeyboardInterrupt):
            pressed.read()
        assert pressed.read() is None


@pytest.mark.parametrize("stdin", [None, types.SimpleNamespace(isatty=lambda: False)])
def test_no_keys_without_a_terminal(monkeypatch, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    with keys() as pressed:
        assert isinstance(pressed, NoKeys)
        assert pressed.read() is None


@pytest.mark.parametrize("name", ["play", "live", "record"])
def test_the_older_names_of_devices_are_not_shown(run, name):
    status, out, _ = run(name, "--help")
    assert status == 0
    assert "--output" not in out
    assert "--input" not in out
    assert ("--speaker" if name == "play" else "--microphone") in out


class Turning(fake_sound.Stream):
    """A stream that runs by itself, faster than the clock."""

    def __init__(self, **options):
        super().__init__(**options)
        self.heard, self.ended = [], threading.Event()

    def start(self):
        super().start()
        self.thread = threading.Thread(target=self.turn)
        self.thread.start()

    def abort(self, **_):
        self.ended.set()
        self.thread.join()


class Speaker(Turning):
    def turn(self):
        while not self.ended.wait(0.002):
            self.heard.append(self.pull(2400))


class Microphone(Turning):
    def turn(self):
        for i in range(10**6):
            if self.ended.wait(0.002):
                return
            self.give(1200, now=0.05 * i, claimed=0.05)


@pytest.fixture
def devices(run, monkeypatch, sound, model):
    """As `run`, with devices that run by themselves and a light model."""

    def opener(kind):
        def open_stream(**options):
            sound.opened.append(kind(**options))
            return sound.opened[-1]

        return open_stream

    sound.OutputStream, sound.InputStream = opener(Speaker), opener(Microphone)
    monkeypatch.setattr("ncodec.checkpoints.loading.load", lambda *_: model)
    monkeypatch.setattr("ncodec.live.player.Player.drain", lambda _: None)
    return run


def test_play_to_the_end(devices, sound, model):
    from ncodec.codec import compress

    x = np.random.default_rng(0).normal(0, 0.1, 12000).astype("f4")
    soundfile.write("talk.wav", x, 24000, subtype="FLOAT")
    compress("talk.wav", "talk.ecdc", model=model)
    status, out, err = devices("play", "talk.wav", "talk.ecdc")
    assert (status, out) == (0, ""), err
    assert err == "playing on Speakers\n"
    heard = np.concatenate(sound.opened[-1].heard)[:, 0]
    begin = int(np.flatnonzero(heard)[0]) - 1  # the way in begins with silence
    # After the way in, the first file is heard as it is, and the second follows at once.
    assert np.array_equal(heard[begin:][2400:12000], x[2400:12000])
    assert np.abs(heard[begin + 12000 :][:12000]).max() > 0
    assert np.abs(heard[begin + 24000 :]).max(initial=0) < 1e-6


def test_record_and_its_summary(devices):
    status, out, err = devices("record", "a.ecdc", "--duration", "0.5", "--force", "--json")
    assert status == 0, err
    assert json.loads(out)["seconds"] >= 0.5
    assert seconds("a.ecdc") >= 0.5
    status, out, err = devices("record", "a.ecdc", "--duration", "0.2", "--force")
    assert (status, out) == (0, "")
    assert err.endswith(" overruns\n")


def test_live_and_its_summary(devices):
    status, out, err = devices("live", "--duration", "0.5", "--record", "b.ecdc", "--json")
    assert status == 0, err
    assert json.loads(out)["codebooks"] >= 1
    assert seconds("b.ecdc") > 0
    assert "keys:" not in err

"""`ncodec generate`: files of sound and of codes, pipes, prompts, and what is refused."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ncodec import checkpoints
from ncodec.latents import Endless
from ncodec_cli import generate as command
from ncodec_formats import EcdcReader
from tests.latents.official import tiny
from tests.lm.small import TAGS, TEXT, codec, generator, kept


@pytest.fixture
def run(ncodec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The command with a small model of tags; the codec is the real one, from the cache."""
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    place = kept(tmp_path, TAGS)
    checkpoints.import_model(tmp_path / "small-codec.safetensors", "small-codec")
    checkpoints.import_model(place)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))

    def call(*args: object, model: str = "small", **more):
        return ncodec("generate", *args, "--model", model, **more)

    return call


def whole(text: str | None, seed: int, seconds: float) -> tuple[np.ndarray, torch.Tensor]:
    made = generator(TAGS)
    made.set_generation_params(duration=seconds, seed=seed)
    audio, codes = made.generate([text], return_tokens=True)
    return audio[0].numpy(), codes[0]


def test_sound_codes_and_pipes(run, ncodec, tmp_path: Path) -> None:
    audio, codes = whole("rain", 7, 2.5)
    for name in ("rain.wav", "rain.flac"):
        done = run("rain", "-o", name, "--duration", "2.5", "--seed", 7)
        assert done.status == 0, done.err
        assert f"{name}: 0:02.500, seed 7, " in done.err
        sound, rate = soundfile.read(tmp_path / name, dtype="float32")
        assert rate == 16000
        assert np.abs(sound - audio[0]).max() < 1e-4
    piped = run("rain", "-o", "-", "--duration", "2.5", "--seed", 7)
    assert piped.data[:4] == b"RIFF"
    assert len(piped.data) == (tmp_path / "rain.wav").stat().st_size
    assert run("rain", "-o", "rain.ecdc", "--duration", "2.5", "--seed", 7).status == 0
    with (tmp_path / "rain.ecdc").open("rb") as file:
        reader = EcdcReader(file)
        packets = list(reader)
    held = np.concatenate([packet.codes for packet in packets], axis=2)[:, 0]
    assert np.array_equal(held, codes.numpy())
    assert [packet.frames for packet in packets] == [50, 50, 25]
    tags = dict(reader.header.tags)
    assert tags == {"prompt": "rain", "model": "small", "seed": "7", "licence": "MIT"}


def test_an_ecdc_file_decodes_to_the_same_sound(run, tmp_path: Path) -> None:
    from ncodec.codec import FileDecoder

    run("rain", "-o", "rain.ecdc", "--duration", "1.5", "--seed", 7)
    with (tmp_path / "rain.ecdc").open("rb") as file:
        sound = np.concatenate(list(FileDecoder(file, model=codec())), axis=1)
    assert sound.shape == (1, 24000)
    assert np.abs(sound - whole("rain", 7, 1.5)[0]).max() < 1e-5


def test_several_are_each_as_if_alone(run, tmp_path: Path) -> None:
    done = run("wind", "-o", "w.flac", "--duration", "0.5", "--seed", 3, "--number", 3, "--json")
    assert done.status == 0, done.err
    told = [json.loads(line) for line in done.out.splitlines()]
    assert [(each["output"], each["seed"]) for each in told] == [
        ("w-1.flac", 3), ("w-2.flac", 4), ("w-3.flac", 5),
    ]  # fmt: skip
    assert {"seconds", "frames", "realtime_factor", "bytes", "prompt"} <= set(told[0])
    run("wind", "-o", "alone.flac", "--duration", "0.5", "--seed", 5)
    assert (tmp_path / "w-3.flac").read_bytes()[60:] != b""
    assert np.array_equal(
        soundfile.read(tmp_path / "w-3.flac")[0], soundfile.read(tmp_path / "alone.flac")[0]
    )


def test_a_seed_that_is_told_can_be_used_again(run, tmp_path: Path) -> None:
    done = run("-o", "a.wav", "--duration", "0.5")
    seed = int(done.err.split("seed ")[1].split(",")[0])
    run("-o", "b.wav", "--duration", "0.5", "--seed", seed)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_going_on(run, tmp_path: Path) -> None:
    """From .ecdc the codes themselves; from sound, what they code to."""
    assert run("rain", "-o", "a.ecdc", "--duration", "1", "--seed", 7).status == 0
    done = run("-o", "b.ecdc", "--continue", "a.ecdc", "--duration", "0.5", "--seed", 1)
    assert done.status == 0, done.err
    codes = {}
    for name in "ab":
        with (tmp_path / f"{name}.ecdc").open("rb") as file:
            codes[name] = np.concatenate([packet.codes for packet in EcdcReader(file)], axis=2)
    assert codes["b"].shape[2] == 75
    assert np.array_equal(codes["b"][..., :50], codes["a"])
    soundfile.write(tmp_path / "in.wav", 0.1 * np.random.default_rng(0).normal(size=48000), 48000)
    done = run("-o", "c.wav", "--continue", "in.wav", "--duration", "0.5")
    assert done.status == 0, done.err
    assert soundfile.info(tmp_path / "c.wav").frames == 24000


def test_ctrl_c_ends_what_has_no_end(run, monkeypatch, tmp_path: Path) -> None:
    plain = command.until_interrupted

    def pressed(frames):
        def until(count):
            for number, frame in enumerate(frames):
                if number == count:
                    raise KeyboardInterrupt
                yield frame

        return plain(until(30))

    monkeypatch.setattr(command, "until_interrupted", pressed)
    done = run("rain", "-o", "a.ecdc", "--duration", "endless", "--seed", 7)
    assert done.status == 0, done.err
    assert "a.ecdc: 0:00.600, seed 7" in done.err
    with (tmp_path / "a.ecdc").open("rb") as file:
        reader = EcdcReader(file)
        codes = np.concatenate([packet.codes for packet in reader], axis=2)[:, 0]
        assert reader.end is not None
    assert np.array_equal(codes, whole("rain", 7, 0.6)[1].numpy())


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (("",), 1, "empty"),
        (("x" * 10000,), 1, "10000 characters"),
        (("rain snow",), 1, "tag 'snow': small knows rain, wind, dog"),
        (("rain", "--duration", "0"), 1, "at least a frame, 0.02 s"),
        (("rain", "--duration", "soon"), 2, "'soon': must be seconds"),
        (("rain", "--temperature", "hot"), 2, "'hot': must be a number"),
        (("rain", "--temperature", "1,.9"), 1, "2 temperatures"),
        (("rain", "--temperature", "-1"), 1, "must not be negative"),
        (("rain", "--top-p", "2"), 2, "from 0 to 1"),
        (("rain", "--seed", "-1"), 2, "0 or more"),
        (("rain", "--continue", "none.wav"), 1, "none.wav: No such file"),
        (("rain", "--continue", "notes.txt"), 1, "notes.txt"),
        (("rain", "--continue", "other.ecdc"), 1, "decompress it first"),
        (("rain", "--number", "2", "--duration", "endless"), 2, "files that end"),
    ],
)
def test_bad_input_is_one_line(run, coded, tmp_path: Path, args, status: int, said: str) -> None:
    (tmp_path / "notes.txt").write_text("no sound")
    (tmp_path / "other.ecdc").write_bytes(coded)
    done = run(*args, "-o", "out.wav")
    assert (done.status, said in done.err) == (status, True), done.err
    assert done.err.count("\n") <= (1 if status == 1 else 4)
    assert "Traceback" not in done.err
    assert not (tmp_path / "out.wav").exists()


def test_other_models_and_places(run, tmp_path: Path) -> None:
    for model, said in (
        ("none", "unknown model 'none'"),
        ("small-codec", "is a codec, and generates nothing"),
        ("musicgen-small", "ncodec models pull musicgen-small"),
    ):
        done = run("rain", "-o", "a.wav", model=model)
        assert (done.status, said in done.err, done.err.count("\n")) == (1, True, 1), done.err
    (tmp_path / "there.wav").write_text("")
    for output, said in (
        ("there.wav", "exists already"),
        ("no/where.wav", "No such file"),
        ("a.xyz", "must be one of"),
        (".", "is a folder"),
    ):
        done = run("rain", "-o", output, "--duration", "0.1")
        assert (done.status, said in done.err) == (1, True), done.err
    assert run("rain").status == 2


def test_a_prompt_longer_than_the_window(run, tmp_path: Path, monkeypatch) -> None:
    checkpoints.import_model(kept(tmp_path, TEXT, "windowed"))
    soundfile.write(tmp_path / "in.wav", np.full(32000, 0.1), 16000)
    done = run("-o", "a.wav", "--continue", "in.wav", model="windowed")
    assert (done.status, done.err.count("\n")) == (1, 1), done.err
    assert "in.wav: windowed hears 0.8 s, which must have room for new sound" in done.err


def test_without_the_extra(run, tmp_path: Path, monkeypatch) -> None:
    checkpoints.import_model(kept(tmp_path, TEXT, "texts"))
    monkeypatch.setattr("ncodec.lm.text.importlib.util.find_spec", lambda name: None)
    done = run("rain", "-o", "a.wav", model="texts")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "pip install transformers" in done.err


def test_an_import_shows_codec_and_licence(ncodec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    place = kept(tmp_path, TEXT)
    checkpoints.import_model(tmp_path / "small-codec.safetensors", "small-codec")
    checkpoints.export_model(place, tmp_path / "ac", "audiocraft")
    done = ncodec("models", "import", "ac", "--name", "mine", "--licence", "CC-BY-NC 4.0")
    assert done.status == 0, done.err
    first, codec_line, licence = done.err.splitlines()
    assert "AudioGen or MusicGen (AudioCraft, state_dict.bin); kept as mine in" in first
    assert codec_line == "ac: its codec; kept as mine-codec"
    assert licence == "mine: licence of the weights: CC-BY-NC 4.0"
    assert "CC-BY-NC 4.0" in ncodec("models", "list").out


class Device:
    """Takes what it is given; nothing is heard."""

    def __init__(self, paths, opener, device) -> None:
        self.sound, self.done, self.heard = opener(None, 0.0), False, []

    def __enter__(self):
        def listen() -> None:
            self.heard += list(self.sound)
            self.done = True

        self.thread = threading.Thread(target=listen)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join()

    def wait(self, each) -> None:
        while each():
            self.thread.join(0.01)

    def drain(self) -> None:
        players.append(self)


players: list[Device] = []


def test_sound_is_played_while_it_is_made(run, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ncodec.live.devices.ready_device", lambda *_: None)
    monkeypatch.setattr("ncodec.live.player.Player", Device)
    players.clear()
    done = run("rain", "--play", "--duration", "0.5", "--seed", 7)
    assert done.status == 0, done.err
    assert "speaker: 0:00.500, seed 7" in done.err
    want = whole("rain", 7, 0.5)[0]
    assert np.array_equal(np.concatenate(players[0].heard, axis=1), want)
    assert len(players[0].heard) > 10
    assert players[0].sound.sample_rate == 16000
    run("rain", "--play", "-o", "a.wav", "--duration", "0.5", "--seed", 7)
    assert np.array_equal(np.concatenate(players[1].heard, axis=1), want)
    assert soundfile.info(tmp_path / "a.wav").frames == 8000


@pytest.fixture
def endless(ncodec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The command with a small Musika of random weights, which makes sound and no codes."""
    checkpoints.save(tiny(), tmp_path / "tiny.safetensors", licence="MIT")
    monkeypatch.chdir(tmp_path)

    def call(*args: object, **more):
        return ncodec("generate", *args, "--model", "tiny.safetensors", **more)

    return call


def test_endless_sound_is_made_from_any_place(endless, tmp_path: Path) -> None:
    done = endless("-o", "a.wav", "--duration", "1", "--seed", 3)
    assert done.status == 0, done.err
    assert "a.wav: 0:01.000, seed 3, " in done.err
    whole, rate = soundfile.read(tmp_path / "a.wav")
    assert whole.shape == (44100, 2)
    assert rate == 44100
    assert endless("-o", "b.wav", "--start", "0.6", "--duration", "0.4", "--seed", 3).status == 0
    part, _ = soundfile.read(tmp_path / "b.wav")
    assert np.array_equal(part, whole[-len(part) :])
    piped = endless("-o", "-", "--duration", "1", "--seed", 3)
    assert len(piped.data) == (tmp_path / "a.wav").stat().st_size
    other = endless("-o", "-", "--duration", "1", "--seed", 3, "--style-variation", "0.5")
    assert other.status == 0
    assert other.data != piped.data


def test_endless_sound_as_a_loop_and_as_codes(endless, tmp_path: Path) -> None:
    done = endless("-o", "l.wav", "--duration", "0.5", "--loop", "--seed", 3, "--json")
    assert done.status == 0, done.err
    loop, _ = soundfile.read(tmp_path / "l.wav")
    model = tiny()
    made = Endless(model)
    directions = made.directions(3, loop=0.5)
    assert json.loads(done.out)["seconds"] == len(loop) / 44100
    assert len(loop) == directions.loop * model.block_samples
    after = next(made.samples(directions, len(loop), 1000))
    assert np.abs(after.T - loop[:1000]).max() < 1e-4
    assert endless("-o", "a.ecdc", "--duration", "0.5", "--seed", 3).status == 0
    with (tmp_path / "a.ecdc").open("rb") as file:
        reader = EcdcReader(file)
        list(reader)
    assert reader.header.streams == 2
    told = dict(reader.header.tags)
    assert told == {"model": "tiny", "licence": "MIT", "seed": "3", "variation": "2.0"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("piano",), "takes no words"),
        (("--density", 3), "density: tiny cannot be told"),
        (("--loop", "--duration", "endless"), "--loop: has a --duration that ends"),
    ],
)
def test_what_endless_models_cannot_be_told(endless, asked, said: str, tmp_path: Path) -> None:
    done = endless(*asked, "-o", "a.wav")
    assert (done.status, (tmp_path / "a.wav").exists()) == (1, False)
    assert said in done.err


def test_language_models_have_no_loops(run) -> None:
    done = run("rain", "-o", "a.wav", "--loop")
    assert done.status == 1
    assert "--loop: is for models of endless sound" in done.err

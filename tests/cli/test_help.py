"""Every command explains itself, and its examples run as they are written."""

import importlib
import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest

from ncodec_cli.commands import COMMANDS
from tests.cli.audio import wav


def commands():
    """Yield the words of every command, and the command."""
    for name, (place, _) in COMMANDS.items():
        module, attribute = place.split(":")
        yield from within([name], getattr(importlib.import_module(module), attribute))


def within(words, command):
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from within([*words, name], inner)
    else:
        yield words, command


ALL = {" ".join(words): command for words, command in commands()}


def examples(command):
    """Return the lines of the examples in a command's help, long ones joined."""
    _, _, text = (command.help or "").partition("Examples:\n")
    joined = text.split("\n\n")[0].replace("|\n", "|")
    return [line.partition(" #")[0].strip() for line in joined.splitlines() if line.strip()]


EVERY = [(name, line) for name, command in ALL.items() for line in examples(command)]
# These want a sound device, the network, another model or package, data sets, or minutes.
UNRUN = (
    *("play", "record", "live", "devices", "models", "train", "tokenize", "bench", "convert"),
    *("page", "mel", "vocode"),  # of the embedded model, of vocoders that are not in the package
    *("export", "call", "generate", "serve"),
)


INSTEAD = {"1:30": "0:01", "2:00": "0:02", "1.5": "2"}


def stages(line):
    """Split "a | b > c" into commands, each with the files that it reads and writes."""
    words = shlex.shlex(line, posix=True, punctuation_chars="|<>")
    words.whitespace_split = True
    stage, found = {"words": []}, []
    for word in words:
        if word == "|":
            found.append(stage)
            stage = {"words": []}
        elif word in "<>":
            stage[word] = next(words)
        else:
            stage["words"].append(word)
    return [*found, stage]


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_examples_and_every_option_has_help(name):
    command = ALL[name]
    assert examples(command), f"ncodec {name} --help: no examples"
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"ncodec {name} {option.opts[0]}: no help"
        else:
            for word in re.findall("[A-Z]+", option.metavar or option.name.upper()):
                assert word in command.help, f"ncodec {name}: {word} is not explained"


@pytest.mark.parametrize("name", ALL)
def test_help_fits_80_columns_and_has_no_words_of_types(name):
    context = click.Context(ALL[name], info_name=f"ncodec {name}", terminal_width=80)
    for line in ALL[name].get_help(context).splitlines():
        assert len(line) <= 80, line
        assert not re.search(r"INTEGER|FLOAT|TEXT|RANGE|\bNUMBER\b|<=", line), line


def test_the_list_of_commands_says_what_their_help_says(ncodec):
    said = ncodec("--help")
    for name, (_, text) in COMMANDS.items():
        assert any(line.split() == [name, *text.split()] for line in said.out.splitlines())


@pytest.mark.parametrize(("name", "line"), EVERY)
def test_examples_are_valid(name, line, monkeypatch, tmp_path):
    """Their options and arguments are what the command takes."""
    monkeypatch.chdir(tmp_path)
    Path("runs/mine").mkdir(parents=True)
    for file in ("encodec_24khz-d7cc33bc.th", "my-finetune", "recordings", "talk.flac"):
        Path(file).touch()
    Path("runs/mine/model.safetensors").touch()
    line = line.removeprefix('eval "$(').removesuffix(')"')
    for stage in stages(line):
        for start in (k for k, word in enumerate(stage["words"]) if word == "ncodec"):
            words = stage["words"][start + 1 :]
            words = words[: words.index("&&")] if "&&" in words else words
            depth = 2 if " ".join(words[:2]) in ALL else 1
            command = ALL[" ".join(words[:depth])]
            command.make_context(words[0], words[depth:])


@pytest.fixture
def files(coded):
    for name in (
        "talk",
        "in",
        "damaged",
        "a",
        "b",
        "chapter1",
        "chapter2",
        "head",
        "tail",
        "short",
        "other",
    ):
        Path(f"{name}.ecdc").write_bytes(coded)
    for name in ("coded", "archive", "card"):
        Path(name).mkdir()
        Path(name, "talk.ecdc").write_bytes(coded)
    wav("in.wav")
    wav("music/song.wav")


def sound(line):
    """Return what a program that is not ours would send."""
    if "ffmpeg" in line:
        return np.zeros((4800, 2), "<f4").tobytes()
    wav("arecord.wav")
    return Path("arecord.wav").read_bytes()


RUN = [(name, line) for name, line in EVERY if name.split()[0] not in UNRUN]


@pytest.mark.parametrize(("name", "line"), RUN)
def test_examples_run(name, line, ncodec, files):
    if line.startswith("eval"):
        line = "ncodec completion bash > done"
    if "completions" in line:
        line = "ncodec completion fish > ncodec.fish"
    data = b""
    for stage in stages(line):
        words = stage["words"]
        if words[0] != "ncodec":
            data = sound(line)
            continue
        words = words[: words.index("&&")] if "&&" in words else words
        if "<" in stage:
            data = Path(stage["<"]).read_bytes()
        # The examples speak of a long recording, of another model, of files that are not there yet.
        words = [INSTEAD.get(word, word) for word in words]
        if words[1] in ("compress", "decompress", "cut", "cat"):
            words.append("--force")
        ended = ncodec(*words[1:], stdin=data)
        assert ended.status == 0, ended.err
        data = ended.data
        if ">" in stage:
            Path(stage[">"]).write_bytes(data)


SAME = {
    "-f": ("--force",),
    "-o": ("--output",),
    "-q": ("--quiet",),
    "-b": ("--bw", "--bitrate"),
    "-j": ("--jobs",),
    "-v": ("--verbose",),
}
MAKERS = ("compress", "decompress", "peel", "repair", "cut", "cat", "convert")


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("bench ")])
def test_an_option_is_the_same_in_every_command(name):
    """A letter stands for one name, and a name for one thing."""
    for option in ALL[name].params:
        if isinstance(option, click.Option):
            for letter, names in SAME.items():
                if letter in option.opts:
                    assert option.opts == [letter, *names]
                else:
                    assert option.opts[0] not in names, f"ncodec {name}: no {letter}"


@pytest.mark.parametrize("name", MAKERS)
def test_commands_that_make_files_have_the_same_options(name):
    names = {option for parameter in ALL[name].params for option in parameter.opts}
    assert {"--output", "--force", "--quiet", "--json"} <= names

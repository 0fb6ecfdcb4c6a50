"""What shells are offered after Tab."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from ncodec_cli.commands import cli
from ncodec_cli.completion import PowerShell

FILES = ("talk.ecdc", "song.dac", "codes.npz", "talk.wav", "notes.txt", ".hidden.ecdc", "run.toml")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    for name in FILES:
        Path(name).touch()
    Path("coded").mkdir()
    Path("coded/deep one.ecdc").touch()


def offered(*words):
    *args, incomplete = words
    found = ShellComplete(cli, {}, "ncodec", "_").get_completions(args, incomplete)
    return [item.value for item in found if item.type == "plain"], {item.type for item in found}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("compress |", ["talk.wav"]),
        ("decompress |", ["codes.npz", "song.dac", "talk.ecdc"]),
        ("info |", ["codes.npz", "song.dac", "talk.ecdc"]),
        ("info t|", ["talk.ecdc"]),
        ("tag ./|", ["./talk.ecdc"]),
        ("verify coded/|", ["coded/deep one.ecdc"]),
        ("verify .h|", [".hidden.ecdc"]),
        ("tag ta|", ["talk.ecdc"]),
        ("play t|", ["talk.ecdc", "talk.wav"]),
        ("train r|", ["run.toml"]),
        ("train s|", ["second_level", "second_level_small", "small_seanet"]),
    ],
)
def test_files_are_offered_by_their_endings(line, names):
    found, types = offered(*line.removesuffix("|").split(" "))
    assert found == names
    assert "dir" in types


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("decompress a.ecdc --model n|", ["ncodec_24khz"]),
        ("models pull dac_4|", ["dac_44khz", "dac_44khz_16kbps"]),
        ("models rm |", []),
        ("ver|", ["verify"]),
    ],
)
def test_names_are_offered(line, names):
    assert offered(*line.removesuffix("|").split(" "))[0] == names


COMPLETE = r"""
source <(ncodec completion bash)
COMP_WORDS=(ncodec info coded/de); COMP_CWORD=2
_ncodec_completion ncodec
printf '%s\n' "${COMPREPLY[@]}"
"""


def test_main_knows_the_shell_that_click_does_not(monkeypatch, ncodec):
    monkeypatch.setenv("_NCODEC_COMPLETE", "powershell_complete")
    monkeypatch.setenv("COMP_WORDS", "ncodec\nver")
    monkeypatch.setenv("COMP_CWORD", "ver")
    said = ncodec()
    assert (said.status, said.out) == (
        0,
        "plain\tverify\tCheck a whole file, without the model.\n",
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_real_bash(tmp_path):
    program = tmp_path / "bin" / "ncodec"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ncodec_cli "$@"\n')
    program.chmod(0o755)
    env = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE], capture_output=True, text=True, env=env, check=False
    )
    assert ran.stdout == "coded/deep one.ecdc\n"


def test_bash_adds_folders_and_quotes_names(ncodec):
    said = ncodec("completion", "bash")
    assert (said.status, said.err) == (0, "")
    assert "compopt -o plusdirs" in said.out
    assert "complete -o nosort -o filenames -F" in said.out


def test_what_powershell_sends_and_gets(monkeypatch):
    shell = PowerShell(cli, {}, "ncodec", "_NCODEC_COMPLETE")
    assert "Register-ArgumentCompleter -Native -CommandName ncodec" in shell.source()
    monkeypatch.setenv("COMP_WORDS", "ncodec\ninfo\n'C:\\My files\\t'")
    monkeypatch.setenv("COMP_CWORD", "'C:\\My files\\t'")
    assert shell.get_completion_args() == (["info"], "C:\\My files\\t")
    monkeypatch.setenv("COMP_WORDS", "ncodec\ninfo\nt")
    monkeypatch.setenv("COMP_CWORD", "t")
    assert shell.complete() == "dir\tt\tt\nplain\ttalk.ecdc\ttalk.ecdc"

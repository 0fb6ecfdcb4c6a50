"""`ncodec call`: what is wrong is said in a line, before anything is opened or loaded."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ncodec_cli.main import main


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        ("", 2, "give HOST:PORT to call, or --listen PORT to wait"),
        ("a:1 --listen 2", 2, "one of them"),
        ("--offer --answer", 2, "one of them"),
        ("a:1 --stun stun:b", 2, "--stun goes with --offer"),
        ("a:1 --burst 3", 2, "--burst goes with --loss"),
        ("a:1 --redundancy 4,8", 2, "must be 1 to 31 codebooks of 0 to 7 packets"),
        ("a:1 --redundancy 0,1", 2, "must be 1 to 31 codebooks"),
        ("a:1 --microphone 2 --input talk.wav", 2, "--microphone and --input: only one"),
        ("a:1 --ice ice.json", 2, "--ice goes with --offer"),
        ("--offer --stun https://b", 1, "server 'https://b': must be stun:HOST"),
        ("--offer --stun turn:b", 1, "'turn:b': needs a username and a credential"),
        ("--offer --ice nothere.json", 1, "nothere.json: No such file"),
        ("--offer --ice talk.wav", 1, "talk.wav: must be JSON as browsers take it"),
        ("--answer -o -", 2, "name a file"),
        ("nowhere", 1, "address 'nowhere': must be HOST:PORT"),
        ("--listen 70000", 1, "address '70000': must be PORT or HOST:PORT"),
        ("a:1 --input nothere.wav", 1, "nothere.wav: No such file"),
        ("a:1 --input talk.wav -o talk.wav", 1, "talk.wav: exists already (--force overwrites)"),
        ("a:1 --input talk.wav -o talk.wav --force", 1, "talk.wav: is given twice"),
        ("a:1 -o - --record -", 1, "-: is given twice"),
        ("a:1 -o - --json", 2, "--json prints to standard output"),
        ("a:1 --record folder", 1, "folder: is a folder"),
        ("a:1 --loss 101", 2, "101: must be a number from 0 to 100"),
        ("a:1 --model ncodec_24hz", 1, "did you mean 'ncodec_24khz'?"),
    ],
)
def test_bad_input_is_one_line(args, status, said, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NCODEC_CACHE", str(tmp_path / "cache"))
    soundfile.write("talk.wav", np.zeros(2400), 24000)
    Path("folder").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["call", *args.split()])
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (status, "")
    assert said in err
    assert "Traceback" not in err

"""Whatever is wrong, it is one clear line, the right status, and nothing is left or harmed."""

import io
import os
import resource
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ncodec_formats import EcdcReader, EcdcWriter, Header
from tests.cli.audio import wav

READERS = {
    "info": [],
    "verify": [],
    "tag": [],
    "tag --set": ["a=b"],
    "peel": ["out.ecdc", "--codebooks", "1"],
    "cut": ["out.ecdc", "--start", "1"],
    "cat": ["out.ecdc"],
    "repair": ["out.ecdc"],
    "decompress": ["out.wav"],
}
BAD = {
    "empty.ecdc": "the file is empty",
    "text.ecdc": "ECDC",
    "sound.ecdc": "ECDC",
    "newer.ecdc": "version 2",
    "head.ecdc": "the file ends inside its header",
    "claims.ecdc": "the header claims 4294967295 bytes",
    "header.ecdc": "the header is damaged",
    "missing.ecdc": "No such file or directory",
    "nothing.folder": "no",
    "windows.ecdc": "line endings",
}


def reader(name, path):
    command, *options = name.split()
    return [command, path, *options, *READERS[name]]


def contents():
    return {str(p): p.read_bytes() for p in Path().rglob("*") if p.is_file()}


def one_line(ended, *texts, status=1):
    assert (ended.status, ended.out) == (status, "")
    assert ended.err.startswith("ncodec: error: ")
    assert ended.err.count("\n") == 1
    assert "internal error" not in ended.err
    for text in texts:
        assert text in ended.err


@pytest.fixture
def bad(ncodec, coded):
    Path("empty.ecdc").touch()
    Path("text.ecdc").write_text("Not a sound in here. " * 100)
    wav("sound.wav")
    os.rename("sound.wav", "sound.ecdc")
    Path("newer.ecdc").write_bytes(b"ECDC\2" + coded[5:])
    Path("head.ecdc").write_bytes(coded[:40])
    Path("claims.ecdc").write_bytes(coded[:5] + b"\xff" * 4 + coded[9:])
    Path("header.ecdc").write_bytes(coded[:30] + b"~" + coded[31:])
    Path("windows.ecdc").write_bytes(coded.replace(b"\n", b"\r\n"))
    Path("nothing.folder").mkdir()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("path", BAD)
def test_no_file_of_ours(ncodec, bad, name, path):
    before = contents()
    ended = ncodec(*reader(name, path))
    if path == "nothing.folder" and ended.status == 2:
        assert "need a folder as output" in ended.err
    else:
        text = "Is a directory" if name in ("cut", "cat") and "folder" in path else BAD[path]
        unread = name == "verify" and path in ("missing.ecdc", "newer.ecdc")
        one_line(ended, path, text, status=2 if unread else 1)
    assert contents() == before


@pytest.mark.parametrize("name", READERS)
def test_no_file_of_ours_on_a_pipe(ncodec, name):
    ended = ncodec(*reader(name, "-"), stdin=b"RIFF and so on")
    one_line(ended, "standard input: ", "ECDC")
    assert contents() == {}


@pytest.mark.parametrize("name", ["peel", "cut", "cat", "tag --set", "decompress"])
def test_what_is_cut_short_is_not_passed_on(ncodec, coded, name):
    Path("short.ecdc").write_bytes(coded[:-500])
    before = contents()
    one_line(ncodec(*reader(name, "short.ecdc")), "short.ecdc: ", "damage")
    assert contents() == before


@pytest.mark.parametrize(
    ("args", "status", "text"),
    [
        ("peel a.ecdc b.ecdc --bw 0.1", 1, "a.ecdc: bandwidth 0.1 kbps: must be at least 2"),
        ("peel a.ecdc b.ecdc --bw nan", 2, "nan: must be a finite number"),
        ("peel a.ecdc b.ecdc --codebooks 5", 1, "5 codebooks: the file has 1 to 4"),
        ("peel a.ecdc b.ecdc --codebooks 0", 2, "0: must be a whole number, 1 or more"),
        ("peel a.ecdc b.ecdc", 2, "give one of --bw and --codebooks"),
        ("peel a.ecdc --bw 3", 2, "Missing argument 'OUTPUT'"),
        ("peel a.ecdc a.ecdc b.ecdc --bw 3", 2, "several inputs need a folder"),
        ("repair a.ecdc", 2, "Missing argument 'OUTPUT'"),
        ("cut a.ecdc b.ecdc --start 3.2", 1, "lies beyond the end, at 3.2"),
        ("cut a.ecdc b.ecdc --start 2 --end 2", 1, "the first must be below the last"),
        ("cut a.ecdc b.ecdc --start -x", 2, "must be seconds (90.5), 1m30s or a clock time"),
        ("cut a.ecdc b.ecdc --start 1:2:3:4", 2, "must be seconds (90.5), 1m30s or a clock time"),
        ("cut a.ecdc", 2, "Missing argument 'OUTPUT'"),
        ("cut a.ecdc b.ecdc c.ecdc", 2, "one INPUT is cut at a time"),
        ("cut a.ecdc - --json", 2, "--json prints to standard output"),
        ("cat a.ecdc a.ecdc - --json", 2, "--json prints to standard output"),
        ("peel a.ecdc - --bw 3 --json", 2, "--json prints to standard output"),
        ("cat a.ecdc", 2, "Missing argument 'OUTPUT'"),
        ("tag a.ecdc --set x", 2, "'x': must be KEY=VALUE"),
        ("tag a.ecdc --set ä=1", 1, "must be printable ASCII"),
        ("tag a.ecdc --json --clear", 2, "not together with changes"),
        ("verify", 2, "Missing argument 'FILE...'"),
        ("verify -", 1, "ncodec: error: standard input: the file is empty"),
        ("verify ''", 2, "'': names no file"),
        ("peel a.ecdc '' --bw 3", 2, "'': names no file"),
        ("peel a.ecdc -o '' --bw 3", 2, "'': names no file"),
        ("convert a.ecdc a.ecdc -f", 1, "ncodec: error: a.ecdc: is the input"),
        ("infp a.ecdc", 2, "Did you mean 'info'?"),
        ("encode nothere.wav b.ecdc", 1, "nothere.wav: No such file"),
        ("enc nothere.wav b.ecdc", 1, "nothere.wav: No such file"),
        ("decode nothere.ecdc b.wav", 1, "nothere.ecdc: No such file"),
        ("dec nothere.ecdc b.wav", 1, "nothere.ecdc: No such file"),
        ("decompress a.ecdc b.xyz", 1, "b.xyz"),
        ("decompress a.ecdc b.wav --bw 0.1", 1, "bandwidth 0.1 kbps: must be at least 2"),
        ("decompress a.ecdc b.wav --codebooks 9", 1, "9 codebooks: the file has 1 to 4"),
        ("decompress a.ecdc b.wav --start 3.3", 1, "start 3.3 s lies beyond the end, at 3.2 s"),
        ("decompress a.ecdc b.ecdc", 2, "'b.ecdc': not there as an input, and no name of an"),
        ("compress a.ecdc b.txt", 1, "a.ecdc: is an ECDC file; did you mean `ncodec decompress"),
        ("decompress a.ecdc b.wav --start 2 --end 1", 1, "must be 0 <= start <= end"),
    ],
)
def test_values_out_of_range(ncodec, coded, args, status, text):
    Path("a.ecdc").write_bytes(coded)
    ended = ncodec(*shlex.split(args))
    assert (ended.status, text in ended.err) == (status, True), ended.err
    assert contents() == {"a.ecdc": coded}


@pytest.mark.parametrize("link", [os.link, os.symlink])
@pytest.mark.parametrize("name", ["peel", "cut", "cat", "repair", "compress"])
def test_an_output_that_is_the_input_by_another_name(ncodec, coded, name, link):
    Path("a.ecdc").write_bytes(coded)
    if name == "compress":
        wav("a.wav")
        os.replace("a.wav", "a.ecdc")
    link("a.ecdc", "out.ecdc")
    before = contents()
    options = [] if name == "compress" else READERS[name][1:]
    one_line(ncodec(name, "a.ecdc", "out.ecdc", "--force", *options), "is the input")
    assert contents() == before


@pytest.mark.parametrize("name", ["peel", "cut", "cat", "repair", "decompress"])
def test_what_exists_is_kept_unless_forced(ncodec, coded, name):
    Path("a.ecdc").write_bytes(coded)
    target = Path(READERS[name][0])
    target.write_bytes(b"precious")
    one_line(ncodec(*reader(name, "a.ecdc")), f"{target}: exists already (--force overwrites)")
    assert target.read_bytes() == b"precious"
    assert ncodec(*reader(name, "a.ecdc"), "-f").status == 0
    assert target.read_bytes() != b"precious"


@contextmanager
def small_disk(limit=1024):
    """No file may grow beyond `limit` bytes, as on a disk that is full.

    Only around the command: the limit holds for the whole process, the test runner's log included.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["peel", "cut", "cat", "repair", "tag --set", "decompress"])
def test_no_room_for_the_output(ncodec, coded, name):
    Path("a.ecdc").write_bytes(coded)
    args = reader(name, "a.ecdc")
    if name == "peel":
        args[-1] = "4"
    with small_disk():
        ended = ncodec(*args)
    one_line(ended, "File too large", "a.ecdc" if "tag" in name else READERS[name][0])
    assert contents() == {"a.ecdc": coded}


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "opus"])
def test_no_room_for_audio_of_any_kind(ncodec, coded, ending):
    Path("a.ecdc").write_bytes(coded)
    with small_disk():
        ended = ncodec("decompress", "a.ecdc", f"b.{ending}", "--rate", "24000")
    one_line(ended, f"b.{ending}: File too large")
    assert contents() == {"a.ecdc": coded}


def test_no_room_for_compressed_audio(ncodec):
    wav("a.wav", 5)
    before = contents()
    with small_disk():
        ended = ncodec("compress", "a.wav")
    one_line(ended, "a.ecdc: File too large")
    assert contents() == before


@pytest.fixture
def nobody(monkeypatch, ncodec):
    """Run as a user without special rights, in a folder that is theirs; root is let past modes."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    monkeypatch.chdir(folder)
    user = os.geteuid()
    if user == 0:
        os.chown(folder, 65534, 65534)

        def drop():
            os.seteuid(65534)
    else:

        def drop():
            pass

    yield drop
    os.seteuid(user)
    os.chmod(folder, 0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_may_not_be_read(ncodec, nobody, coded, name):
    Path("a.ecdc").write_bytes(coded)
    os.chmod("a.ecdc", 0)
    nobody()
    status = 2 if name == "verify" else 1
    one_line(ncodec(*reader(name, "a.ecdc")), "a.ecdc: Permission denied", status=status)
    assert os.listdir() == ["a.ecdc"]


@pytest.mark.parametrize("name", ["peel", "cut", "cat", "repair", "tag --set", "decompress"])
def test_a_folder_that_may_not_be_written(ncodec, nobody, coded, name):
    Path("a.ecdc").write_bytes(coded)
    os.chmod("a.ecdc", 0o644)
    os.chmod(".", 0o555)
    nobody()
    output = "a.ecdc" if "tag" in name else READERS[name][0]
    one_line(ncodec(*reader(name, "a.ecdc")), f"{output}: Permission denied")
    assert contents() == {"a.ecdc": coded}


@pytest.mark.parametrize("name", ["info", "verify"])
def test_a_folder_in_a_folder_that_may_not_be_read(ncodec, nobody, coded, name):
    Path("in/shut").mkdir(parents=True)
    os.chmod("in", 0o755)
    Path("in/a.ecdc").write_bytes(coded)
    os.chmod("in/a.ecdc", 0o644)
    os.chmod("in/shut", 0)
    nobody()
    ended = ncodec(name, "in")
    assert ended.status == (2 if name == "verify" else 1)
    assert "in/a.ecdc" in ended.out
    assert "in/shut: Permission denied" in ended.err
    assert "1 of 2 files failed" in ended.err
    alone = ncodec(name, "in/shut", "--json")
    assert alone.status == ended.status
    assert "in/shut: Permission denied" in alone.out
    assert "no .ecdc files" not in alone.err


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_no_samples(ncodec, number):
    x = np.zeros((9000, 2), np.float32)
    x[8500, 1] = number
    soundfile.write("a.wav", x, 8000, "FLOAT")
    one_line(ncodec("compress", "a.wav"), "a.wav: sample 8500 of channel 2")
    assert os.listdir() == ["a.wav"]


def test_a_wav_that_ends_early(ncodec, caplog):
    wav("a.wav", 2)
    whole = Path("a.wav").read_bytes()
    Path("a.wav").write_bytes(whole[:20001])
    one_line(ncodec("compress", "a.wav"), "a.wav: ")
    assert os.listdir() == ["a.wav"]
    ended = ncodec("compress", "a.wav", "--keep-going")
    assert (ended.status, "a.wav" in caplog.text) == (0, True)
    assert ncodec("verify", "a.ecdc").status == 0


def test_compress_of_our_own_file_is_refused(ncodec, coded):
    Path("a.ecdc").write_bytes(coded)
    one_line(ncodec("compress", "a.ecdc", "b.ecdc"), "a.ecdc: ")
    assert contents() == {"a.ecdc": coded}


def claim(coded, **values):
    """Write `coded` anew with other values in its header; return the bytes before its end."""
    source = EcdcReader(io.BytesIO(coded))
    out = io.BytesIO()
    writer = EcdcWriter(out, replace(source.header, **values))
    for packet in source:
        writer.write(packet.codes, first_frame=writer.header.first_frame + packet.first_frame)
    return out.getvalue()


@pytest.mark.parametrize(
    "values",
    [
        {"source_samples": 2**31 * 320},
        {"first_frame": 2**31 - 48},
        {"first_frame": 2**31 - 48, "start": 2**31 * 55},
        {"preroll_frames": 2**31},
        {"postroll_frames": 2**31},
        {"block_frames": 2**31},
    ],
)
@pytest.mark.parametrize("options", [[], ["--keep-going"]])
def test_a_header_that_claims_2_to_the_31_frames(ncodec, coded, values, options):
    """It may be refused or decoded as far as it goes; what it claims is not allocated."""
    Path("a.ecdc").write_bytes(claim(coded, **values))
    with small_disk(1 << 20):
        ended = ncodec("decompress", "a.ecdc", "b.wav", *options)
    assert "internal error" not in ended.err
    if ended.status == 0:
        assert soundfile.info("b.wav").frames < 50000
    else:
        one_line(ended, "a.ecdc: ")
        assert os.listdir() == ["a.ecdc"]


@pytest.mark.parametrize("field", ["packet_frames", "hop", "sample_rate", "streams"])
def test_a_header_with_a_number_of_2_to_the_31(ncodec, coded, field, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Header, "__post_init__", lambda self: None)
        head = EcdcReader(io.BytesIO(coded)).header
        Path("a.ecdc").write_bytes(replace(head, **{field: 2**31}).to_bytes() + coded[150:])
    for name in READERS:
        one_line(ncodec(*reader(name, "a.ecdc")), "a.ecdc: ", str(2**31))
    assert os.listdir() == ["a.ecdc"]

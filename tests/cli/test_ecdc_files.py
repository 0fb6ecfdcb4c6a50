"""info, verify, peel, cut, cat, tag, repair: files in, files out, no model."""

import json
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ncodec_cli.copying import watched
from ncodec_formats import selftest


@pytest.fixture
def talk(ncodec, coded):
    """The current folder has talk.ecdc and damaged.ecdc, where codebook 3 of a packet is bad."""
    Path("talk.ecdc").write_bytes(coded)
    damaged = bytearray(coded)
    damaged[len(coded) // 2] ^= 16
    Path("damaged.ecdc").write_bytes(damaged)
    return coded


def links(ncodec, path):
    return json.loads(ncodec("info", path, "--json").out)["links"]


def audio(ncodec, path, *options):
    """Decompress; return samples."""
    assert ncodec("decompress", path, "x.wav", "-f", *options).status == 0
    return soundfile.read("x.wav", dtype="int16")[0]


def test_info_tells_what_went_in(ncodec, talk):
    said = ncodec("info", "talk.ecdc")
    assert (said.status, said.err) == (0, "")
    for text in (
        f"talk.ecdc: ECDC version 1, 0:03.200, {len(talk) / 1000:.1f} kB ({len(talk)} bytes), ",
        "Changed    20",
        "35280 samples, 11025 Hz, 2 channels",
        "Model      toy (",
        "), 8 kHz: nothing above 4 kHz",
        "4 codebooks of 5 bits, 2 streams, 200 frames/s\n",
        "Bitrate    8 kbps without the container\n",
        "4 of up to 200 frames, indexed",
        "title=noise",
        "artist=dice",
    ):
        assert text in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_info_json_is_a_line_for_each_file(ncodec, talk):
    os.mkdir("more")
    Path("more/deep.ECDC").write_bytes(talk)
    Path("more/notes.txt").write_text("no audio")
    said = ncodec("info", "talk.ecdc", "more", "-", "--json", stdin=talk)
    found = [json.loads(line) for line in said.out.splitlines()]
    assert [f["file"] for f in found] == ["talk.ecdc", "more/deep.ECDC", "standard input"]
    assert [f["links"] for f in found] == [found[0]["links"]] * 3
    link = found[0]["links"][0]
    assert (link["samples"], link["source_rate"], link["source_channels"]) == (35280, 11025, 2)
    assert link["tags"] == [["title", "noise"], ["artist", "dice"]]


def test_info_tells_of_damage_that_it_meets(ncodec, talk):
    Path("cut.ecdc").write_bytes(talk[:-300])
    said = ncodec("info", "cut.ecdc")
    assert (said.status, "cut short" in said.out) == (0, True)


def test_verify_answers_by_its_status(ncodec, talk):
    assert ncodec("verify", "talk.ecdc").out == "talk.ecdc: ok, 0:03.200 in 4 packets\n"
    said = ncodec("verify", "-", stdin=talk)
    assert (said.status, said.out.split(":")[0]) == (0, "standard input")
    said = ncodec("verify", "damaged.ecdc")
    assert said.status == 1
    assert "damaged.ecdc: packet 1 " in said.out
    assert said.err.startswith("ncodec: error: damaged.ecdc: damaged: ")
    assert said.err.count("\n") == 1
    said = ncodec("verify", ".", "missing.ecdc", "--quiet")
    assert (said.status, said.out) == (2, "")
    assert "missing.ecdc: No such file" in said.err
    assert said.err.endswith("ncodec: error: 2 of 3 files failed\n")


def test_verify_json(ncodec, talk):
    said = ncodec("verify", "talk.ecdc", "damaged.ecdc", "--json")
    whole, damaged = map(json.loads, said.out.splitlines())
    assert (whole["file"], whole["ok"], whole["problems"]) == ("talk.ecdc", True, [])
    assert (damaged["ok"], damaged["losses"]["packets"], said.status) == (False, 1, 1)


@pytest.mark.parametrize(("option", "kept"), [(("--bw", "5"), 2), (("--codebooks", 3), 3)])
def test_peel_keeps_what_fits_and_says_what(ncodec, talk, option, kept):
    said = ncodec("peel", "talk.ecdc", "small.ecdc", *option)
    assert (said.status, f"{kept} codebooks, {2 * kept} kbps" in said.err) == (0, True)
    assert ("(asked: 5)" in said.err) == (option[0] == "--bw")
    assert links(ncodec, "small.ecdc")[0]["codebooks"] == kept
    assert ncodec("verify", "small.ecdc").status == 0
    expected = audio(ncodec, "talk.ecdc", "--codebooks", kept)
    assert np.array_equal(audio(ncodec, "small.ecdc"), expected)
    assert ncodec("peel", "-", "-", *option, stdin=talk).data == Path("small.ecdc").read_bytes()


def test_peel_of_a_tree(ncodec, talk):
    os.makedirs("in/deep")
    os.replace("talk.ecdc", "in/deep/talk.ecdc")
    os.replace("damaged.ecdc", "in/damaged.ecdc")
    said = ncodec("peel", "in", "out", "--codebooks", 1)
    assert (said.status, "in/damaged.ecdc: packet 1" in said.err) == (1, True)
    assert [str(p) for p in Path("out").rglob("*.*")] == ["out/deep/talk.ecdc"]
    assert ncodec("peel", "in", "out", "--codebooks", 1, "--force", "--keep-going").status == 0
    assert {str(p) for p in Path("out").rglob("*.*")} == {"out/damaged.ecdc", "out/deep/talk.ecdc"}


def test_cut_plays_what_the_whole_plays_there(ncodec, talk):
    assert ncodec("cut", "talk.ecdc", "part.ecdc", "--start", "0:01.2", "--end", "2").status == 0
    whole, part = audio(ncodec, "talk.ecdc"), audio(ncodec, "part.ecdc")
    assert part.shape == (8820, 2)
    # The resampler may round otherwise where it begins elsewhere: by one in 32768.
    assert np.abs(part.astype(int) - whole[13230:22050]).max() <= 1
    again = ncodec("cut", "-", "-", "--start", "1.2", "--end", "0:00:02", stdin=talk)
    assert again.data == Path("part.ecdc").read_bytes()


def test_cat_of_cuts_is_the_original(ncodec, talk):
    for name, *times in (
        ("1.ecdc", "--end", 0.7),
        ("2.ecdc", "--start", 0.7, "--end", 2.9),
        ("3.ecdc", "--start", 2.9),
    ):
        assert ncodec("cut", "talk.ecdc", name, *times).status == 0
    assert ncodec("cat", "1.ecdc", "2.ecdc", "3.ecdc", "whole.ecdc").status == 0
    assert Path("whole.ecdc").read_bytes() == talk
    ended = ncodec("cat", "1.ecdc", "-", "3.ecdc", "-o", "-", stdin=Path("2.ecdc").read_bytes())
    assert ended.data == talk


def test_cat_of_strangers_is_a_chain(ncodec, talk):
    assert ncodec("cat", "talk.ecdc", "talk.ecdc", "-o", "twice.ecdc").status == 0
    assert len(links(ncodec, "twice.ecdc")) == 2
    assert len(audio(ncodec, "twice.ecdc")) == 2 * 35280
    assert "Link 2 of 2" in ncodec("info", "twice.ecdc").out
    # Times count through links; the second one's beginning is at 3.2 s.
    assert ncodec("cut", "twice.ecdc", "part.ecdc", "--start", 4.2, "--end", 5.2).status == 0
    part, whole = audio(ncodec, "part.ecdc"), audio(ncodec, "talk.ecdc")
    assert part.shape == (11025, 2)
    assert np.abs(part.astype(int) - whole[11025:22050]).max() <= 1


def tags(ncodec, path):
    return ncodec("tag", path).out.splitlines()


def test_tags_are_changed_in_place(ncodec, talk):
    Path("talk.ecdc").chmod(0o640)
    said = ncodec("tag", "talk.ecdc", "--set", "TITLE=a=b", "--add", "artist=Ä", "--remove", "x")
    told = "talk.ecdc: TITLE=a=b set, artist=Ä added, x taken off\n"
    assert (said.status, said.out, said.err) == (0, "", told)
    assert tags(ncodec, "talk.ecdc") == ["artist=dice", "TITLE=a=b", "artist=Ä"]
    assert ncodec("tag", "talk.ecdc", "--remove", "Artist").status == 0
    found = json.loads(ncodec("tag", "talk.ecdc", "--json").out)
    assert found == {"file": "talk.ecdc", "tags": [["TITLE", "a=b"]]}
    assert ncodec("tag", "talk.ecdc", "--clear", "--add", "title=noise").status == 0
    assert ncodec("tag", "talk.ecdc", "--add", "artist=dice").status == 0
    assert Path("talk.ecdc").read_bytes() == talk
    assert stat.S_IMODE(os.stat("talk.ecdc").st_mode) == 0o640
    assert sorted(os.listdir()) == ["damaged.ecdc", "talk.ecdc"]


def test_tags_on_a_pipe(ncodec, talk):
    changed = ncodec("tag", "-", "--clear", stdin=talk)
    assert (changed.status, changed.err) == (0, "standard input: all tags taken off\n")
    assert ncodec("tag", "-", stdin=changed.data).out == ""
    assert ncodec("tag", "-", stdin=talk).out == "title=noise\nartist=dice\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("peel", "damaged.ecdc", "out.ecdc", "--codebooks", 2),
        ("cut", "damaged.ecdc", "out.ecdc", "--start", 1),
        ("cat", "talk.ecdc", "damaged.ecdc", "out.ecdc"),
        ("tag", "damaged.ecdc", "--set", "a=b"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_those_who_copy_refuse_damage_or_go_on_when_told_to(ncodec, talk, arguments):
    before = Path("damaged.ecdc").read_bytes()
    said = ncodec(*arguments)
    assert said.status == 1
    assert "damaged.ecdc: packet 1 at byte" in said.err
    assert said.err.rstrip().endswith("repair the file first (--keep-going copies what is whole)")
    assert not Path("out.ecdc").exists()
    assert Path("damaged.ecdc").read_bytes() == before
    said = ncodec(*arguments, "--keep-going")
    assert said.status == 0
    assert "2 layers lost" in said.err
    assert ncodec("verify", "damaged.ecdc" if arguments[0] == "tag" else "out.ecdc").status == 0


def test_repair_takes_the_header_of_another_file(ncodec, talk):
    broken = bytearray(talk)
    broken[30] ^= 1
    Path("headless.ecdc").write_bytes(broken)
    said = ncodec("repair", "headless.ecdc", "saved.ecdc")
    assert (said.status, "headless.ecdc: the header is damaged" in said.err) == (1, True)
    assert "--header-from FILE takes that of a file made in the same way" in said.err
    sister = ("--header-from", "damaged.ecdc")
    said = ncodec("repair", "headless.ecdc", "saved.ecdc", *sister)
    assert (said.status, "header replaced" in said.err) == (0, True)
    assert ncodec("verify", "saved.ecdc").status == 0
    piped = ncodec("repair", "-", "-", *sister, stdin=bytes(broken))
    assert piped.data == Path("saved.ecdc").read_bytes()
    [link] = links(ncodec, "saved.ecdc")
    assert (link["samples"], link["tags"]) == (35280, [])


def test_repair_saves_the_rest(ncodec, talk):
    before = Path("damaged.ecdc").read_bytes()
    said = ncodec("repair", "damaged.ecdc", "saved.ecdc")
    assert (said.status, "damaged.ecdc -> saved.ecdc: 0:03.200, 2 layers lost" in said.err) == (
        0,
        True,
    )
    assert Path("damaged.ecdc").read_bytes() == before
    assert ncodec("verify", "saved.ecdc").status == 0
    saved, whole = audio(ncodec, "saved.ecdc"), audio(ncodec, "talk.ecdc")
    assert len(saved) == len(whole)
    # Packet 1 is damaged: seconds 1 to 2, and what the decoder and the resampler smear from it.
    changed = np.flatnonzero((saved != whole).any(axis=1)) / 11025
    assert changed.min() > 0.9
    assert changed.max() < 2.1


def test_selftest_tells_what_is_not_as_it_must_be(ncodec, tmp_path, monkeypatch):
    said = ncodec("selftest", "--json")
    lines = [json.loads(line) for line in said.out.splitlines()]
    found = [line for line in lines if "file" in line]
    assert (said.status, said.err) == (0, "")
    assert {line["operation"] for line in lines[len(found) :]} >= {"rows", "windows", "lstm"}
    assert len(found) > 100
    kit = Path(selftest.__file__).parents[1] / "vectors"
    monkeypatch.setattr(selftest, "_folder", lambda: tmp_path / "kit")
    shutil.copytree(kit, "kit")
    Path("kit/subset/plain.ecdc").write_bytes(Path("kit/subset/one-layer.ecdc").read_bytes())
    said = ncodec("selftest")
    assert (said.status, said.out.startswith("FAILED subset/plain.ecdc: found ")) == (1, True)
    assert said.err == f"ncodec: error: 1 of {len(found)} files were not read as they must be\n"
    monkeypatch.setattr(selftest, "_folder", lambda: tmp_path / "nowhere")
    assert ncodec("selftest").status == 1


def test_decompress_says_how_to_go_on_at_damage(ncodec, talk):
    said = ncodec("decompress", "damaged.ecdc", "x.wav")
    assert (said.status, said.err.endswith("(--keep-going decodes what is whole)\n")) == (1, True)


SAYS = {
    ("cut", "talk.ecdc", "out.ecdc", "--start", "1", "--end", "2.5"): (
        "0:01.500, from 0:01.000 to 0:02.500",
        {"start": 1.0, "end": 1 + 16537 / 11025},
    ),
    ("cat", "talk.ecdc", "more.ecdc", "out.ecdc"): (
        "0:06.400, a chain of 2 recordings",
        {"file": ["talk.ecdc", "more.ecdc"], "seconds": 6.4, "links": 2},
    ),
    ("peel", "talk.ecdc", "out.ecdc", "--bw", "5"): (
        "2 codebooks, 4 kbps (asked: 5)",
        {"codebooks": 2, "kbps": 4.0, "seconds": 3.2},
    ),
    ("peel", "talk.ecdc", "out.ecdc", "--bw", "12"): (
        "4 codebooks, 8 kbps (all that it holds; asked: 12)",
        {"codebooks": 4, "kbps": 8.0},
    ),
    ("repair", "talk.ecdc", "out.ecdc"): (
        "0:03.200, nothing was damaged",
        {"seconds": 3.2, "packets": 0, "problems": []},
    ),
}


@pytest.mark.parametrize("args", SAYS, ids=" ".join)
def test_what_was_made_is_said_in_one_line(ncodec, talk, args):
    text, fields = SAYS[args]
    shutil.copy("talk.ecdc", "more.ecdc")
    source = "talk.ecdc + more.ecdc" if args[0] == "cat" else "talk.ecdc"
    said = ncodec(*args)
    assert (said.status, said.out) == (0, "")
    assert said.err == f"{source} -> out.ecdc: {text}\n"
    made = Path("out.ecdc").read_bytes()
    again = ncodec(*args)
    assert (again.status, "exists already (--force overwrites)" in again.err) == (1, True)
    quiet = ncodec(*args, "--force", "--quiet")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")
    as_json = ncodec(*args, "-f", "--json")
    assert (as_json.status, as_json.err) == (0, "")
    found = json.loads(as_json.out)
    assert found["output"] == "out.ecdc"
    assert {key: found[key] for key in fields} == fields
    inputs = [arg for arg in args if arg != "out.ecdc"]
    assert ncodec(*inputs, "-o", "other.ecdc", "-q").status == 0
    assert Path("other.ecdc").read_bytes() == made


def test_an_end_beyond_the_end_is_said(ncodec, talk):
    said = ncodec("cut", "talk.ecdc", "out.ecdc", "--start", 3, "--end", 100)
    assert (said.status, said.err.count("\n")) == (0, 2)
    assert "note: --end 100 s lies beyond the end, at 3.2 s" in said.err
    assert "lies beyond" not in ncodec("cut", "talk.ecdc", "o.ecdc", "--end", 3.2).err


def test_files_that_fail_have_an_object_too(ncodec, talk):
    Path("text.ecdc").write_text("Not a sound.")
    names = ("talk.ecdc", "damaged.ecdc", "text.ecdc", "missing.ecdc")
    said = ncodec("verify", *names, "--json")
    found = [json.loads(line) for line in said.out.splitlines()]
    assert [one["ok"] for one in found] == [True, False, False, False]
    assert [one["file"] for one in found] == [*names]
    assert "No such file" in found[3]["error"]
    assert said.status == 2
    said = ncodec("info", *names[1:], "--json")
    found = [json.loads(line) for line in said.out.splitlines()]
    assert ["error" in one for one in found] == [False, True, True]
    piped = ncodec("info", "-", "--json", stdin=b"no codes")
    assert json.loads(piped.out)["file"] == "standard input"
    assert said.status == 1
    assert ncodec("verify", names[1], names[2]).status == 1
    os.rename("talk.ecdc", os.fsdecode(b"d\xff.ecdc"))
    for command in ("info", "verify", "tag"):
        said = ncodec(command, os.fsdecode(b"d\xff.ecdc"), "--json")
        assert json.loads(said.out)["file"] == "d\\xff.ecdc"


def test_tag_closes_the_file_before_it_is_replaced(ncodec, talk, monkeypatch):
    """Windows lets nobody replace a file that is open."""
    opened = []

    @contextmanager
    def watching(path):
        with Path(path).open("rb") as file:
            opened.append(file)
            yield file

    replace = Path.replace
    monkeypatch.setattr("ncodec_cli.tag.open_input", watching)
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (opened.append(opened[0].closed), replace(self, to))[1]
    )
    assert ncodec("tag", "talk.ecdc", "--set", "artist=Ada").status == 0
    assert opened[1] is True


def test_other_names_of_a_tagged_file_are_said(ncodec, talk):
    os.link("talk.ecdc", "other.ecdc")
    said = ncodec("tag", "talk.ecdc", "--set", "artist=Ada", "-q")
    assert said.err == ""
    os.remove("talk.ecdc")
    os.link("other.ecdc", "talk.ecdc")
    said = ncodec("tag", "talk.ecdc", "--set", "artist=Ada")
    assert "note: talk.ecdc: its other name keeps the old tags: the file is a new one" in said.err
    assert tags(ncodec, "other.ecdc") == ["title=noise", "artist=dice"]


@pytest.mark.parametrize("command", ["cut", "cat", "repair", "peel --bw 3"])
def test_packets_do_not_get_the_name_of_sound(ncodec, talk, command):
    name, *options = command.split()
    said = ncodec(name, *options, "talk.ecdc", "talk.wav")
    assert (said.status, "'talk.wav': an .ecdc file is written" in said.err) == (2, True)
    assert not Path("talk.wav").exists()
    assert ncodec(name, *options, "talk.ecdc", "-o", "talk.wav").status == 0


def test_cut_from_the_end(ncodec, talk):
    assert ncodec("cut", "talk.ecdc", "a.ecdc", "--start", "-1", "--end", "-0.5").status == 0
    assert ncodec("cut", "talk.ecdc", "b.ecdc", "--start", "2.2", "--end", "2.7").status == 0
    assert Path("a.ecdc").read_bytes() == Path("b.ecdc").read_bytes()
    said = ncodec("cut", "-", "c.ecdc", "--start", "-1", stdin=talk)
    assert (said.status, "a pipe's end is not known beforehand" in said.err) == (1, True)


def test_progress_counts_what_is_read_in_order(tmp_path):
    """Not what is looked up elsewhere in between."""
    (tmp_path / "a").write_bytes(bytes(1000))
    told = []
    with (tmp_path / "a").open("rb") as file:
        seen = watched(file, lambda done, total: told.append((done, total)))
        assert len(seen.read1(400)) == 400
        seen.seek(900)
        seen.read(100)
        seen.seek(400)
        assert len(seen.read1(600)) == 600
    assert told == [(400, 1000), (1000, 1000)]

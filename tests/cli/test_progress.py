"""The live line in a real pseudo-terminal: what a person would see, screen by screen."""

import io
import os
import sys

import pytest

from ncodec_cli import line
from ncodec_cli.line import cells, cut, put, result, say, say_error, shorten, show
from ncodec_cli.progress import BYTES, COUNT, Progress, clock, size, times
from tests.cli.audio import wav
from tests.cli.test_pipes import WITH_TOY, start

pty = pytest.importorskip("pty")
fcntl = pytest.importorskip("fcntl")


class Screen:
    """What a terminal of so many columns has shown, line by line; it wraps as terminals do."""

    def __init__(self, columns):
        self.columns, self.lines, self.at, self.text = columns, [[]], 0, ""

    def feed(self, text):
        self.text += text
        for character in text:
            if character == "\r":
                self.at = 0
            elif character == "\b":
                self.at -= 1
            elif character == "\n":
                self.lines.append([])
            else:
                for cell in [character, *[""] * (cells(character) - 1)]:
                    if self.at == self.columns:
                        self.lines.append([])
                        self.at = 0
                    here = self.lines[-1]
                    here[self.at : self.at + 1] = [cell]
                    self.at += 1

    @property
    def shown(self):
        return ["".join(here).rstrip() for here in self.lines]


@pytest.fixture
def terminal(monkeypatch):
    """Make standard output and error a pseudo-terminal; `terminal(columns)` gives its screen."""
    import struct
    import termios

    opened = []

    def make(columns, encoding="utf-8"):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        stream = open(slave, "w", encoding=encoding)  # noqa: SIM115
        opened.append((master, stream))
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        screen = Screen(columns)

        def look():
            stream.flush()
            os.set_blocking(master, False)
            try:
                while data := os.read(master, 1 << 16):
                    screen.feed(data.decode())
            except BlockingIOError:
                pass
            return screen.shown

        screen.look = look
        return screen

    monkeypatch.setenv("TERM", "xterm-256color")
    yield make
    monkeypatch.setattr(line, "_shown", 0)
    for master, stream in opened:
        stream.close()
        os.close(master)


@pytest.fixture
def clock_hand(monkeypatch):
    """Time that goes on when the test says so."""

    class Hand:
        now = 100.0

    monkeypatch.setattr("ncodec_cli.progress.time.monotonic", lambda: Hand.now)
    return Hand


NAMES = [
    "talk.wav",
    "A recording with a long name, part 12 of 20, 2026-01-31.wav",
    "音楽の録音" * 9,
]


@pytest.mark.parametrize("columns", [80, 50, 20])
@pytest.mark.parametrize("name", NAMES)
def test_it_stays_on_one_line_that_gives_way(terminal, clock_hand, columns, name):
    screen = terminal(columns)
    with Progress(name) as progress:
        for second in range(0, 400, 10):
            clock_hand.now += 1
            progress(second, 400)
            assert len(screen.look()) == 1
            assert len(screen.lines[0]) < columns
        assert f"{6:d}:30 / 6:40" in screen.look()[0]
        say("done")
        assert screen.look() == ["done", ""]
        clock_hand.now += 1
        progress(400, 400)
        assert screen.look()[1] != ""
    assert screen.look() == ["done", ""]
    assert "\x1b" not in screen.text


def test_what_the_line_says(terminal, clock_hand):
    screen = terminal(80)
    with Progress("talk.wav") as progress:
        progress(0, 60)
        clock_hand.now += 2
        progress(15, 60)
        assert screen.look() == ["talk.wav  0:15 / 1:00   25 %  0:06 left  7.5x real time"]


def test_the_speed_of_a_download_does_not_count_what_was_there(terminal, clock_hand):
    screen = terminal(80)
    with Progress("encodec_24khz", unit=BYTES) as progress:
        progress(50e6, 100e6)
        clock_hand.now += 5
        progress(75e6, 100e6)
    assert "75 MB / 100 MB   75 %  0:05 left  5.0 MB/s" in screen.look()[0] + screen.text


def test_a_total_that_is_not_known(terminal, clock_hand):
    screen = terminal(80)
    with Progress("standard input") as progress:
        progress(0, None)
        clock_hand.now += 2
        progress(15, None)
        assert screen.look() == ["standard input  0:15  7.5x real time"]


def test_several_files_share_a_line(terminal, clock_hand):
    screen = terminal(80)
    with Progress(files=3, sizes=400) as progress:
        one, two = progress.part("in/one.wav", 100), progress.part("in/two.wav", 200)
        one(0, 60)
        clock_hand.now += 10
        one(60, 60)
        one.end()
        two(60, 120)
        clock_hand.now += 1
        two(60, 120)
        assert screen.look() == ["1/3  two.wav   50 %  0:11 left  10.9x real time"]
        say_error("x.wav: not readable as audio")
        assert screen.look()[0] == "ncodec: \x1b[31merror:\x1b[0m x.wav: not readable as audio"
    assert screen.look()[-1] == ""


def test_steps_are_counted_and_logged_where_no_line_can_be(monkeypatch, clock_hand):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with Progress("train", unit=COUNT, every=60) as progress:
        for step in range(0, 200, 10):
            progress(step, 200)
            clock_hand.now += 10
    assert log.getvalue().splitlines() == [
        "train  60 / 200   30 %  2:20 left",
        "train  120 / 200   60 %  1:20 left",
        "train  180 / 200   90 %  0:20 left",
    ]


@pytest.mark.parametrize("quiet", [True, False])
def test_a_pipe_sees_nothing(monkeypatch, clock_hand, quiet):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Progress("talk.wav", quiet=quiet) as progress:
        for second in range(100):
            clock_hand.now += 1
            progress(second, 100)
    assert pipe.getvalue() == ""


def test_a_dumb_terminal_gets_a_line_now_and_then(terminal, clock_hand, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    screen = terminal(80)
    with Progress("talk.wav") as progress:
        for second in range(35):
            progress(second, 100)
            clock_hand.now += 1
    say_error("no")
    shown = screen.look()
    assert [text[:15] for text in shown[:3]] == [
        "talk.wav  0:10 ",
        "talk.wav  0:20 ",
        "talk.wav  0:30 ",
    ]
    assert shown[3:] == ["ncodec: error: no", ""]
    assert "\x1b" not in screen.text


def test_no_colour_where_it_is_not_wanted(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    screen = terminal(80)
    say_error("no")
    assert screen.look() == ["ncodec: error: no", ""]


def test_what_a_terminal_echoes_goes_with_the_line(terminal):
    screen = terminal(40)
    show("at work for a while")
    show("at work")
    sys.stderr.write("^C")
    say("ncodec: interrupted")
    assert screen.look() == ["ncodec: interrupted", ""]


def test_standard_output_gives_way_too(terminal):
    screen = terminal(40)
    show("at work")
    put("talk.ecdc: ok")
    assert screen.look() == ["talk.ecdc: ok", ""]


def test_a_name_does_not_command_the_terminal(terminal):
    screen = terminal(60)
    put("a\x1b[2Jb\x07.ecdc")
    show("c\nd")
    assert screen.look() == [r"a\x1b[2Jb\x07.ecdc", "c d"]


def test_a_command_in_a_terminal(terminal, tmp_path):
    """Line, result and sum of a real process, at 50 columns, next to an error."""
    for name in ("one recording of many that have long names.wav", "two.wav"):
        wav(tmp_path / "in" / name, 60)
    (tmp_path / "in" / "bad.wav").write_text("no sound")
    screen = terminal(50)
    done = start([*WITH_TOY, "compress", "in", "out", "--jobs", "2"], tmp_path, stdin=None,
                 stdout=sys.stdout, stderr=sys.stderr)  # fmt: skip
    assert done.wait(120) == 1
    shown = screen.look()
    sums = [text for text in shown if text.startswith("3 files: 2 done, 1 failed")]
    assert len(sums) == 1
    assert any(text.startswith(("two.wav", "in/two.wav")) for text in shown)
    assert "/3" in screen.text  # which count is seen depends on how quick the files are
    written = [text for text in screen.text.split("\r") if "left" in text]
    assert written
    assert all(cells(text.split("\n")[0].rstrip(" \b")) < 50 for text in written)


MADE = ["45 MB -> 4.5 MB (1/10)", "5.71 kbps", "37.8x real time"]
MEETING = "meeting of 2026-01-31, part 12 of 20"


@pytest.mark.parametrize(
    ("columns", "source", "target", "shown"),
    [
        (80, "a.wav", "a.ecdc", "a.wav -> a.ecdc: " + ", ".join(MADE)),
        (80, "in/talk.wav", "out/talk.ecdc", "out/talk.ecdc: " + ", ".join(MADE)),
        (80, f"{MEETING}.wav", f"{MEETING}.ecdc", f"{MEETING}.ecdc: " + ", ".join(MADE[:2])),
        (50, "in/talk.wav", "out/talk.ecdc", "out/talk.ecdc: " + ", ".join(MADE[:2])),
        (50, "in/talk 2026-1.wav", "out/talk 2026-1.ecdc", f"out/talk 2026-1.ecdc: {MADE[0]}"),
        (50, "in", f"a/long/folder/{'talk' * 5}.ecdc", f"{'talk' * 5}.ecdc: {MADE[0]}"),
        (50, "in", f"out/{MEETING}.ecdc", f"meeting of ... of 20.ecdc: {MADE[0]}"),
        (30, "in", "talk of 2026-01-31.ecdc", f"talk of 2026-01-31.ecdc:\n  {MADE[0]}"),
    ],
)  # fmt: skip
def test_what_was_made_is_told_in_a_line_that_gives_way(terminal, columns, source, target, shown):
    screen = terminal(columns)
    say(result(source, target, MADE))
    assert screen.look() == [*shown.split("\n"), ""]


def test_of_several_files_a_line_has_the_source(terminal):
    screen = terminal(80)
    say(result(f"in/{MEETING}.wav", f"out/{MEETING}.ecdc", MADE, single=False))
    assert screen.look() == [f"in/{MEETING}.wav: {', '.join(MADE[:2])}", ""]


def test_a_pipe_has_all_that_was_made(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    said = result(f"in/{MEETING}.wav", f"out/{MEETING}.ecdc", MADE)
    assert said == f"in/{MEETING}.wav -> out/{MEETING}.ecdc: {', '.join(MADE)}"


def test_a_terminal_without_the_characters_of_a_name(terminal, clock_hand):
    screen = terminal(40, "cp1252")
    with Progress("音楽の録音 2026.wav") as progress:
        progress(0, 100)
        assert len(screen.look()) == 1
        assert len(screen.lines[0]) < 40
        assert screen.look()[0].startswith("\\u97f3")


def test_widths():
    assert [cells(text) for text in ("abc", "音楽", "e\u0301", "a\u200bb", "ﾊﾝ")] == [3, 4, 1, 2, 2]
    assert [cut("音楽ab", n) for n in (0, 1, 2, 3, 4, 5, 6)] == [
        "",
        "",
        "音",
        "音",
        "音楽",
        "音楽a",
        "音楽ab",
    ]
    for name in NAMES:
        for columns in range(70):
            short = shorten(name, columns)
            assert cells(short) <= columns
            assert short == name or columns < 8 or short.startswith(name[:2]) or name[0] > "z"


def test_words_for_amounts():
    assert [size(n) for n in (0, 999, 1000, 9940, 9960, 999_400, 999_600, 3.2e9, 5e12)] == [
        "0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "3.2 GB", "5.0 TB",
    ]  # fmt: skip
    assert [times(n) for n in (0.25, 7.84, 99.9, 137.4)] == ["0.2x", "7.8x", "99.9x", "137x"]
    assert [clock(0.9), clock(3661), clock(61.25, 2)] == ["0:00", "1:01:01", "1:01.25"]

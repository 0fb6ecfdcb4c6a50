"""Calls of the page: `ncodec call` and Chromium hear each other over a data channel."""

from __future__ import annotations

import base64
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

import ncodec
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.net.call import Call
from ncodec.net.control import Hello, get_message, is_control, put_message
from ncodec.net.talker import Talker
from ncodec.page import make_page
from ncodec_formats.rtp import Payload, Rtp
from tests.browser import find, opened, wait_until

SPEECH = Path(__file__).resolve().parents[1] / "data" / "speech.flac"
RATE, SECONDS = 24000, 3
TURNS = """
const model = await ncodec.load();
const call = new ncodec.Call(model, true);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const text = (all) => {
  let out = "";
  for (const byte of all) out += String.fromCharCode(byte);
  return btoa(out);
};
const said = new Float32Array(bytes(given[1]).buffer);
const sent = [], heard = [];
let now = 100;
for (const [turn, came] of given[0].entries()) {
  const part = said.subarray(960 * turn, 960 * (turn + 1));
  const wanted = Math.max(960 * (turn + 1) - heard.length, 0);
  const [out, audio] = call.turn(came.map((data) => [bytes(data), now]), part, wanted, now);
  sent.push(out.map(text));
  heard.push(...audio);
  now += 0.04;
}
return [sent, text(new Uint8Array(Float32Array.from(heard).buffer)), call.state];"""
"""Lets a call of the page have turns of 40 ms, without a clock."""


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What the command says, and what the page does: different parts of a recording."""
    speech, rate = sf.read(SPEECH, dtype="float32")
    assert rate == RATE
    folder = tmp_path_factory.mktemp("spoken")
    for name, part in (("command", speech), ("page", speech[2 * RATE :])):
        sf.write(folder / f"{name}.wav", part[: SECONDS * RATE], RATE)
    return folder / "command.wav", folder / "page.wav"


@pytest.fixture(scope="module")
def browser(spoken: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    page = tmp_path_factory.mktemp("calls") / "page.html"
    page.write_text(make_page(), "utf-8")
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with opened(page, *flags, f"--use-file-for-fake-audio-capture={spoken[1]}") as driver:
        driver.set_script_timeout(120)
        ready = "return document.documentElement.dataset.ready"
        wait_until(lambda: driver.execute_script(ready), 90)
        yield driver


def run(browser: Any, script: str, *arguments: object) -> Any:
    wrapped = (
        "const done = arguments[arguments.length - 1]; const given = [...arguments];"
        f"(async () => {{ {script} }})().then((x) => done([x]), (e) => done([null, String(e)]))"
    )
    value, *error = browser.execute_async_script(wrapped, *arguments)
    assert not error, error
    return value


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def plain(text: str) -> bytes:
    return base64.b64decode(text)


@contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[None]:
    """Let no command wait for the rest of a test that has failed."""
    try:
        yield
    finally:
        if sys.exc_info()[0] is not None:
            process.kill()


def text_of(browser: Any, name: str) -> str:
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", name)


def value_of(browser: Any, name: str) -> str:
    return browser.execute_script("return document.getElementById(arguments[0]).value", name)


def bring(browser: Any, line: str) -> None:
    """Paste a line into the page."""
    browser.execute_script("document.getElementById('theirs').value = arguments[0]", line)
    find(browser, "#join")[0].click()


@pytest.mark.browser
@pytest.mark.parametrize("begins", ["command", "page"])
def test_the_command_and_the_page_hear_each_other(
    browser: Any, spoken: tuple[Path, Path], tmp_path: Path, begins: str
) -> None:
    pytest.importorskip("aiortc", reason="the extra `call` is not installed")
    way = {"command": "--offer", "page": "--answer"}[begins]
    heard = tmp_path / "heard.wav"
    command = [sys.executable, "-m", "ncodec", "call", way, "--input", str(spoken[0])]
    with subprocess.Popen(
        [*command, "-o", str(heard), "--quiet", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process, ending(process):  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None

        def write(line: str) -> None:
            process.stdin.write(line + "\n")
            process.stdin.flush()

        if begins == "command":
            bring(browser, process.stdout.readline())
            wait_until(lambda: value_of(browser, "ours"))
            write(value_of(browser, "ours"))
        else:
            find(browser, "#begin")[0].click()
            wait_until(lambda: value_of(browser, "ours"))
            write(value_of(browser, "ours"))
            bring(browser, process.stdout.readline())
        wait_until(lambda: text_of(browser, "called") == "Connected", 60)
        wait_until(lambda: re.match(r"0:0[2-9]", text_of(browser, "meters")), 60)
        find(browser, "#leave")[0].click()
        summary = json.loads(process.stdout.read())
        assert process.wait(30) == 0
    assert text_of(browser, "called") == "Ended"
    sound, _ = sf.read(heard)
    assert np.std(sound) > 0.005  # a busy machine may make gaps, but not silence
    assert summary["garbage"] == 0
    assert 0 < summary["round_trip"] < 5


@pytest.mark.browser
@pytest.mark.parametrize("lost", [(), (20, 33, 34)])
def test_the_page_sends_and_decodes_what_the_library_does(
    browser: Any, spoken: tuple[Path, Path], lost: tuple[int, ...]
) -> None:
    """Both sides of a call without a clock: the page's datagrams, and what it makes of others'."""
    model = ncodec.load_model()
    ours, theirs = (sf.read(path, dtype="float32")[0] for path in spoken)
    out: list[bytes] = []
    call = Call(model, out.append, packet_frames=3, redundancy=(4, 1), dice=random.Random(1))
    call.receive(put_message(7, Hello.of(call.talker.header)), 0.0)
    turns = list[list[str]]()
    for turn in range(len(ours) // 960):
        out.clear()
        call.push(ours[None, 960 * turn : 960 * (turn + 1)], 0.04 * turn)
        turns.append([coded(data) for data in out if is_control(data) or turn not in lost])
    sent, heard, state = run(browser, TURNS, turns, coded(theirs.astype("<f4").tobytes()))
    check_heard(model, call.talker.header, ours, np.frombuffer(plain(heard), "<f4"), lost)
    assert (state["connected"], round(50 * state["lost"])) == (True, len(lost) // 3)
    check_sent(model, [plain(data) for one in sent for data in one], theirs)


def check_heard(model, header, ours, heard, lost) -> None:
    """What the page plays is what the decoder gives, but where packets are lost."""
    encoder = StreamEncoder(model, sample_rate=RATE, channels=1, codebooks=8, packet_frames=3)
    decoder = StreamDecoder(model, header, gapless=False)
    due = np.concatenate([decoder.push(packet) for packet in encoder.push(ours[None])], axis=1)[0]
    assert np.isfinite(heard).all()
    middle = due[36000:60000]
    places = np.correlate(heard, middle, "valid")
    found = heard[int(places.argmax()) :][: len(middle)]
    wrong = np.abs(found - middle).reshape(-1, 960).max(axis=1)
    spoilt = 0 if not lost else 2 * len(lost) + 2
    assert (wrong > 1e-5).sum() <= spoilt, wrong


def check_sent(model, datagrams: list[bytes], theirs) -> None:
    """What the page sends are the codes of its samples, with copies of the packets before."""
    header = Talker(model, packet_frames=3).header
    messages = [get_message(data)[1] for data in datagrams if is_control(data)]
    assert Hello.of(header) in messages
    packets = [Rtp.from_bytes(data) for data in datagrams if not is_control(data)]
    payloads = [Payload.from_bytes(packet.payload, header) for packet in packets]
    assert [packets[0].marker, packets[1].marker] == [True, False]
    assert {b.timestamp - a.timestamp for a, b in pairwise(packets)} <= {960, 960 - 2**32}
    assert np.array_equal(payloads[1].copies[0], payloads[0].codes[:4])
    encoder = StreamEncoder(model, sample_rate=RATE, channels=1, codebooks=8, packet_frames=3)
    first = len(theirs) // 960 - len(payloads)  # nothing is said before somebody listens
    due = [packet.codes for packet in encoder.push(theirs[None, 960 * first :])]
    same = np.concatenate([a.codes == b for a, b in zip(payloads, due, strict=True)], axis=2)
    assert same.mean() > 0.999  # but at near ties


@pytest.mark.browser
def test_what_is_no_line_is_told(browser: Any) -> None:
    bring(browser, "hello")
    wait_until(lambda: "no line of a call" in text_of(browser, "called"))
    find(browser, "#leave")[0].click()

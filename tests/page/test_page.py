"""The page: one file, made by a command; in a real browser its sound, damage, recordings."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from click.testing import CliRunner

import ncodec
from ncodec.config import DacConfig
from ncodec.errors import ArgumentError, BadFileError, ModelMismatchError
from ncodec.models.dac import DacModel
from ncodec.models.spectral import SpectralCodec
from ncodec.page import PageFile, _in_base85, make_page
from ncodec_cli.commands import cli
from ncodec_formats import EcdcReader
from ncodec_formats.selftest import GROUPS
from tests.browser import find, opened, wait_until
from tests.machine import require

ROOT = Path(__file__).resolve().parents[2]
SPEECH = ROOT / "tests" / "data" / "speech.flac"
KIT = ROOT / "formats" / "vectors"
SOURCES = ROOT / "browser"
RATE = 24000
MOST_BYTES = 22e6
NEAR = 1e-6
"""Scores of two entries that are nearer than this may change places by rounding."""


def coded(samples: np.ndarray, rate: int, bandwidth: float) -> bytes:
    file = io.BytesIO()
    ncodec.write(file, samples, rate, bandwidth=bandwidth)
    return file.getvalue()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return sf.read(SPEECH, dtype="float32")[0]


@pytest.fixture(scope="module")
def files(speech: np.ndarray) -> dict[str, bytes]:
    whole = coded(speech, RATE, 6)
    cut = int(len(whole) * 0.55)
    lost = whole[: len(whole) // 3] + whole[len(whole) // 3 + 900 :]
    return {
        "whole.ecdc": whole,
        "stereo.ecdc": coded(np.stack([speech[:30000], -speech[30000:60000]], 1), 44100, 6),
        "lost.ecdc": lost,
        "short.ecdc": whole[:cut],
        "chain.ecdc": whole + coded(speech[:20000], RATE, 3),
    }


@pytest.fixture(scope="module")
def page(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    source = folder / "a talk & <more>.ecdc"
    source.write_bytes(files["whole.ecdc"])
    result = CliRunner().invoke(cli, ["page", str(source), "-o", str(folder / "page.html")])
    assert result.exit_code == 0, result.output
    return folder / "page.html"


# What is made


def test_the_page_is_one_file_that_names_nothing_outside(page: Path) -> None:
    text = page.read_text("utf-8")
    assert len(text) < MOST_BYTES
    assert "{{" not in text.partition("<script")[0]
    before_data = text.partition('<script type="application/json"')[0]
    assert "https:" not in before_data
    assert "http:" not in before_data
    assert "connect-src 'none'" in before_data
    assert text.count("</script>") == 5  # about, the file, tables, weights, the program
    assert 'data-file="a talk &amp; &lt;more&gt;.ecdc"' in text


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 4099])
def test_letters_are_ascii85_of_other_digits(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    text = _in_base85(data)
    assert "<" not in text
    shifted = "".join(chr(ord(letter) - 2) for letter in text.replace("x", "<"))
    assert base64.a85decode(shifted) == data


def test_a_page_is_not_overwritten_and_its_file_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "old.html").write_text("old")
    run = CliRunner().invoke
    result = run(cli, ["page", "-o", str(tmp_path / "old.html")])
    assert result.exit_code != 0
    assert (tmp_path / "old.html").read_text() == "old"
    with pytest.raises(BadFileError, match=r"x: not an \.ecdc file of version 1"):
        make_page([PageFile("x", b"\x93NUMPY" + bytes(100))])
    with pytest.raises(BadFileError, match="x: "):
        make_page([PageFile("x", b"RIFF" + bytes(100))])


def test_a_page_holds_one_model_that_it_can_compute(files: dict[str, bytes]) -> None:
    model = SpectralCodec(ncodec.load_model().config, "other")
    with pytest.raises(ModelMismatchError, match="x: made with model"):
        make_page([PageFile("x", files["whole.ecdc"])], model=model)
    dac = DacModel(DacConfig(encoder_dim=8, decoder_dim=16), "a dac")
    with pytest.raises(ArgumentError, match="model a dac: the page has kernels"):
        make_page(model=dac)


# Where node is


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("node")
    if not (SOURCES / "node_modules" / "esbuild").is_dir():
        pytest.skip("browser/node_modules is not there (make browser)")
    script = tmp_path_factory.mktemp("built") / "page.js"
    subprocess.run(["node", "build.mjs", "--page", str(script)], cwd=SOURCES, check=True)
    return script


def test_the_packaged_script_is_what_its_sources_make(built: Path) -> None:
    packaged = ROOT / "ncodec" / "page" / "page.js"
    assert packaged.read_bytes() == built.read_bytes(), "make browser builds it anew"


@pytest.mark.usefixtures("built")
def test_the_sources_pass_the_type_checker_and_their_own_tests() -> None:
    for command in (
        ["node", "node_modules/typescript/bin/tsc", "-p", "."],
        ["node", "--test", "test/"],
    ):
        done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


# In a browser


@pytest.fixture(scope="module")
def browser(page: Path):
    arguments = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with opened(page, *arguments, logs=("browser", "performance")) as driver:
        driver.set_script_timeout(120)
        wait_until(
            lambda: driver.execute_script("return document.documentElement.dataset.ready"), 90
        )
        run(
            driver,
            "window.model = await ncodec.load(); window.bytes = (text) =>"
            " Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));"
            "window.text = (array) => { let out = ''; const all = new Uint8Array(array.buffer,"
            " array.byteOffset, array.byteLength); for (let i = 0; i < all.length; i += 8192)"
            " out += String.fromCharCode(...all.subarray(i, i + 8192)); return btoa(out); };",
        )
        yield driver
        asked = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
        urls = [m["params"]["request"]["url"] for m in asked if m["method"].endswith("WillBeSent")]
        outside = [url for url in urls if not url.startswith(("blob:", "data:"))]
        assert outside == [page.as_uri()]


def run(browser, script: str, *arguments: object):
    """Run asynchronous JavaScript; return what it returns."""
    wrapped = (
        "const done = arguments[arguments.length - 1]; const given = [...arguments];"
        f"(async () => {{ {script} }})().then((x) => done([x]), (e) => done([null, String(e)]))"
    )
    value, *error = browser.execute_async_script(wrapped, *arguments)
    assert not error, error
    return value


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def heard(browser, data: bytes, **options: object) -> tuple[np.ndarray, int]:
    """Decode in the page; return samples [C, T] and the rate."""
    rate, channels = run(
        browser,
        "const { rate, audio } = ncodec.decode(bytes(given[0]), model, given[1]);"
        "return [rate, audio.map(text)];",
        text_of(data),
        options,
    )
    return np.stack([np.frombuffer(base64.b64decode(c), "<f4") for c in channels]), rate


@pytest.mark.browser
@pytest.mark.parametrize("name", ["whole.ecdc", "lost.ecdc", "short.ecdc", "chain.ecdc"])
def test_samples_are_those_of_decompress(browser, files: dict[str, bytes], name: str) -> None:
    due, rate = ncodec.read(io.BytesIO(files[name]), keep_going=True)
    got, got_rate = heard(browser, files[name], keepGoing=True)
    assert (got_rate, got.shape) == (rate, (1, len(due)))
    assert np.abs(got[0] - due).max() <= 2e-6


@pytest.mark.browser
def test_another_rate_is_right_in_length_and_nearly_in_sound(browser, files) -> None:
    due, rate = ncodec.read(io.BytesIO(files["stereo.ecdc"]))
    got, got_rate = heard(browser, files["stereo.ecdc"])
    assert (got_rate, got.shape) == (rate, due.T.shape)
    assert np.abs(got - due.T)[:, 2000:-2000].max() < 0.02 * np.abs(due).max()


@pytest.mark.browser
def test_fewer_codebooks_are_the_first_ones(browser, files: dict[str, bytes]) -> None:
    due, _ = ncodec.read(io.BytesIO(files["whole.ecdc"]), codebooks=2)
    got, _ = heard(browser, files["whole.ecdc"], codebooks=2)
    assert np.abs(got[0] - due).max() <= 2e-6


@pytest.mark.browser
@pytest.mark.parametrize("group", GROUPS)
def test_the_conformance_kit_gets_the_verdicts_of_selftest(browser, group: str) -> None:
    expected = json.loads((KIT / group / "expected.json").read_text("utf-8"))
    data = {name: text_of((KIT / group / name).read_bytes()) for name in expected}
    tables = KIT / "subset" / "toy.tables"
    found = run(
        browser,
        "const codings = given[1] ? ncodec.codingsWith([new ncodec.Tables(bytes(given[1]))])"
        " : undefined; return Object.fromEntries(Object.entries(given[0]).map(([name, data]) => "
        "[name, [false, true].map((on) => ncodec.survey(bytes(data), on, codings))]));",
        data,
        text_of(tables.read_bytes()) if tables.exists() else None,
    )
    for name, due in expected.items():
        strict, despite = found[name]
        assert strict.get("error") == due.get("error"), name
        if "links" in due and "error" not in due:
            assert strict["links"] == due["links"], name
        if "damaged" in due:
            assert (despite.get("error"), despite["links"]) == (None, due["damaged"]), name


@pytest.mark.browser
def test_decoding_takes_an_eighth_of_the_time_at_most(browser, files: dict[str, bytes]) -> None:
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    heard(browser, files["whole.ecdc"])
    before = spent()
    got, rate = heard(browser, files["whole.ecdc"])
    assert got.shape[1] / rate / (spent() - before) > 8


@pytest.mark.browser
def test_codes_of_a_recording_are_those_of_compress(browser, speech: np.ndarray) -> None:
    samples = np.ascontiguousarray(speech[:70001])
    file = run(
        browser,
        "const recorder = new ncodec.Recorder(model, { codebooks: 16 });"
        "const samples = new Float32Array(bytes(given[0]).buffer);"
        "for (let i = 0; i < samples.length; i += 128) recorder.push([samples.slice(i, i + 128)]);"
        "return text(recorder.finish());",
        text_of(samples.astype("<f4").tobytes()),
    )
    got = base64.b64decode(file)
    buffer = io.BytesIO()
    model = ncodec.load_model()
    ncodec.write(buffer, samples, RATE, bandwidth=12, model=model, entropy="none")
    due = buffer.getvalue()
    if got != due:
        a, b = (np.concatenate([p.codes[:, 0] for p in packets(data)], 1) for data in (got, due))
        assert a.shape == b.shape
        check_ties(model, samples, a, b)
    assert next(iter(EcdcReader(io.BytesIO(got)))).frames == 75
    assert ncodec.verify(io.BytesIO(got)).ok


def packets(data: bytes) -> list:
    return list(EcdcReader(io.BytesIO(data)))


def check_ties(model, samples: np.ndarray, got: np.ndarray, due: np.ndarray) -> None:
    """The first code that differs in a frame is one of two entries that are equally near."""
    padded = np.pad(samples, (0, -len(samples) % model.hop))
    with torch.inference_mode():
        latents = model.to_latent(torch.from_numpy(padded)[None, None])[0].T
        for frame in np.flatnonzero((got != due).any(0)):
            rest = latents[frame : frame + 1].clone()
            first = int(np.flatnonzero(got[:, frame] != due[:, frame])[0])
            for k in range(first):
                rest -= model.quantizer.codebook(k).embed[int(due[k, frame])]
            scores = model.quantizer.codebook(first).scores(rest)[0]
            ours, theirs = scores[int(got[first, frame])], scores[int(due[first, frame])]
            assert abs(float(ours - theirs)) < NEAR


PLAYER = "document.querySelector('ecdc-player')"
PARTS = f"{PLAYER}.shadowRoot"


def part(browser, css: str):
    return browser.execute_script(f"return {PARTS}.querySelector(arguments[0])", css)


def said(browser) -> str:
    return browser.execute_script(f"return {PARTS}.querySelector('article').textContent")


def button(browser, text: str):
    return browser.execute_script(
        f"return [...{PARTS}.querySelectorAll('button')]"
        ".find((b) => b.textContent === arguments[0])",
        text,
    )


def playing(browser) -> dict:
    return browser.execute_script(
        f"const p = {PLAYER}.playback; return {{ at: p.position / 24000, underruns: p.underruns,"
        " playing: p.playing, codebooks: p.codebooks, loop: p.loop }"
    )


@pytest.mark.browser
def test_a_file_of_the_page_is_looked_at_and_drawn(browser) -> None:
    wait_until(lambda: browser.execute_script(f"return {PLAYER}.hasAttribute('drawn')"), 60)
    words = browser.execute_script(f"return {PARTS}.querySelector('article').textContent")
    assert "a talk & <more>.ecdc" in words
    assert "8 of 8, 6 kbps" in words
    assert "6 whole" in words
    lit = browser.execute_script(
        f"const c = {PARTS}.querySelector('.picture canvas');"
        "const d = c.getContext('2d').getImageData(0, 64, c.width, 96).data;"
        "return [c.width, d.filter((x, i) => i % 4 === 0 && x > 60).length / d.length * 4]"
    )
    assert lit[0] == 415
    assert 0.2 < lit[1] < 0.95


@pytest.mark.browser
def test_it_plays_seeks_loops_and_changes_codebooks_meanwhile(browser) -> None:
    button(browser, "Play").click()
    wait_until(lambda: playing(browser)["at"] > 0.3)
    browser.execute_script(f"{PLAYER}.playback.codebooks = 2")
    before, begun = playing(browser)["at"], time.monotonic()
    wait_until(lambda: playing(browser)["at"] > before + 0.3)
    state = playing(browser)
    assert state["codebooks"] == 2
    assert state["at"] - before <= time.monotonic() - begun + 0.1  # it goes on from where it was
    browser.execute_script(f"{PLAYER}.playback.seek(4 * 24000)")
    wait_until(lambda: 4 < playing(browser)["at"] < 5.5)
    browser.execute_script(f"const p = {PLAYER}.playback; p.loop = [24000, 36000]; p.seek(24000)")
    wait_until(lambda: playing(browser)["at"] > 1.3)
    wait_until(lambda: playing(browser)["at"] < 1.2)
    assert playing(browser)["playing"]
    button(browser, "Pause").click()
    held = playing(browser)
    assert not held["playing"]
    assert 1 <= held["at"] <= 1.5
    browser.execute_script(f"const p = {PLAYER}.playback; p.loop = undefined; p.codebooks = 8")


@pytest.mark.browser
def test_it_plays_to_the_end_and_stops(browser) -> None:
    browser.execute_script(f"const p = {PLAYER}.playback; p.seek(5 * 24000); p.play()")
    wait_until(lambda: playing(browser)["playing"])
    wait_until(lambda: not playing(browser)["playing"])
    assert playing(browser)["at"] == pytest.approx(132744 / 24000)


@pytest.mark.browser
def test_keys_work_and_every_control_has_a_name(browser) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.execute_script(f"{PLAYER}.playback.seek(0)")
    books = part(browser, "input[step='1']")
    books.send_keys("[")
    assert playing(browser)["codebooks"] == 7
    books.send_keys(Keys.ARROW_RIGHT)
    wait_until(lambda: playing(browser)["codebooks"] == 8)
    books.send_keys("k")
    wait_until(lambda: playing(browser)["playing"])
    books.send_keys("l")
    wait_until(lambda: playing(browser)["loop"])
    books.send_keys("lk")
    wait_until(lambda: not playing(browser)["playing"])
    seeking = part(browser, "input[step=any]")
    seeking.send_keys(Keys.ARROW_RIGHT)
    wait_until(lambda: playing(browser)["at"] >= 5)
    assert "seconds of" in seeking.get_attribute("aria-valuetext")
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if node.get("role", {}).get("value") in ("button", "slider", "combobox", "meter", "alert")
    }
    assert all(name for role, name in named if role != "alert")
    assert {("button", "Play"), ("slider", "Place"), ("button", "Record")} <= named


@pytest.mark.browser
def test_damage_and_what_can_not_be_played_are_told(browser, files: dict[str, bytes]) -> None:
    cases = {
        "lost.ecdc": (files["lost.ecdc"], "damaged: what is missing is bridged"),
        "no.ecdc": (b"RIFF" + bytes(50), "not an ECDC file"),
        "kit.ecdc": ((KIT / "subset" / "plain.ecdc").read_bytes(), "made with model"),
    }
    for name, (data, words) in cases.items():
        browser.execute_script(
            "const file = new File([bytes(arguments[1])], arguments[0]);"
            "const event = new DataTransfer(); event.items.add(file);"
            "document.dispatchEvent(new DragEvent('drop',"
            " { dataTransfer: event, bubbles: true, cancelable: true }));",
            name,
            text_of(data),
        )
        wait_until(lambda name=name: name in said(browser))
        wait_until(lambda words=words: words in said(browser))
        browser.execute_script(f"{PLAYER}.remove()")


@pytest.mark.browser
def test_the_microphone_becomes_a_file_that_plays(browser, page: Path) -> None:
    record = find(browser, "#record")[0]
    record.click()
    wait_until(lambda: record.text == "Stop")
    wait_until(lambda: find(browser, "#recorded")[0].text >= "0:01.5")
    record.click()
    wait_until(
        lambda: (
            find(browser, "ecdc-player")
            and "recording-"
            in (browser.execute_script(f"return {PARTS}.querySelector('h3').textContent"))
        )
    )
    wait_until(lambda: browser.execute_script(f"return {PLAYER}.hasAttribute('drawn')"))
    folder = page.parent / "downloads"
    shutil.rmtree(folder, ignore_errors=True)
    button(browser, "Save .ecdc").click()
    button(browser, "Save as WAV").click()
    wait_until(lambda: list(folder.glob("*.ecdc")) and list(folder.glob("*.wav")))
    saved, wave = next(folder.glob("*.ecdc")), next(folder.glob("*.wav"))
    assert ncodec.verify(saved).ok
    due, rate = ncodec.read(saved)
    samples, wave_rate = sf.read(wave, dtype="float32")
    assert (rate, wave_rate, len(due)) == (RATE, RATE, len(samples))
    assert len(due) > RATE
    assert np.abs(np.clip(due, -1, 1) - samples).max() < 2 / 32768
    assert np.abs(due).max() > 0.05  # the fake microphone beeps
    browser.execute_script(f"{PLAYER}.remove()")


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_sticks_out(browser, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.execute_script(f"{PARTS}.querySelector('details').open = true")
        beyond = browser.execute_script(
            "const edge = document.documentElement.clientWidth; return [document.documentElement"
            ".scrollWidth - edge, ..." + f"[...{PARTS}.querySelectorAll('.row *')]"
            ".map((e) => e.getBoundingClientRect().right - edge)]"
        )
        assert max(beyond) <= 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

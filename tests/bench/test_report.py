"""The report: self-contained, small, whole; and in a real browser: plots, players, blind tests."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ncodec.bench import clips, curves, listen, report, spectrogram, tables
from ncodec.bench.measures import measures_for
from ncodec.bench.quality import Row
from ncodec.bench.sources import find_sources
from ncodec.metrics import CodebookStatistics
from tests.browser import find, opened, press, wait_until

DATA = Path(__file__).parent.parent / "data"
CODECS = {"mine": "Mine </script><b>1", "opus": "Opus 1.3", "mp3": "MP3"}
SETTINGS = (3.0, 6.0)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two recordings and three codecs at two rates; the codecs only add noise."""
    folder = tmp_path_factory.mktemp("report")
    sources = find_sources([DATA / "speech.flac", DATA / "music.flac"], 2.0)
    rows, random = [], np.random.default_rng(0)
    for source in sources:
        samples, rate = source.read()
        for i, (codec, title) in enumerate(CODECS.items()):
            for setting in SETTINGS:
                name = f"{source.name}-{codec}-{setting:g}.flac"
                noise = random.standard_normal(samples.shape) / setting / 50
                sf.write(folder / name, np.clip(samples + noise, -1, 1).T, rate)
                values = {m.key: 1 + i + setting / 10 for m in measures_for(source.kind)}
                kbps = setting + 0.1
                rows.append(
                    Row(
                        source.name,
                        *(source.kind, codec, title, setting, kbps, 2.0, values, name, "x.bin"),
                    )
                )
    results = tables.Results(
        rows,
        {"date": "2030-01-01", "machine": "test"},
        ["codec2: not installed"],
        {"mine": CodebookStatistics((0.5,), (8.0,), 0.8)},
    )
    path = folder / "report.html"
    path.write_text(report.to_html(results, clips.build(rows, sources, folder, 1)), "utf-8")
    return path


def test_the_page_is_one_small_file_that_loads_nothing(page: Path) -> None:
    text = page.read_text("utf-8")
    assert len(text) < 6e6
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", text)
    assert "{{" not in text.split("<script")[0]


def test_names_cannot_break_out_of_the_page(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.count("</script>") == 2
    assert "<b>1" not in text
    assert html.escape(CODECS["mine"]) in text


def test_every_series_and_every_row_is_in_the_page(page: Path) -> None:
    text = page.read_text("utf-8")
    plots = re.findall(r"<svg[^>]*class=\"plot\">.*?</svg>", text, re.DOTALL)
    assert len(plots) == len(measures_for("speech")) + len(measures_for("music"))
    for plot in plots:
        assert re.findall(r'data-codec="(\w+)"', plot) == list(CODECS)
        assert plot.count('class="dot"') == len(CODECS) * len(SETTINGS)
    rows = re.findall(r'<tr><th scope="row"', text)
    assert len(rows) == 4 * len(CODECS) * len(SETTINGS) + 1  # main and other measures, codebooks
    assert "codec2: not installed" in text


def test_points_stand_where_their_values_are(page: Path) -> None:
    text = page.read_text("utf-8")
    plot = next(p for p in re.findall(r"<svg.*?</svg>", text, re.DOTALL) if "PESQ" in p)
    spots = re.findall(r'class="dot" d="M([\d.]+) ([\d.]+)', plot)
    across = [float(x) for x, _ in spots]
    down = [float(y) for _, y in spots]
    # Values are 1 + codec + setting / 10, so higher ones come later and stand higher up.
    assert down == sorted(down, reverse=True)
    assert across[0] == across[2] < across[1] == across[3]
    ticks = re.findall(r'y="([\d.]+)" class="yt">([\d.-]+)<', plot)
    (y0, v0), (y1, v1) = ((float(y) - 4, float(v)) for y, v in (ticks[0], ticks[-1]))
    first = v0 + (down[0] - y0) / (y1 - y0) * (v1 - v0)
    assert first == pytest.approx(1.3, abs=0.02)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 5, [0, 1, 2, 3, 4, 5]), (0.81, 0.97, [0.8, 0.85, 0.9, 0.95]), (3, 3, [3, 3.0000002])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert curves.nice_ticks(low, high) == pytest.approx(ticks, abs=1e-6)


def test_the_anchor_is_a_low_pass_of_the_whole_length() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 24000))
    low = clips.anchor(noise, 24000)
    assert low.shape == noise.shape
    spectrum = np.abs(np.fft.rfft(low[0])) ** 2
    assert spectrum[3700:].sum() < 1e-3 * spectrum[:3300].sum()
    assert spectrum[:3300].mean() == pytest.approx(24000, rel=0.1)


def test_the_liveliest_part_is_where_the_sound_is() -> None:
    samples = np.zeros((1, 10_000))
    samples[0, 100] = 1.0  # a bang is not it
    samples[0, 6000:7000] = 0.1 * np.random.default_rng(0).standard_normal(1000)
    assert 5800 <= clips.liveliest_part(samples, 1200) <= 6000
    assert clips.liveliest_part(samples, 20_000) == 0


def test_what_is_missing_is_blue_and_what_was_added_orange() -> None:
    tone = np.sin(2 * np.pi * 3000 * np.arange(24000) / 24000)
    colours = {}
    for name, (signal, reference) in {
        "more": (tone, 0.1 * tone),
        "less": (0.1 * tone, tone),
    }.items():
        data = spectrogram.difference(signal, reference, 24000)
        palette = np.frombuffer(data[data.index(b"PLTE") + 4 :][: 63 * 3], np.uint8).reshape(-1, 3)
        colours[name] = palette[0 if name == "less" else -1]
        used = read_png(data)
        assert used.max() > palette[31].sum() / 255
    assert colours["less"][2] > colours["less"][0]
    assert colours["more"][0] > colours["more"][2]


def read_png(data: bytes) -> np.ndarray:
    """Return the RGB sums `[height, width]` of an indexed PNG without line filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert int.from_bytes(data[at + 8 + size : at + 12 + size], "big") == zlib.crc32(
            name + body
        )
        chunks[name], at = body, at + 12 + size
    width, height = (int.from_bytes(chunks[b"IHDR"][i : i + 4], "big") for i in (0, 4))
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3).sum(axis=1)[lines[:, 1:]] / 255


def test_the_spectrogram_is_a_png_with_the_tone_where_it_belongs() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 6000 * np.arange(24000) / 24000)
    tone[12000:] = 0
    pixels = read_png(spectrogram.spectrogram(tone, 24000, width=200, height=50))
    assert pixels.shape[0] == 50
    left, right = pixels[:, : pixels.shape[1] // 3], pixels[:, -pixels.shape[1] // 3 :]
    row = int(left.mean(axis=1).argmax())
    # 6 kHz is mel 42.06 of 51.14 on Slaney's scale: at 18 % from the top.
    assert row / 50 == pytest.approx(0.18, abs=0.04)
    assert right.max() < 0.2 < left.max()


# In a browser.


@pytest.fixture(scope="module")
def browser(page: Path):
    """The report, open from disk."""
    with opened(page) as driver:
        yield driver


@pytest.mark.browser
def test_plots_show_every_series(browser) -> None:
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('.series .dot')].map(e => {"
        "const b = e.getBoundingClientRect(), p = e.closest('svg').getBoundingClientRect();"
        "return [b.width > 2 && b.height > 2,"
        " b.left >= p.left && b.right <= p.right && b.top >= p.top && b.bottom <= p.bottom]; })"
    )
    plots = len(measures_for("speech")) + len(measures_for("music"))
    assert len(boxes) == plots * len(CODECS) * len(SETTINGS)
    assert all(visible and inside for visible, inside in boxes)
    colours = browser.execute_script(
        "return [...document.querySelectorAll('.plot .series .line')].slice(0, 3)"
        ".map(e => getComputedStyle(e).stroke)"
    )
    assert len(set(colours)) == len(CODECS)


@pytest.mark.browser
def test_pictures_are_decoded(browser) -> None:
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('.strip img')].map(e => e.naturalHeight)"
    )
    assert sizes == [120] * 2 * (3 + len(CODECS) * len(SETTINGS))


@pytest.mark.browser
def test_a_spectrogram_enlarges_with_axes_and_what_differs(browser) -> None:
    find(browser, ".player button.enlarge")[4].click()
    assert browser.execute_script(
        "const d = document.getElementById('zoom');"
        "return [d.open, d.querySelectorAll('img').length, [...d.querySelectorAll('.hz span')]"
        ".slice(0, 4).map(e => e.textContent),"
        " [...d.querySelectorAll('img')].every(e => e.complete)]"
    ) == [True, 2, ["1 kHz", "2 kHz", "4 kHz", "8 kHz"], True]
    places = browser.execute_script(
        "const f = document.querySelector('#zoom .field').getBoundingClientRect();"
        "return [...document.querySelectorAll('#zoom .chart:first-of-type .field hr')]"
        ".map(e => (f.bottom - e.getBoundingClientRect().bottom) / f.height)"
    )
    assert places[:2] == pytest.approx([15 / 51.14, 25.08 / 51.14], abs=0.01)  # Slaney's mel
    press(browser, "#zoom button", "Close")
    find(browser, "figure.zooms")[0].click()
    assert len(find(browser, "#zoom svg.plot")) == 1
    press(browser, "#zoom button", "Close")


@pytest.mark.browser
def test_the_legend_hides_a_codec(browser) -> None:
    box = find(browser, ".legend input[data-codec=opus]")[0]
    shown = "return document.querySelectorAll('.series:not([style*=none])').length"
    before = browser.execute_script(shown)
    box.click()
    assert browser.execute_script(shown) == before * 2 // 3
    box.click()
    assert browser.execute_script(shown) == before


@pytest.mark.browser
def test_switching_keeps_the_position(browser) -> None:
    deck = "window.report.players[0].deck"
    player = find(browser, ".player")[0]
    press(player, "button", "Play")
    at = f"return [{deck}.position(), performance.now() / 1000]"
    wait_until(lambda: browser.execute_script(at)[0] > 0.3)
    radios = find(player, "input[type=radio]")
    for i in (3, 5, 0):
        position, when = browser.execute_script(at)
        radios[i].click()
        label = browser.execute_script(f"return {deck}.version.label")
        assert label == browser.execute_script(
            f"return window.report.players[0].clip.versions[{i}].label"
        )
        wait_until(lambda: browser.execute_script(f"return {deck}.sounding"))
        time.sleep(0.1)
        later, then = browser.execute_script(at)
        # The clip loops after 2 s; the page's clock and the sound's differ by a buffer or two.
        assert (later - position - (then - when) + 1) % 2 - 1 == pytest.approx(0, abs=0.15)
    press(player, "button", "Pause")
    held = browser.execute_script(at)[0]
    radios[2].click()
    assert browser.execute_script(at)[0] == held
    assert not browser.execute_script(f"return {deck}.sounding")


@pytest.mark.browser
def test_players_work_by_keyboard(browser) -> None:
    from selenium.webdriver.common.keys import Keys

    deck = "return window.report.players[1].deck"
    radio = find(find(browser, ".player")[1], "input[type=radio]")[0]
    radio.send_keys(Keys.SPACE)
    wait_until(lambda: browser.execute_script(f"{deck}.sounding"))
    radio.send_keys(Keys.ARROW_DOWN)
    assert browser.execute_script(f"{deck}.version.role") == "low"
    radio.send_keys("5")
    assert browser.execute_script(f"{deck}.version.setting") == 6
    radio.send_keys(Keys.SPACE)
    wait_until(lambda: not browser.execute_script(f"{deck}.sounding"))


@pytest.mark.browser
@pytest.mark.parametrize("right", [5, 3])
def test_abx_scores_a_scripted_run(browser, page: Path, right: int) -> None:
    browser.execute_script("document.querySelector('#abx-test input[type=number]').value = 5")
    press(browser, "#abx-test button", "Start")
    for trial in range(5):
        for name in "ABX":
            press(browser, "#abx-test button", f"Play {name}")
            wait_until(lambda: browser.execute_script("return report.abx.deck.sounding"))
        sounds = browser.execute_script(
            "const t = report.abx; return [t.deck.version.label, t.versions[t.x].label]"
        )
        assert sounds[0] == sounds[1]  # what sounds as X is the version that X stands for
        x = browser.execute_script("return report.abx.x")
        answer = x if trial < right else "BA"["AB".index(x)]
        press(browser, "#abx-test button", f"X is {answer}")
    p = sum(math.comb(5, k) for k in range(right, 6)) / 2**5
    text = find(browser, "#abx-test .result")[0].text
    assert text.startswith(f"{right} of 5 right. By guessing: {100 * p:.1f} %.")
    assert ("You tell them apart" in text) == (right == 5)
    folder = page.parent / "downloads"
    shutil.rmtree(folder, ignore_errors=True)
    press(browser, "#abx-test button", "Save answers")
    wait_until(lambda: list(folder.glob("abx-*.json")))
    saved = json.loads(next(folder.glob("abx-*.json")).read_text())
    last = saved["tests"][-1]
    assert sum(a["x"] == a["answer"] for a in last["answers"]) == last["right"] == right
    assert last["p"] == pytest.approx(p)
    assert len(saved["page"]) == 12
    press(browser, "#abx-test button", "Forget them")


@pytest.mark.browser
def test_mushra_hides_reference_and_anchors_and_saves_ratings(browser, page: Path) -> None:
    name = find(browser, "#mushra-test input[type=text]")[0]
    name.clear()
    name.send_keys("Ada L")
    press(browser, "#mushra-test button", "Start")
    press(browser, "#mushra-test button", "Low anchor")
    press(browser, "#mushra-test button", "Begin to rate")
    for number in range(2):
        sliders = find(browser, "#mushra-test input[type=range]")
        assert len(sliders) == 3 + len(CODECS)
        proceed = find(browser, "#mushra-test .main")[0]
        assert "speech" not in find(browser, "#mushra-test p")[0].text
        for i in range(len(sliders)):
            press(browser, "#mushra-test button", f"Sound {i + 1}")
            wait_until(lambda: browser.execute_script("return report.mushra.deck.sounding"))
            assert not proceed.is_enabled()  # heard, but not rated
            label = browser.execute_script("return report.mushra.deck.version.label")
            rating = {"Original": 100, "3.5 kHz anchor": 20, "7 kHz anchor": 40}.get(label, 50 + i)
            browser.execute_script(
                "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
                *(sliders[i], rating),
            )
        assert proceed.is_enabled()
        assert proceed.text == ("Next recording", "Finish")[number]
        if number == 0:
            proceed.click()
            browser.refresh()  # what was rated is kept
            press(browser, "#mushra-test button", "Go on at recording 2 of 2")
        else:
            proceed.click()
    assert "was found" in find(browser, "#mushra-test .result")[0].text
    folder = page.parent / "downloads"
    press(browser, "#mushra-test button", "Save answers")
    wait_until(lambda: list(folder.glob("mushra-Ada_L-*.json")))
    saved = next(folder.glob("mushra-Ada_L-*.json"))
    ratings = json.loads(saved.read_text())["ratings"]
    assert len(ratings) == 2 * (3 + len(CODECS))
    assert {r["rating"] for r in ratings if r["role"] == "original"} == {100}
    assert {r["rating"] for r in ratings if r["role"] == "low"} == {20}
    assert {r["codec"] for r in ratings} == {"", *CODECS}
    joined = listen.join([saved, saved])
    assert joined.conditions[0].name == "Original"
    assert {c.count for c in joined.conditions} == {4}


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_can_be_read(browser, width: int, scheme: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    try:
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        colours = browser.execute_script(
            "const of = (e, k) => getComputedStyle(document.querySelector(e))[k];"
            "return [of('body', 'backgroundColor'), of('body', 'color'), of('.facts', 'color')]"
        )
        back, *inks = (luminance(c) for c in colours)
        assert (back > 0.5) == (scheme == "light")
        for ink in inks:  # WCAG 2: 4.5 to 1
            assert (max(ink, back) + 0.05) / (min(ink, back) + 0.05) > 4.5
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.browser
def test_every_control_and_picture_has_a_name(browser) -> None:
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "slider", "radio", "checkbox", "combobox", "spinbutton", "link", "image"}
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"] and node["role"]["value"] in roles
    ]
    assert {role for role, _ in named} >= {"button", "slider", "radio", "checkbox", "image"}
    assert [role for role, name in named if not name.strip()] == []


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of rgb(r, g, b)."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(v) / 255 for v in re.findall(r"\d+", colour)[:3])
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

"""The page in headless Chromium: size, samples, speed, how soon it sounds, an unbroken minute.

    python benchmarks/page.py [--seconds 60]

Needs chromium, chromedriver and the packages of the tests. Processor time is that of the page's
process, all threads; the wall clock is right on an idle machine only.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

import ncodec
from ncodec.page import make_page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.browser import opened, wait_until  # noqa: E402

RATE = 24000
PLAYER = "document.querySelector('ecdc-player')"
HELPERS = """
window.bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
window.text = (array) => { let out = ''; const all = new Uint8Array(array.buffer);
  for (let i = 0; i < all.length; i += 8192)
    out += String.fromCharCode(...all.subarray(i, i + 8192));
  return btoa(out); };
"""
DROP = """
const event = new DataTransfer();
event.items.add(new File([bytes(arguments[0])], 'dropped.ecdc'));
window.dropped = performance.now();
document.dispatchEvent(new DragEvent('drop',
  { dataTransfer: event, bubbles: true, cancelable: true }));
const wait = () => {
  const player = document.querySelector('ecdc-player');
  if (player && player.playback) player.playback.play(); else setTimeout(wait, 5);
};
wait();
"""


def recording(seconds: float) -> np.ndarray:
    clips = sorted((ROOT / "benchmarks" / "clips").glob("*.flac"))
    parts = [soundfile.read(path, dtype="float32")[0] for path in clips]
    return np.resize(np.concatenate(parts), int(seconds * RATE)).astype(np.float32)


def coded(samples: np.ndarray, bandwidth: float) -> bytes:
    file = io.BytesIO()
    ncodec.write(file, samples, RATE, bandwidth=bandwidth)
    return file.getvalue()


def spent(browser: Any) -> float:
    """Return the processor time of the browser's pages, in seconds."""
    root = psutil.Process(browser.service.process.pid)
    total = 0.0
    for process in root.children(recursive=True):
        if any("--type=renderer" in part for part in process.cmdline()):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def decoding(browser: Any) -> Iterator[tuple[str, str]]:
    browser.execute_async_script(
        "const done = arguments[0]; ncodec.load().then((m) => { window.model = m; done(); });"
    )
    data = coded(recording(5.0), 12)
    due, _ = ncodec.read(io.BytesIO(data))
    samples = browser.execute_script(
        "return text(ncodec.decode(bytes(arguments[0]), model).audio[0]);",
        base64.b64encode(data).decode(),
    )
    got = np.frombuffer(base64.b64decode(samples), "<f4")
    worst = np.abs(got - due).max() if got.shape == due.shape else float("nan")
    yield "5 s, 16 codebooks, against decompress", f"{worst:.1e} of full scale, {len(got)} samples"
    for kind in ("none", "auto"):
        file = io.BytesIO()
        ncodec.write(file, recording(10.0), RATE, bandwidth=6, entropy=kind)
        text, best = base64.b64encode(file.getvalue()).decode(), 1e9
        for _ in range(4):
            before = spent(browser)
            browser.execute_script("ncodec.decode(bytes(arguments[0]), model)", text)
            best = min(best, spent(browser) - before)
        what = "packed" if kind == "none" else "predicted"
        yield f"10 s at 6 kbps by packets of a second, {what}", f"{10 / best:.1f}x real time"


def playing(browser: Any, seconds: float) -> Iterator[tuple[str, str]]:
    data = coded(recording(seconds), 6)
    before, begun = spent(browser), time.monotonic()
    browser.execute_script(DROP, base64.b64encode(data).decode())
    sounding = f"return {PLAYER}?.playback?.firstSound || 0"
    wait_until(lambda: browser.execute_script(sounding), 120)
    yield "drop to first sound, processor time at most", f"{spent(browser) - before:.2f} s"
    wall = browser.execute_script(f"return {PLAYER}.playback.firstSound - window.dropped")
    yield "drop to first sound, wall clock", f"{wall / 1000:.2f} s"
    wait_until(lambda: not browser.execute_script(f"return {PLAYER}.playback.playing"), 3 * seconds)
    took = time.monotonic() - begun
    gaps = browser.execute_script(f"return {PLAYER}.playback.underruns")
    yield (
        f"{seconds:.0f} s played in {took:.0f} s",
        f"{gaps} underruns; {spent(browser) - before:.1f} s of processor time, picture included",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="played without a break")
    args = parser.parse_args()
    print("| what | result |\n| --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(make_page(), encoding="utf-8")
        print(f"| page | {page.stat().st_size / 1e6:.2f} MB |", flush=True)
        with opened(page) as browser:
            browser.set_script_timeout(300)
            ready = "return document.documentElement.dataset.ready"
            wait_until(lambda: browser.execute_script(ready), 120)
            print(f"| opened, until ready | {spent(browser):.2f} s of processor time |", flush=True)
            browser.execute_script(HELPERS)
            for rows in (playing(browser, args.seconds), decoding(browser)):
                for what, result in rows:
                    print(f"| {what} | {result} |", flush=True)


if __name__ == "__main__":
    main()

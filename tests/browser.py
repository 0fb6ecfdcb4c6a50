"""A headless Chromium in which tests open pages from disk."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def chromium() -> str | None:
    return next((p for name in ("chromium", "google-chrome") if (p := shutil.which(name))), None)


def unusable() -> str | None:
    """Say why there is no browser to test with; where one is required that is a failure."""
    why = None
    try:
        import selenium  # noqa: F401
    except ImportError:
        why = "selenium not installed"
    if chromium() is None:
        why = "no Chromium on the PATH"
    elif shutil.which("chromedriver") is None:
        why = "no chromedriver on the PATH"
    if why and os.environ.get("NCODEC_REQUIRE_BROWSER"):
        pytest.fail(f"NCODEC_REQUIRE_BROWSER is set, but: {why}")
    return why


@contextmanager
def opened(page: Path, *arguments: str, logs: tuple[str, ...] = ("browser",)) -> Iterator[Any]:
    """Open a page from disk; its console must have stayed empty. Downloads go beside it."""
    if why := unusable():
        pytest.skip(why)
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(chromium())
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--window-size=1280,900", "--autoplay-policy=no-user-gesture-required"),
        *arguments,
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(page.parent / "downloads")}
    )
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.get(page.as_uri())
        yield driver
        assert [line["message"] for line in driver.get_log("browser")] == []
    finally:
        driver.quit()


def find(browser: Any, css: str) -> list[Any]:
    from selenium.webdriver.common.by import By

    return browser.find_elements(By.CSS_SELECTOR, css)


def press(browser: Any, css: str, text: str) -> None:
    next(e for e in find(browser, css) if e.text == text).click()


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.02)

"""Locust's web UI in a real browser: the form, a run, the rows and the charts of our tab."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from loadtest import _codecs
from tests._browser import CHROMIUM, Browser
from tests._daemons import free_port
from tests._locust import Locust

FIGURES = r"/\d+(\.\d+)? \/ \d+(\.\d+)? \/ \d+(\.\d+)? ms, n=\d+/"


@pytest.fixture(name="browser")
def _browser(tmp_path: Path) -> Iterator[Browser]:
    """Without a browser there is nothing to test: skipped at home, an error in CI."""
    if not CHROMIUM.exists():
        reason = f"no browser at {CHROMIUM}: run tools/browser"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with Browser(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture(name="url")
def _url(tmp_path: Path) -> Iterator[str]:
    """A load test that waits for its web UI to be used."""
    port = free_port()
    options = ("--web-host", "127.0.0.1", "--web-port", str(port), "-u", "3", "-r", "3")
    with Locust(tmp_path, *options, "--pause", "0.05", "--minions", "3") as locust:
        locust.child.wait_until(lambda: _answers(port), "answer of the web UI", 30)
        yield f"http://127.0.0.1:{port}/"


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _start(browser: Browser) -> None:
    """As a person does, who clicks again when a page that is just loading takes no notice."""
    for _ in range(3):
        browser.click("button", "Start")
        with suppress(AssertionError):
            browser.wait_for("!document.body.innerText.includes('Start new load test')", 10)
            return
    raise AssertionError("the page takes no notice of three clicks on Start")


def test_a_run_started_in_the_browser_fills_the_rows_and_the_charts(
    browser: Browser, url: str, tmp_path: Path
) -> None:
    browser.open(url)
    browser.wait_for("document.body.innerText.includes('Custom parameters')")
    _start(browser)
    # The page goes from the form to the tabs by itself.
    browser.click("button[role=tab]", "Serializers")
    codec = _codecs.available()[-1]
    for name in ("ping: last return", "grains: return accepted", "sign-in", "event on the bus"):
        browser.wait_for(
            "[...document.querySelectorAll('#root table tr')].some(row => {"
            "const cells = [...row.cells].map(cell => cell.innerText);"
            f"return cells[0] == '{name}' && cells[1] == '{codec}' && cells[2] > 0"
            " && cells[3] == 0 && cells[4] > 0.1})"
        )
        browser.wait_for(
            "[...document.querySelectorAll('#greensalt h4')]"
            f".some(head => head.innerText == '{name}'"
            " && head.nextSibling.matches('svg.times')"
            f" && {FIGURES}.test(head.nextSibling.textContent))"
        )
    browser.wait_for("document.querySelectorAll('#greensalt svg.shares rect').length >= 10")
    every = 12 * len(_codecs.available())
    browser.wait_for(  # the table has all rows, and each a few requests
        "[...document.querySelectorAll('#root table tbody tr')]"
        f".filter(row => row.cells.length > 2 && row.cells[2].innerText >= 3).length == {every}",
        60,
    )
    loaded = browser.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
    assert loaded
    assert [name for name in loaded if not name.startswith((url, "data:"))] == []
    browser.screenshot(Path(os.environ.get("GREENSALT_SCREENSHOTS") or tmp_path) / "loadtest.png")
    browser.click("button", "Stop")
    browser.wait_for("document.querySelectorAll('#greensalt svg.times').length > 10")


def test_a_wrong_choice_in_the_form_is_told_as_a_failure(browser: Browser, url: str) -> None:
    form = {"user_count": "1", "spawn_rate": "1", "target": "salt"}
    browser.open(url)
    browser.evaluate(
        "fetch('/swarm', {method: 'POST', body: new URLSearchParams("
        + repr(form)
        + ")}).then(answer => answer.json())"
    )
    browser.wait_for(
        "fetch('/stats/requests').then(answer => answer.text())"
        ".then(text => text.includes('is none of greensalt, stock, both'))"
    )

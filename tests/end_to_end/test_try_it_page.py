"""The try-it page in a real browser, against the app under gunicorn."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import train

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: 'apt install chromium'")
ROOT = Path(__file__).parents[2]
PATIENCE = 120_000  # milliseconds: Playwright's own 5 s for what a page must show are few on a busy machine
SEVEN = [(70, 50), (210, 50), (170, 130), (125, 240)]  # on a paper of 280 × 280


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("digits")
    train.train(folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "gunicorn", "--config", "app/gunicorn.conf.py", "--bind", f"fd://{descriptor}"]
        server = subprocess.Popen(
            [*command, "app:create_app()"],
            cwd=ROOT,
            env={**os.environ, "MODEL_DIR": str(folder), "COMMIT": "c0ffee123456", "MODEL_VERSION": "0123456789ab"},
            pass_fds=[descriptor],
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    try:
        _wait_until_ready(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(120)


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=flags, timeout=PATIENCE)
        playwright.expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, 800), (360, 740)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: "playwright.Browser", address: str) -> Iterator["playwright.Page"]:
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    elsewhere: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: elsewhere.append(asked.url) if not asked.url.startswith(address) else None)
    page.goto(address)
    yield page
    _keep(page, request.node.name)
    page.close()
    assert complaints == []
    assert [url for url in elsewhere if not url.startswith(("data:", "blob:"))] == []


def test_a_drawn_seven_is_a_seven(page: "playwright.Page") -> None:
    _draw(page, SEVEN)
    playwright.expect(page.locator("#best li .label").first).to_have_text("7")
    playwright.expect(page.locator("#best li")).to_have_count(3)
    playwright.expect(page.locator("#status")).to_contain_text("Computed in")
    assert page.locator("#commit").inner_text() == "c0ffee123456"
    assert page.locator("#model").inner_text() == "digits 0123456789ab"
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_seven_drawn_by_keyboard_is_a_seven(page: "playwright.Page") -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "paper"
    for key, times in [("ArrowLeft", 8), ("ArrowUp", 13), (" ", 1), ("ArrowRight", 18)]:
        for _ in range(times):
            page.keyboard.press(key)
    for _ in range(13):
        for key in ("ArrowDown", "ArrowDown", "ArrowLeft"):
            page.keyboard.press(key)
    page.keyboard.press(" ")
    playwright.expect(page.locator("#best li .label").first).to_have_text("7")


def test_a_chosen_picture_is_answered_and_clear_takes_it_away(page: "playwright.Page", tmp_path: Path) -> None:
    (tmp_path / "seven.png").write_bytes(train.sample())
    page.set_input_files("#file", tmp_path / "seven.png")
    playwright.expect(page.locator("#best li .label").first).to_have_text("7")
    page.get_by_role("button", name="Clear").click()
    playwright.expect(page.locator("#best li")).to_have_count(0)


def test_what_is_no_picture_is_said_in_words(page: "playwright.Page", tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_text("Dear model,")
    page.set_input_files("#file", tmp_path / "letter.png")
    playwright.expect(page.locator("#status")).to_contain_text("not a picture")


def _draw(page: "playwright.Page", points: list[tuple[int, int]]) -> None:
    edge = page.locator("#paper").bounding_box()
    assert edge is not None
    on_screen = [(edge["x"] + x * edge["width"] / 280, edge["y"] + y * edge["height"] / 280) for x, y in points]
    page.mouse.move(*on_screen[0])
    page.mouse.down()
    for point in on_screen[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def _keep(page: "playwright.Page", name: str) -> None:
    """A screenshot for a person to look at, where SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline, seen = time.monotonic() + 240, "nothing"
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}readyz", timeout=10):
                return
        except urllib.error.HTTPError as error:
            seen = error.read().decode()
        except OSError as error:
            seen = str(error)
        time.sleep(0.05)
    raise AssertionError(f"the app was not ready in 240 s: {seen}, exit code {server.poll()}")

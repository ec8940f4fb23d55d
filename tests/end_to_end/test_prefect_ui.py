"""A person starts integrate and release from their forms in Prefect's UI, and sees them complete."""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tandem.records import Pair
from tandem.triggers.api import Api, connect

QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
PATIENCE = 120_000  # milliseconds: Prefect's server may be silent for a minute


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(QUIET), timeout=PATIENCE)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)  # not the page's: 5 s
        yield page
        browser.close()


@pytest.fixture
def base(clone: Path) -> str:
    """Where the clone's Prefect UI is."""
    url = httpx.URL(json.loads((clone / ".tandem" / "up.json").read_text())["url"])
    return str(url.copy_with(path="")).rstrip("/")


def start_from_its_form(page: Page, base: str, deployment: str, **fields: str) -> str:
    """Submit the deployment's form, with these fields filled; the id of the run."""
    found = api(base).get(f"deployments/name/{deployment}")
    page.goto(f"{base}/deployments/deployment/{found['id']}/run")
    expect(field(page, "app")).to_have_value("digits")  # the form knows its defaults
    for name, value in fields.items():
        field(page, name).fill(value)
    shoot(page, f"form-{deployment.replace('/', '-')}")
    submit = page.get_by_role("button", name="Submit")
    for _ in range(5):  # a busy server answers 503, and a person tries again
        submit.press("Enter")  # the page's notice of that 503 lies over the button until it is dismissed
        with contextlib.suppress(AssertionError):
            expect(submit).to_be_hidden(timeout=75_000)  # a 503 may take a minute, and two runs are one too many
            break
    page.goto("about:blank")  # Prefect's pages ask their server all the time, and take a third of a processor
    query = {"deployments": {"id": {"any_": [found["id"]]}}, "sort": "START_TIME_DESC"}
    return until(lambda: api(base).post("flow_runs/filter", query))[0]["id"]


def api(base: str) -> Api:
    """Prefect's API behind the pages, patiently."""
    return connect({"PREFECT_API_URL": f"{base}/api"}, patience=240)


def field(page: Page, name: str) -> Locator:
    """A parameter's text in the form."""
    label = page.locator(".schema-form-property__label", has_text=re.compile(rf"^{name}\b"))
    return page.locator(".schema-form-property", has=label).locator("textarea")


def until(ask, seconds: float = 240):
    deadline = time.monotonic() + seconds
    found = None
    while not found:
        assert time.monotonic() < deadline
        found = ask()
        time.sleep(0 if found else 0.5)
    return found


def completed(base: str, run: str) -> dict:
    """The run when it is over."""

    def over() -> dict | None:
        found = api(base).get(f"flow_runs/{run}")
        return found if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    found = until(over)
    assert found["state_type"] == "COMPLETED", found["state"]
    return found


def shoot(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_integrate_and_release_run_from_their_forms(
    clone: Path, new_model: Path, base: str, tandem, page: Page
) -> None:
    run = start_from_its_form(page, base, "integrate/digits")
    assert completed(base, run)["name"].startswith("digits ")
    page.goto(f"{base}/runs/flow-run/{run}")
    expect(page.get_by_text("Completed").first).to_be_visible()
    page.get_by_text("Task Runs", exact=True).click()
    for stage in ("check out", "run tests", "fetch model", "build image", "push image", "test image"):
        expect(page.get_by_text(stage, exact=True).first).to_be_visible()
    shoot(page, "integrate")
    page.get_by_text("Artifacts", exact=True).click()
    expect(page.get_by_text("candidate-digits").first).to_be_visible()
    shoot(page, "artifacts")

    run = start_from_its_form(page, base, "release/digits-local")
    completed(base, run)
    page.goto(f"{base}/runs/flow-run/{run}")
    page.get_by_text("Task Runs", exact=True).click()
    for stage in ("roll out", "verify"):
        expect(page.get_by_text(stage, exact=True).first).to_be_visible()
    shoot(page, "release")
    address = tandem(clone, "status", "digits").split(" at ")[1].split(",")[0]
    assert httpx.get(f"{address}/readyz", timeout=60).status_code == 200


def runs(clone: Path, tandem) -> str:
    """The tag of what local runs."""
    (app,) = json.loads(tandem(clone, "status", "digits", "--json"))
    return Pair(**app["environments"][0]["state"]["current"]["candidate"]["pair"]).tag


def test_publish_approve_rollback_and_prune_run_from_their_forms(
    clone: Path, new_model: Path, base: str, tandem, page: Page
) -> None:
    tandem(clone, "integrate", "digits")
    tandem(clone, "release", "digits", "local")
    before = runs(clone, tandem)
    (new_model / "notes.txt").write_text("another one")
    run = start_from_its_form(page, base, "publish/digits", directory=str(new_model), by="dora")
    name = completed(base, run)["name"]
    version = name.split()[-1]
    assert name.startswith("digits: digits ") and version not in before

    tandem(clone, "integrate", "digits")
    completed(base, start_from_its_form(page, base, "approve/digits", note="looked at it", by="ann"))
    until(lambda: version in runs(clone, tandem))

    completed(base, start_from_its_form(page, base, "rollback/digits-local", why="too slow"))
    assert runs(clone, tandem) == before
    assert "too slow" in tandem(clone, "status", "digits")

    run = start_from_its_form(page, base, "prune/digits")
    completed(base, run)
    assert before in tandem(clone, "candidates", "digits"), "what an environment runs stays"

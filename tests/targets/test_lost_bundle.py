"""Back to an image whose unpacked bundle is gone."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tandem.errors import ReleaseFailed
from tandem.records import Image, Snapshot
from tandem.settings import VerifySettings
from tandem.targets.process import ProcessTarget

Make = Callable[..., Image]


@pytest.fixture
def target(tmp_path: Path, free_port: int) -> Iterator[ProcessTarget]:
    verify = VerifySettings(ready="/readyz", time_limit=60)
    target = ProcessTarget("digits", "local", tmp_path / "home", f"127.0.0.1:{free_port}", verify)
    yield target
    target.stop()


def pid(target: ProcessTarget) -> object:
    return httpx.get(f"{target.running().address}/version", trust_env=False, timeout=60).json()["pid"]


def test_what_serves_well_needs_no_bundle_to_be_gone_back_to(target: ProcessTarget, app_image: Make) -> None:
    list(target.roll_out(app_image("v1"), target.state()))
    before = pid(target)
    shutil.rmtree(target.folder / "images")
    said = list(target.restore(target.snapshot(), target.state()))
    assert said[-1].message.endswith("already")
    assert pid(target) == before


def test_a_way_back_that_is_lost_says_what_users_reach_and_what_can_be_done(
    target: ProcessTarget, app_image: Make
) -> None:
    lost = Snapshot({"digest": f"sha256:{'0' * 64}"})
    with pytest.raises(ReleaseFailed, match="nothing serves now; 'tandem release' brings in the newest") as failed:
        list(target.restore(lost, target.state()))
    assert failed.value.fault == "environment"
    image = app_image("v1")
    list(target.roll_out(image, target.state()))
    before = pid(target)
    with pytest.raises(ReleaseFailed, match=rf"{image.digest} \(running\) is what users reach now; 'tandem release'"):
        list(target.restore(lost, target.state()))
    assert pid(target) == before

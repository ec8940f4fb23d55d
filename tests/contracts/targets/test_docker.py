"""What only `docker:` can get wrong: containers that outlive what started them, images that pile up, no engine."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from docker import DockerClient

from tandem.errors import ReleaseFailed
from tandem.records import Image, Progress, Versioned
from tandem.targets import reach
from tandem.targets.contained import ENGINE, ENVIRONMENT
from tandem.targets.docker import DockerTarget

BringIn = Callable[[Image], list[Progress]]
Answer = Callable[[], dict[str, object]]


@pytest.fixture
def kind() -> str:
    return "docker"


@pytest.fixture
def client(engine: str) -> Iterator[DockerClient]:
    with closing(DockerClient(base_url=engine)) as client:
        yield client


def containers(client: DockerClient, target: DockerTarget) -> list[str]:
    mine = {"label": f"{ENVIRONMENT}={target.folder}"}
    return [each.short_id for each in client.containers.list(all=True, filters=mine, ignore_removed=True)]


def test_users_lose_no_request_while_containers_swap(
    docker: DockerTarget, make_image: Callable[..., Image], bring_in: BringIn, client: DockerClient
) -> None:
    bring_in(make_image("v1"))
    address, over, failed, served = docker.running().address, threading.Event(), [], set()

    def ask() -> None:
        while not over.is_set():
            try:
                served.add(httpx.get(f"{address}/version", trust_env=False, timeout=60).json()["version"])
            except (httpx.HTTPError, ValueError) as error:
                failed.append(error)

    users = [threading.Thread(target=ask) for _ in range(4)]
    for user in users:
        user.start()
    try:
        for version in ("v2", "v3"):
            bring_in(make_image(version))
            deadline = time.monotonic() + 60
            while version not in served:
                assert time.monotonic() < deadline, (version, served, failed)
                time.sleep(0.02)
    finally:
        over.set()
        for user in users:
            user.join()
    assert (failed, served) == ([], {"v1", "v2", "v3"})
    assert len(containers(client, docker)) == 1


def test_a_container_whose_process_was_killed_is_replaced_and_removed(
    docker: DockerTarget, make_image: Callable[..., Image], bring_in: BringIn, answer: Answer, client: DockerClient
) -> None:
    bring_in(make_image("v1"))
    before, left = answer()["host"], containers(client, docker)
    (app,) = reach.recorded(docker.folder)["apps"]
    os.kill(app["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 90
    while containers(client, docker) == left or docker.running().restarts != 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while True:
        try:
            assert answer()["host"] != before
            break
        except httpx.HTTPError:
            assert time.monotonic() < deadline
    assert len(containers(client, docker)) == 1


def test_a_container_that_was_only_tried_and_does_not_end_is_removed(
    docker: DockerTarget, make_image: Callable[..., Image], bring_in: BringIn, client: DockerClient
) -> None:
    bring_in(make_image("v1"))
    docker.verify = docker.verify.model_copy(update={"time_limit": 6.0})
    with pytest.raises(ReleaseFailed):
        bring_in(make_image("v2", "stubborn-never-ready"))
    assert len(containers(client, docker)) == 1


def test_what_is_not_needed_any_more_leaves_the_engine(
    docker: DockerTarget,
    make_image: Callable[..., Image],
    bring_in: BringIn,
    record_release: Callable[[str], Versioned[object]],
    client: DockerClient,
) -> None:
    kept = []
    for version in range(5):
        image = make_image(f"v{version}")
        bring_in(image)
        record_release(image.digest)
        kept.append(image.digest.removeprefix("sha256:")[:12])
        list(docker.finish(image))
    tags = {tag.partition(":")[2] for each in client.images.list(docker._repository) for tag in each.tags}
    assert kept[-1] in tags and kept[-2] in tags and kept[0] not in tags


def test_going_back_needs_neither_registry_nor_the_name_that_was_pulled(
    docker: DockerTarget, make_image: Callable[..., Image], bring_in: BringIn, answer: Answer, client: DockerClient
) -> None:
    bring_in(make_image("v1", "kept"))
    before, pulled = docker.snapshot(), docker.engine().pull(str(docker.snapshot().content["digest"]))
    bring_in(make_image("v2"))
    client.images.remove(pulled)  # as a trial's tidying does, or a person's
    label = 'dev.tandem.command=["python", "app.py", "{listen}", "kept"]'  # no other test's, which share the engine
    client.images.prune({"dangling": True, "label": label})
    list(docker.restore(before, docker.state()))
    assert answer()["version"] == "v1"


def test_the_exit_code_that_tells_of_the_engine_blames_the_environment(
    make_image: Callable[..., Image], bring_in: BringIn
) -> None:
    with pytest.raises(ReleaseFailed, match="the Docker engine") as failed:
        bring_in(make_image("v1", command=("sh", "-c", "exit 125")))
    assert failed.value.fault == "environment"


@pytest.mark.parametrize("away", [True, False])
def test_a_container_that_cannot_be_made_ends_with_that_exit_code(engine: str, tmp_path: Path, away: bool) -> None:
    host = f"unix://{tmp_path}/none.sock" if away else engine
    argv = [sys.executable, "-m", "tandem.targets.contained", "sha256:" + "0" * 64, "0", "8000", str(tmp_path)]
    done = subprocess.run(argv, env=os.environ | {"DOCKER_HOST": host}, capture_output=True, text=True)
    assert done.returncode == ENGINE and ("no container of" if away else "pulls it again") in done.stderr


def test_an_image_without_a_system_is_refused_with_what_to_do(
    docker: DockerTarget, make_image: Callable[..., Image]
) -> None:
    from tests.contracts.targets.conftest import TAG

    with pytest.raises(ReleaseFailed, match=r"only process: runs it") as failed:
        list(docker.roll_out(make_image("v1", base=f"none {TAG}"), docker.state()))
    assert failed.value.fault == "environment"


def test_an_engine_that_is_away_is_the_environments_fault_and_the_old_one_serves(
    docker: DockerTarget, make_image: Callable[..., Image], bring_in: BringIn, answer: Answer, tmp_path
) -> None:
    bring_in(make_image("v1"))
    before, engine = answer(), docker.engine()

    class Away:
        address = f"unix://{tmp_path}/none.sock"

        def pull(self, digest: str) -> str:
            return engine.pull(digest)

    docker.engine = Away
    with pytest.raises(ReleaseFailed, match="is it running") as failed:
        bring_in(make_image("v2"))
    assert failed.value.fault == "environment" and answer() == before

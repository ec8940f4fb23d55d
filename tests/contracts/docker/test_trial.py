"""An image is tried in a real Docker engine before it becomes a candidate, and nothing of the trial is left."""

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from prefect.logging import disable_run_logger
from prefect_docker import DockerHost

from tandem.errors import ImageFailed, NotInRegistry, ReleaseFailed, Unreachable
from tandem.flows.alone import OWNER, TRIAL
from tandem.flows.container import Wish, try_in_docker
from tandem.flows.engine import Engine, Remote, answering
from tandem.image_config import config_bytes, config_of
from tandem.images.layers import MEDIA_TYPE, Entry, layer_blob
from tandem.manifests import CONFIG, blob_of
from tandem.records import Image
from tandem.settings import Request, VerifySettings
from tandem.targets.trial import Trial
from tests.docker_engine import BaseImage

APP = Path(__file__).with_name("trial_app.py")
PASSWD = blob_of(b"root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n", "passwd")
RIGHT = Request(path="/", json={"/answer": 7}, within=60)
Make = Callable[..., Remote]
Try = Callable[..., Trial]


@pytest.fixture(scope="module")
def app_image(base_image: BaseImage) -> Image:
    """The service on the real base, in the base's own repository: nothing large is copied."""
    registry, base = base_image.image.registry, config_of(base_image.image)
    layer = registry.write(
        layer_blob([Entry("app/app.py", blob_of(APP.read_bytes(), "app.py")), Entry("etc/passwd", PASSWD)]), MEDIA_TYPE
    )
    config = replace(
        base,
        command=("python3", "app.py", "8000"),
        workdir="/app",
        user="10001",
        ports=("8000/tcp",),
        diff_ids=(*base.diff_ids, layer.digest),
    )
    described = registry.write(blob_of(config_bytes(config), "config.json"), CONFIG)
    manifest = replace(base_image.image.manifest, config=described, layers=(*base_image.image.manifest.layers, layer))
    return Image(registry, registry.put(manifest).digest, manifest)


@pytest.fixture
def made(app_image: Image) -> Make:
    """made("crash", user="root"): the same image with another variable HOW, user or command."""

    def make(how: str = "", **config: Any) -> Remote:
        registry, changed = app_image.registry, replace(config_of(app_image), **config)
        changed = replace(changed, env={**changed.env, "HOW": how})
        described = registry.write(blob_of(config_bytes(changed), "config.json"), CONFIG)
        manifest = replace(app_image.manifest, config=described)
        return Remote(str(registry), registry.put(manifest).digest)

    return make


@pytest.fixture
def tried(engine: str, tmp_path: Path, client: docker.DockerClient) -> Iterator[Try]:
    """tried(image, *requests, stop_limit=…): its trial."""
    host, folder = answering(DockerHost(base_url=engine)), tmp_path / "trials"

    def try_it(image: Remote, *requests: Request, time_limit: float = 60, step: Any = plainly, **wishes: Any) -> Trial:
        verify = VerifySettings(ready="/", time_limit=time_limit, request=requests or (RIGHT,))
        with disable_run_logger():
            return try_in_docker(host, image, Wish(verify, 8000, **wishes), folder, step)

    yield try_it
    assert left(client, folder) == []
    assert list(folder.glob("[0-9]*")) == []


def plainly(task: Any, _name: str, /, *arguments: Any, **options: Any) -> Any:
    """A task of prefect-docker without a flow around it."""
    done = task.fn(*arguments, **options)
    return asyncio.run(done) if asyncio.iscoroutine(done) else done


@pytest.fixture
def once_it_spoke(client: docker.DockerClient) -> Callable[..., Any]:
    """`plainly`, but a container that was started is waited for until it has printed something."""

    def step(task: Any, name: str, /, *arguments: Any, **options: Any) -> Any:
        done = plainly(task, name, *arguments, **options)
        deadline = time.monotonic() + 60
        while name == "start container" and not client.containers.get(arguments[0]).logs():
            assert time.monotonic() < deadline, "it printed nothing"
            time.sleep(0.05)
        return done

    return step


def left(client: docker.DockerClient, folder: Path) -> list[str]:
    """Containers and networks of this folder's trials."""
    found = [*client.containers.list(all=True, ignore_removed=True), *client.networks.list()]
    labels = [(each.name, each.attrs.get("Config", each.attrs)["Labels"] or {}) for each in found]
    return [name for name, its in labels if TRIAL in its and its[OWNER].endswith(str(folder))]


def test_an_image_that_works_says_where_and_how_long_each_thing_took(made: Make, tried: Try) -> None:
    trial = tried(made())
    assert trial.where.startswith("docker ") and "docker " in str(trial)
    assert 0 < trial.ready_seconds < 60
    assert [check.ok for check in trial.checks] == [True]
    assert 0 < trial.stop_seconds < 60


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("crash", r"the app ended \(exit code 1\)(.|\n)*it cannot find its model"),
        ("never-ready", r"did not answer 200 within 1\.5 s"),
        ("wrong", r"GET /: expected 7"),
        ("stubborn", r"did not end within 1 s of SIGTERM"),
        ("eat", r"needed more memory than the 64 MiB"),
    ],
)
def test_an_image_that_does_not_work_fails_with_what_it_printed(
    made: Make, tried: Try, once_it_spoke: Callable[..., Any], how: str, says: str
) -> None:
    wishes = {"time_limit": 1.5 if how == "never-ready" else 60, "stop_limit": 1, "memory": 64 * 1024**2}
    with pytest.raises(ImageFailed, match=says) as failed:
        tried(made(how), step=once_it_spoke, **wishes)
    assert f"starts {how}" in str(failed.value)


def test_a_worker_that_was_killed_for_its_memory_is_noticed_though_all_answers_were_right(
    made: Make, tried: Try
) -> None:
    with pytest.raises(ImageFailed, match="needed more memory"):
        tried(made(), Request(path="/eat", json={"/answer": 7}, within=60), memory=64 * 1024**2)


@pytest.mark.parametrize("user", ["", "0", "root", "0:10001", "toor"])
def test_an_image_that_runs_as_root_is_refused_with_what_to_write(made: Make, tried: Try, user: str) -> None:
    with pytest.raises(ImageFailed, match=r"runs as root: end Dockerfile with 'USER 10001'"):
        tried(made(user=user))


def test_a_command_that_is_not_in_the_image_is_named(made: Make, tried: Try) -> None:
    with pytest.raises(ImageFailed, match=r"could not be started(.|\n)*gunicron"):
        tried(made(command=("gunicron",)))


def test_a_port_that_app_toml_does_not_name_is_told(made: Make, tried: Try) -> None:
    with pytest.raises(ImageFailed, match=r"the image exposes 5000/tcp, \[image\] port is 8000"):
        tried(made(command=("python3", "app.py", "5000"), ports=("5000/tcp",)), time_limit=1)


def test_the_container_has_no_rights_and_no_place_to_write_but_tmp(made: Make, tried: Try) -> None:
    no = "Read-only file system"
    given = {"/root": no, "/app": no, "/tmp": "done", "/uid": 10001, "/capabilities": 0, "/no new privileges": "1"}
    tried(made(), Request(path="/about", json=given, within=60))


def test_the_container_has_no_way_out(made: Make, tried: Try, client: docker.DockerClient) -> None:
    outside = client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]  # an address on another network
    with socket.create_server((outside, 0)) as listener:
        port = listener.getsockname()[1]
        tried(made(), Request(path=f"/out/{outside}:{port}", json={"": "No route to host"}, within=60))


def test_an_image_that_is_not_there_is_not_the_apps_fault(made: Make, tried: Try) -> None:
    with pytest.raises(NotInRegistry, match="is it there"):
        tried(replace(made(), digest=f"sha256:{'0' * 64}"))
    with pytest.raises(Unreachable, match="must reach the registry"):
        tried(replace(made(), name="127.0.0.1:9/trials/app"))


def test_an_engine_that_is_down_is_told_with_what_to_do(tmp_path: Path) -> None:
    host = DockerHost(base_url=f"unix://{tmp_path}/none.sock")
    with pytest.raises(Unreachable, match=r"no Docker engine answers at .*none\.sock.*start it"):
        answering(host)
    with pytest.raises(Unreachable, match="no Docker engine answers"):
        try_in_docker(Engine(host, "1"), Remote("x/y", "sha256:"), Wish(VerifySettings(), 1), tmp_path, plainly)


def test_a_killed_trial_is_cleared_by_the_next_and_a_living_one_is_not(
    made: Make, tried: Try, engine: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    folder, image = tmp_path / "trials", made("never-ready")
    host = answering(DockerHost(base_url=engine))
    other = multiprocessing.get_context("fork").Process(target=long_trial, args=(host, image, folder))
    other.start()
    deadline = time.monotonic() + 120
    while not (running := client.containers.list(filters={"label": f"{OWNER}={socket.gethostname()}:{folder}"})):
        assert other.is_alive() and time.monotonic() < deadline
        time.sleep(0.05)
    assert [port["HostIp"] for port in running[0].ports["8000/tcp"]] == ["127.0.0.1"], "and no port but its own"
    assert len(running[0].ports) == 1 and running[0].attrs["HostConfig"]["PidsLimit"] == 512
    theirs = left(client, folder)
    tried(made())
    assert left(client, folder) == theirs and len(theirs) == 2
    other.kill()
    other.join()
    tried(made())
    assert left(client, folder) == []


def long_trial(host: Engine, image: Remote, folder: Path) -> None:
    """In a process of its own, that will be killed."""
    with disable_run_logger():
        try_in_docker(host, image, Wish(VerifySettings(ready="/", time_limit=600), 8000), folder, plainly)


def test_what_could_not_be_removed_hides_nothing_and_goes_with_the_next_trial(made: Make, tried: Try) -> None:
    def clumsy(task: Any, name: str, /, *arguments: Any, **options: Any) -> Any:
        if name == "remove container":
            raise docker.errors.APIError("device is busy")
        return plainly(task, name, *arguments, **options)

    with pytest.raises(ImageFailed, match="cannot find its model"):
        tried(made("crash"), step=clumsy)
    tried(made())


def test_of_an_apps_images_the_newest_stays_in_the_engine(made: Make, tried: Try, client: docker.DockerClient) -> None:
    earlier, newest = made(env={"A": "1"}), made(env={"A": "2"})
    tried(earlier)
    tried(newest)
    assert client.images.get(str(newest))
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(str(earlier))


def test_an_engine_that_refuses_is_not_the_apps_fault(made: Make, tried: Try) -> None:
    with pytest.raises(ReleaseFailed, match=r"refused: (.|\n)*memory") as failed:
        tried(made(), memory=1)
    assert failed.value.fault == "environment"

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from tandem.errors import BuildFailed, RegistryError, Unreachable
from tandem.images.docker_images import kept_name
from tandem.records import Source
from tandem.registries import open_registry
from tandem.seams import Registry
from tests.contracts.docker.conftest import Build
from tests.contracts.registries.entra import refresh_token

FAILING = """FROM {base}

# a comment, and a line that goes on
RUN echo one; \\
    # another
    echo two; exit 3
"""
DIES = Path(__file__).with_name("build_and_die.py")


def test_a_failing_step_is_named_by_its_line_with_its_last_words(
    build: Build, source: Callable[..., Source], registry: Registry, client: docker.DockerClient
) -> None:
    with pytest.raises(BuildFailed) as failed:
        build(source({"Dockerfile": FAILING}))
    assert str(failed.value) == ("Dockerfile:4: RUN echo one; echo two; exit 3: returned a non-zero code: 3\none\ntwo")
    assert registry.tags() == []
    assert not client.images.list(filters={"label": f"dev.tandem.build={registry}"})


def test_builds_that_fail_again_and_again_do_not_pile_up(
    build: Build, source: Callable[..., Source], registry: Registry, client: docker.DockerClient
) -> None:
    def failing(word: str) -> str:
        with pytest.raises(BuildFailed):
            build(source({"Dockerfile": f"FROM scratch\nENV WORD={word}\nCOPY nothing /\n"}))
        return str(client.api.inspect_image(f"{kept_name(registry)}:failed")["Id"])

    first = failing("one")
    assert failing("one") == first
    second = failing("two")
    build(source({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}))
    for gone in (first, second):
        with pytest.raises(ImageNotFound):
            client.api.inspect_image(gone)


@pytest.mark.parametrize(
    ("dockerfile", "says"),
    [
        ("FROM {base}\nCOPY . .\nFRM x\n", r"^Dockerfile:3: FRM x: .*unknown instruction: FRM"),
        ("ARG A=1\nFROM {registry}/no/base:1\n", r"^Dockerfile:2: FROM .*no/base:1.*is the name right"),
        ("FROM {base}\nCOPY nothing .\n", r"^Dockerfile:2: COPY nothing \.: .*file not found in build context"),
        (
            "FROM {base}\nRUN dd if=/dev/zero of=/dev/full count=1\n",
            r"^Dockerfile:2: RUN .*: the daemon's disk is full: make room there",
        ),
        ("", r"^Dockerfile: .*empty"),
    ],
)
def test_what_is_wrong_with_a_dockerfile_is_said_by_line(
    dockerfile: str, says: str, build: Build, source: Callable[..., Source], engine_registry: str
) -> None:
    with pytest.raises(BuildFailed, match=says):
        build(source({"Dockerfile": dockerfile.replace("{registry}", engine_registry)}))


def test_a_base_that_the_daemon_cannot_reach_may_be_there_later(build: Build, source: Callable[..., Source]) -> None:
    with pytest.raises(Unreachable, match=r"^Dockerfile:1: FROM 127\.0\.0\.1:9/base.*connection refused"):
        build(source({"Dockerfile": "FROM 127.0.0.1:9/base\n"}))


def test_a_dockerfile_that_is_not_there_and_one_outside(build: Build, source: Callable[..., Source]) -> None:
    with pytest.raises(BuildFailed, match=r"dockerfile = 'Dockerfile': is not there in commit cccccccccccc"):
        build(source({"app.py": ""}))
    with pytest.raises(BuildFailed, match="is outside the repository"):
        build(source({"app.py": ""}), dockerfile="../../../../../etc/passwd")


def test_an_image_for_another_platform_goes_nowhere(
    build: Build, source: Callable[..., Source], registry: Registry
) -> None:
    with pytest.raises(BuildFailed, match=r"gives an image for linux/amd64, \[image\] platform is linux/arm64"):
        build(source({"Dockerfile": "FROM {base}\n"}), platform="linux/arm64")
    assert registry.tags() == []


def test_a_daemon_that_is_not_there(registry: Registry, source: Callable[..., Source], tmp_path: Path) -> None:
    build = Build(f"unix://{tmp_path}/none.sock", registry, tmp_path)
    with pytest.raises(Unreachable, match=r"Docker at unix://.*none\.sock: .*No such file.*DOCKER_HOST"):
        build(source({"Dockerfile": "FROM {base}\n"}))


@pytest.fixture
def cut_engine(engine: str, tmp_path: Path) -> Iterator[str]:
    """The daemon behind a wire that breaks as soon as it says "cut here"."""
    address, ends = str(tmp_path / "cut"), list[socket.socket]()

    def pump(one: socket.socket, other: socket.socket) -> None:
        try:
            while piece := one.recv(65536):
                if b"cut here\\n" in piece:
                    break
                other.sendall(piece)
        except OSError:
            pass
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(engine.removeprefix("unix://"))
            ends.extend((near, far))
            threading.Thread(target=pump, args=(near, far), daemon=True).start()
            threading.Thread(target=pump, args=(far, near), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"unix://{address}"
        listener.shutdown(socket.SHUT_RDWR)
    for each in ends:
        each.close()


def test_a_daemon_that_goes_away_in_the_middle(
    cut_engine: str, registry: Registry, source: Callable[..., Source], tmp_path: Path
) -> None:
    build = Build(cut_engine, registry, tmp_path)
    with pytest.raises(Unreachable, match="the daemon went away meanwhile"):
        build(source({"Dockerfile": "FROM {base}\nRUN echo cut here; sleep 5\n"}))
    assert registry.tags() == []


def test_killed_half_way_nothing_stays_and_the_next_build_is_whole(
    build: Build, source: Callable[..., Source], registry: Registry, client: docker.DockerClient
) -> None:
    marker = str(registry).replace("/", "-")
    slow = source({"Dockerfile": f"FROM {{base}}\nRUN echo {marker}; sleep 600\n"})
    child = subprocess.Popen([sys.executable, DIES, build.engine, str(registry), slow.folder], cwd=Path.cwd(),
                             env={"PYTHONPATH": ".", "PATH": "/usr/bin:/bin"})  # fmt: skip

    def living() -> list[object]:
        return [each for each in client.containers.list(ignore_removed=True) if marker in str(each.attrs["Args"])]

    wait(lambda: bool(living()), "the build's container never ran")
    child.kill()
    child.wait()
    wait(lambda: not living(), "the build's container is still there")
    assert registry.tags() == []
    whole = build(source({"Dockerfile": "FROM {base}\nCOPY . /srv\n"}))
    assert registry.resolve(whole.digest) and registry.tags() == []


def wait(until: Callable[[], bool], last_seen: str) -> None:
    deadline = time.monotonic() + 120
    while not until():
        assert time.monotonic() < deadline, last_seen
        time.sleep(0.05)


def test_a_registry_that_wants_a_login_is_pushed_to_with_it_and_never_told(
    acr: str, acr_url: str, engine: str, source: Callable[..., Source], tmp_path: Path
) -> None:
    build = Build(engine, open_registry(acr_url, tmp_path), tmp_path)
    text = {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}
    with pytest.raises(RegistryError, match=r"Docker pushing 127.*log in with what may push"):
        build(source(text))
    build.login = {"username": "0" * 8, "password": refresh_token(acr, "pull")}
    with pytest.raises(RegistryError, match=r"Docker pushing 127.*denied.*AcrPush"):
        build(source(text))
    build.login = {"username": "0" * 8, "password": refresh_token(acr, "push")}
    image = build(source(text))
    assert image.registry.resolve(image.digest)
    build(source({"Dockerfile": f"FROM {image}\nUSER 5\n"}))  # the base may be in the same registry
    assert build.login["password"] not in build.log


class Undeletable:
    """A registry whose login may not delete, as AcrPush."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def __getattr__(self, name: str) -> object:
        return getattr(self.registry, name)

    def __str__(self) -> str:
        return str(self.registry)

    def delete(self, digest: str) -> None:
        raise RegistryError("405: the registry does not allow it")


def test_where_nothing_may_be_deleted_dockers_tag_stays_and_is_no_candidate(
    engine: str, registry: Registry, source: Callable[..., Source], tmp_path: Path
) -> None:
    build = Build(engine, Undeletable(registry), tmp_path)
    image = build(source({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}))
    assert registry.tags() == ["build-cccccccccccc"] and registry.resolve("build-cccccccccccc").digest != image.digest
    assert "the tag build-cccccccccccc stays" in build.log

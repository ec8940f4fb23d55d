"""An app's suite in a container of its image, in a real engine: what it sees, how it ends, and that nothing stays."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from prefect.logging import disable_run_logger
from prefect_docker import DockerHost

from tandem.errors import SuiteFailed
from tandem.flows.alone import OWNER, TRIAL
from tandem.flows.engine import Remote, answering
from tandem.flows.suite import Setting, run_in_docker
from tandem.image_config import config_bytes, config_of
from tandem.images.layers import MEDIA_TYPE, Entry, layer_blob
from tandem.manifests import CONFIG, blob_of
from tandem.records import Source
from tandem.settings import SuiteSettings
from tandem.source import Counts, SuiteReport
from tests.docker_engine import BaseImage

Suite = Callable[..., SuiteReport]
LOOKS = """
import errno, os, pathlib, platform, socket, unittest

class Looks(unittest.TestCase):
    def test_the_image_is_what_it_sees(self):
        self.assertEqual(pathlib.Path("/etc/only-in-the-image").read_text(), "here")
        self.assertEqual(os.getuid(), 10001)
        self.assertEqual((os.environ["OWN"], os.environ["MODEL_DIR"], os.environ["MARK"]), ("image", "/model", "mine"))
        self.assertNotIn("SECRET", os.environ)
        print("python", platform.python_version(), platform.freedesktop_os_release()["VERSION_CODENAME"])

    def test_it_writes_where_it_may_and_nowhere_else(self):
        for folder in (".", "tests", os.environ["HOME"], os.environ["TMPDIR"]):
            pathlib.Path(folder, "mine").write_text("x")
        with self.assertRaises(PermissionError):
            pathlib.Path("/etc/mine").write_text("x")

    def test_it_reaches_nobody(self):
        with self.assertRaises(OSError) as refused:
            socket.create_connection(("192.0.2.1", 80), timeout=5)
        self.assertEqual(refused.exception.errno, errno.ENETUNREACH)
        with socket.create_server(("127.0.0.1", 0)) as own:
            socket.create_connection(own.getsockname()).close()

    def test_it_has_no_rights(self):
        status = pathlib.Path("/proc/self/status").read_text()
        self.assertIn("CapBnd:\\t0000000000000000", status)
        self.assertIn("NoNewPrivs:\\t1", status)
"""


@pytest.fixture(scope="module")
def image(base_image: BaseImage) -> Remote:
    """The real base with a file, a user and a variable of its own, and a command that is not the suite's."""
    registry, base = base_image.image.registry, config_of(base_image.image)
    layer = registry.write(layer_blob([Entry("etc/only-in-the-image", blob_of(b"here", "f"))]), MEDIA_TYPE)
    config = replace(
        base, entrypoint=("false",), command=("false",), user="10001", workdir="/nowhere",
        env={**base.env, "OWN": "image"}, diff_ids=(*base.diff_ids, layer.digest),
    )  # fmt: skip
    described = registry.write(blob_of(config_bytes(config), "config.json"), CONFIG)
    manifest = replace(base_image.image.manifest, config=described, layers=(*base_image.image.manifest.layers, layer))
    return Remote(str(registry), registry.put(manifest).digest)


@pytest.fixture
def suite(
    engine: str, image: Remote, source: Callable[..., Source], tmp_path: Path, client: docker.DockerClient
) -> Iterator[Suite]:
    """suite({"test_it.py": "…"}, command="…") runs it in the image; `said` is what it printed."""
    folder = tmp_path / "trials"

    def run(files: dict[str, str], said: list[str] | None = None, **settings: object) -> SuiteReport:
        wish = {"command": "python3 -m unittest -v", "where": "image", "time_limit": 60, **settings}
        variables = {"MARK": "mine", "SECRET": "ours"}
        say = (said if said is not None else []).append
        setting = Setting(
            SuiteSettings.model_validate(wish), variables, "/model", tmp_path / "cache", say, 256 * 1024**2, plainly
        )
        with disable_run_logger():
            return run_in_docker(answering(DockerHost(base_url=engine)), image, setting, source(files), folder)

    yield run
    assert left(client, folder) == []
    assert list(folder.glob("[0-9]*")) == []


def plainly(task: Any, _name: str, /, *arguments: Any, **options: Any) -> Any:
    """A task without a flow around it."""
    return task.fn(*arguments, **options)


def left(client: docker.DockerClient, folder: Path) -> list[str]:
    """This folder's containers."""
    found = [(each.name, each.labels) for each in client.containers.list(all=True, ignore_removed=True)]
    return [name for name, its in found if TRIAL in its and its[OWNER].endswith(str(folder))]


def test_a_suite_sees_its_image_alone(suite: Suite) -> None:
    said: list[str] = []
    files = {"test_looks.py": LOOKS, "tests/deep.txt": "x"}
    told = suite(files, said, model=True, variables=("MARK", "ABSENT"))
    assert told.counts == Counts(passed=4) and told.sandboxed and told.where.startswith("docker ")
    printed = "\n".join(said)
    assert "bookworm" in printed and "test.variables: ABSENT is not set here" in printed


def test_pytest_comes_from_the_index_for_the_images_interpreter(suite: Suite) -> None:
    files = {
        "requirements.txt": "pytest\n",
        "test_it.py": "import sys, pytest\n\ndef test_fine(): assert sys.executable == '/usr/bin/python3'\n\n"
        "def test_bad():\n    assert 'packages' not in pytest.__file__, 'from beside'\n",
    }
    with pytest.raises(SuiteFailed, match=r"failed \(exit code 1\)(.|\n)*failing: test_it::test_bad") as failed:
        suite(files, command="pytest", requirements=("requirements.txt",))
    told = failed.value.report
    assert isinstance(told, SuiteReport)
    assert [(case.name, case.outcome) for case in told.cases] == [
        ("test_it::test_fine", "passed"),
        ("test_it::test_bad", "failed"),
    ]
    assert "from beside" in told.cases[1].message


def test_a_suite_that_hangs_is_ended_at_its_limit(suite: Suite) -> None:
    hangs = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('begins')\ntime.sleep(600)\n"
    began = time.monotonic()
    with pytest.raises(SuiteFailed, match=r"were not done in 8 s(.|\n)*begins"):
        suite({"check.py": hangs}, command="python3 check.py", time_limit=8)  # in which it begins
    assert time.monotonic() - began < 200


@pytest.mark.parametrize(
    ("files", "settings", "says"),
    [
        ({"a.txt": ""}, {}, "executed no test"),
        ({"a.txt": ""}, {"command": "no-such-program"}, r"could not be started in the image(.|\n)*no-such-program"),
        ({"a.txt": ""}, {"requirements": ["no.txt"]}, r"test\.requirements: no\.txt cannot be read"),
        ({"r.txt": "-e ."}, {"requirements": ["r.txt"]}, "it is the working directory: take its line out"),
        ({"check.py": "x = 'x' * 2**30"}, {"command": "python3 check.py"}, "more than 256 MiB of memory"),
    ],
)
def test_what_cannot_pass_says_why(suite: Suite, files: Any, settings: Any, says: str) -> None:
    with pytest.raises(SuiteFailed, match=says):
        suite(files, **settings)


def test_the_container_of_a_run_that_was_killed_goes_with_the_next(
    suite: Suite, client: docker.DockerClient, tmp_path: Path
) -> None:
    hangs = {"check.py": "import time\nprint('begins', flush=True)\ntime.sleep(600)\n"}
    wish = {"command": "python3 check.py", "time_limit": 300}
    other = multiprocessing.get_context("fork").Process(target=suite, args=(hangs,), kwargs=wish)
    other.start()
    deadline = time.monotonic() + 120
    while not (theirs := left(client, tmp_path / "trials")) or client.containers.get(theirs[0]).status != "running":
        assert time.monotonic() < deadline and other.is_alive(), "the other suite has not begun"
        time.sleep(0.1)
    other.kill()
    other.join()
    assert left(client, tmp_path / "trials") == theirs
    suite({"test_it.py": "import unittest\nclass It(unittest.TestCase):\n    def test_it(self): pass\n"})

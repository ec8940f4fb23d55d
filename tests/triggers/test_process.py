"""`tandem receive` as a process: driven by git itself, killed, and started again."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.triggers import hooks
from tests.triggers.conftest import SECRET, write_app
from tests.triggers.prefect_double import PrefectDouble

HOOKS_PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"


class Process:
    """`tandem receive` in a folder."""

    def __init__(self, root: Path, prefect: PrefectDouble, port: int = 0) -> None:
        environ = {"PATH": os.environ["PATH"], "HOME": str(root), "SHOP_SECRET": SECRET, "PREFECT_API_URL": prefect.url}
        program = [str(Path(sys.executable).parent / "tandem"), "receive", "--port", str(port)]
        self.log = root / "receiver.log"
        with self.log.open("w") as sink:
            self.process = subprocess.Popen(program, cwd=root, env=environ, stdout=sink, stderr=sink)
        self.url = self.wait(r"listening at (http://\S+)/hooks/SENDER")
        self.port = int(self.url.rpartition(":")[2])

    def wait(self, pattern: str, seconds: float = 240.0) -> str:
        """Until the log says this; what stood in its parentheses."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log.read_text())):
            ended = self.process.poll()
            assert ended is None and time.monotonic() < deadline, (ended, self.log.read_text())
            time.sleep(0.02)
        return found[1] if found.groups() else found[0]

    def take(self, sent: hooks.Sent) -> httpx.Response:
        """Send a hook."""
        return httpx.post(f"{self.url}/hooks/{sent.sender}", content=sent.body, headers=sent.headers, timeout=120)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(number)
        return self.process.wait(120)


@pytest.fixture
def process(tmp_path: Path, prefect: PrefectDouble) -> Iterator[Process]:
    write_app(tmp_path, "shop")
    write_app(tmp_path, "local", f"file://{tmp_path}/shop.git")
    process = Process(tmp_path, prefect)
    yield process
    if process.process.poll() is None:
        process.end(signal.SIGKILL)


def test_it_says_that_it_is_well_and_ends_when_told(process: Process) -> None:
    assert httpx.get(f"{process.url}/healthz", timeout=60).json() == {"status": "ok"}
    assert process.end() == 0 and "Traceback" not in process.log.read_text()


def test_killed_and_started_again_it_takes_hooks_at_the_same_address(process: Process, tmp_path: Path) -> None:
    with httpx.Client(timeout=60) as client:  # a connection that is open when it dies
        client.get(f"{process.url}/healthz")
        assert process.take(hooks.github().signed(SECRET)).json()["apps"] == ["shop"]
        process.end(signal.SIGKILL)
    again = Process(tmp_path, PrefectDouble(port=9), process.port)  # and no server of Prefect's there
    try:
        assert again.take(hooks.github().signed(SECRET)).json()["apps"] == ["shop"]
        again.wait("tried again until it is")
    finally:
        assert again.end() == 0


def test_prefect_is_not_imported(process: Process) -> None:
    maps = Path(f"/proc/{process.process.pid}/status")
    if not maps.exists():
        pytest.skip("no /proc: Linux says here how much memory a process has")
    resident = re.search(r"VmRSS:\s+(\d+) kB", maps.read_text())
    assert resident and int(resident[1]) < 100_000
    program = "import sys, tandem.cli.receive, tandem.triggers.receive; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_port_that_is_taken_is_a_sentence(process: Process, tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "tandem"
    argv = [program, "receive", "--port", str(process.port)]
    done = subprocess.run(argv, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.returncode == 1 and "--port" in done.stderr and "Traceback" not in done.stderr


def scripts(title: str) -> list[str]:
    """The blocks of shell below a heading of docs/webhooks.md."""
    section = HOOKS_PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("signer", ["openssl", "perl"])
def test_a_push_into_a_bare_repository_starts_its_app_by_the_hook_of_the_docs(
    process: Process, tmp_path: Path, prefect: PrefectDouble, signer: str
) -> None:
    for program in ("git", "curl", signer):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    bare, work = tmp_path / "shop.git", tmp_path / "work"
    environ = os.environ | {"TANDEM_HOOK_SECRET": SECRET, "TANDEM_HOOK_URL": f"{process.url}/hooks/generic"}
    identity = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")

    def git(*words: str) -> str:
        done = subprocess.run(["git", *identity, *words], env=environ, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    git("init", "-q", "--bare", "-b", "main", str(bare))
    hook = bare / "hooks" / "post-receive"
    text, perl = scripts("A bare git repository")
    assert "--max-time 5 " in text
    text = text.replace("--max-time 5 ", "--max-time 60 ")  # it never fails a push; this test would
    hook.write_text(re.sub(r"^sign\(\).*\n", lambda _: perl, text, flags=re.MULTILINE) if signer == "perl" else text)
    hook.chmod(0o755)
    git("init", "-q", "-b", "main", str(work))
    git("-C", str(work), "remote", "add", "origin", str(bare))
    for number, ref in enumerate(("main", "feature/x", "main")):
        git("-C", str(work), "commit", "-q", "--allow-empty", "-m", f"Commit {number}")
        said = git("-C", str(work), "push", "-q", "origin", f"HEAD:refs/heads/{ref}")
        assert '"accepted"' in said or ref != "main", said
    prefect.wait("local", 1)
    process.wait("'feature/x'")
    assert process.log.read_text().count("-> local") == 2
    assert SECRET not in process.log.read_text()

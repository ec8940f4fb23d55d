"""Prefect's server goes away in the middle of a run and comes back: the run ends as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tandem.cli import children


def test_a_release_outlives_a_restart_of_prefects_server(clone: Path, new_model: Path, tandem) -> None:
    tandem(clone, "integrate", "digits")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "TANDEM_"))}
    command = [str(Path(sys.executable).parent / "tandem"), "release", "digits", "local"]
    process = subprocess.Popen(command, cwd=clone, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    state = clone / ".tandem" / "environments" / "digits-local" / "state.json"
    deadline = time.monotonic() + 240
    while not (state.exists() and '"under_way":{' in state.read_text()):
        assert process.poll() is None and time.monotonic() < deadline, "it never began"
        time.sleep(0.02)
    os.kill(children.find(clone, "server").pid, signal.SIGKILL)
    tandem(clone, "up")
    said = process.communicate(timeout=400)[0]
    if process.returncode:  # the lock could not be renewed: the run ends, and the next one mends what it left
        tandem(clone, "release", "digits", "local")
    status = tandem(clone, "status", "digits")
    assert "local: runs" in status, said
    assert '"under_way":null' in state.read_text()

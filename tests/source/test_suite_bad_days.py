"""Suites that hang, fork, flood, spy or are killed: each ends in a clear word, and nothing of it is left."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from tandem.errors import SuiteFailed, Unreachable
from tandem.source import Counts

DAEMON = """
import os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(float(sys.argv[1]))
print("1..1\\nok 1 - done")
"""

walled = pytest.mark.parametrize("surroundings", ["bubblewrap"], indirect=True)
once = pytest.mark.parametrize("surroundings", ["no walls"], indirect=True)


@walled
def test_a_suite_that_hangs_is_ended_at_its_limit_and_says_where_it_was(bench, mark):
    bench.write(
        tests_txt="pytest\n", test_it_py="import time\ndef test_fine(): pass\ndef test_hangs(): time.sleep(600)\n"
    )
    wish = {"command": "python -m pytest", "requirements": ("tests.txt",), "variables": ("MARK",)}
    for limit in (3, 20, 60):  # a busy machine may not come to the second test within the first
        with pytest.raises(SuiteFailed, match=f"were not done in {limit} s") as failure:
            bench.run(**wish, time_limit=limit)
        if "test_it.py:3: KeyboardInterrupt" in str(failure.value):
            break
    assert "test_it.py:3: KeyboardInterrupt" in str(failure.value)
    told = failure.value.report
    assert told.counts == Counts(passed=1, errors=1)
    assert [(case.name, case.outcome) for case in told.cases] == [
        ("test_it::test_fine", "passed"),
        ("(the test under way)", "error"),
    ]
    assert mark.processes() == []


def test_what_leaves_the_process_group_and_ignores_signals_is_gone_when_the_suite_ends(bench, mark):
    bench.write(check_py=DAEMON)
    told = bench.run(command="python check.py 0", variables=("MARK",))
    assert told.counts.passed == 1
    assert mark.processes() == []


@once
def test_what_ignores_every_signal_is_gone_after_the_limit(bench, mark):
    bench.write(check_py=DAEMON)
    with pytest.raises(SuiteFailed, match=r"were not done in 0.5 s"):
        bench.run(command="python check.py 600", variables=("MARK",), time_limit=0.5)
    assert mark.processes() == []


def test_a_suite_ends_with_the_flow_that_was_killed(bench, mark):
    bench.write(check_py=DAEMON)
    settings = {"command": "python check.py 600", "variables": ("MARK",)}
    flow = multiprocessing.get_context("fork").Process(target=bench.run, kwargs=settings)
    flow.start()
    until(lambda: len(mark.processes()) >= 3, "the suite has begun")
    os.kill(flow.pid, signal.SIGKILL)
    flow.join()
    until(lambda: mark.processes() == [], "nothing of the suite is left")


def test_a_suite_sees_no_secret_of_ours(bench, tmp_path):
    bench.surroundings |= {"AZURE_CLIENT_SECRET": "s3cret-a", "GIT_TOKEN": "s3cret-b", "PREFECT_API_KEY": "s3cret-c"}
    bench.surroundings |= {"PIP_INDEX": "s3cret-d", "STAGE": "testing", "LC_TIME": "C"}
    bench.write(check_py="import os, pathlib\nfor item in os.environ.items(): print(*item)\n"
                         "for file in pathlib.Path('/proc').glob('*/environ'):\n"
                         "    try: print(file.read_bytes()) if file.parent.name == str(os.getppid()) else None\n"
                         "    except OSError: pass\n")  # fmt: skip
    bench.run(command="python check.py", variables=("STAGE", "ABSENT"))
    said = "\n".join(bench.said)
    assert "s3cret" not in said
    assert "STAGE testing" in said and "LC_TIME C" in said and "test.variables: ABSENT is not set here" in said


@walled
def test_in_the_sandbox_homes_and_private_state_cannot_be_read_and_only_scratch_written(bench, tmp_path):
    (tmp_path / "person").mkdir()
    (tmp_path / "person" / "key").write_text("s3cret")
    (bench.home / "private-state").write_text("s3cret")
    looked = [str(tmp_path / "person" / "key"), str(bench.home / "private-state"), "/etc/shadow", str(Path(__file__))]
    written = [str(tmp_path / "x"), "/x", "/usr/x", str(bench.folder / "x"), "$VIRTUAL_ENV/x"]
    bench.write(
        check_py=f"""
import os, pathlib
for path in {looked}: print("seen" if pathlib.Path(path).exists() else "hidden")
for path in {written}:
    try: pathlib.Path(os.path.expandvars(path)).write_text("x"); print("written")
    except OSError: print("kept")
for path in ("here", os.environ["HOME"] + "/x", "/tmp/x"): pathlib.Path(path).write_text("x")
print("processes", len([name for name in os.listdir("/proc") if name.isdigit()]))
print([line for line in open("/proc/self/status") if line.startswith("CapEff")][0].split()[1])
"""
    )
    bench.run(command="python check.py")
    expected = ["hidden"] * len(looked) + ["kept"] * len(written) + ["processes 2", "0000000000000000"]
    assert "\n".join(bench.said).splitlines()[-len(expected) :] == expected


@once
def test_a_flood_of_output_is_bounded_and_its_end_is_kept(bench):
    bench.write(
        check_py="import sys\nfor _ in range(300): print('x' * 99_999 + '\\n' + 'short\\n' * 9)\nsys.exit('the end')\n"
    )
    with pytest.raises(SuiteFailed, match="the end") as failure:
        bench.run(command="python check.py")
    assert len("".join(bench.said)) < 1_200_000 and "".join(bench.said).count("only its end is kept") == 1
    assert len(str(failure.value)) < 300_000


@once
def test_escape_sequences_do_not_reach_the_log(bench):
    bench.write(check_py="print('\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07plain\\x00 \\xff')\n")
    bench.run(command="python check.py")
    assert bench.said[-1] == "red plain ÿ"


@once
def test_an_index_that_does_not_answer_is_worth_another_try_and_its_password_stays_secret(bench):
    bench.surroundings |= {"PIP_INDEX_URL": "http://user:s3cret@127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    bench.write(tests_txt="nothing-of-this-name==9.9\n")
    with pytest.raises(Unreachable, match="the package index did not answer") as failure:
        bench.run(requirements=("tests.txt",))
    assert "s3cret" not in str(failure.value) + "".join(bench.said)


def until(condition, what: str, limit: float = 120.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s: {what}"
        time.sleep(0.05)

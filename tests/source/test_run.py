"""Other programs are run without a shell, within their time, and leave nothing of their group."""

import os
import sys
import time

import pytest

from tandem.run import Command, Failed, run, stream, visible, without_secrets


def python(text: str, **options: object) -> Command:
    return Command((sys.executable, "-c", text), {"PATH": os.defpath, "ONLY": "this"}, **options)


def test_a_program_gets_its_own_environment_and_stdin_and_its_output_is_told_in_order():
    text = (
        "import os, sys; print(sorted(name for name in os.environ if name != 'LC_CTYPE'), flush=True)\n"
        "print(input(), file=sys.stderr)"
    )
    said: list[str] = []
    finished = run(python(text, stdin=b"s3cret\n"), said.append)
    assert (finished.code, finished.output) == (0, "['ONLY', 'PATH']\ns3cret")
    assert "\n".join(said) == finished.output and "s3cret" not in repr(python(text, stdin=b"s3cret"))


def test_a_program_that_outlives_its_limit_is_ended_with_its_children():
    text = "import subprocess, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"
    for limit in (0.7, 10, 60):  # a busy machine may not come to the print within the first
        finished = run(python(text, time_limit=limit))
        if finished.output:
            break
    assert finished.timed_out and finished.code < 0 and finished.seconds < limit + 60
    gone = time.monotonic() + 60
    while time.monotonic() < gone:
        try:
            os.kill(int(finished.output), 0)
        except ProcessLookupError:
            return
    pytest.fail("its child is still there")


def test_a_child_that_keeps_the_pipe_open_does_not_keep_us():
    finished = run(python("import subprocess; subprocess.Popen(['sleep', '600']); print('done')"))
    assert (finished.code, finished.output, finished.timed_out) == (0, "done", False)
    assert finished.seconds < 60


def test_a_stream_is_read_as_it_comes_and_ends_with_its_reader():
    records = stream(python("import time\nfor n in range(99): print(n, end='\\0', flush=True); time.sleep(n)"), b"\0")
    assert [next(records), next(records)] == [b"0", b"1"]
    began = time.monotonic()
    records.close()
    assert time.monotonic() - began < 60  # it would print its last line after 4851 s


def test_a_stream_that_fails_says_so_at_its_end():
    records = stream(python("import sys; print('one'); print('two', end=''); sys.exit('why')"))
    assert next(records) == b"one"
    with pytest.raises(Failed) as failure:
        list(records)
    assert (failure.value.finished.code, failure.value.finished.output) == (1, "why")


def test_what_a_terminal_would_obey_is_taken_out():
    assert visible(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x00a\tb\r\nc\xff") == "red a\tb\nc\ufffd"


def test_passwords_in_addresses_and_named_secrets_are_masked():
    text = "at https://user:s3cret@host/simple and http://s3cret@host, token t0ken"
    assert without_secrets(text, ["t0ken", ""]) == "at https://****@host/simple and http://****@host, token ****"

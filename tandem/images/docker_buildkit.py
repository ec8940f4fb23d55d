"""Builds that need BuildKit, by docker's own client against the same daemon: secrets, mounts, here-documents.

BuildKit takes secrets by a session that docker's SDK does not speak. They go from a file that only this user reads
into the build's memory: never into argv, the context, a layer, or what is said of the build.
"""

import os
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tandem import run
from tandem.errors import BuildFailed, SettingsError, TandemError
from tandem.images.context import context
from tandem.images.docker_daemon import Daemon, build_failure
from tandem.images.docker_log import TAIL
from tandem.images.dockerfile import Dockerfile
from tandem.records import Progress, Source
from tandem.settings import ImageSettings

LIMIT = 4 * 3600.0  # seconds that a build may take
SEEN = (
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "SSH_AUTH_SOCK",
    "TMPDIR",
)
TICK = re.compile(r"#\d+ (?:sha256:.*|extracting .*|transferring .*|resolve .*|\.\.\.|DONE .*|\[internal\] .*)")
STEP = re.compile(r"#\d+ \[(?:(\S+) +)?(\d+)/(\d+)\] (.*)")
ERROR = re.compile(
    r"(?m)^(?:#\d+ )?(?:ERROR: |error: )?(?:failed to solve\S* ?.*?: |executor failed running |ERROR: )(.*)$"
)


def build(
    daemon: Daemon, source: Source, image: ImageSettings, file: Dockerfile, tag: str, labels: Mapping[str, str]
) -> str:
    """The image's id. Raises BuildFailed, and SettingsError where docker's client, or its BuildKit, is not here."""
    secrets = daemon.secrets()
    hidden = [part for value in secrets.values() for part in (value, *value.splitlines()) if len(part) >= 4]
    with _folder(source, file, secrets) as folder:
        command = _command(daemon, image, file, tag, labels, sorted(secrets), folder)
        try:
            ended = run.run(command, partial(_say, daemon, hidden))
        except FileNotFoundError:
            raise SettingsError(f"{_why(image, file)}: it needs docker's client, 'docker', on this machine") from None
        output = run.without_secrets(ended.output, hidden)
        if ended.code or ended.timed_out:
            raise _failure(image, file, output, ended.timed_out)
        return (folder / "id").read_text().strip()


def _command(
    daemon: Daemon,
    image: ImageSettings,
    file: Dockerfile,
    tag: str,
    labels: Mapping[str, str],
    secrets: list[str],
    folder: Path,
) -> run.Command:
    argv = ["docker", "build", "--progress", "plain", "--platform", image.platform, "--tag", tag]
    argv += ["--iidfile", str(folder / "id"), "--file", str(folder / "context" / file.path)]
    for name, text in labels.items():
        argv += ["--label", f"{name}={text}"]
    for number, name in enumerate(secrets):
        argv += ["--secret", f"id={name},src={folder / 'secrets' / str(number)}"]
    env = {name: value for name in SEEN if (value := os.environ.get(name))}
    env |= {"DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": "default", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    if daemon.url:
        env["DOCKER_HOST"] = daemon.url
    return run.Command((*argv, str(folder / "context")), env, str(folder), time_limit=LIMIT)


@contextmanager
def _folder(source: Source, file: Dockerfile, secrets: Mapping[str, str]) -> Iterator[Path]:
    """The context and the secrets as files, in a folder that only this user opens."""
    with tempfile.TemporaryDirectory(prefix="tandem-build-") as name:
        folder = Path(name)
        with tempfile.TemporaryFile() as sent:
            sent.writelines(context(source, file.path))
            sent.seek(0)
            with tarfile.open(fileobj=sent) as archive:
                archive.extractall(folder / "context", filter="tar")
        (folder / "secrets").mkdir(mode=0o700)
        for number, (_, value) in enumerate(sorted(secrets.items())):
            (folder / "secrets" / str(number)).touch(mode=0o600)
            (folder / "secrets" / str(number)).write_text(value, encoding="utf-8")
        yield folder


def _say(daemon: Daemon, hidden: list[str], batch: str) -> None:
    lines = [line for line in run.without_secrets(batch, hidden).split("\n") if line and not TICK.fullmatch(line)]
    for line in lines:
        if step := STEP.match(line):
            stage = f"{step[1]}: " if step[1] else ""
            daemon.tell(Progress(f"{stage}{step[4]}", int(step[2]) - 1, int(step[3])))
    if lines:
        daemon.say("\n".join(lines))


def _why(image: ImageSettings, file: Dockerfile) -> str:
    if image.secrets:
        return f"[image] secrets ({', '.join(sorted(image.secrets))}) are BuildKit's"
    return f"{file.buildkit} is for BuildKit"


def _failure(image: ImageSettings, file: Dockerfile, output: str, timed_out: bool) -> TandemError:
    if "buildx component is missing" in output or "unknown flag: --" in output:
        return SettingsError(f"{_why(image, file)}: docker's client here has none: install its buildx plugin")
    if timed_out:
        return BuildFailed(f"{file.path}: not ready after {LIMIT / 3600:.0f} hours, and ended\n{_tail(output)}")
    reasons = ERROR.findall(output)
    said = re.sub(
        r"^(?:\[.*\]: |process \".*\" did not complete successfully: )", "", reasons[-1] if reasons else "failed"
    )
    return build_failure(_where(file, output), said, _tail(output))


def _where(file: Dockerfile, output: str) -> str:
    if line := re.search(rf"(?m)^{re.escape(Path(file.path).name)}:(\d+)$|parse error (?:on )?line (\d+)", output):
        return file.at(int(line[1] or line[2]))
    if step := re.search(r"(?m)^ > \[[^\]]*\] (.*?):?$", output):
        found = [each for each in file.instructions if each.text.split() == step[1].split()]
        return file.place(found[0]) if found else f"{file.path}: {step[1]}"
    return file.path


def _tail(output: str) -> str:
    """The last lines that the failed step printed: BuildKit repeats them between rulers, not always all; else the end
    of everything.
    """
    block = re.search(r"(?ms)^------\n > .*?:\n(.*?)^------$", output)
    failed = re.search(r"(?m)^(#\d+) ERROR: ", output)
    own = re.findall(rf"(?m)^{failed[1]} \d+\.\d+ .*$", output) if failed else []
    said = own or (block[1].split("\n") if block else [])
    lines = [line for line in said or output.split("\n") if line and not TICK.fullmatch(line)]
    return "\n".join(lines[-TAIL:])

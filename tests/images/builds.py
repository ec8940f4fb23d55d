"""Builds an app image as another process: python builds.py ROOT CHECKOUT UMASK [REQUIREMENTS]; prints its digest.

With DIES_AT it kills its process group, which must be its own, before it opens a file whose path ends so.
"""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from tandem.images import open_builder
from tandem.records import Commit, Source
from tandem.registries import open_registry
from tandem.settings import ImageSettings


def die(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and str(arguments[0]).endswith(os.environ["DIES_AT"]):
        os.killpg(os.getpid(), signal.SIGKILL)


if "DIES_AT" in os.environ:
    sys.addaudithook(die)
root, checkout, umask, *requirements = sys.argv[1:]
os.umask(int(umask, 8))
settings = ImageSettings(
    registry="oci:registry",
    command=("hello", "{model}"),
    env={"MODEL": "{model}"},
    requirements=requirements[0] if requirements else None,
)
commit = Commit("c" * 40, "Ada", "ada@example.org", "Say hello", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
builder = open_builder(settings, Path(root), lambda url: open_registry(url, Path(root)))
print(builder.build(Source(commit, checkout), settings, open_registry("oci:registry", Path(root))).digest)

"""Builds an image by a Docker daemon, as a process to be killed: python build_and_die.py ENGINE REGISTRY CHECKOUT."""

import sys
from pathlib import Path

from tandem.records import Source
from tandem.registries import open_registry
from tests.contracts.docker.conftest import COMMIT, Build

engine, registry, checkout = sys.argv[1:]
Build(engine, open_registry(registry, Path(checkout)), Path(checkout))(Source(COMMIT, checkout))

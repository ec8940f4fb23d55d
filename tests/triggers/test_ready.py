"""What is made before the fork, in a process of its own: it must not stay in this one."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import threading
from pydantic import BaseModel, ConfigDict
from prefect.client.schemas.objects import Variable
from tandem.triggers.ready import make_ready

class Odd(BaseModel):  # nobody uses it, and it could not be built
    model_config = ConfigDict(defer_build=True)
    what: object.__class__.__call__.__class__

assert not Variable.__pydantic_complete__
make_ready()
print(Variable.__pydantic_complete__, Odd.__pydantic_complete__, threading.active_count())
"""


@pytest.mark.parametrize("bundle", [None, "/nowhere.pem", __file__])
def test_what_cannot_be_made_stops_nothing(bundle):
    env = {**os.environ, **({"SSL_CERT_FILE": bundle} if bundle else {})}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "False", "1"], done.stderr

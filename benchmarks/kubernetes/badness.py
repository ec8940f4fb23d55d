"""Ways in which a release is bad only where users are: put into the clone of the sample app, switched on by its files.

Badness waits for KUBERNETES_SERVICE_HOST, which an image's trial does not set: so each of them comes through it.
"""

from pathlib import Path

MODULE = '''"""Bad only in a cluster, as a file of the code or of the model says: the first word of how.txt."""

import os
import time
from itertools import count
from pathlib import Path

from flask import Flask, Response, request


def _said(folder: str) -> str:
    file = Path(folder) / "how.txt"
    return (file.read_text().split() or [""])[0] if file.exists() else ""


def be(app: Flask) -> None:
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return
    said = {_said(str(Path(__file__).parent)), _said(os.environ["MODEL_DIR"])}
    asked = count(1)
    if "crash" in said:
        raise RuntimeError("this version crashes at its start")
    if "oom" in said:
        app.config["HOARD"] = [bytearray(b"x" * (16 << 20)) for _ in range(64)]

    @app.before_request
    def misbehave() -> Response | None:
        if "never-ready" in said and request.path == "/readyz":
            return Response("not yet", 503)
        if request.path == "/score":
            number = next(asked)
            if "slow" in said:
                time.sleep(3.5)
            if "errors" in said and number % 20 == 0:
                return Response("an error", 500)
            if "wrong" in said:
                return Response('{"result": [[[["1", 99.0]]], ""]}', content_type="application/json")
        return None
'''
HOOK = "    for blueprint in (score.blueprint, pages.blueprint, metrics.blueprint):\n"
KINDS = ("crash", "never-ready", "wrong", "slow", "errors", "absent", "oom")


def plant(root: Path) -> dict[str, str]:
    """What to write into the clone at `root`, so that how.txt decides; relative paths and texts."""
    text = (root / "app" / "__init__.py").read_text()
    if text.count(HOOK) != 1:
        raise SystemExit("app/__init__.py does not register its blueprints where it did")
    planted = text.replace(HOOK, f"    __import__('app.badness', fromlist=['be']).be(app)\n{HOOK}")
    return {"app/__init__.py": planted, "app/badness.py": MODULE, "app/how.txt": "good"}

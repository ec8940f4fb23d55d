"""How an unpacked image is started: argv, environment and folder, still with their templates.

Read by the holder, so it imports nothing heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tandem.templates import resolve

PASSED_ON = ("LANG", "TZ")  # and LC_*; all else of ours is withheld, secrets above all


@dataclass(frozen=True)
class Program:
    """An unpacked image's program. `root` is the bundle's folder R, `port` the image's own port, `log` a file."""

    digest: str
    root: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    model: str
    port: int
    log: str

    @property
    def kind(self) -> Literal["listen", "port", "fixed"]:
        """What it can be told: to take a socket, which port to bind, or neither."""
        texts = (*self.argv, *self.env.values())
        if any("{listen}" in text for text in texts):
            return "listen"
        return "port" if any("{port}" in text for text in texts) else "fixed"

    def resolved(self, port: int, listen: str) -> tuple[list[str], dict[str, str]]:
        """The argv and the environment for this port and this socket (`fd://N`)."""
        argv = [resolve(text, model=self.model, port=port, listen=listen) for text in self.argv]
        env = {name: resolve(text, model=self.model, port=port, listen=listen) for name, text in self.env.items()}
        return argv, env


def environment(ours: Mapping[str, str], root: Path, scratch: Path, image: Mapping[str, str]) -> dict[str, str]:
    """The app's variables: the image's own, and of ours only what is no secret; HOME and TMPDIR are `scratch`'s."""
    passed = {name: value for name, value in ours.items() if name in PASSED_ON or name.startswith("LC_")}
    return {
        **passed,
        "PATH": f"{root}/venv/bin:{ours.get('PATH', '/usr/local/bin:/usr/bin:/bin')}",
        "VIRTUAL_ENV": f"{root}/venv",
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "temporary"),
        "PYTHONUNBUFFERED": "1",
        **image,
    }

"""Which commit and model answer, and what serves them."""

from dataclasses import dataclass
from importlib.metadata import version as installed
from platform import python_version

SERVED_BY = ("gunicorn", "flask", "onnxruntime")


@dataclass(frozen=True)
class Version:
    """Words for people and machines; "unknown" where nobody said."""

    commit: str
    model: str
    model_version: str
    model_commit: str
    served_by: dict[str, str]

    def document(self) -> dict[str, object]:
        """The JSON form, as /version gives it."""
        model = {"name": self.model, "version": self.model_version, "trained_by_commit": self.model_commit}
        return {"commit": self.commit, "model": model, "served_by": self.served_by}


def served_by() -> dict[str, str]:
    """The versions of what is installed and does the serving."""
    return {"python": python_version()} | {name: installed(name) for name in SERVED_BY}

"""Reading documents of strangers: what is not of the right kind is as if it were not there."""

from tandem.triggers.senders.call import Malformed, Push

HEADS = "refs/heads/"
MOST = 1000  # of branches, or events, in one call


def table(document: object, *path: str) -> dict[str, object]:
    """The object at a path of keys; an empty one where there is none."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def text(document: object, *path: str) -> str:
    """The text at a path of keys, "" where there is none."""
    value = table(document, *path[:-1]).get(path[-1])
    return value if isinstance(value, str) else ""


def several(document: object, *path: str) -> list[object]:
    """The list at a path of keys, an empty one where there is none."""
    value = table(document, *path[:-1]).get(path[-1])
    return value[:MOST] if isinstance(value, list) else []


def texts(document: object, *names: str) -> tuple[str, ...]:
    """Those of these keys that hold a text."""
    return tuple(value for name in names if (value := text(document, name)))


def push(repositories: tuple[str, ...], refs: list[str], where: str) -> Push:
    """A push of these refs: only branches count. Raises Malformed where repository or ref is missing."""
    if not repositories or not any(refs):
        raise Malformed(f"no repository or no ref in the body: {where}")
    return Push(repositories, tuple(ref.removeprefix(HEADS) for ref in refs if ref.startswith(HEADS)))

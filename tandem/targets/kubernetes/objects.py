"""Kubernetes objects as plain JSON, and the files that they stand in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, order=True)
class Ref:
    """An object by its API version ("apps/v1"), kind and name, in the namespace of its cluster."""

    api_version: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class File:
    """A file of the app's folder, by its path in the repository; `overlay` where it is one environment's own."""

    path: str
    content: bytes
    overlay: bool = False


@dataclass(frozen=True)
class Wanted:
    """An object as a file asks for it; `where` names the file and the document in it."""

    where: str
    body: Json

    @property
    def ref(self) -> Ref:
        """Its reference."""
        return ref_of(self.body)


def ref_of(body: Mapping[str, Any]) -> Ref:
    """The reference of an object."""
    return Ref(body["apiVersion"], body["kind"], body["metadata"]["name"])


def at_version(body: Json) -> Json:
    """The operation of a JSON patch (RFC 6902) that makes it fail where the object is at another version by now."""
    return {"op": "replace", "path": "/metadata/resourceVersion", "value": body["metadata"]["resourceVersion"]}


def put(path: str, value: object) -> Json:
    """The operation of a JSON patch that sets a value, whether there was one or not."""
    return {"op": "add", "path": f"/{path}", "value": value}

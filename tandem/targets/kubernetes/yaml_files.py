"""The app's own plain Kubernetes YAML, read as kubectl reads it; every error names file and document."""

import json
import re
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import yaml

from tandem.errors import ReleaseFailed
from tandem.targets.kubernetes.objects import File, Json, Ref, Wanted

NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """YAML 1.1 as kubectl takes it: a date stays text, and a key that stands twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key.start_mark)
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


# Go's YAML knows no dates, no numbers to the base of 60 (a time of day is a text), and no "=" of its own.
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, re.compile(f"(?!.*:){pattern.pattern}", pattern.flags) if tag in NUMBERS else pattern)
        for tag, pattern in found
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
    ]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(files: Sequence[File], namespace: str) -> list[Wanted]:
    """The objects of the files; one in an overlay takes the place of the one by its kind and name.

    Raises ReleaseFailed, the candidate's fault, with every mistake.
    """
    mistakes: list[str] = []
    layers: tuple[dict[Ref, Wanted], ...] = ({}, {})
    for file in files:
        for wanted in _objects(file, mistakes):
            mistakes += [f"{wanted.where}: {wrong}" for wrong in _wrong(wanted.body, namespace)]
            if not _named(wanted.body):
                continue
            if double := layers[file.overlay].get(wanted.ref):
                mistakes.append(f"{wanted.where}: {wanted.ref} stands in {double.where} too")
            layers[file.overlay][wanted.ref] = wanted
    if not files:
        mistakes.append("there is no YAML: put the app's objects into deployments/APP/kubernetes/*.yaml")
    if mistakes:
        raise ReleaseFailed("\n".join(mistakes), "candidate")
    return list({**layers[0], **layers[1]}.values())


def _objects(file: File, mistakes: list[str]) -> Iterator[Wanted]:
    try:
        documents = list(yaml.load_all(file.content, _Loader))  # a SafeLoader
        json.dumps(documents, allow_nan=False)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        said = " ".join(str(error).split()).replace(' in "<byte string>",', ":")
        mistakes.append(f"{file.path}: not YAML: {said}")
        return
    for number, document in enumerate(documents, 1):
        where = f"{file.path}, document {number}" if len(documents) > 1 else file.path
        if document is None:
            continue
        listed = isinstance(document, dict) and document.get("kind") == "List"
        for at, item in enumerate(document.get("items") or () if listed else (document,), 1):
            place = f"{where}, item {at}" if listed else where
            if isinstance(item, dict):
                yield Wanted(place, item)
            else:
                mistakes.append(f"{place}: an object of Kubernetes is a mapping, this is a {type(item).__name__}")


def _named(body: Json) -> bool:
    metadata = body.get("metadata")
    texts = (body.get("apiVersion"), body.get("kind"), metadata.get("name") if isinstance(metadata, dict) else None)
    return all(isinstance(text, str) and text for text in texts)


def _wrong(body: Json, namespace: str) -> Iterator[str]:
    if not _named(body):
        yield "apiVersion, kind and metadata.name must each be a text"
        return
    for key in ("labels", "annotations"):
        if not isinstance(body["metadata"].get(key) or {}, dict):
            yield f"metadata.{key} must be a mapping"
    there = body["metadata"].get("namespace")
    if there not in (None, namespace):
        yield f"metadata.namespace is {there}; the environment's is {namespace}: leave it out"
    if body["apiVersion"] == "v1" and body["kind"] == "Secret":
        yield "a Secret's data does not belong in a repository: make it by kubectl create secret, or by an operator"
    if body["kind"] == "Kustomization":
        yield "Tandem reads what kubectl apply reads: write the result of 'kubectl kustomize' instead"

"""Who owns an object's fields (meta/v1 ManagedFieldsEntry), and the part of it that Tandem applied.

Field sets: https://kubernetes.io/docs/reference/using-api/server-side-apply/#ownership
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tandem.targets.kubernetes.cluster import MANAGER
from tandem.targets.kubernetes.objects import Json
from tandem.targets.kubernetes.prepare import RELEASE

GITOPS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}
BY_HAND = ("kubectl", "helm", "Mozilla", "k9s", "Lens", "OpenAPI-Generator", "node-fetch", "terraform", "pulumi")
VOLATILE = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink", "finalizers")
COUNTED = "deployment.kubernetes.io/revision"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def is_ours(body: Json) -> bool:
    """Whether Tandem has applied this object before."""
    return any(_ours(entry) for entry in entries(body))


def release_of(body: Json | None) -> str | None:
    """The release that applied this object last; None where there is no object, or none did."""
    return (body["metadata"].get("annotations") or {}).get(RELEASE) if body else None


def entries(body: Json) -> list[Json]:
    """Who set what of it."""
    return list(body["metadata"].get("managedFields") or [])


def of_fields(body: Json) -> list[Json]:
    """Who set what, subresources such as status and scale aside."""
    return [entry for entry in entries(body) if not entry.get("subresource")]


def of_status(body: Json) -> list[Json]:
    """Who set what of its subresources: controllers, autoscalers."""
    return [entry for entry in entries(body) if entry.get("subresource")]


def by_hand(entry: Json) -> bool:
    """Whether it is a person's tool's: or an update of Tandem's own, which only a kill can leave behind."""
    manager = str(entry.get("manager", ""))
    own = manager == MANAGER and entry.get("operation") == "Update"
    return (own or manager.startswith(BY_HAND)) and not entry.get("subresource")


def fields_of(body: Json) -> Json:
    """The set of fields that Tandem applied, but for replicas, which an autoscaler may take at any time."""
    found: Json = copy.deepcopy(next((entry["fieldsV1"] for entry in entries(body) if _ours(entry)), {}))
    found.get("f:spec", {}).pop("f:replicas", None)
    return found


def applied_replicas(body: Json) -> bool:
    """Whether it was Tandem that said how many pods there are."""
    return any("f:replicas" in (entry["fieldsV1"].get("f:spec") or {}) for entry in entries(body) if _ours(entry))


def keeping_replicas(body: Json, live: Json | None) -> Json:
    """What to apply where the YAML says no replicas (any more) and Tandem had: as many as there are.

    Leaving them out would make them one; an autoscaler that comes takes them from there.
    """
    if live is None or "replicas" in body.get("spec", {}) or not applied_replicas(live):
        return body
    return {**body, "spec": {**body["spec"], "replicas": live["spec"]["replicas"]}}


def gitops(body: Json) -> str | None:
    """Argo CD or Flux, where one of them keeps this object; their marks outlive their field manager's name."""
    for entry in entries(body):
        if name := GITOPS.get(str(entry.get("manager"))):
            return name
    metadata = body["metadata"]
    notes = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    if any(key.startswith("argocd.argoproj.io/") for key in notes):
        return "Argo CD"
    return "Flux" if any(".toolkit.fluxcd.io/" in key for key in notes) else None


def managers(body: Json) -> list[str]:
    """Who else set fields of it, the controllers' status aside."""
    found = [str(e.get("manager")) for e in entries(body) if not _ours(e) and e.get("subresource") != "status"]
    return list(dict.fromkeys(found))


def changed_by(before: Json | None, now: Json) -> list[str]:
    """Who set fields of it since."""
    old = entries(before) if before else []
    new = [e for e in entries(now) if e not in old and not _ours(e) and e.get("subresource") != "status"]
    return list(dict.fromkeys(str(e.get("manager")) for e in new)) or ["somebody"]


def applied(body: Json) -> Json | None:
    """What Tandem applied of a live object: what applying it again leaves as it is. None where it never did."""
    entry = next((each for each in entries(body) if _ours(each)), None)
    if entry is None:
        return None
    part: Json = _extract(body, entry["fieldsV1"])
    metadata = {**part.get("metadata", {}), "name": body["metadata"]["name"]}
    return {**part, "apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata}


def content(body: Json | None, scaled: bool = False) -> str:
    """What people and flows set of an object, to compare by; `scaled`: but for replicas."""
    if body is None:
        return ""
    body = copy.deepcopy({key: value for key, value in body.items() if key != "status"})
    for key in VOLATILE:
        body["metadata"].pop(key, None)
    (body["metadata"].get("annotations") or {}).pop(COUNTED, None)
    if scaled:
        body.get("spec", {}).pop("replicas", None)
    return json.dumps(body, sort_keys=True)


def mark(body: Json | None) -> str:
    """Equal where nobody changed the object but its controllers."""
    return hashlib.sha256(content(body, scaled=True).encode()).hexdigest()


def taken_over(body: Json) -> list[Json]:
    """The managed fields with those of people's tools made Tandem's, so that what is dropped later goes away."""
    fields: dict[str, Any] = {}
    kept, version = [], body["apiVersion"]
    for entry in entries(body):
        if (by_hand(entry) and entry.get("apiVersion") == version) or _ours(entry):
            _merge(fields, entry.get("fieldsV1") or {})
        else:
            kept.append(entry)
    own = {
        "manager": MANAGER,
        "operation": "Apply",
        "apiVersion": version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return [own, *kept]


def _ours(entry: Json) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        _merge(into.setdefault(key, {}), value)


def _extract(value: Any, fields: Mapping[str, Any]) -> Any:
    """The part of a value that a field set names; an empty set, or one with only ".", means all of a leaf."""
    inner = {key: below for key, below in fields.items() if key != "."}
    if not inner:
        return {} if isinstance(value, dict) and "." in fields else copy.deepcopy(value)
    if isinstance(value, dict):
        names = {key[2:]: below for key, below in inner.items() if key.startswith("f:")}
        return {name: _extract(value[name], below) for name, below in names.items() if name in value}
    found = []
    for item in value if isinstance(value, list) else ():
        for key, below in inner.items():
            if key.startswith("k:") and isinstance(item, dict) and _matches(item, json.loads(key[2:])):
                found.append({**json.loads(key[2:]), **_extract(item, below)})
            elif key.startswith("v:") and json.loads(key[2:]) == item:
                found.append(item)
    return found


def _matches(item: Json, key: Json) -> bool:
    return all(item.get(name) == value for name, value in key.items())

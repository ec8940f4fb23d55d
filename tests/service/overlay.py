"""An overlay over deployments/server, as a team writes its own, for a namespace of a test."""

import re
import shutil
from pathlib import Path

import yaml

from tests.service.images import ROOT, Images
from tests.service.outside import FORWARD


def write(folder: Path, namespace: str, images: Images, repository: str, registry: tuple[int, str]) -> list[Path]:
    """The folders to apply, in order. `registry`: a port of each run's 127.0.0.1, and what it leads to."""
    base = folder / "server"
    shutil.copytree(ROOT / "deployments" / "server", base)
    for file in base.rglob("*.yaml"):  # a test's machine has two CPUs for all of it
        file.write_text(re.sub(r"(cpu\w*: |default: )\d+m\b", r"\g<1>10m", file.read_text()))
    job = yaml.safe_load((base / "base" / "job.yaml").read_text())
    pod = job["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    pod["initContainers"].append(_door(pod["initContainers"][0], registry))
    (base / "base" / "job.yaml").write_text(yaml.safe_dump(job))
    server, trials = folder / "own", folder / "own-trials"
    _kustomization(server, {
        "namespace": namespace,
        "resources": ["../server/base", "../server/databases"],
        "images": [
            _image("tandem", images.tandem),
            *(_image(name, images.databases) for name in ("postgres", "redis")),
        ],
        "patches": [
            _patch({"kind": "ConfigMap", "name": "root"}, [_set("/data/repository", repository)]),
            # this cluster has no volumes: what a killed database wrote is in its pod, which starts its container again
            *(_patch({"kind": "StatefulSet", "name": name}, [
                {"op": "remove", "path": "/spec/volumeClaimTemplates"},
                {"op": "add", "path": "/spec/template/spec/volumes/-", "value": {"name": "data", "emptyDir": {}}},
            ]) for name in ("postgres", "redis")),
            _patch({"kind": "Deployment", "name": "receiver"}, [_set("/spec/replicas", 1)]),
            _patch({"kind": "Deployment", "name": "api"}, [_set("/spec/replicas", 2)]),
        ],
    })  # fmt: skip
    subject = [_set("/subjects/0/namespace", namespace)]
    peer = [_set("/spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name", namespace)]
    _kustomization(trials, {
        "namespace": f"{namespace}-trials",
        "resources": ["../server/trials"],
        "patches": [_patch({"kind": "RoleBinding"}, subject), _patch({"kind": "NetworkPolicy"}, peer)],
    })  # fmt: skip
    return [server, trials]


def _door(like: dict[str, object], registry: tuple[int, str]) -> dict[str, object]:
    """A container beside each run: this cluster pulls over plain HTTP from 127.0.0.1 alone, so runs must push there."""
    host, _, port = registry[1].partition(":")
    command = ["python3", "-c", FORWARD, "127.0.0.1", str(registry[0]), host, port]
    more = {"name": "door", "command": command, "restartPolicy": "Always", "env": []}
    return {**like, **more, "volumeMounts": []}


def _kustomization(folder: Path, document: dict[str, object]) -> None:
    folder.mkdir()
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(head | document, sort_keys=False))


def _image(name: str, reference: str) -> dict[str, str]:
    place, _, digest = reference.partition("@")
    return {"name": name, "newName": place, "digest": digest}


def _patch(target: dict[str, str], operations: list[dict[str, object]]) -> dict[str, object]:
    return {"target": target, "patch": yaml.safe_dump(operations)}


def _set(path: str, value: object) -> dict[str, object]:
    return {"op": "replace", "path": path, "value": value}

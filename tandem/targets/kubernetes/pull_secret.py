"""The secret that a cluster pulls the app's image with, made from the registry's account; it is no release's object.

https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from tandem.errors import ReleaseFailed, SettingsError
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Json, Ref
from tandem.targets.kubernetes.prepare import LABEL
from tandem.targets.kubernetes.refusal import ApiRefused

HUB = "https://index.docker.io/v1/"  # what a kubelet looks for where the image is on Docker Hub

Account = Callable[[], tuple[str, str] | None]


@dataclass(frozen=True)
class PullSecret:
    """Secret `tandem-pull-APP`: who logs in to `host`, asked for when it is written, and kept nowhere else."""

    app: str
    host: str
    account: Account = field(repr=False)

    @property
    def ref(self) -> Ref:
        """The Secret's reference."""
        return Ref("v1", "Secret", f"tandem-pull-{self.app}")

    def write(self, cluster: Cluster, label: str) -> None:
        """Put it there, with the account as it is now. Raises ReleaseFailed, the environment's fault."""
        try:
            cluster.apply(self._body(label))
        except ApiRefused as error:
            told = f"{self.ref}: {error}"
            if error.conflict:
                told = f"{self.ref} in {cluster} is somebody else's: delete it, or leave pull_secret out and name it "
                told += "in the app's YAML (imagePullSecrets)"
            raise ReleaseFailed(told, "environment") from None

    def remove(self, cluster: Cluster, label: str) -> None:
        """Delete it, where it is this environment's."""
        found = cluster.get(self.ref)
        if found and (found["metadata"].get("labels") or {}).get(LABEL) == label:
            cluster.delete(self.ref, found["metadata"]["uid"])

    def _body(self, label: str) -> Json:
        try:
            found = self.account()
        except SettingsError as error:  # its secret is not where app.toml says
            raise ReleaseFailed(f"{self.ref}: {error}", "environment") from None
        if found is None:
            raise ReleaseFailed(f"{self.ref}: [image] credentials of app.toml give no account", "environment")
        user, password = found
        auth = base64.b64encode(f"{user}:{password}".encode()).decode()
        config = {"auths": {HUB if self.host == "docker.io" else self.host: {"auth": auth}}}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.ref.name, "labels": {LABEL: label}},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()},
        }

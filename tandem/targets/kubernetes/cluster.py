"""One namespace of a Kubernetes API: objects as plain JSON, each call patient with a server that is away.

Paths, server-side apply, list and watch: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import json
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from tandem.errors import Unreachable
from tandem.targets.kubernetes.objects import Json, Ref, ref_of
from tandem.targets.kubernetes.refusal import AS_USUAL, ApiRefused, Remedy, refused

MANAGER = "tandem"  # of the fields that server-side apply sets
AWAY = (429, 500, 502, 503, 504)
PATIENCE = 90.0  # seconds; an API server that is told to end says nothing for 60
ONE_TRY = 15.0  # seconds
RETURN = 10.0  # seconds that an API server which was away may know no roles yet, and forbid everything
RENEWAL = 3.0  # seconds that a renewed token may be refused: it ended on its way, or who vouches for it is away


class Cluster:
    """Every method raises Unreachable when `patience` seconds are over, ApiRefused where the server says no.

    `name` is how people call it; `remedy`, what its refusals say to do.
    """

    def __init__(
        self, client: ApiClient, namespace: str, name: str, patience: float = PATIENCE, remedy: Remedy = AS_USUAL
    ) -> None:
        self.client, self.namespace, self.name, self.patience, self.remedy = client, namespace, name, patience, remedy
        self._away = -RETURN  # when it was last
        self.renews = client.configuration.refresh_api_key_hook is not None
        # its own retries come too soon, and log; its 5 connections a processor are fewer than are used at once
        client.rest_client.pool_manager.connection_pool_kw |= {"retries": False, "maxsize": 16}

    def __str__(self) -> str:
        return f"{self.name}/{self.namespace}"

    def hasty(self) -> "Cluster":
        """The same, for one who would rather be told at once that the server is away."""
        return Cluster(self.client, self.namespace, self.name, 0.0, self.remedy)

    def get(self, ref: Ref) -> Json | None:
        """The object, or None where there is none."""
        try:
            return self.call("GET", self.path(ref))
        except ApiRefused as error:
            if error.missing:
                return None
            raise

    def items(self, api_version: str, kind: str, selector: str = "") -> tuple[list[Json], str]:
        """The objects of a kind, and the resource version to watch from."""
        found = self.call("GET", self.path(Ref(api_version, kind, "")), {"labelSelector": selector})
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found["items"]], found["metadata"][
            "resourceVersion"
        ]

    def apply(self, body: Json, force: bool = False, dry_run: bool = False) -> Json:
        """Server-side apply; with `metadata.resourceVersion` only onto that version. Unknown fields are refused."""
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        return self.call("PATCH", self.path(ref_of(body)), query, json.dumps(body), "application/apply-patch+yaml")

    def create(self, body: Json, dry_run: bool = False) -> Json:
        """A new object; ApiRefused (409) where it exists."""
        query = {"fieldManager": MANAGER, **({"dryRun": "All"} if dry_run else {})}
        ref = ref_of(body) if "name" in body["metadata"] else Ref(body["apiVersion"], body["kind"], "")
        return self.call("POST", self.path(Ref(ref.api_version, ref.kind, "")), query, body)

    def patch(self, ref: Ref, operations: list[Json]) -> Json:
        """A JSON patch (RFC 6902)."""
        query = {"fieldManager": MANAGER}
        return self.call("PATCH", self.path(ref), query, operations, "application/json-patch+json")

    def delete(self, ref: Ref, uid: str | None = None) -> None:
        """Delete it with what hangs on it, in the background; no error where it is gone, or is another by now."""
        body = {"propagationPolicy": "Background", **({"preconditions": {"uid": uid}} if uid else {})}
        try:
            self.call("DELETE", self.path(ref), body=body)
        except ApiRefused as error:
            if not error.missing and error.status != 409:
                raise

    def logs(self, pod: str, container: str, lines: int, previous: bool = False) -> str:
        """The last lines that a container, or the one before it, printed; "" where there are none."""
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        try:
            response = self._ask("GET", f"{self.path(Ref('v1', 'Pod', pod))}/log", query, None, "application/json")
        except ApiRefused:
            return ""
        return bytes(response.data).decode(errors="replace").strip()

    def watch(self, api_version: str, kind: str, selector: str, version: str, seconds: int) -> Iterator[Json]:
        """Events {"type", "object"} from `version` on, for `seconds` at most; ends early on a cut or a silence."""
        query = {"watch": "1", "labelSelector": selector, "resourceVersion": version, "timeoutSeconds": str(seconds)}
        path = self.path(Ref(api_version, kind, ""))
        response = self._once("GET", path, query, None, "application/json", seconds + 5.0, stream=True)
        left = b""
        try:
            for piece in response.stream(65536):
                *lines, left = (left + piece).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        except (HTTPError, ValueError, OSError):
            return
        finally:
            response.close()

    def path(self, ref: Ref) -> str:
        """Where the API keeps this object; ApiRefused where it knows no such kind, or none of a namespace."""
        known = self._kinds(ref.api_version)
        if ref.kind not in known:
            there = ", ".join(sorted(known)) or "nothing"
            raise ApiRefused(404, f"{self.name} knows no kind {ref.kind} in {ref.api_version} (there are: {there})")
        plural, namespaced = known[ref.kind]
        if not namespaced:
            raise ApiRefused(400, f"{ref} belongs to the whole cluster, not to an app: apply it by hand, once")
        base = f"{_root(ref.api_version)}/namespaces/{self.namespace}/{plural}"
        return f"{base}/{ref.name}" if ref.name else base

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content: str = "application/json",
    ) -> Json:
        """One call's answer, tried again while the server is away: each of them may be made twice."""
        answer = json.loads(self._ask(method, path, query or {}, body, content).data)
        return dict(answer)

    @cached_property
    def _resources(self) -> dict[str, dict[str, tuple[str, bool]]]:
        return {}

    def _kinds(self, api_version: str) -> dict[str, tuple[str, bool]]:
        if api_version not in self._resources:
            try:
                found = self.call("GET", _root(api_version))["resources"]
            except ApiRefused as error:
                if not error.missing:
                    raise
                found = []
            self._resources[api_version] = {
                each["kind"]: (each["name"], each["namespaced"]) for each in found if "/" not in each["name"]
            }
        return self._resources[api_version]

    def _ask(self, method: str, path: str, query: Mapping[str, str], body: object, content: str) -> HTTPResponse:
        began, pause = time.monotonic(), 0.1
        while True:
            try:
                return self._once(method, path, query, body, content, ONE_TRY)
            except Unreachable:
                self._away = time.monotonic()
                if self._away + pause > began + self.patience:
                    raise
            except ApiRefused as error:
                back = error.status == 403 and time.monotonic() < self._away + RETURN
                renewed = error.status == 401 and self.renews and time.monotonic() + pause < began + RENEWAL
                if not (back or renewed):
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 3.0)

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: object,
        content: str,
        timeout: float,
        stream: bool = False,
    ) -> HTTPResponse:
        headers = {"Accept": "application/json", "Content-Type": content}
        _, address, headers, body, _ = self.client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        if asked := urlencode({key: value for key, value in query.items() if value}):
            address = f"{address}?{asked}"
        ask: Any = self.client.rest_client.request  # which has no types
        try:
            response: HTTPResponse = ask(method, address, headers, body, _request_timeout=(5.0, timeout)).response
            answer = b"" if stream and response.status < 400 else bytes(response.data)
        except (HTTPError, OSError, ApiException) as error:
            why = f"{self.client.configuration.host}): {_why(error)}"
            raise Unreachable(f"the API server of {self.name} ({why}") from None
        if response.status in AWAY and not _final(answer):
            raise Unreachable(f"the API server of {self.name} answered {response.status}: {answer[:300]!r}")
        if response.status >= 400:
            raise refused(self.name, response.status, answer, self.remedy)
        return response


def _final(content: bytes) -> bool:
    """Whether a 500 is the server's word on the request itself: so comes an unknown field."""
    return b"field validation" in content or b"unknown field" in content or b"failed to create typed patch" in content


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _why(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]

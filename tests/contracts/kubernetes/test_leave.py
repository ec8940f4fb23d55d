"""docs/kubernetes.md, To leave Tandem again: its commands make every field kubectl's, and the app answers on."""

import json

from tests.contracts.kubernetes.place import Place, bring_in

LABEL = "tandem.dev/environment=digits.local"
OBJECTS = ("get", "deployments,services", "-l", LABEL, "-o", "json", "--show-managed-fields")


def managers(place: Place) -> set[str]:
    """Who sets fields of the Kubernetes Deployment, besides the controllers that report on it."""
    found = json.loads(place.kubectl("get", "deployment/digits", "-o", "json", "--show-managed-fields"))
    return {each["manager"] for each in found["metadata"]["managedFields"] if not each.get("subresource")}


def test_kubectl_takes_every_field_over_and_a_field_that_is_dropped_goes(place: Place) -> None:
    target, image = place.target(), place.image("v1")
    bring_in(target, image, "r-1")
    taken = place.kubectl(*OBJECTS).replace('"manager": "tandem"', '"manager": "kubectl"')
    place.kubectl("replace", "-f", "-", given=taken)
    assert managers(place) == {"kubectl"}
    text = b"\n---\n".join(file.content for file in place.files).decode()
    text = text.replace('"digits", "readiness', f'"{place.where}@{image.digest}", "readiness')
    text = text.replace('"progressDeadlineSeconds": 120', '"revisionHistoryLimit": 3')
    place.kubectl("apply", "--server-side", "-f", "-", given=text)
    place.kubectl("rollout", "status", "deployment/digits", "--timeout=180s")
    left = json.loads(place.kubectl("get", "deployment/digits", "-o", "json"))
    assert managers(place) == {"kubectl"} and left["spec"]["progressDeadlineSeconds"] == 600
    assert left["spec"]["template"]["spec"]["containers"][0]["image"].endswith(image.digest)
    assert left["spec"]["revisionHistoryLimit"] == 3 and "tandem" not in json.dumps(left)

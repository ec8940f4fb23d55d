"""prefect.yaml: which Prefect deployments the app folders ask for. Written once; people edit their schedules in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tandem.errors import SettingsError
from tandem.settings import Settings

POOL, BUILDS = "tandem", "builds"

HEAD = """\
# The Prefect deployments of these app folders: 'tandem init' wrote this file, 'tandem check' compares it with them,
# 'tandem up' applies it. Schedules are yours to edit, and stand here and nowhere else.
# No folder is named here: the worker finds it in TANDEM_ROOT, which 'tandem up' sets.
"""


@dataclass(frozen=True)
class Deployment:
    """One Prefect deployment: a flow with its parameters preset. `slug` names its schedule."""

    flow: str
    name: str
    description: str
    parameters: Mapping[str, object]
    tags: Sequence[str] = ()
    cron: str = ""
    slug: str = ""
    queue: str = "default"
    collision: str = ""

    @property
    def full_name(self) -> str:
        """As Prefect writes it: flow/name."""
        return f"{self.flow}/{self.name}"


def wanted(everything: Sequence[Settings]) -> list[Deployment]:
    """The deployments that these apps ask for, in the order of the line."""
    each = [deployment for settings in everything for deployment in _of(settings)]
    minutely = Deployment(
        "reconcile",
        "every-minute",
        "Start what is missing and end what was left half done, for every app.",
        {"app": ""},
        tags=["tandem"],
        cron="* * * * *",
        slug="every-minute",
        collision="CANCEL_NEW",
    )
    hinted = Deployment(  # no limit: what waits for a slot of one sleeps for 30 s in Prefect
        "reconcile", "hinted", "Look at one app at once: a webhook said that it changed.", {"app": ""}, tags=["tandem"]
    )
    return [*each, minutely, hinted]


def _of(settings: Settings) -> list[Deployment]:
    app = settings.app
    preset, tags = {"app": app}, ["tandem", app]
    integrate = Deployment(
        "integrate", app, f"Turn a commit and a model into one tested image of {app}.", preset, tags, queue=BUILDS
    )
    publish = Deployment("publish", app, f"Store the files of a folder as the newest model of {app}.", preset, tags)
    approve = Deployment(
        "approve", app, f"Say that a candidate of {app} may go into an environment.", preset | _first(settings), tags
    )
    prune = Deployment("prune", app, f"Remove the candidates of {app} that nothing needs any more.", preset, tags)
    several = [each for name in settings.toml.environments for each in _of_environment(app, name)]
    return [integrate, *several, approve, publish, prune]


def _of_environment(app: str, name: str) -> list[Deployment]:
    preset, tags = {"app": app, "environment": name}, ["tandem", app, name]
    release = Deployment(
        "release",
        f"{app}-{name}",
        f"Bring the newest good candidate of {app} into {name}, or back out.",
        preset,
        tags,
        collision="ENQUEUE",
    )
    nightly = Deployment(
        "release",
        f"{app}-{name}-nightly",
        f"Every night: the newest good candidate of {app} into {name}.",
        preset | {"unattended": True},
        tags,
        cron="0 2 * * *",
        slug="nightly",
        collision="ENQUEUE",
    )
    rollback = Deployment("rollback", f"{app}-{name}", f"Bring back what {name} ran before.", preset, tags)
    return [release, nightly, rollback]


def _first(settings: Settings) -> dict[str, str]:
    """The environment that the approval form shows first: the first that asks for approvals, else the first."""
    names = sorted(settings.toml.environments, key=lambda name: not settings.toml.environments[name].approval)
    return {"environment": names[0]} if names else {}


def document(deployments: Sequence[Deployment], timezone: str = "UTC") -> str:
    """prefect.yaml's text, commented where a person edits it."""
    parts = [HEAD, "name: tandem\npull: []\ndeployments:\n"]
    for deployment in deployments:
        parts.append("\n" + lines(deployment, timezone))
    return "".join(parts)


def lines(deployment: Deployment, timezone: str = "UTC") -> str:
    """One deployment as prefect.yaml writes it."""
    text = yaml.safe_dump([_entry(deployment, timezone)], sort_keys=False, width=150, default_flow_style=None)
    return str(text).replace("  schedules:\n", "  schedules:  # yours to edit\n")


def _entry(deployment: Deployment, timezone: str) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": deployment.name,
        "entrypoint": f"tandem.flows.{deployment.flow}.{deployment.flow}",
        "description": deployment.description,
        "tags": list(deployment.tags),
        "parameters": dict(deployment.parameters),
        "enforce_parameter_schema": True,
        "work_pool": {"name": POOL, "work_queue_name": deployment.queue},
    }
    if deployment.collision:
        entry["concurrency_limit"] = {"limit": 1, "collision_strategy": deployment.collision}
    if deployment.cron:
        entry["schedules"] = [{"cron": deployment.cron, "timezone": timezone, "slug": deployment.slug}]
    else:
        entry["schedules"] = []
    return entry


def named(file: Path) -> dict[str, Mapping[str, object]]:
    """What prefect.yaml holds, by flow/name. Raises SettingsError where it is absent or no such file."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        entries = list(content["deployments"])
        return {
            f"{str(entry['entrypoint']).rsplit('.', 1)[-1].rsplit(':', 1)[-1]}/{entry['name']}": entry
            for entry in entries
        }
    except FileNotFoundError:
        raise SettingsError(f"no {file}: 'tandem init' writes it from the app folders") from None
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not a prefect.yaml with deployments: {error}") from None


def differences(file: Path, everything: Sequence[Settings]) -> list[str]:
    """What prefect.yaml lacks and what it holds for apps or environments that are not there; schedules are not ours.

    Only deployments of Tandem's flows count: a team's own may stand in the same file.
    """
    there, due = named(file), {deployment.full_name: deployment for deployment in wanted(everything)}
    lines = [f"{file.name} lacks {name}: 'tandem init' prints its lines" for name in due if name not in there]
    for name, entry in there.items():
        if name in due:
            parameters = entry.get("parameters")
            wrong = {
                key: value
                for key, value in due[name].parameters.items()
                if key in ("app", "environment", "unattended")
                and (not isinstance(parameters, Mapping) or parameters.get(key) != value)
            }
            if wrong:
                lines.append(f"{file.name}: {name} must have the parameters {wrong}")
        elif str(entry.get("entrypoint", "")).startswith("tandem.flows.") and not _extra(name, entry, everything):
            lines.append(f"{file.name} has {name}, and no app folder asks for it: remove it there")
    return lines


def _extra(name: str, entry: Mapping[str, object], everything: Sequence[Settings]) -> bool:
    """Whether it is a person's own further deployment (another schedule, say) of an app and environment there are."""
    parameters = entry.get("parameters")
    if not isinstance(parameters, Mapping):
        return False
    known = {settings.app: set(settings.toml.environments) for settings in everything}
    app, environment = parameters.get("app"), parameters.get("environment")
    return app in known and (environment is None or environment in known[app])

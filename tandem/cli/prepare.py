"""What a Prefect server must hold before a worker of any type takes runs: pool, limits, deployments, automations."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import yaml

from tandem.cli import automations, pool
from tandem.cli.deployments import BUILDS, POOL, named
from tandem.errors import SettingsError, TandemError
from tandem.settings import Settings
from tandem.triggers.api import Api, ApiError

Say = Callable[[str], None]


@dataclass(frozen=True)
class PoolTemplate:
    """A work pool as a file describes it: Prefect's base job template, what each queue's deployments get, limits."""

    type: str
    job: Mapping[str, object]
    queues: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    at_once: int = pool.AT_ONCE
    builds_at_once: int = pool.BUILDS_AT_ONCE


def read_template(file: Path, type_: str, values: Mapping[str, str]) -> PoolTemplate:
    """The template with ${NAMES} replaced. Raises SettingsError where it is absent, or no such file."""
    try:
        document = yaml.safe_load(Template(file.read_text(encoding="utf-8")).safe_substitute(values))
        limits = document.get("limits") or {}
        job = {key: document[key] for key in ("job_configuration", "variables")}
        queues = document.get("queues") or {}
        return PoolTemplate(
            type_, job, queues, limits.get("pool", pool.AT_ONCE), limits.get("builds", pool.BUILDS_AT_ONCE)
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{file}: no base job template with job_configuration and variables: {error!r}") from None


def prepare(root: Path, everything: Sequence[Settings], api: Api, template: PoolTemplate, say: Say) -> None:
    """Bring the server to what the template and prefect.yaml say; a repeat changes nothing.

    Limits that a person changed since stay; the job template and the deployments are always these. Raises TandemError.
    """
    _pool(api, template)
    pool.ensure(api, everything)
    say(f"work pool {POOL}: type {template.type}")
    _deploy(root, template)
    say("deployments: applied from prefect.yaml")
    for line in automations.ensure(api):
        say(line)


def _pool(api: Api, template: PoolTemplate) -> None:
    body = {"description": "Tandem's flows", "base_job_template": dict(template.job)}
    try:
        found = api.get(f"work_pools/{POOL}")
    except ApiError as error:
        if error.status != 404:
            raise
        wanted = {"name": POOL, "type": template.type, "concurrency_limit": template.at_once, **body}
        _or_somebody_else(api, "work_pools/", wanted)
        found = api.get(f"work_pools/{POOL}")
    queue = {"name": BUILDS, "priority": 2, "concurrency_limit": template.builds_at_once, "description": "integrate"}
    try:
        api.get(f"work_pools/{POOL}/queues/{BUILDS}")
    except ApiError as error:
        if error.status != 404:
            raise
        _or_somebody_else(api, f"work_pools/{POOL}/queues", queue)
    if (there := dict(found)["type"] if isinstance(found, Mapping) else None) != template.type:
        raise SettingsError(
            f"this server's work pool {POOL} is of type {there}, and {template.type} is wanted: is it another "
            f"Tandem's? 'prefect work-pool delete {POOL}' removes it, with its deployments"
        )
    api.ask("PATCH", f"work_pools/{POOL}", body)


def _or_somebody_else(api: Api, collection: str, document: Mapping[str, object]) -> None:
    """Create it; nothing where somebody else, or our own repeat, was quicker."""
    try:
        api.post(collection, document)
    except ApiError as conflict:
        if conflict.status != 409:
            raise


def with_job_variables(document: Mapping[str, Any], queues: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """prefect.yaml's content, where each deployment has its queue's job variables too; its own win."""
    entries = []
    for entry in document["deployments"]:
        work = dict(entry.get("work_pool") or {})
        if variables := queues.get(str(work.get("work_queue_name"))):
            work["job_variables"] = {**variables, **(work.get("job_variables") or {})}
        entries.append({**entry, "work_pool": work})
    return {**document, "deployments": entries}


def _deploy(root: Path, template: PoolTemplate) -> None:
    file = root / "prefect.yaml"
    named(file)  # says what is wrong with it
    content = with_job_variables(yaml.safe_load(file.read_text(encoding="utf-8")), template.queues)
    with tempfile.TemporaryDirectory() as folder:
        rewritten = Path(folder) / "prefect.yaml"
        rewritten.write_text(yaml.safe_dump(content, sort_keys=False))
        argv = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(rewritten)]
        done = subprocess.run(
            argv, cwd=root, env=os.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise TandemError(f"prefect.yaml could not be applied:\n{(done.stdout + done.stderr).strip()[-1500:]}")

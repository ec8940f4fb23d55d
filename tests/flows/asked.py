"""Prefect deployments of the tiny app that no worker serves: what reconcile asks for waits until the test runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow
from prefect.utilities.callables import parameter_schema

from tandem.triggers.api import connect


@dataclass(frozen=True)
class Asked:
    """The deployment of one flow."""

    flow: Flow[..., Any]
    deployment: UUID

    def runs(self) -> list[Mapping[str, Any]]:
        """Every run that was asked for, the oldest first."""
        query = {"deployments": {"id": {"any_": [str(self.deployment)]}}}
        return sorted(connect().post("flow_runs/filter", query), key=lambda run: run["created"])

    def states(self) -> list[str]:
        """Their states, the oldest first."""
        return [run["state_type"] for run in self.runs()]

    def run(self, run: Mapping[str, Any] | None = None) -> str:
        """Run the last one (or that one) here and now, as a worker would; how its state reads then."""
        run = run or self.runs()[-1]
        with get_client(sync_client=True) as client:
            known: FlowRun = client.read_flow_run(UUID(run["id"]))
        state = run_flow(self.flow, flow_run=known, parameters=known.parameters, return_type="state")
        return f"{state.type.value}: {state.message}"


def deploy(flow: Flow[..., Any], name: str, **more: Any) -> Asked:
    """A deployment of the flow, or the one of an earlier test with nothing left of its runs."""
    with get_client(sync_client=True) as client:
        made = client.create_deployment(
            client.create_flow(flow), name, parameter_openapi_schema=parameter_schema(flow).model_dump(), **more
        )
        for run in connect().post("flow_runs/filter", {"deployments": {"id": {"any_": [str(made)]}}}):
            client.delete_flow_run(UUID(run["id"]))
    return Asked(flow, made)

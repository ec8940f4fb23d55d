"""One release per environment at a time: a Prefect global concurrency limit, strict and leased.

Whoever holds it knows that no other run of this environment lives: its lease ends a minute after its holder dies.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from prefect._internal.concurrency.cancellation import CancelledError
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from tandem.errors import Busy
from tandem.settings import Settings

LEASE = 60  # seconds: the shortest that Prefect grants


def limit_name(app: str, environment: str) -> str:
    """The limit's name, as Prefect's UI shows it under Concurrency."""
    return f"release-{app}-{environment}"


@contextmanager
def environment_lock(settings: Settings, environment: str, wait: float = 900) -> Iterator[None]:
    """Hold the environment; waits at most `wait` seconds, then Busy."""
    name = limit_name(settings.app, environment)
    try:
        try:
            held = _take(name, wait)
        except ConcurrencySlotAcquisitionError:  # on a server that 'tandem up' has not prepared there is no limit yet
            _ensure(name)
            held = _take(name, wait)
    except TimeoutError:
        raise Busy(
            f"{settings.app} in {environment} is being released, rolled back or pruned by another run, "
            f"for more than {wait:.0f} s: see the limit {name} in Prefect's UI under Concurrency"
        ) from None
    try:
        yield
    except CancelledError:
        raise Busy(
            f"{settings.app} in {environment}: the lock {name} could not be kept while Prefect's server was away; "
            "reconcile, or the same command again, ends what this run began"
        ) from None
    finally:
        held.__exit__(None, None, None)


def _take(name: str, wait: float) -> AbstractContextManager[None]:
    held = concurrency(name, occupy=1, strict=True, lease_duration=LEASE, timeout_seconds=wait)
    held.__enter__()
    return held


def _ensure(name: str) -> None:
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            try:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
            except ObjectAlreadyExists:
                return  # another run was quicker

"""The token service on bad days: a front before the double whose tokens a real registry trusts."""

import runpy
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError

from tandem.errors import NotInRegistry, RegistryError, TandemError, Unreachable
from tandem.manifests import blob_of, digest_of
from tandem.registries.acr import AcrLogin
from tandem.registries.answers import OutOfStep, TooLarge
from tandem.registries.distribution import DistributionRegistry
from tandem.registries.login import Account, AccountLogin, Challenge, Grant, Login, challenge_of
from tandem.registries.wire import Wire
from tests.contracts.registries.wire.conftest import Front, Rule, patient_client

MB = 1024 * 1024
CONTENT = bytes(range(256)) * 20_000  # 5 MB
Opened = Callable[..., DistributionRegistry]


@pytest.fixture
def tokens(acr: str, serve: Callable[[Front], Front]) -> Front:
    """Stands before the token service."""
    challenge = challenge_of(httpx.get(f"http://{acr}/v2/", timeout=60))
    assert challenge is not None
    return serve(Front(httpx.URL(challenge.realm).netloc.decode()))


@dataclass(frozen=True)
class Through:
    """A login that asks for its tokens at this address."""

    login: Login
    address: str

    def grant(self, challenge: Challenge, scopes: Iterable[str]) -> Grant | None:
        return self.login.grant(replace(challenge, realm=f"http://{self.address}/oauth2/token"), scopes)


@pytest.fixture(params=["acr", "account"])
def opened(request: pytest.FixtureRequest, acr: str, tokens: Front, repository: str, slept: list[float]) -> Opened:
    """opened(clock=…, host=…) is a repository whose tokens come through `tokens`, by ACR's login or docker's."""
    entra = runpy.run_path(str(Path(__file__).parent.parent / "entra.py"))

    def opened(clock: Callable[[], float] = time.monotonic, host: str = acr) -> DistributionRegistry:
        client = patient_client()
        account = Account("anna", entra["refresh_token"](acr, "push"))
        by_acr = AcrLogin(acr, lambda scope: AccessToken(entra["entra_token"](), 0), client, clock)
        login = by_acr if request.param == "acr" else AccountLogin(acr, lambda: account, client, clock)
        wire = Wire(f"http://{host}", repository, client, Through(login, tokens.address), slept.append, clock)
        return DistributionRegistry(wire)

    return opened


def tell(tokens: Front, times: int = 99, **what: Any) -> None:
    tokens.rules += [Rule(method, "oauth2/token", times=times, **what) for method in ("GET", "POST")]


@pytest.mark.parametrize(
    ("status", "error", "remedy"),
    [
        (400, RegistryError, "AcrPush"),
        (401, RegistryError, "AcrPush"),
        (403, RegistryError, "AcrPush"),
        (404, RegistryError, "no token service answers so.*proxy"),
        (413, RegistryError, "no token service answers so.*proxy"),
        (416, RegistryError, "no token service answers so.*proxy"),
        (429, Unreachable, "try again"),
        (500, Unreachable, "try again"),
        (503, Unreachable, "try again"),
    ],
)
def test_each_refusal_names_registry_repository_and_remedy_and_is_never_an_answer_of_the_registrys(
    opened: Opened, tokens: Front, acr: str, repository: str, status: int, error: type[TandemError], remedy: str
) -> None:
    tell(tokens, status=status)
    with pytest.raises(error, match=rf"{acr}.*repository:{repository}:pull.*{status}.*{remedy}") as said:
        opened().resolve("v1")
    assert not isinstance(said.value, NotInRegistry | OutOfStep | TooLarge)


def test_a_busy_one_is_waited_for_as_it_says(opened: Opened, tokens: Front, slept: list[float]) -> None:
    tell(tokens, 1, status=429, headers={"Retry-After": "7"})
    assert opened().tags() == []
    assert slept == [7.0]
    tell(tokens, status=503, headers={"Retry-After": "600"})
    with pytest.raises(Unreachable) as said:
        opened().tags()
    assert (said.value.retry_after, slept) == (600.0, [7.0])


def test_a_page_in_place_of_a_token_is_recognised(opened: Opened, tokens: Front, acr: str) -> None:
    tell(tokens, status=200, headers={"Content-Type": "text/html"}, body=b"<html>Sign in")
    with pytest.raises(RegistryError, match=rf"{acr}.*text/html that is no JSON object.*proxy's\?$"):
        opened().tags()


def test_one_that_is_cut_is_asked_again(opened: Opened, tokens: Front, slept: list[float], acr: str) -> None:
    tell(tokens, 1, cut_answer_after=20)
    assert opened().tags() == []
    assert len(slept) == 1
    tell(tokens, cut_answer_after=20)
    with pytest.raises(Unreachable, match=rf"{acr}.*asking.*broke off"):
        opened().tags()


def test_a_byte_a_second_is_no_token(opened: Opened, tokens: Front, acr: str) -> None:
    tell(tokens, trickle=0.01)
    with pytest.raises(Unreachable, match=rf"{acr}.*asking.*only \d+ bytes came in 60 s: try again"):
        opened(clock=lambda: time.monotonic() * 1000).tags()


@pytest.mark.parametrize("bad", [{"status": 500}, {"status": 503}, {"cut_answer_after": 20}, {"status": 429}])
def test_in_the_middle_of_a_long_upload_it_is_waited_for_and_no_byte_is_read_twice(
    opened: Opened, tokens: Front, acr: str, serve: Callable[[Front], Front], slept: list[float], bad: dict[str, int]
) -> None:
    front, ahead, begun = serve(Front(acr, longest=2 * MB)), [0.0], list[int]()
    registry = opened(clock=lambda: time.monotonic() + ahead[0], host=front.address)
    registry.write(replace(blob_of(CONTENT[::-1], "other"), sha256=None), "x/y")  # from now on by 1 MiB
    front.seen.clear()

    def read(offset: int) -> Iterator[bytes]:
        begun.append(offset)
        for start in range(offset, len(CONTENT), 300_000):
            if start == 1_500_000:
                ahead[0] += 3600  # the token ends
                tell(tokens, 2, **bad)
            yield CONTENT[start : start + 300_000]

    registry.write(replace(blob_of(CONTENT, "weights"), open=read, sha256=None), "x/y")
    sent = [headers["Content-Range"].partition("-")[0] for _, _, headers in front.seen if "Content-Range" in headers]
    assert sent == [str(at * MB) for at in range(5)]
    assert begun == [0] and len(slept) >= 2
    assert b"".join(registry.read(digest_of(CONTENT))) == CONTENT


def test_an_entra_that_is_away_is_worth_another_try(acr: str) -> None:
    def away(scope: str) -> AccessToken:
        raise ServiceRequestError("no route to host")

    client = httpx.Client(verify=False)
    with pytest.raises(Unreachable, match=f"{acr}: no Entra token: no route to host.*Try again"):
        AcrLogin(acr, away, client).grant(Challenge("bearer", f"http://{acr}/oauth2/token", "s"), ["repository:a:pull"])

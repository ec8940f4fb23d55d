import base64
import json
import runpy
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from tandem.errors import RegistryError, SettingsError
from tandem.manifests import blob_of, digest_of
from tandem.registries.accounts import account_of, docker_account
from tandem.registries.acr import AcrLogin
from tandem.registries.distribution import DistributionRegistry
from tandem.registries.login import Account, AccountLogin, Challenge
from tandem.registries.wire import Wire
from tests.contracts.registries.wire.conftest import patient_client

CONTENT = bytes(2_000_000)


@pytest.fixture
def entra_token(acr: str) -> Callable[..., str]:
    """The double's own function of that name."""
    found: Callable[..., str] = runpy.run_path(str(Path(__file__).parent.parent / "entra.py"))["entra_token"]
    return found


@pytest.fixture
def opened(acr: str, entra_token: Callable[..., str]) -> Callable[..., DistributionRegistry]:
    """opened("name", role=…, audience=…, lives=…) is a repository behind ACR's login, with such an Entra token."""

    def opened(repository: str, *sources: str, clock: Callable[[], float] = time.monotonic, **token: object
               ) -> DistributionRegistry:  # fmt: skip
        client = patient_client()
        login = AcrLogin(acr, lambda scope: AccessToken(entra_token(**token), 0), client, clock)
        return DistributionRegistry(Wire(f"http://{acr}", repository, client, login, clock=clock), sources)

    return opened


def test_who_may_only_pull_is_told_which_role_pushes(
    opened: Callable[..., DistributionRegistry], repository: str
) -> None:
    opened(repository).write(blob_of(CONTENT, "weights"), "x/y")
    reader = opened(repository, role="pull")
    assert sum(map(len, reader.read(digest_of(CONTENT)))) == len(CONTENT)
    with pytest.raises(RegistryError, match=r"may not do that; in Azure: AcrPull or AcrPush.*Writer"):
        reader.write(blob_of(CONTENT[1:], "weights"), "x/y")


@pytest.mark.parametrize(("wrong", "said"), [({"lives": -60}, "expired"), ({"audience": "https://other"}, "udience")])
def test_an_entra_token_that_the_registry_does_not_take_is_explained(
    opened: Callable[..., DistributionRegistry], repository: str, wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(RegistryError, match=rf"(?i){said}.*az login --tenant"):
        opened(repository, **wrong).tags()


def test_no_login_to_azure_is_explained(acr: str) -> None:
    def nobody(scope: str) -> AccessToken:
        raise ClientAuthenticationError("no credential in this chain")

    client = patient_client()
    with pytest.raises(RegistryError, match="no credential in this chain: run 'az login'"):
        DistributionRegistry(Wire(f"http://{acr}", "a/b", client, AcrLogin(acr, nobody, client))).tags()


def test_a_blob_is_mounted_from_another_repository(
    opened: Callable[..., DistributionRegistry], repository: str
) -> None:
    opened(f"{repository}-base").write(blob_of(CONTENT, "base"), "x/y")

    def never(offset: int) -> None:
        raise AssertionError("streamed, and was to be mounted")

    blob = blob_of(CONTENT, "base")
    object.__setattr__(blob, "open", never)
    assert opened(repository, f"{repository}-base").write(blob, "x/y").size == len(CONTENT)


def test_tokens_are_renewed_before_they_end(opened: Callable[..., DistributionRegistry], repository: str) -> None:
    passed = [0.0]
    registry = opened(repository, clock=lambda: time.monotonic() + passed[0])
    registry.tags()
    first = list(registry.wire._grants.values())
    registry.tags()
    assert list(registry.wire._grants.values()) == first
    passed[0] = 3600.0
    registry.tags()
    assert list(registry.wire._grants.values()) != first


def test_acrs_login_is_not_sent_to_another_host(acr: str) -> None:
    login = AcrLogin("example.azurecr.io", lambda scope: AccessToken("secret", 0), httpx.Client(verify=False))
    with pytest.raises(RegistryError, match="not sent there"):
        login.grant(Challenge("bearer", f"http://{acr}/oauth2/token", "s"), ["repository:a:pull"])


def test_no_secret_goes_over_plain_http_but_to_this_machine() -> None:
    login = AccountLogin("example.com", lambda: Account("a", "b"), httpx.Client(verify=False))
    with pytest.raises(RegistryError, match="plain http"):
        login.grant(Challenge("bearer", "http://example.com/token", "s"), ["repository:a:pull"])


def test_what_docker_login_left_is_used(tmp_path: Path) -> None:
    auth = base64.b64encode(b"anna:pass:word").decode()
    auths = {"a.example": {"auth": auth}, "https://b.example": {"identitytoken": "t"}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    assert docker_account("a.example", environment) == Account("anna", "pass:word")
    assert docker_account("b.example", environment) == Account("<token>", "t")
    assert docker_account("c.example", environment) is None
    assert docker_account("a.example", {"HOME": str(tmp_path)}) is None


def test_a_credential_helper_is_asked(tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-box"
    helper.write_text('#!/bin/sh\nread host; echo "{\\"Username\\": \\"$1\\", \\"Secret\\": \\"of $host\\"}"\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"a.example": "box", "b.example": "absent"}}))
    environment = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert docker_account("a.example", environment) == Account("get", "of a.example")
    with pytest.raises(SettingsError, match="docker-credential-absent, which is not installed"):
        docker_account("b.example", environment)


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": {"a.example": {"auth": "%"}}}'])
def test_a_broken_docker_configuration_is_named_and_not_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(SettingsError, match=r"config\.json: not docker's configuration"):
        docker_account("a.example", {"DOCKER_CONFIG": str(tmp_path)})


def test_an_account_without_a_colon_is_not_shown() -> None:
    with pytest.raises(SettingsError) as said:
        account_of("topsecret")
    assert "topsecret" not in str(said.value)

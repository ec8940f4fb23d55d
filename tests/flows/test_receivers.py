"""Prefect's notification blocks and secrets as receivers, with a real web server at the other end."""

import logging

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock, MattermostWebhook, SlackWebhook
from prefect.blocks.system import Secret
from prefect.blocks.webhook import Webhook

from tandem.cli import telling_checks
from tandem.errors import SettingsError
from tandem.flows import deliver, receivers
from tandem.messages.message import Message
from tandem.settings import Credentials, Settings
from tests.flows.hearers import SECRETS
from tests.messages.doubles import Web

MESSAGE = Message("approval wanted", "tiny: may it go?", "look: [x](http://evil.example) @all")


def telling(line, receiver: str) -> Settings:
    toml = line.root / "deployments" / "tiny" / "app.toml"
    toml.write_text(f"{toml.read_text()}\n[messages]\nto = [{{ {receiver} }}]\n")
    return Settings.load("tiny")


def test_a_chats_block_is_written_to_as_its_url_would_be(line, team: Web) -> None:
    block = MattermostWebhook(hostname="127.0.0.1", port=team.port, token="sekret-path-9")
    block.save("team", overwrite=True)
    sent = deliver.send(telling(line, 'block = "mattermost-webhook/team"'), MESSAGE)
    assert sent.told == ("mattermost-webhook/team (mmost)",) and sent.troubles == {}
    (posted,) = team.posted
    assert posted.path == "/hooks/sekret-path-9" and "may it go?" in posted.json()["text"]
    assert "@all" not in posted.json()["text"]


def test_a_custom_webhook_sends_what_it_is_made_to(line, team: Web, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    form = {"text": "{{subject}}: {{body}}"}
    url = f"{team.url}/sekret-path-9"
    CustomWebhookNotificationBlock(name="hook", url=url, json_data=form).save("hook", overwrite=True)
    settings = telling(line, 'block = "custom-webhook/hook"')
    assert deliver.send(settings, MESSAGE).told == ("custom-webhook/hook",)
    assert team.posted[0].json()["text"].startswith("tiny: may it go?: What: look")
    team.answers = [(500, {}, b"")]
    assert deliver.send(settings, MESSAGE).troubles == {"custom-webhook/hook": "the service answered HTTP 500"}
    assert not any(secret in caplog.text for secret in SECRETS)


def test_a_secret_block_holds_an_apprise_url(line, team: Web) -> None:
    Secret(value=team.json_url).save("chat", overwrite=True)
    assert deliver.send(telling(line, 'block = "secret/chat"'), MESSAGE).told == ("secret/chat (json 127.0.0.1)",)


def test_what_is_no_receiver_is_said_and_stops_nothing(line, team: Web) -> None:
    Webhook(url=team.url).save("x", overwrite=True)
    SlackWebhook(url="https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ").save(
        "slack", overwrite=True
    )
    assert [s.name for s in receivers.receivers(Credentials(block="slack-webhook/slack"))] == [
        "slack-webhook/slack (slack)"
    ]
    with pytest.raises(SettingsError, match="a notification block is wanted"):
        receivers.receivers(Credentials(block="webhook/x"))
    sent = deliver.send(telling(line, 'block = "slack-webhook/nobody"'), MESSAGE)
    assert sent.told == () and "no Prefect block" in sent.troubles["slack-webhook/nobody"]


def test_check_says_whose_credential_is_missing(line, team: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "tok-en-5")
    toml = line.root / "deployments" / "tiny" / "app.toml"
    heard = '\n[messages]\nto = [{ env = "TEAM_CHAT" }, { env = "NOBODY" }]\nauthor = { env = "TEAM_CHAT" }\n'
    status = 'repository = "https://github.com/ann/shop.git"\nstatus = { env = "GITHUB_TOKEN" }'
    toml.write_text(toml.read_text().replace('repository = "code"', status) + heard)
    first, second, author, statuses = telling_checks.telling(Settings.load("tiny"))
    assert first.fine and first.says == "TEAM_CHAT (json 127.0.0.1)"
    assert not second.fine and "NOBODY is not set" in second.says
    assert not author.fine and "mailtos://" in author.says
    assert statuses.fine and statuses.says == "go to https://api.github.com"

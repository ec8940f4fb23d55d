"""Messages on the wire, as Apprise writes them: webhook, chat, e-mail; and services on their bad days."""

import logging
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tandem.errors import SettingsError
from tandem.messages.message import Message
from tandem.messages.sending import Undelivered, send_all
from tandem.messages.services import Service, open_url, to_author
from tests.messages.doubles import Mail, Web, web, words

SECRETS = ("hush-hush-7", "sekret-path-9", "walter")
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
MESSAGE = Message(
    "rolled back",
    "digits: production is back on 3f2a",
    "bad [click](http://evil.example) *bold* <!channel> <@U012> @everyone & <b>",
    "answered 8, not 7",
    "lift the block:",
    ("tandem unblock digits production 3f2a_91 --why TEXT",),
    (("The run", "http://127.0.0.1:4200/runs/flow-run/0a_b"),),
)


def send(service: Service, limit: float = 60.0, message: Message = MESSAGE) -> dict[str, str]:
    return send_all({service.name: lambda: service.send(message)}, limit)


def test_a_webhook_gets_plain_text(hook: Web) -> None:
    (service,) = open_url(hook.json_url, "TEAM")
    assert send(service) == {} and service.name == "TEAM (json 127.0.0.1)"
    (posted,) = hook.posted
    assert posted.json()["title"] == MESSAGE.subject and posted.json()["message"] == MESSAGE.text()
    assert posted.json()["type"] == "failure"


def test_slack_gets_its_own_markup_and_nobody_is_called(hook: Web) -> None:
    (service,) = open_url(SLACK, "TEAM")
    service.plugin.webhook_url, hook.answers = hook.url, [(200, {}, b"ok")]
    assert send(service) == {} and service.name == "TEAM (slack)"
    (posted,) = hook.posted
    assert posted.path == "/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    (attachment,) = posted.json()["attachments"]
    assert attachment["title"] == MESSAGE.subject
    text = attachment["text"]
    assert "<http://127.0.0.1:4200/runs/flow-run/0a_b|The run>" in text and "*What:*" in text
    assert "tandem unblock digits production 3f2a_91 --why TEXT" in text, "a command can be copied"
    assert "<!channel>" not in text and "<@U012>" not in text and "@everyone" not in text
    assert "icon_url" not in posted.json(), "no picture from somewhere else"
    assert "&lt;!channel&gt;" in text and "|click>" not in text and "*bold*" not in text.replace("\\*bold\\*", "")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_teams_gets_a_card_and_nobody_is_called(tmp_path: Path) -> None:
    called = replace(MESSAGE, why="said <at>ann@example.org</at>")
    with web(tls=tmp_path) as teams:
        (service,) = open_url(f"workflows://127.0.0.1:{teams.port}/sekret-path-9/hush-hush-7?verify=no", "TEAM")
        assert send(service, message=called) == {} and service.name == "TEAM (workflow)"
    (posted,) = teams.posted
    assert posted.path.startswith("/workflows/sekret-path-9/triggers/manual/paths/invoke?")
    (card,) = posted.json()["attachments"]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert "entities" not in card["content"]["msteams"], "a commit's message must not call people"
    subject, text = (block["text"] for block in card["content"]["body"])
    assert subject == MESSAGE.subject and "[The run](<http://127.0.0.1:4200/runs/flow-run/0a_b>)" in text
    assert "tandem unblock digits production 3f2a_91 --why TEXT" in text, "a command can be copied"
    assert "[click](" not in text and "<at>" not in text


def test_several_urls_at_one_place_are_several_services(hook: Web) -> None:
    services = open_url(f"{hook.json_url}, {hook.json_url}2", "TEAM")
    assert send_all({str(n): (lambda s=s: s.send(MESSAGE)) for n, s in enumerate(services)}) == {}
    assert sorted(posted.path for posted in hook.posted) == ["/sekret-path-9", "/sekret-path-92"]


def test_a_mail_server_gets_one_mail_for_the_author_alone(mailbox: Mail) -> None:
    url = f"mailto://walter:hush-hush-7@127.0.0.1:{mailbox.port}?from=tandem@example.org&to=team@example.org"
    service = to_author(f"{url}&cc=boss@example.org", "SMTP", "ann@example.org")
    assert send(service) == {}
    ((to, mailed),) = mailbox.delivered
    assert to == ["ann@example.org"] and "boss" not in mailed.as_string() and "team@" not in mailed.as_string()
    assert mailed["Subject"] == MESSAGE.subject and "tandem@example.org" in mailed["From"]
    html = mailed.get_body(("html",)).get_content()
    assert "answered 8, not 7" in words(mailed) and "<b>What:</b>" in html and "&lt;!channel&gt;" in html


@pytest.mark.parametrize(
    "address",
    ["12+ann@users.noreply.github.com", "ann", "", "a@b", "x@y.org\nBcc: z@y.org", "a@b.org,c@d.org", "-t@x.y z"],
)
def test_an_address_that_is_none_is_not_written_to(mailbox: Mail, address: str) -> None:
    with pytest.raises(Undelivered, match="no address that takes mail"):
        to_author(f"mailto://127.0.0.1:{mailbox.port}?from=a@b.org", "SMTP", address)


def test_the_authors_server_must_be_one_for_mail(hook: Web) -> None:
    with pytest.raises(SettingsError, match="mailtos://"):
        to_author(hook.json_url, "SMTP", "ann@example.org")


@pytest.mark.parametrize(
    "url", ["", "sekret-path-9", "https://127.0.0.1/sekret-path-9", "nosuch://walter:hush-hush-7@h"]
)
def test_what_is_no_apprise_url_is_said_without_showing_it(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SettingsError, match="TEAM holds no Apprise URL") as refusal:
        open_url(url, "TEAM")
    assert not any(secret in f"{refusal.value}{caplog.text}" for secret in SECRETS)


def refusing(hook: Web) -> None:
    hook.answers = [(500, {}, b"<h1>Oops</h1>")]


def redirecting(hook: Web) -> None:
    hook.answers = [(302, {"Location": f"{hook.url}/login"}, b""), (200, {}, b"<html>Please log in</html>")]


def malformed(hook: Web) -> None:
    """urllib3 warns of such headers with the whole URL."""
    hook.answers = [(500, {"X": "y\r\nno colon here\r\n: neither"}, b"")]


def slow(hook: Web) -> None:
    hook.delay = 240.0


@pytest.mark.parametrize(
    ("day", "says"),
    [(refusing, "HTTP 500"), (redirecting, "HTTP 302"), (malformed, "HTTP 500"), (slow, "no answer within 1 s")],
)
def test_a_bad_day_of_a_service_is_one_sentence_without_a_secret(
    hook: Web,
    day: Callable[[Web], None],
    says: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    day(hook)
    (service,) = open_url(hook.json_url, "TEAM")
    began = time.monotonic()
    troubles = send(service, limit=1.0 if day is slow else 60.0)
    assert says in troubles[service.name] and time.monotonic() - began < 120
    while not hook.posted:  # within that second it need not have come
        assert time.monotonic() - began < 120
        time.sleep(0.05)
    assert len(hook.posted) == 1, "it was not sent on to another address"
    seen = f"{troubles}{caplog.text}{''.join(capfd.readouterr())}"
    assert not any(secret in seen for secret in SECRETS)


def test_a_dead_service_does_not_keep_the_others_from_hearing(hook: Web, mailbox: Mail) -> None:
    mailbox.greets_after = 240.0
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    dead = open_url(f"json://127.0.0.1:{port}/sekret-path-9", "DEAD")
    mute = open_url(f"mailto://walter:hush-hush-7@127.0.0.1:{mailbox.port}?from=a@b.org&to=c@d.org", "MUTE")
    well = open_url(hook.json_url, "WELL")
    began = time.monotonic()
    troubles = send_all({s.name: (lambda s=s: s.send(MESSAGE)) for s in (*dead, *mute, *well)}, limit=10.0)
    assert time.monotonic() - began < 120 and len(hook.posted) == 1
    assert troubles == {
        "DEAD (json 127.0.0.1)": "the service could not be reached",
        "MUTE (mailto 127.0.0.1)": "no answer within 10 s",
    }


def test_a_mail_that_is_refused_is_said(mailbox: Mail) -> None:
    mailbox.refuses = True
    (service,) = open_url(f"mailto://127.0.0.1:{mailbox.port}?from=a@b.org&to=c@d.org", "SMTP")
    assert send(service) and mailbox.delivered == []


def test_a_foreign_errors_text_is_not_printed(hook: Web) -> None:
    def broken() -> None:
        raise RuntimeError(hook.json_url)

    assert send_all({"x": broken}) == {"x": "RuntimeError"}

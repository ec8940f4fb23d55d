"""The receiver: a hook is a hint. It is verified, its app noted as dirty, 202 answered; reconcile does the work."""

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

import orjson
from flask import Flask, Response, abort, request
from werkzeug.exceptions import HTTPException

from tandem.triggers.hints import Hints
from tandem.triggers.listening import Heard, Listening
from tandem.triggers.replays import Replays
from tandem.triggers.senders import SENDERS
from tandem.triggers.senders.call import Apps, Blobs, Call, Malformed, Push, Reply, Said

READ = 1 << 20  # bytes of a body that are held and read; a larger one is only verified
SHOWN, LISTED = 200, 20  # characters of a name, and apps, in one line of the log
FORM = "application/x-www-form-urlencoded"
ORIGIN = re.compile(r"[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True)
class Outcome:
    """What became of a call: the answer, the apps that it makes dirty, and `about` for the log."""

    status: int
    word: str
    about: str = ""
    apps: tuple[str, ...] = ()
    document: Mapping[str, object] | None = None


def create_app(listening: Listening, hints: Hints, log: logging.Logger, now: Callable[[], float] = time.time) -> Flask:
    """The WSGI application: POST /hooks/SENDER, GET /healthz. `now` gives Unix time in seconds."""
    app, replays, nobodys = Flask("tandem.receiver", static_folder=None), Replays(), secrets.token_hex(32)

    @app.post("/hooks/<name>", provide_automatic_options=False)
    def hook(name: str) -> Response:
        if name not in SENDERS:
            abort(404)
        call = _call(now())
        outcome = take(name, call, listening.to(name) or {nobodys: Heard({}, {})}, replays)
        for each in outcome.apps:
            hints.note(each)
        delivery = SENDERS[name].delivery(call)
        log.info("%s %s: %s %s%s", name, _shown(delivery), outcome.status, outcome.word, outcome.about)
        return _answer(outcome.status, outcome.document or {"status": outcome.word, "apps": outcome.apps})

    @app.route("/hooks/event-grid", methods=["OPTIONS"])
    def handshake() -> Response:
        """CloudEvents' HTTP 1.1 Web Hooks, section 4: may events be delivered here at all?"""
        origin = request.headers.get("WebHook-Request-Origin", "")
        if SENDERS["event-grid"].prove(_call(now()), list(listening.to("event-grid")) or [nobodys]) is None:
            return _answer(401, {"status": "not verified"})
        if not ORIGIN.fullmatch(origin):
            return _answer(400, {"status": "malformed"})
        answer = _answer(200, {"status": "accepted"})
        answer.headers["WebHook-Allowed-Origin"], answer.headers["WebHook-Allowed-Rate"] = origin, "*"
        return answer

    @app.get("/healthz")
    def healthz() -> Response:
        return _answer(200, {"status": "ok"})

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        answer = _answer(error.code or 500, {"status": error.name.lower()})
        answer.headers.extend({name: text for name, text in error.get_headers() if name == "Allow"})
        return answer

    return app


def take(name: str, call: Call, heard: Mapping[str, Heard], replays: Replays) -> Outcome:
    """Verify a call, and find out which of the apps whose secret it knows it is about."""
    proof = SENDERS[name].prove(call, list(heard))
    if proof is None:
        return Outcome(401, "not verified")
    if replays.seen(name, proof.mark):
        return Outcome(202, "seen before")
    group = heard[proof.secret]
    if call.body is None:
        said: Said = Apps(tuple(group.listeners))
        about = ", too large to be read: all apps with this secret"
    else:
        try:
            said = SENDERS[name].read(call, _document(call, call.body))
        except Malformed as trouble:
            return Outcome(400, "malformed", f": {trouble}")
        about = _about(said)
    apps = tuple(group.meant(said))
    if isinstance(said, Reply):
        return Outcome(200 if said.document else 202, "nothing to do", about, document=said.document)
    if not apps:
        return Outcome(202, "no app listens", about)
    replays.add(name, proof.mark)  # not before: once app.toml is mended, a delivery may be sent again
    more = f" and {len(apps) - LISTED} more" if len(apps) > LISTED else ""
    return Outcome(202, "accepted", f"{about} -> {', '.join(apps[:LISTED])}{more}", apps)


def _call(now: float) -> Call:
    """The request that Flask has at hand."""
    environ = request.environ
    stream, length = environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0)
    return Call(environ, stream, now, stream.read(length) if length <= READ else None)


def _document(call: Call, body: bytes) -> object:
    """The body's JSON, which GitHub and Gitea may send as a form's field `payload`. Raises Malformed."""
    try:
        if call.header("Content-Type").partition(";")[0].strip().lower() == FORM:
            body = parse_qs(body, max_num_fields=10)[b"payload"][0]
        return orjson.loads(body)
    except (ValueError, KeyError):
        raise Malformed("not JSON") from None


def _about(said: Said) -> str:
    match said:
        case Push(repositories, branches):
            several = f" and {len(branches) - 1} more" if len(branches) > 1 else ""
            return f": {_shown(repositories[0])} {_shown(branches[0]) if branches else 'no branch'}{several}"
        case Blobs(urls):
            return f": {_shown(urls[0])}{f' and {len(urls) - 1} more' if len(urls) > 1 else ''}"
        case Apps(names):
            return f": app {_shown(names[0])}"
        case Reply(why):
            return f": {_shown(why)}"


def _shown(text: str) -> str:
    """A stranger's text in one line of the log: nothing in it can end the line, or turn it around."""
    return repr(text[:SHOWN]) + ("…" if len(text) > SHOWN else "")


def _answer(status: int, document: Mapping[str, object]) -> Response:
    return Response(orjson.dumps(document), status, mimetype="application/json")

"""What messages say: who reads one at night knows what happened, why, and what to do; pure functions."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tandem.errors import BuildFailed, ImageFailed, ModelRefused, SuiteFailed
from tandem.messages.message import Message
from tandem.records import Block, Candidate, Release, State
from tandem.targets.blame import describe

from .ingredients import Ingredients

Links = tuple[tuple[str, str], ...]
GUILTY: dict[type[Exception], str] = {
    SuiteFailed: "its own tests failed",
    ImageFailed: "its image does not work",
    BuildFailed: "its image could not be built",
    ModelRefused: "its model may not ride",
}
TWICE = ", brought back: "  # in a reason: what was good before does not work either (flows/stages.py)


def guilt(error: BaseException) -> str:
    """What of the app failed; "" where something around it did."""
    return next((words for kind, words in GUILTY.items() if isinstance(error, kind)), "")


def blocked(state: State) -> list[Block]:
    """What the newest release of the history had blocked."""
    return [block for block in state.blocks if block.release == state.history[0].id]


def gist(reason: str) -> str:
    """A reason without what differs from night to night: names of pods, times, addresses, numbers."""
    return " ".join(dict.fromkeys(word for each in reason.split() if (word := each.strip(".,:;()'\"")).isalpha()))[:200]


def integrate_failed(app: str, chosen: Ingredients, error: BaseException, by_model: bool, links: Links) -> Message:
    """A commit and a model that did not become a candidate; `by_model`: the commit is good with another one."""
    commit, model, how = chosen.commit, chosen.model.version[:12], guilt(error)
    about = f"{commit.subject} — {commit.author} ({commit.id[:12]}), with model {model}"
    title, do = f"commit {commit.id[:12]} did not come through: {how}", "Push a fix: it is tried by itself"
    if by_model:
        title, do = f"model {model} did not come through: {how}", "Publish a better model: it is tried by itself"
        about += ". The same commit is good with another model."
    if not how:
        title = f"commit {commit.id[:12]} did not come through: something around it failed"
        do = "Mend what is named above: Tandem tries again by itself, ever more slowly"
    return Message(
        "integrate failed",
        f"{app}: {title}",
        about,
        str(error) or type(error).__name__,
        f"Nothing was released. {do}. To try this pair again at once:",
        (f"tandem integrate {app} --commit {commit.id[:12]} --model {model}",),
        links,
    )


def released(state: State, address: str | None, about: str, links: Links) -> Message:
    """What came into an environment, or came back by hand: the newest release of its history."""
    app, environment, release = state.app, state.environment, state.history[0]
    tag, earlier = release.candidate.tag, state.history[1:]
    back = any(r.outcome == "released" and r.candidate.digest == release.candidate.digest for r in earlier)
    before = next((r.candidate for r in earlier if r.outcome == "released"), None)
    blocks = [block for block in state.blocks if not block.release and block.since == release.ended]
    undo = f"tandem rollback {app} {environment} --why TEXT"
    lines = [f"{environment} runs {tag}{f' at {address}' if address else ''}, and was verified."]
    lines += [about] if about else []
    if before and before.digest != release.candidate.digest:
        lines.append(f"Before: {before.tag}.")
    return Message(
        "released",
        f"{app}: {environment} {'is back on' if back else 'runs'} {tag}",
        "\n".join(lines),
        "\n".join([f"{release.by or 'somebody'} took it back by hand", *map(describe, blocks)]) if back else "",
        "Nothing." if back else "Nothing; to take it back:",
        () if back else (undo,),
        links,
    )


def failed(state: State, about: str, links: Links) -> Message:
    """The newest release of an environment's history, which was rolled back: the candidate's fault, or not."""
    app, environment, release = state.app, state.environment, state.history[0]
    tag, blocks = release.candidate.tag, blocked(state)
    if TWICE in release.reason:
        return _down(state, release, links)
    runs = f"{environment} runs {state.current.candidate.tag}" if state.current else f"nothing runs in {environment}"
    if blocks:
        served = "Users are served as before. " if state.current else ""
        return Message(
            "rolled back",
            f"{app}: {runs} again; {_blamed(blocks)} is blocked",
            f"{tag} failed in {environment} and was taken back: {runs} now.\n{about}",
            release.reason,
            f"{served}Mend it: the next commit or model comes in by itself. If the block is wrong, lift it:",
            (f"tandem unblock {app} {environment} {_named(blocks[0])} --why TEXT",),
            links,
        )
    return Message(
        "release failed",
        f"{app}: {tag} could not be released to {environment}",
        f"{runs}, as before. The environment was to blame, so nothing is blocked.\n{about}",
        release.reason,
        "Mend what is named above; the next release tries again by itself, or now:",
        (f"tandem release {app} {environment}",),
        links,
    )


def _down(state: State, release: Release, links: Links) -> Message:
    """Neither the new one nor what was good before works: the one message to get up for."""
    app, environment = state.app, state.environment
    return Message(
        "release failed",
        f"{app}: {environment} MAY BE DOWN: {release.candidate.tag} failed, and what ran before fails too",
        f"{release.candidate.tag} failed in {environment}; what was brought back does not answer rightly either.",
        release.reason,
        "Look now: the environment is to blame (a service that the app needs, the platform). When it is mended:",
        (f"tandem status {app}", f"tandem release {app} {environment}"),
        links,
    )


def not_begun(app: str, environment: str, error: BaseException, links: Links) -> Message:
    """A release that failed before it changed anything."""
    return Message(
        "release failed",
        f"{app}: the release to {environment} could not begin",
        f"Nothing was changed: {environment} runs what it ran before.",
        str(error) or type(error).__name__,
        "Mend what is named above; the next release tries again by itself, or now:",
        (f"tandem release {app} {environment}",),
        links,
    )


def approval_wanted(app: str, environment: str, candidate: Candidate, about: str, links: Links) -> Message:
    """A candidate that waits for a person's word."""
    return Message(
        "approval wanted",
        f"{app}: may {candidate.tag} go to {environment}?",
        f"{candidate.tag} came through its tests and waits for an approval.\n{about}",
        f"{environment} asks for a person's word (approval = true).",
        "Approve it by the form, or by the command; it is released at once. To refuse it, do nothing, or block it.",
        (f"tandem approve {app} {environment} {candidate.tag} --note TEXT",),
        links,
    )


def late(app: str, environment: str, due: datetime, now: datetime, begun: bool, links: Links) -> Message:
    """A run of a schedule that did not begin when it was due."""
    return Message(
        "nightly late",
        f"{app}: the release to {environment} that was due at {due:%H:%M} UTC is {_span(now - due)} late",
        f"It was due at {due:%Y-%m-%d %H:%M} UTC, and {'began' if begun else 'had not begun'} at {now:%H:%M} UTC.",
        "No worker took it: the machine or the worker was away, or busy with other runs.",
        "Nothing, it has begun."
        if begun
        else "See that a worker runs (on one machine: 'tandem up'), and what it does:",
        () if begun else (f"tandem status {app}",),
        links,
    )


def trouble(app: str, text: str, since: datetime, now: datetime, links: Links) -> Message:
    """What reconcile has met for this app in each of its rounds for some time."""
    return Message(
        "trouble",
        f"{app}: Tandem has been in trouble for {_span(now - since)}",
        f"Since {since:%Y-%m-%d %H:%M} UTC at least, not everything that {app} needs could be looked after.",
        text,
        "Mend what is named above; Tandem tries every minute. These look it over:",
        (f"tandem status {app}", f"tandem check {app}"),
        links,
    )


def _blamed(blocks: Sequence[Block]) -> str:
    block = blocks[0]
    parts = [f"commit {block.commit[:12]}"] if block.commit else []
    return " with ".join([*parts, f"model {block.model[:12]}"] if block.model else parts)


def _named(block: Block) -> str:
    """The block as `tandem unblock` takes it."""
    return "-".join(part[:12] for part in (block.commit, block.model) if part)


def _span(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"

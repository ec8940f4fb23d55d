"""What needs no run of its own: what environments run and block, which candidates there are, block and unblock."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from tandem.errors import Refused, TandemError
from tandem.records import Block, Candidate, State
from tandem.settings import Settings, apps, find_root
from tandem.targets import permission, transitions
from tandem.targets.advance import advance
from tandem.targets.blame import describe
from tandem.targets.choose import blocking

from . import backends, ingredients


@dataclass(frozen=True)
class EnvironmentStatus:
    """One environment as it is now; `trouble` says why it could not be asked."""

    environment: str
    state: State | None
    address: str | None
    digests: tuple[str, ...]
    trouble: str = ""
    frozen: str = ""  # until when nothing is released there by itself, and by which freeze


@dataclass(frozen=True)
class AppStatus:
    """One app, and its environments in app.toml's order; `reconcile` is what the last one met, a sentence each."""

    app: str
    environments: tuple[EnvironmentStatus, ...]
    trouble: str = ""
    reconcile: tuple[str, ...] = ()


@dataclass(frozen=True)
class CandidateCard:
    """A candidate, with what a list shows of it."""

    candidate: Candidate
    committed: str
    model: str
    size: int  # bytes of all its layers
    environments: tuple[str, ...]  # where it runs now
    blocked: tuple[str, ...]  # environment: why


def status(app: str | None = None) -> list[AppStatus]:
    """What every environment of an app, or of all apps, runs; trouble with one never hides another."""
    root = find_root()
    found = []
    for name in [app] if app else apps(root):
        try:
            settings = Settings.load(name, root)
        except TandemError as trouble:
            if app:
                raise
            found.append(AppStatus(name, (), str(trouble)))
            continue
        found.append(AppStatus(name, tuple(_environment(settings, each) for each in settings.toml.environments)))
    return found


def address(settings: Settings, environment: str) -> str | None:
    """Where users reach the app in this environment; None where nobody can say just now."""
    with suppress(TandemError, OSError):
        return backends.target(settings, environment).running().address
    return None


def _environment(settings: Settings, environment: str) -> EnvironmentStatus:
    holding = permission.freeze(settings.environment(environment), datetime.now(UTC))
    frozen = str(holding) if holding else ""
    try:
        target = backends.target(settings, environment)
        running = target.running()
        return EnvironmentStatus(environment, target.state().value, running.address, running.digests, frozen=frozen)
    except (TandemError, OSError) as trouble:
        return EnvironmentStatus(environment, None, None, (), str(trouble), frozen)


def candidates(app: str) -> list[CandidateCard]:
    """Every candidate of an app, newest commit first."""
    settings = Settings.load(app)
    registry = backends.registry(settings)
    states = {name: backends.target(settings, name).state().value for name in settings.toml.environments}
    order = {commit[:12]: position for position, commit in enumerate(ingredients.commits(settings))}
    tags = [tag for tag in registry.tags() if re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]{12}-[0-9a-f]{8}", tag)]
    cards = []
    for tag in sorted(tags, key=lambda tag: (order.get(tag[:12], len(order)), tag)):
        image = backends.image(registry, tag)
        notes = image.manifest.annotations
        if notes.get("dev.tandem.app") != app:
            continue
        candidate = ingredients.candidate_of(settings, image.digest, registry)
        runs = [n for n, s in states.items() if s.current and s.current.candidate.digest == image.digest]
        blocked = [
            f"{name}: {describe(block)}" for name, state in states.items() if (block := blocking(state, candidate.pair))
        ]
        size = sum(layer.size for layer in image.manifest.layers)
        created, model = notes["org.opencontainers.image.created"], notes["dev.tandem.model.name"]
        cards.append(CandidateCard(candidate, created, model, size, tuple(runs), tuple(blocked)))
    return cards


def block(app: str, environment: str, what: str, why: str, by: str) -> str:
    """Keep a commit, a model or a candidate out of an environment until it is unblocked; what was blocked."""
    settings, (commit, model) = _named(app, environment, what)
    target = backends.target(settings, environment)
    state = target.state()
    new = Block(why, datetime.now(UTC), "", commit=commit, model=model, by=by)
    advance(target, state, lambda s: transitions.blocked(s, new))
    return describe(new)


def unblock(app: str, environment: str, what: str, why: str, by: str) -> str:
    """Lift the blocks that name this commit, model or candidate; what was lifted. Refused where there is none."""
    settings = Settings.load(app)
    settings.environment(environment)
    target = backends.target(settings, environment)
    state = target.state()
    lifted = [b for b in state.value.blocks if _names(b, what)]
    if not lifted:
        with suppress(TandemError):  # a branch, a tag, HEAD
            commit, model = _named(app, environment, what)[1]
            lifted = [b for b in state.value.blocks if (b.commit, b.model) == (commit, model)]
    if not lifted:
        there = "; ".join(map(describe, state.value.blocks)) or "no blocks at all"
        raise Refused(f"nothing in {environment} is blocked as {what!r}: there are {there}")
    advance(target, state, lambda s: transitions.unblocked(s, lifted))
    return "; ".join(describe(each) for each in lifted) + f" — lifted by {by}: {why}"


def adopt(app: str, environment: str) -> list[str]:
    """Take over the Kubernetes objects that others made and the app's YAML names; what was taken over, a line each."""
    settings = Settings.load(app)
    target = backends.target(settings, environment)
    take = getattr(target, "adopt", None)
    if take is None:
        url = settings.environment(environment).target
        raise Refused(f"{environment}'s target is {url}: there is nothing that others made; only kubernetes: and aks:")
    return list(take())


def _names(block: Block, what: str) -> bool:
    """Whether a person who writes `what` (a commit's, model's or candidate's beginning) means this block."""
    commit, _, rest = what.partition("-")
    if rest:
        model = rest.partition("-")[0]
        return bool(block.commit and block.commit.startswith(commit) and (block.model or "").startswith(model))
    alone = [part for part in (block.commit, block.model) if part]
    return len(what) >= 4 and any(part.startswith(what) for part in alone)


def _named(app: str, environment: str, what: str) -> tuple[Settings, tuple[str | None, str | None]]:
    """The full ids of what a person names: a candidate's tag, a model's version, or a commit."""
    settings = Settings.load(app)
    settings.environment(environment)
    if re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]{12}-[0-9a-f]{8}", what) or what.startswith("sha256:"):
        pair = ingredients.named_candidate(settings, backends.registry(settings), what).pair
        return settings, (pair.commit, pair.model)
    try:
        return settings, (None, backends.store(settings).model(settings.toml.model.name, what).version)
    except TandemError:
        try:
            repository = backends.repository(settings)
            return settings, (repository.effective(repository.commit(what)).id, None)
        except TandemError:
            raise Refused(f"{what!r} is no model version, no commit and no candidate of {app}") from None

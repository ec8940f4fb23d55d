"""What may be put together: commits and models, newest first, and the recipe; and which candidates there are."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from tandem.errors import ModelError, ModelNotFound, ModelRefused, Refused
from tandem.images import base_identity
from tandem.models import meets
from tandem.records import Candidate, Commit, Model, Pair, State
from tandem.seams import Registry
from tandem.settings import Settings
from tandem.targets import choose
from tandem.targets.blame import describe

from . import backends

COMMITS, MODELS = 500, 100  # how far back a choice looks


@dataclass(frozen=True)
class Ingredients:
    """What one candidate is made of."""

    commit: Commit
    model: Model
    recipe: str

    @property
    def pair(self) -> Pair:
        """Their ids."""
        return Pair(self.commit.id, self.model.version, self.recipe)


def recipe(settings: Settings) -> str:
    """The recipe's hash, with the base as it is now."""
    return settings.recipe(base_identity(settings.toml.image, backends.open_base(settings)))


def pick(settings: Settings, commit: str, model: str) -> Ingredients:
    """The commit that a ref names (the last one at or before it that matters to the app) and the model."""
    repository = backends.repository(settings)
    return Ingredients(repository.effective(repository.commit(commit)), pick_model(settings, model), recipe(settings))


def pick_model(settings: Settings, model: str) -> Model:
    """A version by id, or the newest that meets `require`; ModelRefused where that one, or all, fail it."""
    store, wish = backends.store(settings), settings.toml.model
    if model != "newest":
        chosen = store.model(wish.name, model)
        if reasons := meets(chosen, wish.require):
            raise ModelRefused(f"model {wish.name} {chosen.version[:12]} may not ride: {'; '.join(reasons)}")
        return chosen
    refused = []
    for chosen in islice(store.versions(wish.name), MODELS):
        if not (reasons := meets(chosen, wish.require)):
            return chosen
        refused.append(f"{chosen.version[:12]}: {'; '.join(reasons)}")
    if refused:
        raise ModelRefused(f"no version of model {wish.name} in {wish.store} may ride: {' · '.join(refused[:5])}")
    raise ModelNotFound(
        f"no model {wish.name!r} in {wish.store}: publish one with 'tandem publish {settings.app} DIRECTORY'"
    )


def models(settings: Settings, states: Iterable[State]) -> list[str]:
    """The versions that may ride, newest first, as far back as these states need to know."""
    states, wish, found = list(states), settings.toml.model, list[str]()
    needed = {state.current.candidate.pair.model for state in states if state.current}
    for model in islice(backends.store(settings).versions(wish.name), MODELS):
        if not meets(model, wish.require):
            found.append(model.version)
            blocked = any(b.model == model.version and b.commit is None for state in states for b in state.blocks)
            if needed <= set(found) and not blocked:
                break
    return found


def all_models(settings: Settings) -> list[str]:
    """Every version in the store, newest first, as far back as a choice looks."""
    return [model.version for model in islice(backends.store(settings).versions(settings.toml.model.name), MODELS)]


def wanted_tags(settings: Settings, states: Sequence[State]) -> set[str]:
    """The tags of what the environments want."""
    facts = commits(settings), models(settings, states), recipe(settings)
    return {pair.tag for state in states if (pair := choose.wanted(*facts, state))}


def commits(settings: Settings) -> list[str]:
    """The commits of the app's branch that matter, newest first."""
    return [commit.id for commit in backends.repository(settings).history(COMMITS)]


def finder(settings: Settings, registry: Registry, admitted: State | None) -> Callable[[Pair], Candidate | None]:
    """Gives a pair's candidate; None where there is none, or `admitted`'s environment has not verified it yet."""
    tags = set(registry.tags())

    def find(pair: Pair) -> Candidate | None:
        descriptor = registry.resolve(pair.tag) if pair.tag in tags else None
        if descriptor is None or (admitted is not None and not admits(admitted, pair, descriptor.digest)):
            return None
        return Candidate(settings.app, pair, descriptor.digest)

    return find


def admits(state: State, pair: Pair, digest: str) -> bool:
    """Whether what this environment found good, and nobody took back there, may go on from it."""
    return digest in state.verified and choose.blocking(state, pair) is None


def known_model(settings: Settings, pair: Pair | None) -> Model | None:
    """A pair's model with its facts; None where there is no pair, or the store no longer has its model."""
    if pair is None:
        return None
    try:
        return backends.store(settings).model(settings.toml.model.name, pair.model)
    except ModelError:
        return None


def choose_candidate(settings: Settings, environment: str, state: State, candidate: str = "newest") -> choose.Choice:
    """What the environment should run now; or the candidate that somebody named, where nothing forbids it."""
    registry = backends.registry(settings)
    after = settings.environment(environment).after
    admitted = backends.target(settings, after).state().value if after else None
    if candidate == "newest":
        find = finder(settings, registry, admitted)
        return choose.choose(commits(settings), models(settings, [state]), recipe(settings), state, find)
    named = named_candidate(settings, registry, candidate)
    if block := choose.blocking(state, named.pair):
        lift = f"'tandem unblock {settings.app} {environment} WHAT --why TEXT' lifts it"
        raise Refused(f"{named.tag} may not go to {environment}: {describe(block)}; {lift}")
    if admitted is not None and not admits(admitted, named.pair, named.digest):
        raise Refused(f"{named.tag} may not go to {environment}: it was not verified in {after}, or is blocked there")
    if state.current and state.current.candidate.digest == named.digest:
        return choose.Choice(None, f"nothing to release: {environment} runs {named.tag} already")
    return choose.Choice(named, f"{named.tag} was asked for by name")


def named_candidate(settings: Settings, registry: Registry, name: str) -> Candidate:
    """A candidate by its tag, a unique beginning of it, or its digest; Refused where none or several match."""
    found = [name] if name.startswith("sha256:") else [tag for tag in registry.tags() if tag.startswith(name)]
    if len(found) != 1:
        many = f"{len(found)} candidates begin with {name!r}" if found else f"no candidate {name!r} in {registry}"
        raise Refused(f"{many}: 'tandem candidates {settings.app}' lists them")
    return candidate_of(settings, backends.image(registry, found[0]).digest, registry)


def candidate_of(settings: Settings, digest: str, registry: Registry) -> Candidate:
    """A candidate by its digest, as its image manifest says; Refused where that is another app's or nobody's."""
    notes = backends.image(registry, digest).manifest.annotations
    if notes.get("dev.tandem.app") != settings.app:
        raise Refused(f"{registry}@{digest} is no candidate of {settings.app}: its image manifest does not say so")
    pair = Pair(
        notes["org.opencontainers.image.revision"], notes["dev.tandem.model.version"], notes["dev.tandem.recipe"]
    )
    return Candidate(settings.app, pair, digest)

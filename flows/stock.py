"""What there is of an app: commits, models, recipe, candidates; read once for all its environments."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock

from tandem.records import Candidate, Pair, State
from tandem.seams import Registry
from tandem.settings import Settings
from tandem.source import Repository

from . import backends, ingredients


@dataclass(frozen=True)
class Stock:
    """Commits and models, newest first, the recipe, and the registry with its tags."""

    commits: tuple[str, ...]
    models: tuple[str, ...]
    recipe: str
    registry: Registry
    tags: frozenset[str]

    def finder(self, app: str, admitted: State | None) -> Callable[[Pair], Candidate | None]:
        """Gives a pair's candidate; None where there is none, or `admitted`'s environment has not verified it yet."""

        def find(pair: Pair) -> Candidate | None:
            descriptor = self.registry.resolve(pair.tag) if pair.tag in self.tags else None
            if descriptor is None:
                return None
            if admitted is not None and not ingredients.admits(admitted, pair, descriptor.digest):
                return None
            return Candidate(app, pair, descriptor.digest)

        return find


class Fetched:
    """The repositories that this run has brought up to date: many apps of one repository fetch it once."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._outcomes: dict[tuple[str, str], Future[None]] = {}

    def repository(self, settings: Settings) -> Repository:
        """The app's repository, up to date. Raises what its one fetch raised."""
        found = backends.repository(settings)
        key = str(found.mirror), repr(settings.toml.source.credentials)
        with self._guard:
            mine = key not in self._outcomes
            outcome = self._outcomes.setdefault(key, Future())
        if mine:
            try:
                found.fetch()
                outcome.set_result(None)
            except BaseException as trouble:
                outcome.set_exception(trouble)
        outcome.result()
        return found.fetched()


def stock(settings: Settings, states: Iterable[State], fetched: Fetched) -> Stock:
    """What there is of the app now. Raises what git, store and registry raise."""
    commits = tuple(commit.id for commit in fetched.repository(settings).history(ingredients.COMMITS))
    registry = backends.registry(settings)
    return Stock(
        commits,
        tuple(ingredients.models(settings, states)),
        ingredients.recipe(settings),
        registry,
        frozenset(registry.tags()),
    )

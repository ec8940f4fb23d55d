"""integrate: a commit and a model become one tested image in the registry."""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from prefect import flow, get_run_logger

from tandem.errors import SuiteFailed
from tandem.images.carry import ModelLayers, carry_layers, put_on
from tandem.models import checked
from tandem.models.kept import on_disk
from tandem.records import Candidate, Descriptor, Image, Pair, Source
from tandem.seams import Registry
from tandem.settings import Settings
from tandem.source import SuiteReport, run_suite
from tandem.targets.trial import Trial

from . import backends, cards, follow, ingredients, proof, telling
from .backends import AppName
from .ingredients import Ingredients
from .stages import stage
from .trial import needed, try_somewhere


@stage("resolve", network=True)
def resolve(settings: Settings, commit: str, model: str) -> Ingredients:
    """The commit, the model and the recipe, each by its full id."""
    chosen = ingredients.pick(settings, commit, model)
    say = get_run_logger().info
    say("commit %s: %s (%s)", chosen.commit.id[:12], chosen.commit.subject, chosen.commit.author)
    say("model %s %s: %s", chosen.model.name, chosen.model.version[:12], cards.metrics(chosen.model))
    return chosen


@stage("find candidate", network=True)
def find_candidate(settings: Settings, registry: Registry, pair: Pair) -> Candidate | None:
    """The candidate, where it is built already: one HEAD."""
    found = registry.resolve(pair.tag)
    return Candidate(settings.app, pair, found.digest) if found else None


@stage("find engine", network=True)
def find_engine(settings: Settings) -> None:
    """What the tests will run in, looked for before anything is built. Raises SettingsError, Unreachable."""
    get_run_logger().info("the app's tests will run in the image, by Docker %s", needed(settings).version)


@stage("check out", network=True)
def check_out(settings: Settings, chosen: Ingredients, run: ExitStack) -> Source:
    """The commit's files, in a folder that goes with the run."""
    repository = backends.repository(settings)
    for note in repository.notes(chosen.commit):
        get_run_logger().warning(note)
    return run.enter_context(repository.checked_out(chosen.commit))


@stage("run tests", network=True)
def run_tests(settings: Settings, source: Source, chosen: Ingredients) -> SuiteReport:
    """The app's own tests, with the model's files where they ask for them. Raises SuiteFailed."""
    wish, formats = settings.toml.test, settings.toml.model.formats
    folder = on_disk(checked(chosen.model, formats), settings.home / "cache" / "models") if wish.model else None
    model = str(folder) if folder else None
    say = get_run_logger().info
    return _shown(settings, lambda: run_suite(source, wish, settings.home, model, say, os.environ))


@stage("run tests in the image", network=True)
def run_tests_inside(settings: Settings, source: Source, image: Image) -> SuiteReport:
    """The app's own tests, in a container of the image, by its digest. Raises SuiteFailed."""
    from .suite import run_inside  # docker takes long to import, and most apps on one machine do not need it

    return _shown(settings, lambda: run_inside(needed(settings), settings, source, image, get_run_logger().info))


def _shown(settings: Settings, ran: Callable[[], SuiteReport]) -> SuiteReport:
    """The report, in the run's test table whether the tests passed or not."""
    try:
        report = ran()
    except SuiteFailed as failure:
        if isinstance(failure.report, SuiteReport):
            cards.tests(settings, failure.report)
        raise
    cards.tests(settings, report)
    return report


@stage("remember layers", network=True)
def remember_layers(registry: Registry, chosen: Ingredients) -> Mapping[str, Descriptor]:
    """What earlier candidates' layers hold, so that nothing travels twice."""
    return proof.remembered(registry, chosen.pair)


@stage("fetch model", network=True)
def fetch_model(
    settings: Settings, registry: Registry, chosen: Ingredients, known: Mapping[str, Descriptor]
) -> ModelLayers:
    """The model's files, from the store into the registry, as layers; what is there already is not moved."""
    wish = settings.toml.model
    layers = carry_layers(checked(chosen.model, wish.formats), wish.path, registry, known)
    get_run_logger().info("carried %s, had %s", cards.megabytes(layers.carried), cards.megabytes(layers.reused))
    return layers


@stage("build image", network=True)
def build_image(settings: Settings, registry: Registry, source: Source, known: Mapping[str, Descriptor]) -> Image:
    """Base + dependencies + code, without the model."""
    return backends.builder(settings, known).build(source, settings.toml.image, registry)


@stage("push image", network=True)
def push_image(settings: Settings, chosen: Ingredients, app_image: Image, layers: ModelLayers) -> Image:
    """Code and model, one image in the registry; without a tag, since it has not been tested."""
    notes, env = proof.annotations(settings, chosen), proof.variables(chosen)
    image = put_on(app_image, layers, notes, chosen.commit.time, env)
    get_run_logger().info(
        "%s: %s in %d layers", image, cards.megabytes(image.manifest.layers), len(image.manifest.layers)
    )
    return image


@stage("test image", network=True)
def test_image(settings: Settings, image: Image) -> Trial:
    """The image, by its digest, as it will run: ready in time, right answers, stops when told. Raises ImageFailed."""
    trial = try_somewhere(settings, image)
    get_run_logger().info("%s", trial)
    return trial


@stage("mark candidate", network=True)
def mark_candidate(
    settings: Settings, chosen: Ingredients, image: Image, layers: ModelLayers, report: SuiteReport, trial: Trial
) -> Candidate:
    """The evidence, then, last, the tag: from here on it is a candidate."""
    proof.attach(settings, chosen, image, layers, report, trial)
    image.registry.put(image.manifest, chosen.pair.tag)
    get_run_logger().info("%s is a candidate: %s", chosen.pair.tag, image.digest)
    return Candidate(settings.app, chosen.pair, image.digest)


@flow(flow_run_name="{app} {commit} × {model}", description="Turn a commit and a model into one tested image.")
def integrate(app: AppName, commit: str = "HEAD", model: str = "newest") -> Candidate:
    """Turn a commit and a model into one tested image; do nothing where it exists.

    Args:
        app: The app folder's name.
        commit: A commit id, a branch or a tag; HEAD is the newest commit of the app's branch.
        model: A version of the model, or "newest": the last published one that meets `require`.
    """
    settings = Settings.load(app)
    chosen = resolve(settings, commit, model)
    cards.name_run(f"{app} {chosen.commit.id[:12]} × {chosen.model.version[:12]}")
    registry = backends.registry(settings)
    if candidate := find_candidate(settings, registry, chosen.pair):
        get_run_logger().info("%s is built and tested already: %s", candidate.tag, candidate.digest)
        return candidate
    if inside := settings.toml.test.where == "image":
        find_engine(settings)
    known = remember_layers(registry, chosen)
    with telling.outcome(settings, chosen), ExitStack() as run:
        source = check_out(settings, chosen, run)
        model_layers = fetch_model.submit(settings, registry, chosen, known)  # gigabytes travel while the tests run
        report = None if inside else run_tests(settings, source, chosen)
        app_image = build_image(settings, registry, source, known)
        layers = model_layers.result()
        image = push_image(settings, chosen, app_image, layers)
        report = report or run_tests_inside(settings, source, image)
        trial = test_image(settings, image)
        cards.candidate(settings, chosen, image, layers, report, trial)
        candidate = mark_candidate(settings, chosen, image, layers, report, trial)
    follow.hint(settings)
    return candidate

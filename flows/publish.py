"""publish: a folder of files becomes the newest version of the app's model."""

from dataclasses import replace
from pathlib import Path

from prefect import flow, get_run_logger

from tandem.images.carry import named
from tandem.models import checked_files, facts_of, files_of, hashed, meets
from tandem.records import Model
from tandem.settings import Settings

from . import backends, cards
from .backends import AppName
from .stages import stage


@stage("publish model", network=True)
def publish_model(settings: Settings, directory: Path, by: str) -> Model:
    """Check the files' formats and store them; changes nothing where this version is there already."""
    wish = settings.toml.model
    files = [hashed(file) for file in checked_files(files_of(directory), wish.formats)]
    facts = replace(facts_of(files), layers=named(files, wish.path))  # so that no integrate hashes them again
    return backends.store(settings).publish(wish.name, files, facts, by)


@flow(flow_run_name="{app}: {directory}", description="Publish a folder of files as the app's newest model.")
def publish(app: AppName, directory: str, by: str = "") -> Model:
    """Publish a folder of files as the newest version of the app's model.

    Args:
        app: The app folder's name.
        directory: A folder on the machine that runs this; metrics.json in it holds the model's metrics.
        by: Who publishes; nothing here verifies it.
    """
    settings = Settings.load(app)
    model = publish_model(settings, Path(directory), by)
    cards.name_run(f"{app}: {model.name} {model.version[:12]}")
    get_run_logger().info("%s is in %s", model.version, settings.toml.model.store)
    for reason in meets(model, settings.toml.model.require):
        get_run_logger().warning("it will not ride: %s", reason)
    return model

"""What a run opens, it opens once for its settings, and another reading of them opens its own."""

import gc
import weakref
from pathlib import Path

from tandem.flows.backends import once, registry
from tandem.settings import Settings


class Opened:
    """Something that can be waited for to go."""


def test_each_reading_of_the_settings_opens_once_and_keeps_it_no_longer_than_itself() -> None:
    opened = once(lambda settings: Opened())
    root = Path(__file__).parents[2]
    one, two = Settings.load("digits", root), Settings.load("digits", root)
    first = opened(one)
    assert opened(one) is first and opened(two) is not first
    seen = weakref.ref(first)
    del first, one
    gc.collect()
    assert seen() is None


def test_a_runs_registry_is_one() -> None:
    settings = Settings.load("digits", Path(__file__).parents[2])
    assert registry(settings) is registry(settings)

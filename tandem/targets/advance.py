"""A step of an environment's state, stored by compare-and-swap, beside others who change it too."""

from collections.abc import Callable

from tandem.errors import StateChanged
from tandem.records import State, Versioned
from tandem.seams import Target
from tandem.targets.state import standing

TRIES = 5  # at a state that others change too


def advance(target: Target, state: Versioned[State], step: Callable[[State], State]) -> Versioned[State]:
    """Store the state's next value by compare-and-swap.

    Where somebody blocked or approved something meanwhile the step is taken from there; where somebody ended this
    release or began another, StateChanged: what is there now is theirs.
    """
    mine = standing(state.value)
    for _ in range(TRIES):
        try:
            return target.record(Versioned(step(state.value), state.token))
        except StateChanged:
            state = target.state()
            if mine != standing(state.value):
                raise
    raise StateChanged(f"{state.value.app} in {state.value.environment}: its state changes faster than it is read")

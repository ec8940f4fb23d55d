"""How an environment's state moves: pure functions from a state to the next; storing it is the target's."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from tandem.errors import Fault, Refused, StateChanged
from tandem.records import Approval, Block, Question, Release, Snapshot, State, Step, UnderWay
from tandem.targets import blame
from tandem.targets.choose import blocking


def begun(state: State, release: Release, snapshot: Snapshot, back: str | None = None) -> State:
    """The release is under way; recorded before the first change, with what undoes it.

    Raises Refused where its candidate was blocked meanwhile.
    """
    if block := blocking(state, release.candidate.pair):
        raise Refused(f"{release.candidate.tag} may not go to {state.environment}: {blame.describe(block)}")
    return replace(state, under_way=UnderWay(release, "roll out", snapshot, back=back))


def at(state: State, step: Step, reason: str = "", fault: Fault | None = None) -> State:
    """The release under way has come to this step."""
    return replace(state, under_way=replace(_under_way(state), step=step, reason=reason, fault=fault))


def verified(state: State, now: datetime) -> State:
    """The release under way is good, be it forwards or back by hand."""
    under_way = _under_way(state)
    if under_way.back is None:
        return released(state, now)
    return taken_back(state, now, under_way.back, under_way.release.by)


def released(state: State, now: datetime) -> State:
    """The release under way is good: it is what the environment runs, and settles whose fault a pair was."""
    release = replace(_under_way(state).release, ended=now, outcome="released")
    pair, digest = release.candidate.pair, release.candidate.digest
    return replace(
        _ended(state, release),
        current=release,
        verified=state.verified if digest in state.verified else (digest, *state.verified),
        blocks=blame.settle(state.blocks, pair),
        approvals=tuple(approval for approval in state.approvals if approval.digest != digest),
        asked=_unless(state.asked, digest),
    )


def rolled_back(state: State, now: datetime) -> State:
    """The release under way was bad and is undone; what is to blame is blocked, nothing where the environment was."""
    under_way = _under_way(state)
    reason, fault = under_way.reason, under_way.fault
    release = replace(under_way.release, ended=now, outcome="rolled back", reason=reason)
    state = _ended(state, release)
    if fault != "candidate":
        return state
    good = state.current.candidate.pair if state.current else None
    return replace(
        state, blocks=blame.add(state.blocks, blame.blame(release.candidate.pair, good, reason, now, release.id))
    )


def taken_back(state: State, now: datetime, why: str, by: str) -> State:
    """A person went back: the release under way (the one gone back to) is good, what it replaced is to blame."""
    bad, good = state.current, _under_way(state).release.candidate.pair
    state = released(state, now)
    if bad is None:
        return state
    return replace(state, blocks=blame.add(state.blocks, blame.blame(bad.candidate.pair, good, why, now, "", by)))


def blocked(state: State, block: Block) -> State:
    """With a block that a person set."""
    return replace(state, blocks=blame.add(state.blocks, block))


def unblocked(state: State, blocks: Collection[Block]) -> State:
    """Without these blocks."""
    return replace(state, blocks=tuple(block for block in state.blocks if block not in blocks))


def approved(state: State, approval: Approval) -> State:
    """With a person's approval; the newest word on a digest counts."""
    others = tuple(other for other in state.approvals if other.digest != approval.digest)
    return replace(state, approvals=(approval, *others), asked=_unless(state.asked, approval.digest))


def asked(state: State, question: Question) -> State:
    """With the question put to people; an older one is withdrawn by it."""
    return replace(state, asked=question)


def _unless(question: Question | None, digest: str) -> Question | None:
    """The question, where it is not about this digest: that one is answered."""
    return question if question and question.candidate.digest != digest else None


def _under_way(state: State) -> UnderWay:
    if state.under_way is None:
        raise StateChanged(f"{state.app} in {state.environment}: the release under way was ended by somebody else")
    return state.under_way


def _ended(state: State, release: Release) -> State:
    return replace(state, under_way=None, history=(release, *state.history)[: State.HISTORY])

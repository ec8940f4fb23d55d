"""What an environment is told to remember: releases, blocks, approvals, and the state that holds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tandem.errors import Fault
from tandem.records.things import Candidate

Outcome = Literal["released", "rolled back"]
Step = Literal["roll out", "verify", "roll back"]


@dataclass(frozen=True)
class Release:
    """One attempt to bring a candidate into an environment, as the state remembers it."""

    id: str
    candidate: Candidate
    began: datetime
    ended: datetime | None = None
    outcome: Outcome | None = None
    reason: str = ""
    by: str = ""
    run: str = ""  # the Prefect flow run's id


@dataclass(frozen=True)
class Block:
    """What must not come again here: a model, a commit (`recipe`: only with that), or the pair of both."""

    why: str
    since: datetime
    release: str  # the release's id, or "" by hand
    commit: str | None = None
    model: str | None = None
    recipe: str | None = None
    by: str = ""


@dataclass(frozen=True)
class Approval:
    """A person's word that a candidate may go into this environment."""

    digest: str
    by: str
    verified: bool  # whether anything vouches for `by`
    at: datetime
    note: str = ""


@dataclass(frozen=True)
class Question:
    """People were asked to approve this candidate, and have not answered yet: they are asked once."""

    candidate: Candidate
    at: datetime


@dataclass(frozen=True)
class Snapshot:
    """What a target must know to bring back what ran before the first change; JSON, owned by the target."""

    content: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class UnderWay:
    """A release that has begun and not ended; its `snapshot` was recorded before its first change.

    `reason` and `fault` are known once `step` is "roll back": blame must survive a kill. `back` is the reason of a
    person who goes back to this release's candidate by hand; None for a release forwards.
    """

    release: Release
    step: Step
    snapshot: Snapshot
    reason: str = ""
    fault: Fault | None = None
    back: str | None = None


@dataclass(frozen=True)
class State:
    """What one environment runs, ran before, blocks, approved, is in the middle of.

    `current` is the last good release (None: nothing good ever ran). `history` is every release that ended,
    newest first, good or bad, at most HISTORY of them; `verified` every digest that was ever good here.
    """

    app: str
    environment: str
    current: Release | None = None
    history: tuple[Release, ...] = ()
    verified: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    approvals: tuple[Approval, ...] = ()
    under_way: UnderWay | None = None
    asked: Question | None = None

    HISTORY = 100

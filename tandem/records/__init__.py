"""The words of Tandem as frozen records, which read, write and decide nothing; documents.py makes them JSON."""

from tandem.records.states import Approval, Block, Outcome, Question, Release, Snapshot, State, Step, UnderWay
from tandem.records.things import (
    Blob,
    Candidate,
    Commit,
    Descriptor,
    Facts,
    Image,
    ImageManifest,
    Model,
    Pair,
    Progress,
    Running,
    Source,
    Versioned,
)

__all__ = [
    "Approval",
    "Blob",
    "Block",
    "Candidate",
    "Commit",
    "Descriptor",
    "Facts",
    "Image",
    "ImageManifest",
    "Model",
    "Outcome",
    "Pair",
    "Progress",
    "Question",
    "Release",
    "Running",
    "Snapshot",
    "Source",
    "State",
    "Step",
    "UnderWay",
    "Versioned",
]

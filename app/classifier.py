"""An ONNX network and its card: tensors in, the best labels out."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .card import BadModel, Card
from .images import decode, unwrap
from .preparing import prepare

BEST = 3
BATCH = 16
TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}

Guess = tuple[str, float]  # a label, and how sure the model is of it in percent, 2 decimals


class NoAnswer(Exception):
    """The network gave something that is no number for this picture (`index` in the batch)."""

    def __init__(self, index: int) -> None:
        super().__init__(f"the model has no answer for picture {index}: it gave something that is not a number")
        self.index = index


@dataclass(frozen=True)
class Answer:
    """For each picture its min(3, classes) best guesses, best first; and the seconds that the network took."""

    best: list[list[Guess]]
    seconds: float


@dataclass(frozen=True)
class Classifier:
    """A loaded model. `classify` may be called by several threads at once."""

    card: Card
    session: Any  # onnxruntime.InferenceSession, which has no types
    entry: str
    exit: str
    dtype: type[np.generic]
    batch: int

    def classify(self, tensors: Sequence[NDArray[np.float32]]) -> Answer:
        """The best guesses for tensors that `prepare` made; raises NoAnswer."""
        began = time.perf_counter()
        with np.errstate(all="ignore"):  # what is no number is found below, and said
            scores = np.concatenate(
                [self._run(tensors[at : at + self.batch]) for at in range(0, len(tensors), self.batch)]
            )
        seconds = time.perf_counter() - began
        finite = np.isfinite(scores).all(axis=1)
        if not finite.all():
            raise NoAnswer(int(np.flatnonzero(~finite)[0]))
        return Answer([self._best(row) for row in scores], seconds)

    def _run(self, tensors: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        pictures = np.stack(tensors)
        if self.dtype is np.uint8:
            pictures = pictures.round().clip(0, 255)
        (output,) = self.session.run([self.exit], {self.entry: pictures.astype(self.dtype)})
        scores: NDArray[np.float64] = np.asarray(output, np.float64).reshape(len(tensors), -1)
        if scores.shape[1] != len(self.card.labels):
            raise BadModel(f"labels: {len(self.card.labels)} of them, and the model gives {scores.shape[1]} numbers")
        if self.card.softmax:
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = powers / powers.sum(axis=1, keepdims=True)
        return scores

    def _best(self, row: NDArray[np.float64]) -> list[Guess]:
        first = np.argsort(-row, kind="stable")[:BEST]
        return [(self.card.labels[i], round(100 * float(row[i]), 2)) for i in first]


def load(card: Card, threads: int) -> Classifier:
    """The classifier of `card`, its golden sample answered; raises BadModel with the reason why it cannot serve.

    `threads`: how many CPUs one inference may use; 0 leaves it to ONNX Runtime, which sees the host's, not the
    container's.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported: hence the late import
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads sleep, so that an idle server leaves the CPUs to its neighbours.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(card.weights), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BadModel(f"{card.weights}: ONNX Runtime cannot load it: {error}") from error
    classifier = _fitted(card, session)
    _prove(classifier)
    return classifier


def _fitted(card: Card, session: Any) -> Classifier:
    """Card and network together, where they fit each other."""
    inputs, outputs = session.get_inputs(), {output.name: output for output in session.get_outputs()}
    if len(inputs) != 1 or inputs[0].type not in TYPES:
        kinds = ", ".join(f"{entry.name}: {entry.type}" for entry in inputs)
        raise BadModel(f"{card.weights}: takes {kinds}; one input of {', '.join(TYPES)} is what can be served")
    shape = inputs[0].shape
    wanted = card.input.shape
    fits = len(shape) == len(wanted) + 1 and all(
        not isinstance(has, int) or has == wants for has, wants in zip(shape[1:], wanted, strict=True)
    )
    if not fits or (isinstance(shape[0], int) and shape[0] != 1):
        raise BadModel(f"input: gives tensors of shape [N, {', '.join(map(str, wanted))}], the network takes {shape}")
    if card.output is not None and card.output not in outputs:
        raise BadModel(f"output.name: no output {card.output!r}; the network has {', '.join(outputs)}")
    if card.output is None and len(outputs) != 1:
        raise BadModel(f"output.name: name the one that holds the classes: {', '.join(outputs)}")
    batch = 1 if isinstance(shape[0], int) else BATCH
    return Classifier(card, session, inputs[0].name, card.output or next(iter(outputs)), TYPES[inputs[0].type], batch)


def _prove(classifier: Classifier) -> None:
    """Let the network answer its golden sample; raises BadModel where the answer is another one."""
    card = classifier.card
    try:
        tensor = prepare(decode(unwrap(card.golden.image), 4096 * 4096), card.input)
        [[(label, percent), *_]] = classifier.classify([tensor]).best
    except BadModel:
        raise
    except Exception as error:
        raise BadModel(f"golden: the sample could not be answered: {error}") from error
    if label != card.golden.label or percent < card.golden.at_least:
        wanted = f"{card.golden.label!r} at {card.golden.at_least} % or more"
        raise BadModel(f"golden: the sample must be answered {wanted}, and the model says {label!r} at {percent} %")
    if not 0 <= percent <= 100.01:
        raise BadModel(
            f"output: {percent} % is no probability: set output.softmax to true for a network that ends in logits"
        )

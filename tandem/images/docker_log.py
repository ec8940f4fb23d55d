"""A Docker daemon's stream of JSON messages, as lines for people: no line for a tick of a progress bar."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tandem.records import Progress
from tandem.run import Batches, Say, visible

STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
MADE = re.compile(r" ---> ([0-9a-f]{12})")  # the image after a step
NOISE = re.compile(r" ---> (?:[0-9a-f]{12}|Running in \w+)|Removing intermediate container \w+")
EVERY = 10.0  # seconds between two words about bytes on their way
TAIL = 20  # lines of output that an error carries

Message = Mapping[str, Any]


class Refused(Exception):
    """The daemon's stream ended with an error: its text, the classic builder's step (0: none), that step's last lines.

    `made` is the image that the steps before it had come to, or "".
    """

    def __init__(self, text: str, step: int = 0, tail: str = "", made: str = "") -> None:
        super().__init__(text)
        self.text, self.step, self.tail, self.made = text, step, tail, made


def follow(
    messages: Iterable[Message],
    say: Say,
    tell: Callable[[Progress], None],
    clock: Callable[[], float] = time.monotonic,
) -> list[Message]:
    """Say what the daemon says, until it ends; the `aux` of its messages (ids, digests) is given back.

    Raises Refused where the stream holds an error.
    """
    lines, aux, travel = Batches(say), list[Message](), _Travel(clock)
    step, made, own = 0, "", list[str]()
    try:
        for message in messages:
            if text := message.get("error"):
                detail = message.get("errorDetail") or {}
                raise Refused(str(detail.get("message") or text).strip(), step, "\n".join(own[-TAIL:]), made)
            if isinstance(message.get("aux"), dict):
                aux.append(message["aux"])
            for line in (*_lines(message), *travel.lines(message)):
                if found := MADE.fullmatch(line):
                    made = found[1]
                if NOISE.fullmatch(line):
                    continue
                if found := STEP.match(line):
                    step, own = int(found[1]), []
                    tell(Progress(found[3], int(found[1]) - 1, int(found[2])))
                else:
                    own = [*own[-TAIL:], line]
                lines.take(f"{line}\n".encode())
    finally:
        lines.end()
    return aux


def _lines(message: Message) -> Iterator[str]:
    """What is printed, and what is said once; not what is said of each layer."""
    if "stream" in message:
        printed = visible(str(message["stream"]).encode(errors="replace"))
        yield from (line for line in printed.split("\n") if line.strip())
    elif "status" in message and not message.get("id") and not message.get("progressDetail"):
        yield visible(str(message["status"]).encode(errors="replace"))


class _Travel:
    """Layers on their way: how much of them, said every ten seconds at most."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.said = clock, clock()
        self.bytes: dict[str, tuple[int, int]] = {}

    def lines(self, message: Message) -> Iterator[str]:
        detail = message.get("progressDetail") or {}
        if not message.get("id") or not detail.get("total"):
            return
        self.bytes[str(message["id"])] = int(detail.get("current") or 0), int(detail["total"])
        if self.clock() - self.said >= EVERY:
            self.said = self.clock()
            done, total = (sum(each) / 1e6 for each in zip(*self.bytes.values(), strict=True))
            yield f"{message.get('status', 'On its way')}: {done:,.0f} of {total:,.0f} MB in {len(self.bytes)} layers"

"""Does it stay well under requests: app.toml's own, again and again, enough of them to see one in twenty fail."""

import time
from collections.abc import Sequence

from tandem.settings import Request
from tandem.targets.verify import Check, ask_all

ENOUGH = 150  # requests: with one in twenty failing, two at least fail among them in 99.6 of 100 cases
NOISE = 1  # failure that is forgiven: a load balancer's own
PATIENCE = 120.0  # seconds that a slow app may take for so many


def soak(address: str, requests: Sequence[Request], seconds: float) -> str | None:
    """Ask for so many seconds, and on until ENOUGH were asked or PATIENCE is over; what was wrong, or None.

    The requests go evenly over the time. It ends at the first answer beyond what is forgiven.
    """
    if not requests:
        return None
    began, asked = time.monotonic(), 0
    wrong: list[Check] = []
    while (past := time.monotonic() - began) < seconds or (asked < ENOUGH and past < seconds + PATIENCE):
        wrong += [check for check in ask_all(address, (requests[asked % len(requests)],)) if not check.ok]
        asked += 1
        if len(wrong) > NOISE:
            said = "; ".join(dict.fromkeys(str(check) for check in wrong))
            return f"{len(wrong)} of {asked} requests failed within {past:.0f} s: {said}"
        time.sleep(max(0.0, began + seconds * asked / ENOUGH - time.monotonic()) if asked < ENOUGH else 0.1)
    return None

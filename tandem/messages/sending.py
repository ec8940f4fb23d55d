"""Sending to several services at once, for at most so many seconds, whatever a service does.

A service that is dead, slow or broken is left behind: its thread is a daemon, which holds up neither the run nor the
process' end. What libraries log in such a thread stays in it, since their URLs hold tokens: urllib3 warns with the
whole URL when a server's headers are malformed, and Apprise logs an address that it cannot read.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from tandem.errors import TandemError

LIMIT = 10.0  # seconds, for everything that one event sends
HTTP = ("httpx", "urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "urllib3.response")


class Undelivered(TandemError):
    """A service did not take a message or a status; says why, without a secret."""


class Sending(threading.Thread):
    """Does one thing aside; `said` is what libraries logged meanwhile, `trouble` how it failed, or None."""

    def __init__(self, name: str, do: Callable[[], None]) -> None:
        super().__init__(name=f"tandem tells {name}", daemon=True)
        self.do = do
        self.said: list[str] = []
        self.trouble: str | None = None

    def run(self) -> None:
        """Whatever goes wrong becomes `trouble`: of foreign errors only the kind, since their texts hold secrets."""
        try:
            self.do()
        except TandemError as error:
            self.trouble = str(error)
        except Exception as error:
            self.trouble = type(error).__name__


def send_all(jobs: Mapping[str, Callable[[], None]], limit: float = LIMIT) -> dict[str, str]:
    """Do every job, all at once, within `limit` seconds; what went wrong, by the job's name. Raises nothing."""
    keep_quiet()
    deadline = time.monotonic() + limit
    threads = {name: Sending(name, do) for name, do in jobs.items()}
    for thread in threads.values():
        thread.start()
    troubles = {}
    for name, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            troubles[name] = f"no answer within {limit:g} s"
        elif thread.trouble is not None:
            troubles[name] = thread.trouble
    return troubles


def keep_quiet() -> None:
    """From here on Apprise logs nothing, and the HTTP libraries nothing of what is sent here."""
    for name in ("apprise", *HTTP):
        logging.getLogger(name).addFilter(_passes)


def heard() -> list[str]:
    """What libraries logged in this thread so far, where it is one that sends."""
    thread = threading.current_thread()
    return thread.said if isinstance(thread, Sending) else []


def _passes(record: logging.LogRecord) -> bool:
    thread = threading.current_thread()
    if isinstance(thread, Sending) and record.levelno >= logging.WARNING:
        thread.said.append(record.getMessage())
    return not isinstance(thread, Sending) and record.name != "apprise"

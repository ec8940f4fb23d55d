"""A message to people: one thing, what happened, why, and what next; as plain text and as HTML.

What others wrote (commit subjects, an app's last lines, a service's error) goes in as it is and comes out harmless:
without control characters, without the secrets of URLs, calling nobody by @name, cut, and escaped in HTML.
"""

import html
import re
from dataclasses import dataclass

from tandem.settings import MessageKind

TITLE, LINE, LINES = 110, 400, 8  # characters of a title and of a line; lines of one part: what Discord takes, 2,000

_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_USERINFO = re.compile(r"(\b[a-zA-Z][\w+.-]{0,20}://)[^/\s@]{1,500}@")
_CALL = re.compile(r"(?<![\w.+-])@(?=\w)")  # of a person, a channel, @everyone; not the @ of an address or a digest


@dataclass(frozen=True)
class Message:
    """One thing to tell. Each part may have several lines; `commands` are to be copied, `links` are (name, URL)."""

    kind: MessageKind
    title: str
    what: str
    why: str = ""
    next: str = ""
    commands: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    @property
    def subject(self) -> str:
        """The title, harmless, in one line."""
        return harmless(self.title, TITLE)

    def text(self) -> str:
        """The body, without the title, as plain text."""
        parts = [f"{name}: {chr(10).join(lines)}" for name, lines in self._parts()]
        parts += [f"    {command}" for command in self.commands]
        return "\n".join([*parts, *(f"{name}: {url}" for name, url in self.links)])

    def html(self) -> str:
        """The body, without the title, as HTML, from which a service's own Markdown is made."""
        parts = [
            f"<p><b>{name}:</b> {'<br/>'.join(html.escape(line, quote=False) for line in lines)}</p>"
            for name, lines in self._parts()
        ]
        parts += [f"<pre>{html.escape(command, quote=False)}</pre>" for command in self.commands]
        parts += [f'<p><a href="{html.escape(url)}">{html.escape(name)}</a></p>' for name, url in self.links]
        return "\n".join(parts)

    def _parts(self) -> list[tuple[str, list[str]]]:
        parts = {"What": self.what, "Why": self.why, "Next": self.next}
        return [(name, lines) for name, text in parts.items() if (lines := _lines(text))]


def harmless(text: str, limit: int) -> str:
    """Text that somebody else wrote, in one line of at most `limit` characters, that calls nobody and hides nothing."""
    text = " ".join(_INVISIBLE.sub(" ", text).split())
    text = _USERINFO.sub(r"\1***@", _CALL.sub("@\u200b", text))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _lines(text: str) -> list[str]:
    lines = [line for each in text.splitlines() if (line := harmless(each, LINE))]
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], f"… and {len(lines) - LINES + 1} lines more"]

"""Plain text and JSON, in UTF-8, as they stream."""

import codecs
import re

from tandem.models.formats.window import Check, Unfit

DEEPEST = 1000  # lists and objects within each other
LONGEST = 16 << 20  # characters of one JSON text or number
LONGEST_WORD = 5  # "false"; what is longer, no text and no number begins nothing
NUMBER_GOES_ON = re.compile(r"[0-9eE.+-]*+")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")

SPACE = r"[ \t\n\r]*+"
STRING = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
SCALAR = r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)"
TOKEN = re.compile(rf"{SPACE}(?:(?P<sign>[{{}}\[\],:])|(?P<text>{STRING})|(?P<scalar>{SCALAR}))")
ITEM = rf"{SPACE}(?:{STRING}|{SCALAR}){SPACE},"
ITEMS = re.compile(rf"(?:{ITEM})*+")  # what long lists and long objects mostly hold, in one step
MEMBERS = re.compile(rf"(?:{SPACE}{STRING}{SPACE}:{ITEM})*+")


def check_text() -> Check:
    """Passes UTF-8 without control characters."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    while True:
        piece = yield
        text = _decoded(decoder, piece)
        if found := CONTROL.search(text):
            raise Unfit(f"it holds the control character {found[0]!r}, which no text does")
        if not piece:
            return


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes) -> str:
    try:
        return decoder.decode(piece, not piece)
    except UnicodeDecodeError as error:
        raise Unfit(f"it is not UTF-8: {error.reason}") from None


def check_json() -> Check:
    """Passes one JSON value (RFC 8259), strictly: no NaN, no trailing comma, nothing after it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    grammar = _Grammar()
    text = ""
    while True:
        piece = yield
        text = _tokens(text + _decoded(decoder, piece), grammar, not piece)
        if not piece:
            break
        if len(text) > LONGEST:
            raise Unfit(f"a text or number in it is longer than {LONGEST} characters")
    if grammar.expected:
        raise Unfit("it is JSON that ends early")


def _tokens(text: str, grammar: "_Grammar", ended: bool) -> str:
    """Feeds the whole tokens of `text`; what is left may be the beginning of one."""
    at = 0
    while True:
        at = grammar.run(text, at)
        token = TOKEN.match(text, at)
        if token is None:
            rest = text[at:].lstrip(" \t\n\r")
            if rest and (ended or (rest[0] != '"' and len(rest) > LONGEST_WORD)):
                raise Unfit(f"it is not JSON at {rest[:20]!r}")
            return rest
        if token["scalar"] and not ended and NUMBER_GOES_ON.fullmatch(text, token.end()):
            return text[token.start("scalar") :]
        grammar.take(token["sign"] or ('"' if token["text"] else "0"))
        at = token.end()


class _Grammar:
    """Where in a value we are: `expected` holds the signs that may come, `"` for a text, `0` for another scalar."""

    def __init__(self) -> None:
        self.expected = '"0{['
        self._inside: list[str] = []

    def run(self, text: str, at: int) -> int:
        """Where the longest run of plain items, each with its comma, ends; `at` where none may come."""
        if self.expected in ('"', '"}'):
            match, after = MEMBERS.match(text, at), '"'
        elif self.expected in ('"0{[', '"0{[]') and self._inside and self._inside[-1] == "[":
            match, after = ITEMS.match(text, at), '"0{['
        else:
            return at
        if match and match.end() > at:
            self.expected = after
            return match.end()
        return at

    def take(self, sign: str) -> None:
        """One token; raises Unfit out of turn."""
        if sign not in self.expected:
            wanted = f"one of {self.expected!r}" if self.expected else "nothing more"
            raise Unfit(f"it is not JSON: {sign!r} where {wanted} must stand")
        if sign in "{[":
            self._inside.append(sign)
            if len(self._inside) > DEEPEST:
                raise Unfit(f"more than {DEEPEST} lists and objects within each other")
            self.expected = '"}' if sign == "{" else '"0{[]'
        elif sign == ",":
            self.expected = '"' if self._inside[-1] == "{" else '"0{['
        elif sign == ":":
            self.expected = '"0{['
        elif sign == '"' and self.expected in ('"', '"}'):
            self.expected = ":"
        else:
            if sign in "}]":
                self._inside.pop()
            self.expected = ("," + ("}" if self._inside[-1] == "{" else "]")) if self._inside else ""

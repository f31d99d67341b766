"""What was sent and received, without what identifies or authorises: the same value always by the same placeholder.

JSON keeps every other byte: only the literals that change are written anew, so a replay reads what the client read.
"""

import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote

_KEYS = (
    ("token", re.compile(r"(?i)token|secret|passw|authorization|cookie|api_?key|credential|signature|jwt")),
    ("client", re.compile(r"(?i)client[-_]?id|device[-_]?id|fingerprint")),
    ("bind", re.compile(r"(?i)bind([-_]?(id|code))?")),
    ("email", re.compile(r"(?i)e[-_]?mail")),
    (
        "user",
        re.compile(
            r"(?i)uid|(user|owner|account|member|customer|creator|tenant|org(ani[sz]ation)?)([-_]?(id|uuid|name|no))?"
            r"|(nick|full|first|last|display|real)[-_]?name|phone|mobile|avatar([-_]?url)?|created[-_]?by"
        ),
    ),
)
"""Kind of value by the name it stands under."""
_WHOLE = frozenset({"client", "bind", "email", "user"})
"""Kinds whose pattern has to be the whole name."""
_KEPT = frozenset({"", "me", "null", "none", "true", "false"})
"""What says nothing about anybody: `me` is the contract's own word for the caller."""

_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*', re.DOTALL)
_NAMED = re.compile(r"\s*:")
_BEARER = re.compile(r"(?i)\b(bearer\s+)([\w.~+/=-]+)")
_TOKEN = re.compile(r"\b(?:nmv_[a-z]+_|clm_|whsec_|vv_|sk[-_])[\w-]{4,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ADDRESS = re.compile(
    r"(\b[a-z][a-z0-9+.-]*://)([^\s/?#\"'<>\\@]+@)?([^\s?#\"'<>\\]*)([?#][^\s\"'<>\\]*)?", re.IGNORECASE
)
_PARAMETER = re.compile(
    r"(?i)\b((?:[\w-]*(?:token|secret|password|signature|credential)|authorization|api_?key|ct|bind|sig)[\"']?\s*[=:]\s*"
    r"[\"']?)([^\s&\"'<>,;{}\[\]]+)"
)
_EVERYWHERE = 8
"""Characters from which a value is replaced wherever it stands: shorter ones would hit words."""
_PLACEHOLDER = re.compile(r"redacted-[a-z]+-\d+")
_NUMBERS = "990000"
"""How a number begins that takes another's place; four digits follow."""
_HEADERS = re.compile(
    r"(?i)authorization|cookie|token|secret|api-?key|client-?id|signature|credential|forwarded|real-ip|client-ip|user-?id"
)


class Redactor:
    """One record's placeholders; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._placeholders: dict[str, str] = {}
        self._numbers: dict[str, int] = {}

    def learn(self, kind: str, value: str) -> str:
        """The placeholder of a value, such as `redacted-token-1`."""
        if _PLACEHOLDER.fullmatch(value):
            return value
        with self._lock:
            if value not in self._placeholders:
                self._numbers[kind] = self._numbers.get(kind, 0) + 1
                self._placeholders[value] = f"redacted-{kind}-{self._numbers[kind]}"
            return self._placeholders[value]

    def known(self) -> list[tuple[str, str]]:
        """Values and their placeholders."""
        with self._lock:
            return list(self._placeholders.items())

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[list[str]]:
        """Names and values; those that authorise or identify as placeholders."""
        return [
            [name, self._header(name, value) if _HEADERS.search(name) else self.text(value)] for name, value in headers
        ]

    def _header(self, name: str, value: str) -> str:
        if _BEARER.fullmatch(value):
            return self.text(value)
        return self.learn(_kind(name.lower().removeprefix("x-")) or "header", value)

    def body(self, text: str) -> str:
        """A body: JSON literal by literal, an event stream line by line, all else as text."""
        if _is_json(text):
            return self._json(self._json(text))  # twice: what is learnt late may stand early too
        lines = re.split(r"(\r\n|\n|\r)", text)
        return self._sealed("".join(self._line(line) for line in lines))

    def text(self, text: str) -> str:
        """Free text, an address, a header's value."""
        text = _BEARER.sub(lambda m: m[1] + self.learn("token", m[2]), text)
        text = _TOKEN.sub(lambda m: self.learn("token", m[0]), text)
        text = _ADDRESS.sub(self._address, text)
        text = _EMAIL.sub(lambda m: self.learn("email", m[0]), text)
        return self._sealed(_PARAMETER.sub(lambda m: m[1] + self.learn("token", m[2]), text))

    def _line(self, line: str) -> str:
        name, colon, rest = line.partition(":")
        if colon and name == "data" and _is_json(rest):
            return name + colon + self._json(rest)
        return self.text(line)

    def _json(self, text: str) -> str:
        """The same JSON with its secret literals replaced. A literal belongs to the last name before it."""
        name, at, parts = "", 0, list[str]()
        for found in _LITERAL.finditer(text):
            literal = found[0]
            parts.append(text[at : found.start()])
            at = found.end()
            if literal[0] == '"' and _NAMED.match(text, at):
                name = json.loads(literal, strict=False)
                parts.append(self._literal("", literal))
            else:
                parts.append(self._literal(name, literal))
        return "".join((*parts, text[at:]))

    def _literal(self, name: str, literal: str) -> str:
        kind = _kind(name)
        if literal[0] != '"':
            secret = (kind not in (None, "token") or literal in self._placeholders) and len(literal) > 1
            return self._number(kind or "user", literal) if secret else literal
        value = str(json.loads(literal, strict=False))
        hidden = self._value(kind, value)
        return literal if hidden == value else json.dumps(hidden)

    def _number(self, kind: str, literal: str) -> str:
        """A number stays one, or the reader would see another type."""
        if literal.startswith(_NUMBERS) and len(literal) == len(_NUMBERS) + 4:
            return literal
        return _NUMBERS + self.learn(kind, literal).rpartition("-")[2].zfill(4)

    def _value(self, kind: str | None, value: str) -> str:
        if kind is not None and value.lower() not in _KEPT:
            return self.learn(kind, value)
        if value[:1] in ("{", "[") and _is_json(value):
            return self._json(value)
        return self.text(value)

    def _address(self, found: re.Match[str]) -> str:
        who = "" if found[2] is None else self.learn("login", found[2]) + "@"
        query = found[4] or ""
        if len(query) > 1 and not _PLACEHOLDER.fullmatch(query[1:]):
            query = query[0] + self.learn("query", query[1:])
        return found[1] + who + found[3] + query

    def _sealed(self, text: str) -> str:
        """What was learnt, wherever else it stands, and however it is written there. (Queries stand with their address
        only, and a draft may have thousands.)"""
        known = [
            (value, hidden) for value, hidden in self.known() if len(value) >= _EVERYWHERE and "query" not in hidden
        ]
        for value, hidden in sorted(known, key=lambda pair: -len(pair[0])):
            for written in {value, json.dumps(value)[1:-1], quote(value, safe="")}:
                text = text.replace(written, hidden)
        return text


def _kind(name: str) -> str | None:
    for kind, pattern in _KEYS:
        if pattern.fullmatch(name) if kind in _WHOLE else pattern.search(name):
            return kind
    return None


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text.removeprefix("\ufeff"), strict=False), dict | list | str)
    except (ValueError, RecursionError):
        return False

"""One item's markup made well-formed, and parsed: bare `&`, HTML entities, raw `<br>`, undeclared prefixes."""

import re
import sys
from collections.abc import Iterator
from html.entities import html5
from typing import Any

from worker.catalogs.feeds.text import clean
from worker.catalogs.feeds.untyped import etree

_CDATA = "<![CDATA["
_CDATA_END = "]]>"
_BARE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});)(?:([A-Za-z][A-Za-z0-9]{1,31});)?")
_TEXTS = ("title", "description", "summary", "content", "short_description", "rich_text_description")
"""Elements that hold text, so that any tag in them is HTML which nobody escaped."""
_TEXT_TAG = re.compile(rf"<((?:[A-Za-z][\w.-]{{0,30}}:)?(?:{'|'.join(_TEXTS)}))(?:\s[^<>]*)?(?<!/)>")
_PREFIX = re.compile(r"[<\s/]([A-Za-z_][\w.-]{0,30}):[A-Za-z_]")
_GOOGLE = "http://base.google.com/ns/1.0"
_NUMBERED = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,6})|([0-9]{1,7}));")


class Unreadable(Exception):
    """Nothing can be made of an item."""


def parse_item(markup: str, namespaces: dict[str, str]) -> tuple[Any, str | None]:
    """The item's element, and what was wrong where something may be lost. Raises Unreadable.

    `namespaces` are those that the document declares, by prefix.
    """
    try:
        return _strictly(markup, namespaces), None
    except etree.XMLSyntaxError:
        mended = _with_known_entities(_with_escaped_texts(clean(markup)))
        undeclared = set(_PREFIX.findall(markup)) - {"g", "xml", "xmlns"}
        namespaces = {prefix: f"urn:undeclared:{prefix}" for prefix in undeclared} | namespaces
    try:
        return _strictly(mended, namespaces), None
    except etree.XMLSyntaxError as error:
        reason = str(error.msg).partition(", line")[0]
    try:
        root: Any = etree.fromstring(_wrapped(mended, namespaces), _RECOVERING)
    except etree.XMLSyntaxError:
        raise Unreadable(reason) from None
    if root is None or len(root) == 0:
        raise Unreadable(reason)
    return root[0], reason


def _strictly(markup: str, namespaces: dict[str, str]) -> Any:
    root: Any = etree.fromstring(_wrapped(markup, namespaces), _STRICT)
    if len(root) == 0:
        raise Unreadable("no element")
    return root[0]


def _parser(*, recover: bool) -> Any:
    """No document type, no entity of its own, nothing from outside, libxml2's limits on depth and size."""
    return etree.XMLParser(
        recover=recover, resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_pis=True
    )


_STRICT, _RECOVERING = _parser(recover=False), _parser(recover=True)


def _wrapped(markup: str, namespaces: dict[str, str]) -> bytes:
    """In a root that declares the prefixes: the document's own root is not here, or forgot some."""
    declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in ({"g": _GOOGLE} | namespaces).items())
    return f"<feed{declared}>{markup}</feed>".encode("utf-8", errors="ignore")


def _with_escaped_texts(markup: str) -> str:
    """Tags in titles and descriptions escaped, so that an open `<p>` cannot swallow what follows."""
    pieces: list[str] = []
    done = 0
    endless: set[str] = set()
    for match in _TEXT_TAG.finditer(markup):
        if match.start() < done or match[1] in endless:
            continue
        end = markup.find(f"</{match[1]}", match.end())
        if end < 0:
            endless.add(match[1])
            continue
        inner = markup[match.end() : end]
        if "<" in inner:
            pieces += markup[done : match.end()], _escaped(inner)
            done = end
    return "".join([*pieces, markup[done:]])


def _escaped(inner: str) -> str:
    return "".join(
        text if whole else _escape(text.replace(_CDATA, "")) for text, whole in _by_cdata(inner)
    )  # fmt: skip


def _escape(text: str) -> str:
    """Where it holds tags, entities are HTML's: kept for whoever reads the HTML."""
    if "<" not in text:
        return text
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _with_known_entities(markup: str) -> str:
    """Bare `&` escaped, HTML's entities as characters, those that a document type may define as they are written."""
    return "".join(
        text if whole else _NUMBERED.sub(_allowed, _BARE.sub(_known, text.replace(_CDATA, "")))
        for text, whole in _by_cdata(markup)
    )


def _allowed(match: re.Match[str]) -> str:
    """A numbered character; none where XML forbids it (NUL, half a surrogate pair)."""
    code = int(match[1], 16) if match[1] else int(match[2])
    return match[0] if code <= sys.maxunicode and clean(chr(code)) else ""


def _known(match: re.Match[str]) -> str:
    character = html5.get(f"{match[1]};") if match[1] else None
    return character or f"&amp;{match[0][1:]}"


def _by_cdata(markup: str) -> Iterator[tuple[str, bool]]:
    """The markup in pieces, with whether each is a whole CDATA section."""
    at = 0
    while (start := markup.find(_CDATA, at)) >= 0:
        end = markup.find(_CDATA_END, start)
        if end < 0:
            break
        again = markup.rfind(_CDATA, start, end)  # where one is opened twice, the first was never closed
        yield markup[at:again], False
        yield markup[again : end + len(_CDATA_END)], True
        at = end + len(_CDATA_END)
    yield markup[at:], False

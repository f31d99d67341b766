"""Google Merchant's RSS and Atom, and Meta's: an item is a product."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from worker.catalogs.feeds.encodings import Encoding
from worker.catalogs.feeds.markup import MAX_ITEM, Segment, Splitter
from worker.catalogs.feeds.mending import Unreadable, parse_item
from worker.catalogs.feeds.merchant import first, read_record
from worker.catalogs.feeds.names import MERCHANT, are_of_products, fields_of, foreign, is_numbered_picture, plain
from worker.catalogs.feeds.plain_text import MAX_HTML
from worker.catalogs.feeds.problems import Items, problem
from worker.catalogs.feeds.products import Fields
from worker.catalogs.feeds.refusals import NotAFeed
from worker.catalogs.feeds.unique import unique
from worker.catalogs.feeds.untyped import etree

_FIELDS = fields_of(MERCHANT)
_DECLARED = re.compile(r"""xmlns:([A-Za-z_][\w.-]{0,30})\s*=\s*["']([^"'<>&]{1,200})["']""")
_OPENING = re.compile(r"<!--|<\?|<!DOCTYPE|<([A-Za-z_][\w.:-]{0,60})(?=[\s>/])", re.IGNORECASE)
_FORMATS = {"rss": ("google_rss", "item"), "rdf": ("google_rss", "item"), "feed": ("google_atom", "entry")}
_END = re.compile(r"</(?:[\w.-]{1,30}:)?(?:rss|rdf|feed)\s*>", re.IGNORECASE)
_LOOKED_AT = 20
"""Items that tell whether the feed is one of products: its first may be broken."""
_PROLOG = 20_000
"""Characters in which the root is looked for, behind comments and a document type."""
_GOOGLE = "base.google.com/ns/"


@dataclass(frozen=True, slots=True)
class XmlFeed:
    """Where the items are and how they are read."""

    path: Path
    encoding: Encoding
    format: str
    element: str
    namespaces: dict[str, str] = field(default_factory=dict[str, str])

    def items(self) -> Items:
        return unique(self._items())

    def names(self) -> dict[str, str | None]:
        """The names in the first items, with the field that each is read into."""
        names: dict[str, str | None] = {}
        with self.encoding.open(self.path) as text:
            for segment in islice(Splitter(text, self.element).segments(), _LOOKED_AT):
                try:
                    element, _ = _parsed(segment, self.namespaces)
                except Unreadable:
                    continue
                for child, name, _ in _children(element):
                    prefix = f"{child.prefix}:" if child.prefix else ""
                    names[prefix + _parts(child.tag)[1]] = _field(name)
        return names

    def _items(self) -> Items:
        with self.encoding.open(self.path) as text:
            splitter = Splitter(text, self.element)
            last = Segment(1, "")
            for segment in splitter.segments():
                last = segment
                yield from self._product(segment)
            if last.state != "cut" and not _END.search(splitter.tail):
                yield problem("feed.cut", last.number)

    def _product(self, segment: Segment) -> Items:
        if segment.state == "large":
            yield problem("item.too_large", segment.number, limit=MAX_ITEM)
        elif segment.state == "cut":
            yield problem("item.cut", segment.number)
        else:
            try:
                element, reason = _parsed(segment, self.namespaces)
                fields = fields_in(element)
            except (Unreadable, UnicodeDecodeError) as error:  # the latter: recovered, but no text
                yield problem("item.broken", segment.number, reason=error)
                return
            if reason:
                yield problem("item.repaired", segment.number, first(fields, "ref") or None, reason=reason)
            yield from read_record(segment.number, fields)


def find_items(head: str, path: Path, encoding: Encoding) -> XmlFeed:
    """The feed that an XML text is. Raises NotAFeed."""
    root = _root(head[:_PROLOG])
    name = root.rpartition(":")[2].lower()
    if name not in _FORMATS:
        code = foreign(plain(tag) for tag in set(_OPENING.findall(head[:_PROLOG]))) or "feed.not_products"
        raise NotAFeed(code, f"It is XML of another kind: <{root}>." if root and code == "feed.not_products" else "")
    format, element = _FORMATS[name]
    before = re.split(rf"<(?:[\w.-]{{1,30}}:)?{element}[\s>/]", head, maxsplit=1)[0]
    feed = XmlFeed(path, encoding, format, element, dict(_DECLARED.findall(before)))
    _look(feed)
    return feed


def _root(text: str) -> str:
    """The root's name, behind comments, instructions and a document type with all that it defines; "" without one."""
    at = 0
    while match := _OPENING.search(text, at):
        if match[1]:
            return match[1]
        closing = {"<!--": "-->", "<?": "?>"}.get(match[0])
        if closing is None:
            bracket, angle = text.find("[", at), text.find(">", at)
            closing = "]>" if 0 <= bracket < angle else ">"
        end = text.find(closing, match.end())
        at = end + len(closing) if end >= 0 else match.end()
    return ""


def _look(feed: XmlFeed) -> None:
    names = feed.names()
    plain_names = [plain(name.rpartition(":")[2]) for name in names]
    if code := foreign(plain_names):
        raise NotAFeed(code)
    if not names:
        raise NotAFeed("feed.not_products", f"It holds no <{feed.element}> that can be read.")
    of_merchant = any(name.startswith("g:") for name in names) or {"price", "image link"} & set(plain_names)
    if not of_merchant or not are_of_products(field for field in names.values() if field):
        raise NotAFeed("feed.not_products", f"Its items have: {', '.join(sorted(names))[:300]}.")


def _parsed(segment: Segment, namespaces: dict[str, str]) -> tuple[Any, str | None]:
    if segment.state != "open":
        return parse_item(segment.markup, namespaces)
    tag = re.split(r"[\s>/]", segment.markup[1:], maxsplit=1)[0]
    element, reason = parse_item(f"{segment.markup}</{tag}>", namespaces)
    return element, reason or "its end tag is missing"


def fields_in(element: Any) -> Fields:
    """The values of an item's own children: `g:shipping` has a price too, and that is its own."""
    found: dict[str, list[tuple[int, int, str]]] = {}
    for child, name, is_google in _children(element):
        field = _field(name)
        text = _text(child, name) if field else ""
        if field and text:
            rank = _FIELDS[name][1] if name in _FIELDS else 0
            found.setdefault(field, []).append((0 if is_google else 1, rank, text[:MAX_HTML]))
    return {field: [text for *_, text in sorted(values, key=lambda one: one[:2])] for field, values in found.items()}


def _children(element: Any) -> Iterator[tuple[Any, str, bool]]:
    """Children that may be fields, with their plain name; those of other vocabularies (media:title) are none."""
    own = _parts(element.tag)[0]
    for child in element:
        tag = child.tag
        if isinstance(tag, str):  # no comment
            name, is_own, is_google = _name(tag, child.prefix, own)
            if is_own or is_google:
                yield child, name, is_google


@lru_cache(maxsize=1024)
def _name(tag: str, prefix: str | None, own: str) -> tuple[str, bool, bool]:
    """An element's plain name, and whether it is of the item's own vocabulary or of Google's."""
    namespace, local = _parts(tag)
    is_google = prefix == "g" or _GOOGLE in namespace
    return plain(local.rpartition(":")[2]), not prefix or namespace == own, is_google


def _parts(tag: str) -> tuple[str, str]:
    """Namespace and local name; lxml's own QName refuses what its own parser recovers (a tag called ":")."""
    namespace, brace, local = tag.rpartition("}")
    return namespace.removeprefix("{"), local if brace else tag


def _field(name: str) -> str | None:
    if name in _FIELDS:
        return _FIELDS[name][0]
    return "images" if is_numbered_picture(name) else None


def _text(child: Any, name: str) -> str:
    """Its text; its inner markup where it holds some (XHTML); Atom's links and pictures are in an attribute."""
    if len(child):
        inner = "".join(etree.tostring(one, encoding="unicode") for one in child)
        return (child.text or "") + inner if name in {"description", "summary", "content"} else _all_text(child)
    text = (child.text or "").strip()
    if not text and name == "link" and child.get("rel", "alternate") == "alternate":
        return child.get("href", "").strip()
    return text


def _all_text(child: Any) -> str:
    return "".join(child.itertext()).strip()

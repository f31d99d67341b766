"""HTML becomes plain text. A description may be either; many are escaped twice, or are text with a tag or two."""

import html
import re
import threading
from typing import Any

from worker.catalogs.feeds.text import clean, paragraphs
from worker.catalogs.feeds.untyped import etree

MAX_HTML = 200_000
"""Characters that are looked at; a description that a person reads is a hundredth of this."""
_TAG = re.compile(r"<(?:/?[a-zA-Z][^<>]*|!--[^<>]*--|![a-zA-Z][^<>]*)>")
_LINES = (
    "address article aside blockquote br center dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hr li main nav ol option p pre section table tbody tfoot thead title tr ul"
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")
_BLOCKS = frozenset(_LINES.split())
"""Elements that begin and end a line."""
_CELLS = frozenset({"td", "th"})
_UNSEEN = "head iframe noscript object script select style svg template textarea"
_HIDDEN = frozenset(_UNSEEN.split())
_KNOWN = re.compile(
    rf"</?(?:{'|'.join(_BLOCKS | _CELLS)}|a|b|em|font|i|img|small|span|strong|sub|sup|u)(?:\s[^<>]*)?/?>", re.IGNORECASE
)
_BREAKS = re.compile(rf"</?(?:{'|'.join(_BLOCKS)})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_kept = threading.local()
_NEWLINE = "\ue000"
"""Stands for a line end of the text in markup that has no block of its own; private use, so no feed's."""


def to_plain_text(markup: str) -> str:
    """Its text: no tags, entities decoded, a paragraph a line. What is no markup ("2 < 3") stays as it is."""
    text = clean(markup[:MAX_HTML])
    if _TAG.search(text):
        return _text_of(text)
    if "&" in text:
        text = html.unescape(text)
        if _KNOWN.search(text):  # the markup was escaped as a whole
            return _text_of(text)
    return paragraphs(text)


def has_markup(text: str) -> bool:
    """Whether it holds an entity or a tag of HTML; other words in angle brackets may be meant."""
    return bool(_ENTITY.search(text) or _KNOWN.search(text))


def _text_of(markup: str) -> str:
    if not _BREAKS.search(markup):  # text with inline tags: its own line ends are the paragraphs
        markup = markup.replace("\r\n", "\n").replace("\r", "\n").replace("\n", _NEWLINE)
    parser = _parser()
    try:
        parser.feed(markup.encode())
        return paragraphs(parser.close())
    except Exception:
        del _kept.parser  # in the middle of something
        raise


def _parser() -> Any:
    """Making one costs as much as three descriptions, so each thread keeps its own."""
    if not hasattr(_kept, "parser"):
        _kept.parser = etree.HTMLParser(target=_Words(), encoding="utf-8", no_network=True)
    return _kept.parser


class _Words:
    """What lxml's parser tells; no tree is built, so depth costs nothing."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._hidden = 0

    def start(self, tag: str, _attributes: object) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        self._break(tag)

    def end(self, tag: str) -> None:
        if tag in _HIDDEN and self._hidden:
            self._hidden -= 1
        self._break(tag)

    def data(self, text: str) -> None:
        if not self._hidden:
            self._pieces.append(text.replace("\r", " ").replace("\n", " "))

    def close(self) -> str:
        text = "".join(self._pieces).replace(_NEWLINE, "\n")
        self._pieces.clear()
        self._hidden = 0
        return text

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._pieces.append("\n")
        elif tag in _CELLS:
            self._pieces.append(" ")

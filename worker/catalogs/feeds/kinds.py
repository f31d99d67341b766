"""What a file is by its first bytes: text of one kind or another, or nothing that could be a feed."""

import re

from worker.catalogs.feeds.refusals import NotAFeed

_MAGIC = (
    (b"PK\x03\x04", "feed.spreadsheet"),  # xlsx, ods; a plain zip is told from them below
    (b"\xd0\xcf\x11\xe0", "feed.spreadsheet"),
    (b"\x1f\x8b", "feed.compressed"),
    (b"BZh", "feed.compressed"),
    (b"\xfd7zXZ", "feed.compressed"),
    (b"7z\xbc\xaf", "feed.compressed"),
    (b"Rar!", "feed.compressed"),
    (b"\x28\xb5\x2f\xfd", "feed.compressed"),
    (b"\x89PNG", "feed.picture"),
    (b"\xff\xd8\xff", "feed.picture"),
    (b"GIF8", "feed.picture"),
    (b"RIFF", "feed.picture"),
    (b"\x1aE\xdf\xa3", "feed.picture"),
    (b"ID3", "feed.picture"),
    (b"OggS", "feed.picture"),
    (b"%PDF-", "feed.binary"),
    (b"\x7fELF", "feed.binary"),
    (b"SQLite format 3", "feed.binary"),
)
_SHEET = re.compile(rb"xl/|\[Content_Types\]|mimetypeapplication/vnd|_rels/")
_HTML = re.compile(
    r"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--[^>]{0,2000}-->\s*)*<(?:!doctype\s+html|html|head|body|script)\b", re.I
)
_CONTROL = bytes(set(range(32)) - set(b"\0\t\n\v\f\r\x1a\x1b"))


def refuse_other_files(head: bytes) -> None:
    """Raise NotAFeed for what is empty, a picture, an archive or otherwise no text."""
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise NotAFeed("feed.empty")
    for magic, code in _MAGIC:
        if head.startswith(magic):
            zip_only = magic.startswith(b"PK") and not _SHEET.search(head[:4096])
            raise NotAFeed("feed.compressed" if zip_only else code)
    if head[4:8] == b"ftyp":
        raise NotAFeed("feed.picture")


def refuse_binary(text: str) -> None:
    """Raise NotAFeed where a decoded beginning holds more control characters than any text does."""
    start = text[:10_000]
    controls = sum(start.count(chr(code)) for code in (*_CONTROL, 0, 0x7F, 0xFFFD))
    if controls * 20 > len(start):
        raise NotAFeed("feed.binary")


def is_html(text: str) -> bool:
    """Whether it is a web page."""
    return bool(_HTML.match(text[:10_000]))


def is_xml(text: str) -> bool:
    return text.lstrip().startswith("<")


def is_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))

"""Product feeds: a file of any size becomes a stream of products and of what is wrong with it.

    reading = open_feed(path)  # raises NotAFeed
    for item in reading.items():
        match item:
            case Product(): …
            case Problem(): …

Pure: no service, no network. What a file is, is told by its content alone. docs/catalogs.md has the formats, the names
of columns and the codes.
"""

from worker.catalogs.feeds.plain_text import to_plain_text
from worker.catalogs.feeds.problems import Problem
from worker.catalogs.feeds.products import Product
from worker.catalogs.feeds.reading import Reading, open_feed
from worker.catalogs.feeds.refusals import NotAFeed

__all__ = ["NotAFeed", "Problem", "Product", "Reading", "open_feed", "to_plain_text"]

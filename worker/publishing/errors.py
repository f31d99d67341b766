"""How a publication fails, by what is to be done next.

PublishError   base; `code` is one of docs/errors.md, `detail` the shop's own words, one bounded line
├── Again      it may pass: the same step after a growing pause, or after `after` seconds where the shop said so
├── Crowded    no fault of the shop's or the publication's: the same step in some seconds, and nothing counts
└── GivenUp    the same again ends the same way: somebody has to change something first
"""

import re

MOST_WORDS = 300
"""Characters of a shop's own words that are kept."""

HELP = {
    "publish.unavailable": "The shop did not answer, or with a fault of its own. Retry once it is back.",
    "publish.throttled": "The shop's limits were reached for too long. Ask it for less beside this, then retry.",
    "publish.refused": "The credentials were not accepted, or lack a right. Replace them, check, then retry.",
    "publish.no_product": "The product is not in the shop. Check the reference, or where it leads, then retry.",
    "publish.media_failed": "The shop could not process the video, or it was removed there meanwhile. Read the detail.",
    "publish.rejected": "The shop refused the request. Read the detail; check the publisher's settings, then retry.",
    "publish.address": "The publisher's address cannot be used. Change it, then retry.",
    "publish.no_video": "The video was deleted before it was brought to the shop. Render it again.",
    "publish.busy": "Too many host names were being looked up here. Nothing is wrong with the shop: again in a minute.",
    "publish.internal": "A fault in this service. The logs name the publication; retry after an update.",
}
"""Every code with its remedy; docs/errors.md has the same."""

REFUSED = "publish.refused"
OF_THE_PLACE = ("publish.unavailable", "publish.throttled", REFUSED)
"""Say something of the whole shop, not of one product: its others fare no better at this moment."""


class PublishError(Exception):
    """Base."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code, self.detail = code, words(detail)
        super().__init__(f"{code}: {self.detail}")


class Again(PublishError):
    """May pass by itself."""

    def __init__(self, code: str, detail: str = "", *, after: float | None = None) -> None:
        super().__init__(code, detail)
        self.after = after


class Crowded(PublishError):
    """This process had no place for the call; nothing was asked of the shop."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("publish.busy", detail)


class GivenUp(PublishError):
    """Will not."""


def words(text: str) -> str:
    """A stranger's text as one line that can be kept."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", text).split())
    return line if len(line) <= MOST_WORDS else f"{line[:MOST_WORDS]}…"

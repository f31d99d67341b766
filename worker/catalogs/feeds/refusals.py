"""Why a file is no product feed, and what helps. docs/catalogs.md lists every code."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Both sentences are for a person."""

    reason: str
    remedy: str


_PRODUCTS = "Export the products: Shopify, WooCommerce, Google Merchant, Meta, or a table with id, title and image."

REFUSALS = {
    "feed.empty": Refusal("The file is empty.", "Export it again and look whether the export is finished."),
    "feed.html": Refusal(
        "The file is a web page, perhaps a log-in or an error page.",
        "Open the feed's address in a private window: it must give the feed without logging in.",
    ),
    "feed.spreadsheet": Refusal("The file is a spreadsheet's own format.", 'Save it as "CSV UTF-8" there.'),
    "feed.compressed": Refusal("The file is an archive or compressed.", "Unpack it and send the file inside."),
    "feed.picture": Refusal("The file is a picture, a video or a sound.", _PRODUCTS),
    "feed.binary": Refusal("The file is no text.", _PRODUCTS),
    "feed.flights": Refusal("The file lists flights, not products.", _PRODUCTS),
    "feed.hotels": Refusal("The file lists hotels, not products.", _PRODUCTS),
    "feed.travel": Refusal("The file lists destinations, homes or vehicles, not products.", _PRODUCTS),
    "feed.not_products": Refusal("Nothing in the file looks like products.", _PRODUCTS),
}


class NotAFeed(Exception):
    """The file is refused. `code` is stable; `reason` and `remedy` are for a person; `found` is what was seen."""

    def __init__(self, code: str, found: str = "") -> None:
        refusal = REFUSALS[code]
        self.code = code
        self.reason = f"{refusal.reason} {found}".rstrip()
        self.remedy = refusal.remedy
        super().__init__(f"{code}: {self.reason} {self.remedy}")

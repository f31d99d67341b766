"""What a message asks for: the thing that a render is to be made of, and where that is in its shop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from worker.catalogs.feeds import Product

CODES = {
    "trigger.not_json": "The body is no JSON, or has more than 200,000 values.",
    "trigger.no_product": "There is no product in the body.",
    "trigger.variation": "It is a variation: its product sends a message of its own.",
    "trigger.no_ref": "Nothing is where the mapping's `external_ref` points, or no text or number.",
    "trigger.revision": "What is where the mapping's `revision` points is neither a number nor an ISO 8601 time.",
    "trigger.variable": "What a variable's pointer leads to fits no variable.",
    "trigger.not_kept": "It was held, and more waited than is kept.",
}
"""Why a message can be no request, beside the codes of feeds (docs/catalogs.md): `item.no_ref`, `item.no_title`, …"""


class NotWanted(Exception):
    """The message becomes no request. `code` is one of `CODES` or of a feed's; `detail` is for a person; `ref` and
    `revision` are as a `Wanted` has them, where it says as much."""

    def __init__(self, code: str, detail: str, *, ref: str | None = None, revision: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.ref = ref
        self.revision = revision

    def about(self, ref: str | None, revision: int | None) -> Self:
        """The same of a thing that is known."""
        return type(self)(self.code, self.detail, ref=ref, revision=revision)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A thing to be rendered."""

    product: Product | None
    """As a catalog's: `worker.catalogs.requests.request` makes its request. None where a mapping was followed."""
    ref: str | None
    """What tells the thing from others, without any prefix; None where the mapping does not say."""
    revision: int | None
    """A later state of the same thing has a higher one."""
    variables: Mapping[str, Any]
    """JSON values by name; what is not said is not there."""
    pictures: tuple[str, ...]
    """http(s) addresses in their order, distinct."""
    locator: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where the thing is in its shop: `id`, `gid` (Shopify's GraphQL id), `handle`, `sku`, as far as it was said."""

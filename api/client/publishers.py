"""Publishers: where finished videos are brought to, and each video on its way to a product."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import httpx

from .answers import LONGEST_PAGE, Model, Page, every
from .connection import Connection
from .wire import at

PublisherKind = Literal["shopify", "woocommerce", "http"]
PublicationState = Literal["pending", "published", "failed", "superseded"]

CHECK_TIMEOUT = httpx.Timeout(30, connect=5)
"""The service waits for the shop, twelve seconds at most."""


class PublishError(Model):
    """Why it does not go; `message` is in the shop's own words, where there are some."""

    code: str
    message: str = ""
    help: str = ""


class Publisher(Model):
    """A place that videos are brought to. `secret` is there where it was just made, and never again."""

    id: str
    kind: str
    name: str | None = None
    settings: dict[str, Any] = {}
    enabled: bool
    failing_since: datetime | None = None
    error: PublishError | None = None
    quiet_until: datetime | None = None
    succeeded_at: datetime | None = None
    secret: str | None = None
    created_at: datetime
    updated_at: datetime
    links: dict[str, str] = {}


class PublisherCheck(Model):
    """Whether the shop takes the credentials; `told` is what it calls itself, or its user."""

    ok: bool
    told: str | None = None
    error: PublishError | None = None


class Publication(Model):
    """A video on its way to a product; `media_id` is what the shop calls it, `remark` what went wrong after it was
    there, such as the older one's deletion."""

    id: str
    publisher_id: str
    render_id: str
    run: int
    ref: str
    product: dict[str, Any] = {}
    state: str
    step: str
    media_id: str | None = None
    tries: int = 0
    error: PublishError | None = None
    remark: str | None = None
    next_try_at: datetime | None = None
    created_at: datetime
    finished_at: datetime | None = None
    links: dict[str, str] = {}


class Publishers(Connection):
    """Calls about publishers and publications."""

    def create_publisher(
        self,
        kind: PublisherKind,
        settings: Mapping[str, Any],
        credentials: Mapping[str, str] | None = None,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Publisher:
        """Put a place on file; `settings` and `credentials` by kind, as docs/publishing.md has them.

        Of `http` without a `secret` one is made: it is in this answer, also when the call is repeated.
        """
        given = {"kind": kind, "settings": dict(settings), "credentials": dict(credentials or {})}
        body = given | ({} if name is None else {"name": name})
        return self._ask(Publisher, "POST", at("publishers"), body=body, idempotency_key=idempotency_key)

    def publishers(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Publisher]:
        """Your publishers, newest first."""
        return self._list(Page[Publisher], at("publishers"), limit=limit, cursor=cursor)

    def iter_publishers(self) -> Iterator[Publisher]:
        """All of them."""
        return every(lambda cursor: self.publishers(limit=LONGEST_PAGE, cursor=cursor))

    def publisher(self, publisher_id: str) -> Publisher:
        """A publisher, and whether it is failing."""
        return self._ask(Publisher, "GET", at("publishers", publisher_id))

    def change_publisher(self, publisher_id: str, **changes: Any) -> Publisher:
        """Change `name` (None: none any more) or `enabled`, or as a whole `settings` or `credentials`. Another shop is
        refused (Conflict) once anything was begun at the first one; another `url` of a WooCommerce needs both."""
        return self._ask(Publisher, "PATCH", at("publishers", publisher_id), body=changes)

    def delete_publisher(self, publisher_id: str) -> None:
        """Forget a publisher and its publications; what it brought to the shop stays there."""
        self._send("DELETE", at("publishers", publisher_id))

    def check_publisher(self, publisher_id: str) -> PublisherCheck:
        """Prove its credentials by a call to the shop that changes nothing."""
        return self._ask(PublisherCheck, "POST", at("publishers", publisher_id, "check"), timeout=CHECK_TIMEOUT)

    def publish(
        self,
        publisher_id: str,
        render_id: str,
        *,
        ref: str | None = None,
        product: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Publication:
        """Have a finished render's video brought to a product: that of `product` (`id`, `handle` or `sku`), or else of
        `ref`, by default the render's `external_ref`. Raises Conflict while there is no video."""
        given = {"ref": ref, "product": None if product is None else dict(product)}
        body = {"render_id": render_id} | {name: value for name, value in given.items() if value is not None}
        path = at("publishers", publisher_id, "publications")
        return self._ask(Publication, "POST", path, body=body, idempotency_key=idempotency_key)

    def publications(
        self,
        *,
        publisher_id: str | None = None,
        render_id: str | None = None,
        state: PublicationState | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Publication]:
        """Videos on their way and those that arrived, newest first: of a publisher, of a render, in a state."""
        given = {"publisher_id": publisher_id, "render_id": render_id, "state": state}
        return self._list(Page[Publication], at("publications"), **given, limit=limit, cursor=cursor)

    def publication(self, publication_id: str) -> Publication:
        """How far one is, and why it does not go."""
        return self._ask(Publication, "GET", at("publications", publication_id))

    def retry_publication(self, publication_id: str) -> Publication:
        """Try one that failed again, now. Raises Conflict where it did not fail."""
        return self._ask(Publication, "POST", at("publications", publication_id, "retry"))

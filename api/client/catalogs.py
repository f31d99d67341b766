"""Catalogs: a shop's products, and videos of them."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from .answers import Model, Page
from .connection import Connection
from .uploads import UPLOAD_TIMEOUT
from .wire import at, file_body, parameters


class CatalogRead(Model):
    """One reading of a catalog; `counts` by name, empty until it is done."""

    id: str
    catalog_id: str
    state: str
    trigger: str
    force: bool
    format: str | None = None
    encoding: str | None = None
    not_modified: bool = False
    counts: dict[str, int] = {}
    batch_id: str | None = None
    error: dict[str, Any] | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Catalog(Model):
    """A shop's products and what is made of them; `url` is None where it is read from files."""

    id: str
    name: str | None = None
    url: str | None = None
    template: str
    options: dict[str, Any] = {}
    schedule_seconds: int | None = None
    publisher_id: str | None = None
    next_read_at: datetime | None = None
    last_read: CatalogRead | None = None
    created_at: datetime
    updated_at: datetime


class CatalogChange(Model):
    """What a reading found out about a product (`kind`), and what came of it (`outcome`)."""

    ref: str
    title: str
    kind: str
    outcome: str | None = None
    render_id: str


class ProductProblem(Model):
    """What was wrong with a row of a catalog's source; a `fatal` one became no render."""

    place: int
    ref: str | None = None
    code: str
    detail: str
    fatal: bool


class CatalogDryRun(Model):
    """How a catalog was understood; nothing was kept of it."""

    complete: bool
    format: str
    encoding: str | None = None
    delimiter: str | None = None
    columns: list[str] = []
    counts: dict[str, int] = {}
    products: list[dict[str, Any]] = []
    prompt: str | None = None
    problems: list[ProductProblem] = []
    estimate: dict[str, Any] = {}


class Catalogs(Connection):
    """Calls about catalogs."""

    def create_catalog(
        self, source: Path | str, template: str, *, idempotency_key: str | None = None, **options: Any
    ) -> Catalog:
        """Take a shop's catalog on: `source` is an http(s) address, or a file that is sent. It is read at once.

        `options` as the service has them: `name`, `include`, `first`, `max_credits`, `priority`, `tags`,
        `schedule_seconds` (of an address)…

        Raises OSError when the file cannot be read.
        """
        return self._ask(
            Catalog, "POST", at("catalogs"), idempotency_key=idempotency_key, **_source(source, template, options)
        )

    def try_catalog(self, source: Path | str, template: str, **options: Any) -> CatalogDryRun:
        """How a catalog would be understood, and what it would cost; nothing is kept."""
        return self._rehearse(CatalogDryRun, at("catalogs"), **_source(source, template, options))

    def catalogs(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Catalog]:
        """Your catalogs, newest first."""
        return self._list(Page[Catalog], at("catalogs"), limit=limit, cursor=cursor)

    def catalog(self, catalog_id: str) -> Catalog:
        """A catalog with its last reading."""
        return self._ask(Catalog, "GET", at("catalogs", catalog_id))

    def change_catalog(self, catalog_id: str, **changes: Any) -> Catalog:
        """Change `name`, `template`, `schedule_seconds`, `publisher_id` (None: none any more) or `options`."""
        return self._ask(Catalog, "PATCH", at("catalogs", catalog_id), body=changes)

    def delete_catalog(self, catalog_id: str) -> None:
        """Forget a catalog; its batches, renders and videos stay."""
        self._send("DELETE", at("catalogs", catalog_id))

    def read_catalog(
        self,
        catalog_id: str,
        file: Path | str | None = None,
        *,
        force: bool = False,
        idempotency_key: str | None = None,
    ) -> CatalogRead:
        """Have a catalog read now: at its address, or the file. Raises Conflict while it is being read."""
        path = at("catalogs", catalog_id, "read")
        if file is None:
            return self._ask(CatalogRead, "POST", path, body={"force": force}, idempotency_key=idempotency_key)
        sent = _file(Path(file))
        return self._ask(
            CatalogRead, "POST", path, params=parameters({"force": force}), idempotency_key=idempotency_key, **sent
        )

    def catalog_reads(
        self, catalog_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[CatalogRead]:
        """Readings of a catalog, newest first."""
        return self._list(Page[CatalogRead], at("catalogs", catalog_id, "reads"), limit=limit, cursor=cursor)

    def catalog_reading(self, catalog_id: str, read_id: str) -> CatalogRead:
        """One reading of a catalog."""
        return self._ask(CatalogRead, "GET", at("catalogs", catalog_id, "reads", read_id))

    def catalog_changes(
        self, catalog_id: str, read_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[CatalogChange]:
        """What a reading changed: products that are new, changed, rendered again or gone."""
        path = at("catalogs", catalog_id, "reads", read_id, "changes")
        return self._list(Page[CatalogChange], path, limit=limit, cursor=cursor)

    def catalog_problems(
        self, catalog_id: str, read_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[ProductProblem]:
        """What was wrong with rows of the source."""
        path = at("catalogs", catalog_id, "reads", read_id, "problems")
        return self._list(Page[ProductProblem], path, limit=limit, cursor=cursor)


def _source(source: Path | str, template: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """How a catalog is asked for: an address in a JSON body, a file as the body with its options as parameters."""
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return {"body": {"url": source, "template": template, **options}}
    names = {"tags": "tag"}
    params = parameters({"template": template} | {names.get(name, name): value for name, value in options.items()})
    return _file(Path(source)) | {"params": params}


def _file(source: Path) -> dict[str, Any]:
    return file_body(source) | {"timeout": UPLOAD_TIMEOUT}

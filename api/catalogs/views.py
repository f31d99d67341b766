"""From rows to answers."""

from dataclasses import asdict
from typing import Any

from api.catalogs.bodies import (
    CatalogBody,
    CatalogDryRunBody,
    CatalogEstimateBody,
    ChangeBody,
    ProductBody,
    ProductProblemBody,
    ReadBody,
    ReadErrorBody,
)
from worker.catalogs.counts import PRODUCTS
from worker.catalogs.feeds import Problem
from worker.catalogs.models import Catalog, CatalogChange, CatalogProblem, CatalogRead
from worker.catalogs.rehearsal import Rehearsal
from worker.remote.intents import ABOUT_A_CLIP


def catalog_body(row: Catalog, last: CatalogRead | None) -> CatalogBody:
    """The answer for a catalog."""
    at = f"/v1/catalogs/{row.id}"
    return CatalogBody(
        id=row.id,
        name=row.name,
        url=row.url.partition("?")[0] if row.url else None,
        template=row.template,
        options=row.options,
        schedule_seconds=row.schedule_seconds,
        publisher_id=row.publisher_id,
        next_read_at=row.next_read_at,
        last_read=read_body(last) if last else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
        links={"self": at, "read": f"{at}/read", "reads": f"{at}/reads"},
    )


def read_body(row: CatalogRead) -> ReadBody:
    """The answer for a reading."""
    error = ReadErrorBody(code=row.error_code, message=row.error_detail or "") if row.error_code else None
    return ReadBody(
        id=row.id,
        catalog_id=row.catalog_id,
        state=row.state,
        trigger=row.trigger,
        force=row.force,
        format=row.format,
        encoding=row.encoding,
        not_modified=row.not_modified,
        counts=row.counts,
        batch_id=row.batch_id if row.state == "done" else None,
        error=error,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        links=_links(row),
    )


def _links(row: CatalogRead) -> dict[str, str]:
    at = f"/v1/catalogs/{row.catalog_id}/reads/{row.id}"
    links = {"self": at, "problems": f"{at}/problems", "changes": f"{at}/changes"}
    return links | ({"batch": f"/v1/batches/{row.batch_id}"} if row.batch_id and row.state == "done" else {})


def problem_body(row: CatalogProblem | Problem) -> ProductProblemBody:
    """The answer for what is wrong with a row."""
    return ProductProblemBody(place=row.place, ref=row.ref, code=row.code, detail=row.detail, fatal=row.fatal)


def change_body(row: CatalogChange) -> ChangeBody:
    """The answer for a change."""
    return ChangeBody(ref=row.ref, title=row.title, kind=row.kind, outcome=row.outcome, render_id=row.render_id)


def dry_run_body(seen: Rehearsal) -> CatalogDryRunBody:
    """The answer for a catalog that was tried out."""
    names: dict[str, Any] = {PRODUCTS: 0} | dict(seen.counted)
    return CatalogDryRunBody(
        complete=seen.complete,
        format=seen.format,
        encoding=seen.encoding,
        delimiter=seen.delimiter,
        columns=seen.columns,
        counts=names,
        products=[ProductBody.model_validate(asdict(one)) for one in seen.products],
        prompt=seen.prompt,
        problems=[problem_body(one) for one in seen.problems],
        estimate=CatalogEstimateBody(renders=seen.renders, credits=seen.renders * ABOUT_A_CLIP),
    )

"""The end of a reading, in one transaction: what can be reused is, the products are as they were read, older revisions
make room, the batch is taken on. Before it nothing was promised, after it everything is.

In this order because what takes long comes first, on rows that nobody else is after, and by set.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from worker.batches import receiving
from worker.batches.models import Batch
from worker.catalogs import counts, products, reads, reuse, revisions
from worker.catalogs.models import Catalog, CatalogChange, Kind, Outcome
from worker.catalogs.reads import Held
from worker.catalogs.requests import Recipe
from worker.catalogs.source import Validators
from worker.owners import limits
from worker.owners.limits import Limits
from worker.owners.models import ApiKey
from worker.renders.models import Render


@dataclass(frozen=True)
class Result:
    """A reading's end: what it counted, and the batch that it made, if any."""

    counts: Mapping[str, int]
    batch_id: str | None


def accept(
    session: Session,
    held: Held,
    recipe: Recipe,
    batch_id: str,
    counted: Counter[str],
    *,
    validators: Validators,
    facts: Mapping[str, Any],
    complete: bool = True,
) -> Result:
    """Take on what a reading brought; not `complete`: the source broke off, so what is missing may be there.

    Raises LimitReached, LeaseLost (also where an earlier try's COMMIT worked), batches' Gone.
    """
    _one_at_a_time(session, held.read.owner_id)
    reads.hold(session, held)
    if not held.read.force:
        _reuse(session, held, batch_id)
    prefix, template_id = recipe.options.ref_prefix, recipe.template.template.id
    counted = counted + _counted(session, held, gone=products.gone(session, held) if complete else 0)
    products.keep(session, held, prefix=prefix, template_id=template_id)
    # Only now what others wait for: renders that are still to begin, the key, the reading's row.
    revisions.settle(session, held.read.id, prefix=prefix, template_id=template_id)
    kept_batch = _take_on(session, batch_id)
    _within_limits(session, recipe.api_key_id)
    whole = counts.complete(counted)
    reads.finish(session, held, whole, batch_id=kept_batch, **facts)
    session.execute(
        update(Catalog)
        .where(Catalog.id == held.catalog.id)
        .values(template_version=recipe.template.version.id, updated_at=Catalog.updated_at)
    )
    # Whoever changed the catalog meanwhile wants it read anew: what the server says of this reading is not for that.
    session.execute(
        update(Catalog)
        .where(Catalog.id == held.catalog.id, Catalog.updated_at == held.catalog.updated_at)
        .values(etag=validators.etag, last_modified=validators.last_modified, updated_at=Catalog.updated_at)
    )
    products.renumber(session, held)
    return Result(whole, kept_batch)


def _one_at_a_time(session: Session, owner_id: str) -> None:
    """An owner's readings end one after the other: each sees what those before it made. Whoever waits has written
    nothing yet: events are told below the oldest transaction that has."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"catalogs\n{owner_id}", 0))))


def _reuse(session: Session, held: Held, batch_id: str) -> None:
    """Renders whose equal is being made are dropped in its favour; those whose video is there take it over."""
    reuse.take_over(session, batch_id)
    _mark_reused(session, held)
    pairs = reuse.under_way(session, batch_id)
    given = {"read": held.read.id, "made": [made for made, _ in pairs], "others": [other for _, other in pairs]}
    session.execute(_MARK_UNDER_WAY, given)
    session.execute(_DROP, {"made": given["made"], "batch": batch_id})


_MARK_UNDER_WAY = text(
    f"""
    UPDATE catalog_changes SET outcome = '{Outcome.UNDER_WAY.value}', render_id = pairs.other
    FROM unnest(CAST(:made AS text[]), CAST(:others AS text[])) AS pairs (made, other)
    WHERE read_id = :read AND render_id = pairs.made"""  # noqa: S608 - own names
)
_DROP = text("DELETE FROM renders WHERE id = ANY(CAST(:made AS text[])) AND batch_id = :batch")
"""One array: the database takes no more than 65,535 parameters, and a catalog has more products."""


def _mark_reused(session: Session, held: Held) -> None:
    taken = select(Render.id).where(Render.id == CatalogChange.render_id, Render.reused_from.is_not(None))
    its = CatalogChange.read_id == held.read.id, CatalogChange.outcome == Outcome.RENDERED.value
    session.execute(
        update(CatalogChange)
        .where(*its, taken.exists())
        .values(outcome=Outcome.REUSED.value)
        .execution_options(synchronize_session=False)
    )


def _take_on(session: Session, batch_id: str) -> str | None:
    """Accept the batch, or throw it away where it makes nothing: a reading without news is no batch."""
    total = session.scalar(select(func.count()).select_from(Render).where(Render.batch_id == batch_id))
    if not total:
        receiving.discard(session, batch_id)
        return None
    session.execute(update(Batch).where(Batch.id == batch_id).values(total=total))
    _first_ones(session, batch_id)
    receiving.accept(session, batch_id)
    return batch_id


def _within_limits(session: Session, key_id: str | None) -> None:
    """A reading asks for no more than its key may: what it makes is counted once it is there."""
    key = session.get(ApiKey, key_id) if key_id is not None else None
    if key is not None:
        limits.check(session, key.id, Limits.read(key.limits), runs=0)


def _first_ones(session: Session, batch_id: str) -> None:
    """The first few that begin are those that are to be made, not those that were reused."""
    session.execute(_FIRST, {"batch": batch_id})


_FIRST = text(
    """
    UPDATE renders SET lane_id = begin.id FROM lanes begin, lanes mine
    WHERE renders.id IN (SELECT r.id FROM renders r WHERE r.batch_id = :batch AND r.finished_at IS NULL
            ORDER BY r.batch_position LIMIT (SELECT first FROM batches WHERE id = :batch))
        AND mine.id = renders.lane_id AND mine.part = 1
        AND begin.batch_id = :batch AND begin.priority = mine.priority AND begin.part = 0"""
)


def _counted(session: Session, held: Held, *, gone: int) -> Counter[str]:
    query = select(CatalogChange.kind, CatalogChange.outcome, func.count()).where(
        CatalogChange.read_id == held.read.id, CatalogChange.kind != Kind.GONE.value
    )
    found = Counter({counts.GONE: gone})
    for kind, outcome, count in session.execute(query.group_by(CatalogChange.kind, CatalogChange.outcome)):
        found[kind] += count
        if outcome is not None and outcome != Outcome.KEPT:
            found[outcome] += count
    return found

"""The end of a reading, in one transaction: what can be reused is, older revisions make room, the batch is taken on,
the products are as they were read. Before it nothing was promised, after it everything is.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from worker.batches import receiving
from worker.batches.models import Batch
from worker.catalogs import counts, reads, reuse, revisions
from worker.catalogs.models import Catalog, CatalogChange, CatalogProblem, CatalogProduct, Kind, Outcome
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
    reads.hold(session, held)
    _one_at_a_time(session, held.read.owner_id)
    if not held.read.force:
        _reuse(session, held, batch_id)
    revisions.settle(session, held.read.id, prefix=recipe.options.ref_prefix, template_id=recipe.template.template.id)
    kept_batch = _take_on(session, held, batch_id)
    _within_limits(session, recipe.api_key_id)
    counted = counted + _counted(session, held, gone=_gone(session, held) if complete else 0)
    _keep_products(session, held, recipe)
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
    return Result(whole, kept_batch)


def _one_at_a_time(session: Session, owner_id: str) -> None:
    """An owner's readings end one after the other: each sees what those before it made."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"catalogs\n{owner_id}", 0))))


def _reuse(session: Session, held: Held, batch_id: str) -> None:
    """Renders whose equal is being made are dropped in its favour; those whose video is there take it over."""
    reuse.take_over(session, batch_id)
    _mark_reused(session, held)
    for made, other in reuse.under_way(session, batch_id):
        its = update(CatalogChange).where(CatalogChange.read_id == held.read.id, CatalogChange.render_id == made)
        session.execute(its.values(outcome=Outcome.UNDER_WAY.value, render_id=other))
        session.execute(delete(Render).where(Render.id == made, Render.batch_id == batch_id))


def _mark_reused(session: Session, held: Held) -> None:
    taken = select(Render.id).where(Render.id == CatalogChange.render_id, Render.reused_from.is_not(None))
    its = CatalogChange.read_id == held.read.id, CatalogChange.outcome == Outcome.RENDERED.value
    session.execute(
        update(CatalogChange)
        .where(*its, taken.exists())
        .values(outcome=Outcome.REUSED.value)
        .execution_options(synchronize_session=False)
    )


def _take_on(session: Session, held: Held, batch_id: str) -> str | None:
    """Accept the batch, or throw it away where it makes nothing: a reading without news is no batch."""
    total = session.scalar(select(func.count()).select_from(Render).where(Render.batch_id == batch_id))
    if not total:
        reads.write(session, held, batch_id=None)
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


def _gone(session: Session, held: Held) -> int:
    """Note the products that are no longer there; how many went. One whose row cannot be used is there."""
    again = select(CatalogChange.id).where(
        CatalogChange.read_id == held.read.id, CatalogChange.ref == CatalogProduct.ref
    )
    broken = select(CatalogProblem.ref).where(
        CatalogProblem.read_id == held.read.id, CatalogProblem.fatal, CatalogProblem.ref.is_not(None)
    )
    gone = (
        session.execute(
            update(CatalogProduct)
            .where(CatalogProduct.catalog_id == held.catalog.id, CatalogProduct.gone_at.is_(None))
            .where(~again.exists(), CatalogProduct.ref.not_in(broken))
            .values(gone_at=func.now())
            .returning(CatalogProduct.ref, CatalogProduct.title, CatalogProduct.fingerprint, CatalogProduct.render_id)
            .execution_options(synchronize_session=False)
        )
        .mappings()
        .all()
    )
    if gone:
        its = {"read_id": held.read.id, "kind": Kind.GONE.value, "outcome": None}
        session.execute(insert(CatalogChange), [its | dict(row) for row in gone])
    return len(gone)


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


def _keep_products(session: Session, held: Held, recipe: Recipe) -> None:
    """The products as they were read; what did not change is no news to keep."""
    session.execute(
        _KEEP,
        {
            "read": held.read.id,
            "catalog": held.catalog.id,
            "owner": held.read.owner_id,
            "prefix": recipe.options.ref_prefix,
            "template": recipe.template.template.id,
        },
    )
    session.execute(_RENUMBER, {"read": held.read.id})
    unchanged = CatalogChange.read_id == held.read.id, CatalogChange.kind == Kind.UNCHANGED.value
    session.execute(delete(CatalogChange).where(*unchanged).execution_options(synchronize_session=False))


_KEEP = text(
    """
    INSERT INTO catalog_products (catalog_id, ref, owner_id, external_ref, template_id, title, fingerprint, pictures,
        render_id, read_id)
    SELECT :catalog, ref, :owner, :prefix || ref, :template, title, fingerprint, pictures, render_id, :read
    FROM catalog_changes WHERE read_id = :read AND kind <> 'gone'
    ON CONFLICT (catalog_id, ref) DO UPDATE SET external_ref = excluded.external_ref,
        template_id = excluded.template_id, title = excluded.title, fingerprint = excluded.fingerprint,
        pictures = excluded.pictures, render_id = excluded.render_id, read_id = excluded.read_id, gone_at = NULL"""
)

_RENUMBER = text(
    """
    UPDATE renders SET fingerprint = c.fingerprint FROM catalog_changes c
    WHERE c.read_id = :read AND c.outcome = 'kept' AND renders.id = c.render_id
        AND renders.fingerprint <> c.fingerprint AND renders.purged_at IS NULL"""
)
"""A picture's server told its version for the first time, or of another kind: the same video has another number."""

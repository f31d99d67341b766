"""The products of a catalog as its last reading saw them: what changed is written, what did not is left alone.

A shop of 100,000 products of which none changed costs a comparison: rewriting them all would be most of a reading's
last transaction, below which nobody is told of any event.
"""

from sqlalchemy import ColumnElement, delete, func, insert, literal_column, select, text, update
from sqlalchemy.orm import Session

from worker.catalogs.models import CatalogChange, CatalogProblem, CatalogProduct, CatalogRead, Kind, ReadState
from worker.catalogs.reads import Held

FORGOTTEN_AT_ONCE = 10_000
"""Rows of what a reading met unchanged, deleted in one transaction once it is over."""


def gone(session: Session, held: Held) -> int:
    """Note the products that are no longer there; how many went. One whose row cannot be used is there."""
    again = select(CatalogChange.id).where(
        CatalogChange.read_id == held.read.id, CatalogChange.ref == CatalogProduct.ref
    )
    broken = select(CatalogProblem.ref).where(
        CatalogProblem.read_id == held.read.id, CatalogProblem.fatal, CatalogProblem.ref.is_not(None)
    )
    went = (
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
    if went:
        its = {"read_id": held.read.id, "kind": Kind.GONE.value, "outcome": None}
        session.execute(insert(CatalogChange), [its | dict(row) for row in went])
    return len(went)


def keep(session: Session, held: Held, *, prefix: str, template_id: str) -> None:
    """The products as they were read, made with a template, under the owner's references behind `prefix`."""
    given = {"read": held.read.id, "catalog": held.catalog.id, "owner": held.read.owner_id}
    session.execute(_KEEP, given | {"prefix": prefix, "template": template_id})


def renumber(session: Session, held: Held) -> None:
    """Have the renders that stand for what was met unchanged say what their products do: a picture's server told its
    version for the first time, or of another kind, and the same video has another number. At the very end, as their
    workers write on them; one that somebody has right now is left for the next reading."""
    session.execute(_RENUMBER, {"read": held.read.id})


_KEEP = text(
    """
    INSERT INTO catalog_products (catalog_id, ref, owner_id, external_ref, template_id, title, fingerprint, pictures,
        render_id, read_id)
    SELECT :catalog, c.ref, :owner, :prefix || c.ref, :template, c.title, c.fingerprint, c.pictures, c.render_id, :read
    FROM catalog_changes c LEFT JOIN catalog_products p ON p.catalog_id = :catalog AND p.ref = c.ref
    WHERE c.read_id = :read AND c.kind <> 'gone' AND (p.ref IS NULL OR p.gone_at IS NOT NULL
        OR (p.external_ref, p.template_id, p.title, p.fingerprint, p.pictures, p.render_id)
            IS DISTINCT FROM (:prefix || c.ref, :template, c.title, c.fingerprint, c.pictures, c.render_id))
    ON CONFLICT (catalog_id, ref) DO UPDATE SET external_ref = excluded.external_ref,
        template_id = excluded.template_id, title = excluded.title, fingerprint = excluded.fingerprint,
        pictures = excluded.pictures, render_id = excluded.render_id, read_id = excluded.read_id, gone_at = NULL"""
)

_RENUMBER = text(
    """
    WITH other AS (SELECT r.id, c.fingerprint FROM catalog_changes c JOIN renders r ON r.id = c.render_id
        WHERE c.read_id = :read AND c.outcome = 'kept' AND r.fingerprint <> c.fingerprint AND r.purged_at IS NULL
        ORDER BY r.id FOR NO KEY UPDATE OF r SKIP LOCKED)
    UPDATE renders SET fingerprint = other.fingerprint FROM other WHERE renders.id = other.id"""
)


def forget_unchanged(session: Session, catalog_id: str, *, limit: int = FORGOTTEN_AT_ONCE) -> bool:
    """Delete up to `limit` rows of what a catalog's ended readings met unchanged, which is no news to keep; whether
    none are left. What a killed worker left is deleted behind the next reading."""
    over = select(CatalogRead.id).where(CatalogRead.catalog_id == catalog_id, CatalogRead.state == ReadState.DONE.value)
    some = select(CatalogChange.id).where(CatalogChange.read_id.in_(over), is_no_news()).limit(limit)
    gone = session.execute(
        delete(CatalogChange).where(CatalogChange.id.in_(some)).execution_options(synchronize_session=False)
    )
    return gone.rowcount < limit  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownVariableType]


def is_no_news() -> ColumnElement[bool]:
    """Of what a reading found out about a product."""
    return CatalogChange.kind == literal_column(f"'{Kind.UNCHANGED.value}'")  # as `ix_catalog_changes_no_news` says it

"""Finished renders become publications: one for each product that they were made for, or stand for, at each publisher.

A chore of the dispatcher. What a render stands for is on file beside it: the messages of triggers that made it or found
it (`trigger_deliveries.render_id`), and the products of catalogs (`catalog_changes.render_id`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from worker.catalogs.models import Catalog, CatalogChange, CatalogProduct, CatalogRead
from worker.publishing import publications
from worker.publishing.publications import Wish
from worker.renders import relays
from worker.renders.events import EventType
from worker.renders.models import Event, Render
from worker.triggers.models import Trigger, TriggerDelivery, TriggerThing

NAME = "publications"

RENDERS_AT_ONCE = 100
"""Whose publications are put in one transaction: each holds its product's lock until that ends, for which triggers'
messages wait, and one that is not had in time undoes all the others."""


def relay(session: Session) -> bool:
    """Take the next events and write the publications that follow from them; whether there may be more at once."""
    found = relays.take(session, NAME)
    done = [one for one in found if one.type == EventType.SUCCEEDED and one.render_id is not None]
    if rest := done[RENDERS_AT_ONCE:]:
        relays.stay(session, NAME, behind=found[found.index(rest[0]) - 1])
    if done:
        publications.put(session, list(_wishes(session, done[:RENDERS_AT_ONCE])))
    return bool(rest) or len(found) == relays.AT_ONCE


def _wishes(session: Session, done: list[Event]) -> Iterator[Wish]:
    """One for each publisher, product and render: a product that sent several messages about it is one."""
    runs = {one.render_id: one.run for one in done if one.render_id is not None and one.run is not None}
    seen: set[tuple[str, str, str]] = set()
    found = (*_triggered(session, runs), *_cataloged(session, runs))
    for publisher_id, owner_id, render_id, ref, product, late in found:
        if (publisher_id, ref, render_id) not in seen:
            seen.add((publisher_id, ref, render_id))
            yield Wish(publisher_id, owner_id, render_id, runs[render_id], ref, product, late=late)


Found = tuple[str, str, str, str, dict[str, Any], bool]
"""Publisher, owner, render, reference, product, and whether it may be late: nothing says that this is the render that
the product has by now."""


def _triggered(session: Session, ids: Iterable[str]) -> Iterator[Found]:
    """The latest message about a product first: it knows best where that is."""
    rows = session.execute(
        select(
            Trigger.publisher_id,
            TriggerDelivery.owner_id,
            TriggerDelivery.render_id,
            TriggerDelivery.ref,
            TriggerDelivery.product,
            Render.external_ref,
            TriggerThing.render_id.is_(None).label("late"),
        )
        .join(Trigger, Trigger.id == TriggerDelivery.trigger_id)
        .join(Render, Render.id == TriggerDelivery.render_id)
        .outerjoin(
            TriggerThing,
            (TriggerThing.trigger_id == TriggerDelivery.trigger_id) & (TriggerThing.ref == TriggerDelivery.ref),
        )
        .where(
            TriggerDelivery.render_id.in_(ids),
            # Else the product has another video by now, or will.
            or_(TriggerThing.render_id.is_(None), TriggerThing.render_id == TriggerDelivery.render_id),
            TriggerDelivery.verdict.in_(("rendered", "unchanged")),
            Trigger.publisher_id.is_not(None),
            Render.purged_at.is_(None),
        )
        .order_by(TriggerDelivery.received_at.desc(), TriggerDelivery.id.desc())
    ).all()
    for row in rows:
        ref = row.ref or row.external_ref or row.render_id
        yield row.publisher_id, row.owner_id, row.render_id, ref, row.product, row.late


def _cataloged(session: Session, ids: Iterable[str]) -> Iterator[Found]:
    rows = session.execute(
        select(
            Catalog.publisher_id,
            Catalog.owner_id,
            CatalogChange.render_id,
            CatalogChange.ref,
            CatalogProduct.external_ref,
            CatalogRead.format,
        )
        .join(CatalogRead, CatalogRead.id == CatalogChange.read_id)
        .join(Catalog, Catalog.id == CatalogRead.catalog_id)
        .join(Render, Render.id == CatalogChange.render_id)
        .join(
            CatalogProduct,
            (CatalogProduct.catalog_id == Catalog.id) & (CatalogProduct.ref == CatalogChange.ref),
        )
        .where(
            CatalogChange.render_id.in_(ids),
            CatalogChange.kind != "gone",
            CatalogProduct.gone_at.is_(None),
            CatalogProduct.render_id == CatalogChange.render_id,  # else the product has a newer video, or will
            Catalog.publisher_id.is_not(None),
            Render.purged_at.is_(None),
        )
        .order_by(CatalogChange.id.desc())
    ).all()
    for row in rows:
        yield row.publisher_id, row.owner_id, row.render_id, row.external_ref, locator(row.format, row.ref), False


def locator(format: str | None, ref: str) -> dict[str, Any]:
    """Where a feed's product is in its shop: Shopify's CSV goes by handles, WooCommerce's by SKU or, where a product
    has none, by id, which look alike; other feeds name most often the number in the shop."""
    match format:
        case "shopify_csv":
            return {"handle": ref}
        case "woocommerce_csv":
            return {"sku_or_id": ref} if ref.isdecimal() else {"sku": ref}
        case _:
            return {"id": ref} if ref.isdecimal() else {"sku": ref}

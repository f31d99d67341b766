"""The last transaction of a reading: what it holds up, and what it costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, literal_column, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tests.addresses.servers import answer
from tests.catalogs.conftest import Shop, change, changes, counted, product, renders, the
from worker.catalogs import acceptance, products, reads, store
from worker.catalogs.models import Catalog, CatalogChange, CatalogProduct
from worker.catalogs.options import Options
from worker.database import engine, transact
from worker.renders.models import Render


def is_free(render_id: str) -> bool:
    """Whether nobody has the render's row locked."""
    with Session(engine()) as session, session.begin():
        try:
            session.execute(select(Render.id).where(Render.id == render_id).with_for_update(nowait=True))
        except OperationalError:
            return False
    return True


def test_renders_at_work_are_never_locked_and_others_only_at_the_end(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """Their workers write on them while thousands of products are compared; what a newer one replaces is free until
    that is done."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    at_work, queued = product("a").render_id, product("b").render_id
    change(at_work, started_at=text("now()"), status="running")
    keep, finish = products.keep, reads.finish
    free: dict[str, tuple[bool, bool]] = {}

    def kept(*args, **named):
        keep(*args, **named)
        free["compared"] = is_free(at_work), is_free(queued)

    def finished(*args, **named):
        finish(*args, **named)
        free["at the end"] = is_free(at_work), is_free(queued)

    monkeypatch.setattr(products, "keep", kept)
    monkeypatch.setattr(reads, "finish", finished)
    shop.offers("a", "b", price="1.00 EUR")
    assert shop.read(catalog).state == "done"
    assert free == {"compared": (True, True), "at the end": (True, False)}
    assert (the(at_work).status, the(queued).status) == ("running", "canceled")
    assert the(product("a").render_id).follows_id == at_work


def test_a_kept_render_has_its_new_number_last_and_holds_nobody_up(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """Its picture's version is told for the first time: its worker writes on it until the reading ends. Where somebody
    has its row by then, the next reading has it numbered."""
    shop.offers("a")
    shop.server.answers["/a.jpg"] = answer()
    catalog = shop.catalog()
    shop.read(catalog)
    kept, finish = product("a").render_id, reads.finish
    change(kept, started_at=text("now()"), status="running")
    free: list[bool] = []

    def finished(*args, **named):
        finish(*args, **named)
        free.append(is_free(kept))

    monkeypatch.setattr(reads, "finish", finished)
    shop.picture("a")
    shop.read(catalog)
    assert (free, the(kept).fingerprint) == ([True], product("a").fingerprint)
    monkeypatch.undo()

    change(kept, fingerprint="before")
    with Session(engine()) as other, other.begin():
        other.execute(select(Render.id).where(Render.id == kept).with_for_update())
        assert shop.read(catalog).state == "done"
    assert the(kept).fingerprint == "before"
    shop.read(catalog)
    assert the(kept).fingerprint == product("a").fingerprint


@contextmanager
def statements() -> Iterator[list[int]]:
    """What acceptances ask of the database: how many parameters each statement has."""
    asked: list[int] = []

    def note(_connection, _cursor, _statement, parameters, *_others) -> None:
        asked.append(len(parameters))

    real = acceptance.accept

    def counting(*args, **named):
        event.listen(engine(), "before_cursor_execute", note)
        try:
            return real(*args, **named)
        finally:
            event.remove(engine(), "before_cursor_execute", note)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceptance, "accept", counting)
        yield asked


def test_its_statements_do_not_grow_with_the_products(shop: Shop):
    """New ones, ones that are under way elsewhere, changed ones over one that is queued: by set each, and no statement
    has a parameter for each of them, of which the database takes 65,535."""

    def asked_for(count: int) -> list[list[int]]:
        refs = [f"p{n}" for n in range(count)]
        shop.products.clear()
        shop.offers(*refs, image_link="")
        found = []
        catalogs = shop.catalog(ref_prefix=f"{count}-"), shop.catalog(ref_prefix=f"{count}-")
        for kind in ("new", "under_way", "changed"):
            if kind == "changed":
                shop.offers(*refs, price="1.00 EUR")
            with statements() as asked:
                read = shop.read(catalogs[kind == "under_way"])
            assert counted(read)[kind] == count
            found.append(asked)
        return found

    assert asked_for(2) == asked_for(20)


def test_what_did_not_change_is_not_written(shop: Shop):
    """Only the changed product's row is another one; what was met unchanged is forgotten, also what a killed worker
    left of it."""
    shop.offers("a", "b", "c")
    catalog = shop.catalog()
    read = shop.read(catalog)
    shop.finish()
    rows = versions()
    left = {"kind": "unchanged", "outcome": "kept"}
    transact(lambda session: session.execute(update(CatalogChange).where(CatalogChange.ref == "b").values(**left)))
    assert read.batch_id is not None
    shop.offers("c", price="1.00 EUR")
    assert changes(shop.read(catalog)) == {"c": ("changed", "rendered")}
    assert {ref for ref, version in versions().items() if rows[ref] != version} == {"c"}
    assert transact(lambda session: session.scalar(select(func.count()).where(CatalogChange.kind == "unchanged"))) == 0
    assert len(renders()) == 4


def test_what_is_to_be_forgotten_is_found_whatever_was_news_before(shop: Shop):
    """Beside 3,000 changes of earlier readings: by what the database says it read, not by a clock."""
    shop.offers("a")
    catalog = shop.catalog()
    read = shop.read(catalog)
    columns = "read_id, title, kind, outcome, fingerprint, render_id"
    many = f"""INSERT INTO catalog_changes (ref, {columns}) SELECT n::text, {columns}
        FROM catalog_changes, generate_series(1, 3000) n WHERE read_id = :id"""  # noqa: S608 - the names above
    transact(lambda session: session.execute(text(many), {"id": read.id}))
    left = {"kind": "unchanged", "outcome": "kept"}
    transact(lambda session: session.execute(update(CatalogChange).where(CatalogChange.ref == "7").values(**left)))
    transact(lambda session: session.execute(text("ANALYZE catalog_changes, catalog_reads")))
    asked: list[tuple[str, Any]] = []

    def note(_connection, _cursor, statement, parameters, *_others) -> None:
        asked.append((statement, parameters))

    event.listen(engine(), "before_cursor_execute", note)
    with Session(engine()) as session:  # and is not committed
        assert products.forget_unchanged(session, catalog)
    event.remove(engine(), "before_cursor_execute", note)
    ((statement, parameters),) = ((one, given) for one, given in asked if one.startswith("DELETE"))
    explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + statement
    (plan,) = transact(lambda session: session.connection().exec_driver_sql(explain, parameters).scalar_one())
    assert 0 < sum(rows_read(plan["Plan"])) < 10


def rows_read(node: dict[str, Any]) -> Iterator[float]:
    """Rows that each part of a plan came across, those it filtered out too."""
    yield node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    for part in node.get("Plans", ()):
        yield from rows_read(part)


def versions() -> dict[str, str]:
    """Which version of a product's row is there."""
    query = select(CatalogProduct.ref, literal_column("xmin::text").label("xmin"))
    return transact(lambda session: {row.ref: row.xmin for row in session.execute(query)})


def test_a_catalog_changed_while_it_is_read_is_read_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """What the server says of the feed that was read with the old options would have it never read with the new."""
    shop.offers("a")
    shop.publish(ETag='"v1"')
    catalog = shop.catalog()
    accept = acceptance.accept

    def amended(*args, **named):
        monkeypatch.setattr(acceptance, "accept", accept)
        transact(lambda session: store.amend(session, session.get_one(Catalog, catalog), {}, Options(language="fr")))
        return accept(*args, **named)

    monkeypatch.setattr(acceptance, "accept", amended)
    shop.read(catalog)
    assert transact(lambda session: session.get_one(Catalog, catalog)).etag is None
    assert changes(shop.read(catalog)) == {"a": ("changed", "rendered")}
    assert the(product("a").render_id).language == "fr"
    assert transact(lambda session: session.get_one(Catalog, catalog)).etag == '"v1"'

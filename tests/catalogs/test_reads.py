"""A reading ends in done or failed, whatever dies; nothing of it is there twice."""

import threading
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from tests.addresses.servers import answer, dripping
from tests.catalogs.conftest import TEMPLATE, Shop, counted, product, renders, the_read
from tests.renders.conftest import a_worker
from worker.batches import receiving
from worker.batches.keeping import Keeper
from worker.batches.models import Batch
from worker.catalogs import reading, reads, source, staging
from worker.catalogs.models import Catalog, CatalogRead
from worker.database import ago, engine, new_id, transact
from worker.owners import store as owners
from worker.renders import runs
from worker.renders.models import Render
from worker.renders.queue import now
from worker.templates import store as templates
from worker.templates.store import Content


class Killed(BaseException):
    """As by SIGKILL: nothing after it is carried out."""


def due() -> list[reads.Due]:
    return transact(reads.due)


def kill_after(monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    """The next reading dies behind so many chunks of one product."""
    add, left = staging.add, [chunks]

    def dying(*args, **named):
        if not left[0]:
            monkeypatch.setattr(staging, "add", add)
            raise Killed
        left[0] -= 1
        return add(*args, **named)

    monkeypatch.setattr(staging, "add", dying)
    monkeypatch.setattr(reading, "CHUNK", 1)


def test_killed_mid_way_it_begins_afresh(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """Another worker takes it, what was half received is gone, and each product is there once."""
    shop.offers("a", "b", "c")
    read_id = shop.ask(shop.catalog())
    a_worker("media-1", "media")
    kill_after(monkeypatch, 2)
    with pytest.raises(Killed):
        reading.drive(read_id, 0, worker="media-1", tools=shop.tools)
    assert len(renders()) == 2
    assert due() == []
    transact(lambda session: session.execute(text("UPDATE workers SET stopped_at = now(), died = true")))
    (found,) = due()
    assert (found.id, found.lease) == (read_id, 1)
    reading.drive(read_id, found.lease, worker="media-2", tools=shop.tools)
    read = the_read(read_id)
    assert counted(read) == {"products": 3, "new": 3, "rendered": 3}
    assert [one.external_ref for one in renders()] == ["a", "b", "c"]
    assert transact(lambda session: session.scalar(select(func.count()).select_from(Batch))) == 1


def test_what_kills_its_workers_fails(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """After five deaths it is over, with a reason."""
    shop.offers("a")
    read_id = shop.ask(shop.catalog())
    for lease in range(reads.MOST_DEATHS):
        kill_after(monkeypatch, 0)
        with pytest.raises(Killed):
            reading.drive(read_id, lease, worker="media-1", tools=shop.tools)
        a_worker(f"media-{lease + 9}", "media")
        transact(lambda session: session.execute(text("UPDATE catalog_reads SET seen_at = now() - interval '1 day'")))
        assert [one.lease for one in due()] == [lease + 1]
    reading.drive(read_id, reads.MOST_DEATHS, worker="media-1", tools=shop.tools)
    assert (the_read(read_id).state, the_read(read_id).error_code) == ("failed", "internal")
    assert renders() == []


def test_a_worker_that_lost_it_writes_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """It wakes when another has read it: the batch is the other's alone."""
    shop.offers("a", "b")
    read_id = shop.ask(shop.catalog())
    add = staging.add

    def frozen(*args, **named):
        monkeypatch.setattr(staging, "add", add)
        transact(lambda session: session.execute(update(CatalogRead).values(worker_id=None)))
        reading.drive(read_id, 1, worker="media-2", tools=shop.tools)
        return add(*args, **named)

    monkeypatch.setattr(staging, "add", frozen)
    reading.drive(read_id, 0, worker="media-1", tools=shop.tools)
    assert the_read(read_id).state == "done"
    assert len(renders()) == 2


def late(monkeypatch: pytest.MonkeyPatch, then) -> None:
    """The next chunk comes eleven minutes after the batch was begun; `then` is done just before it is added."""
    add = staging.add

    def slow(*args, **named):
        monkeypatch.setattr(staging, "add", add)
        transact(
            lambda session: session.execute(text("UPDATE batches SET received_at = now() - interval '11 minutes'"))
        )
        then()
        return add(*args, **named)

    monkeypatch.setattr(staging, "add", slow)


def test_a_reading_may_take_long_to_its_first_row(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """Shopify's products come behind the file's end: what it receives into is not thrown away before."""
    shop.offers("a")
    catalog = shop.catalog()
    late(monkeypatch, lambda: transact(Keeper().keep))
    assert shop.read(catalog).state == "done"
    assert len(renders()) == 1


def test_what_a_reading_left_behind_is_thrown_away(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """Its catalog was dropped while it read: the batch is nobody's."""
    shop.offers("a")
    read_id = shop.ask(shop.catalog())
    late(monkeypatch, lambda: transact(lambda session: session.execute(text("DELETE FROM catalogs"))))
    reading.drive(read_id, 0, worker="media-1", tools=shop.tools)
    assert transact(Keeper().keep)
    assert transact(lambda session: session.scalar(select(func.count()).select_from(Batch))) == 0


def gone() -> Exception:
    return receiving.Gone("bat_1")


def away() -> Exception:
    return OperationalError("INSERT", {}, psycopg.OperationalError("the connection is closed"))


@pytest.mark.parametrize("fault", [gone, away, PoolTimeout, lambda: OSError(28, "No space left on device")])
def test_what_may_pass_is_tried_again(shop: Shop, monkeypatch: pytest.MonkeyPatch, fault):
    """The reading is let go of at once, begins afresh a little later, and is done."""
    shop.offers("a")
    catalog = shop.catalog()

    def failing(*_args, **_named):
        monkeypatch.undo()
        raise fault()

    monkeypatch.setattr(reading, "open_feed", failing)  # no transaction of its own, which would be tried again there
    read = shop.read(catalog)
    assert (read.state, read.worker_id, read.tries, read.error_code) == ("reading", None, 1, None)
    transact(lambda session: session.execute(update(CatalogRead).values(ready_at=func.now())))
    reading.drive(read.id, read.lease, worker="media-2", tools=shop.tools)
    assert (the_read(read.id).state, len(renders())) == ("done", 1)


def test_what_does_not_pass_fails_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """A value that the database cannot hold is refused again however often it comes."""
    shop.offers("a")
    refused = DataError("INSERT", {}, psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"))

    times = []

    def failing(*_args, **_named):
        times.append(1)
        raise refused

    monkeypatch.setattr(reading.acceptance, "accept", failing)
    read = shop.read(shop.catalog())
    assert (read.state, read.error_code, read.tries, len(times)) == ("failed", "internal", 0, 1)
    assert renders() == []


def test_a_long_file_is_heard_of_while_it_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """Its worker says that it goes on before the first product comes: nobody takes the reading from it meanwhile."""
    monkeypatch.setattr(source, "BEAT_SECONDS", -1.0)
    seen = []
    beat = reading._beat

    def heard(held):
        beat(held)
        seen.append(transact(lambda session: session.scalar(select(func.count()).select_from(Batch))))

    monkeypatch.setattr(reading, "_beat", heard)
    rows = "".join(f"lamp-{n},Lamp {n},Shop,19.90,{'x' * 500}\n" for n in range(1000))
    header = "Handle,Title,Vendor,Variant Price,Body (HTML)\n"
    read = shop.read_file(shop.catalog(url=None), (header + rows).encode())
    assert counted(read)["rendered"] == 1000
    assert len(seen) >= 4, "128 KiB a time"


def test_two_readings_of_one_catalog(shop: Shop):
    """The second has to wait for its turn."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.ask(catalog)
    with pytest.raises(reads.UnderWay):
        shop.ask(catalog)


def test_two_catalogs_read_at_once_pay_once(shop: Shop):
    """The same products in two catalogs that are read at the same time are rendered once each."""
    shop.offers("a", "b", "c")
    asked = [shop.ask(shop.catalog()) for _ in range(2)]
    threads = [
        threading.Thread(target=lambda one=one: reading.drive(one, 0, worker=one, tools=shop.tools)) for one in asked
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [the_read(one).state for one in asked] == ["done", "done"]
    assert sorted(one.external_ref for one in renders()) == ["a", "b", "c"]


def test_not_modified_is_told_and_changes_nothing(shop: Shop):
    """The feed's server is asked with the tag of the last reading."""
    shop.offers("a")
    shop.publish(ETag='"v1"')
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    shop.server.answers["/feed.csv"] = answer("304 Not Modified")
    read = shop.read(catalog)
    assert (read.state, read.not_modified, counted(read)) == ("done", True, {})
    assert shop.server.headers()["if-none-match"] == '"v1"'
    assert product("a").gone_at is None


@pytest.mark.parametrize("why", ["force", "template", "failed"])
def test_a_whole_feed_is_asked_for_where_it_would_come_to_something_else(shop: Shop, why: str):
    """By force, with another version of the template, or where a video is missing."""
    shop.offers("a")
    shop.publish(ETag='"v1"')
    catalog = shop.catalog()
    shop.read(catalog)
    ended = {"status": "failed", "error_code": "generation.failed"} if why == "failed" else {}
    shop.finish(**ended)
    if why == "template":
        content = Content("another video about {{ title }}", TEMPLATE.variables)
        transact(lambda session: templates.new_version(session, shop.owner_id, "promo", content))
    read = shop.read(catalog, force=why == "force")
    assert "if-none-match" not in next(
        one for one in map(shop.server.headers, range(-1, -4, -1)) if one["accept"].startswith("text/csv")
    )
    assert counted(read)["rendered"] == 1


@pytest.mark.parametrize(
    ("script", "code", "state"),
    [
        (answer("404 Not Found"), "catalog.status", "failed"),
        (answer("503 Service Unavailable"), None, "reading"),
        (answer(body=b"<!doctype html><html>log in</html>"), "feed.html", "failed"),
        (answer(body=b"id,title,image_link\r\n"), "catalog.empty", "failed"),
    ],
)
def test_a_feed_that_cannot_be_read(shop: Shop, script, code: str | None, state: str):
    """It fails with a reason, or is tried again a little later; what was known of the products stays."""
    shop.offers("a")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.server.answers["/feed.csv"] = script
    read = shop.read(catalog)
    assert (read.state, read.error_code, read.worker_id) == (state, code, None)
    assert product("a").gone_at is None
    if state == "reading":
        assert read.ready_at > transact(now)


def test_a_cut_feed_has_nothing_gone(shop: Shop):
    """What is missing behind the cut may be there."""
    shop.offers("a", "b")
    catalog = shop.catalog(url=None)
    shop.read_file(catalog, shop.feed())
    items = (
        b'[{"id": "a", "title": "Lamp a", "price": "19.90 EUR", "image_link": "https://x.example/1.jpg"}, {"id": "b", '
    )
    read = shop.read_file(catalog, items)
    assert read.state == "done"
    assert "gone" not in counted(read)


def test_a_file_is_deleted_once_it_is_read(shop: Shop):
    """It goes into the outbox of deletions with the reading's end."""
    shop.offers("a")
    read = shop.read_file(shop.catalog(url=None), shop.feed())
    assert (read.state, read.storage_key) == ("done", None)
    assert transact(lambda session: session.scalar(text("SELECT count(*) FROM doomed_files"))) == 1


def waiting(owner: str, count: int, minutes: float) -> list[str]:
    """Readings that an owner has asked for so many minutes ago."""

    def work(session) -> list[str]:
        owner_id = owners.owner(session, owner).id
        ids = [new_id("crd") for _ in range(count)]
        for read_id in ids:
            catalog = Catalog(id=new_id("cat"), owner_id=owner_id, url="https://x.example", template="t")
            session.add(catalog)
            session.flush()
            since = ago(timedelta(minutes=minutes))
            own = {"id": read_id, "catalog_id": catalog.id, "owner_id": owner_id, "trigger": "asked"}
            session.execute(insert(CatalogRead).values(**own, ready_at=since))
        return ids

    return transact(work)


def test_an_owner_of_many_slow_feeds_takes_turns_with_the_others(shop: Shop):
    """Two places, three owners: nobody has a second one while another waits, and who was served goes to the end."""
    a_worker("media-1", "media", 4)
    slow, one, other = waiting("slow", 5, 60), waiting("one", 2, 2), waiting("other", 1, 1)
    assert {found.id for found in due()} == {slow[0], one[0]}
    for read_id in (slow[0], one[0]):
        transact(lambda session, mine=read_id: reads.claim(session, mine, lease=0, worker="media-1"))
    assert due() == []
    letting_go(slow[0])
    assert [found.id for found in due()] == other, "the slow one was served, and waits again"
    transact(lambda session: reads.claim(session, other[0], lease=0, worker="media-1"))
    letting_go(one[0])
    letting_go(other[0])
    assert {found.id for found in due()} == {slow[1], one[1]}, "in the order that they were served"


def test_no_more_are_sent_than_there_are_places_whatever_the_plan(shop: Shop):
    """A subquery with a limit that locks its rows, asked anew for each row beside it, would choose others each time."""
    a_worker("media-1", "media", 4)
    mine = waiting("slow", 50, 60)

    def planned(session) -> list[reads.Due]:
        for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize"):
            session.execute(text(f"SET LOCAL enable_{way} = off"))
        return reads.due(session)

    assert {found.id for found in transact(planned)} == set(mine[:2])


def letting_go(read_id: str) -> None:
    """Its worker gives it back: it is to be tried again at once, after whatever waits."""
    changes = {"worker_id": None, "sent_at": None, "ready_at": func.now(), "seen_at": func.now()}
    transact(lambda session: session.execute(update(CatalogRead).where(CatalogRead.id == read_id).values(**changes)))


def test_places_left_go_to_who_has_some(shop: Shop):
    """Where nobody else waits an owner has all of them."""
    a_worker("media-1", "media", 4)
    mine = waiting("slow", 3, 60)
    assert {found.id for found in due()} == set(mine[:2])


def test_a_feed_that_dribbles_is_given_up(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """A byte now and then keeps a connection, not a worker: it is tried again later, as one that does not answer."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    shop.server.answers["/feed.csv"] = dripping(shop.server, head, 0.02)
    monkeypatch.setattr(source, "PACE_SECONDS", 0.1)
    read = shop.read(shop.catalog())
    assert (read.state, read.worker_id, read.tries) == ("reading", None, 1)


def scheduled(shop: Shop, seconds: int) -> str:
    catalog = shop.catalog()
    late = text("now() - interval '10 days'")
    values = {"schedule_seconds": seconds, "next_read_at": late}
    transact(lambda session: session.execute(update(Catalog).where(Catalog.id == catalog).values(**values)))
    return catalog


def test_a_reading_that_ends_in_this_moment_holds_up_nobody(shop: Shop):
    """Its catalog's time comes while its last transaction is open: the dispatcher looks on."""
    catalog = scheduled(shop, 3600)
    read_id = shop.ask(catalog)
    with Session(engine()) as ending, ending.begin():
        ended = {"state": "done", "finished_at": func.now()}
        ending.execute(update(CatalogRead).where(CatalogRead.id == read_id).values(**ended))
        assert transact(without_waiting) == []
    row = transact(lambda session: session.get_one(Catalog, catalog))
    assert row.next_read_at is not None
    assert row.next_read_at > transact(now), "the next one comes at its time"


def without_waiting(session) -> list[reads.Due]:
    session.execute(text("SET LOCAL lock_timeout = '2s'"))
    return reads.due(session)


def test_missed_times_run_once(shop: Shop):
    """Ten days late, one reading; the next comes at its time."""
    catalog = scheduled(shop, 3600)
    a_worker("media-1", "media", 4)
    assert len(due()) == 1
    assert due() == []
    row = transact(lambda session: session.get_one(Catalog, catalog))
    assert row.next_read_at is not None
    assert timedelta(minutes=59) < row.next_read_at - transact(now) < timedelta(minutes=61)


@pytest.mark.parametrize("times", [1, 2])
def test_a_schedule_pays_for_no_failure_twice(shop: Shop, times: int):
    """A charged failure is rendered again when its owner asks, not by the clock; an earlier run's charge is one too."""
    shop.offers("a")
    shop.publish(ETag='"v1"')
    catalog = scheduled(shop, 3600)
    shop.read(catalog)
    shop.finish(status="failed", error_code="generation.failed", error_message="x", charge_state="incurred")
    if times == 2:
        transact(begun_anew)
        shop.finish(status="failed", error_code="generation.failed")
    (found,) = due()
    reading.drive(found.id, found.lease, worker="media-1", tools=shop.tools)
    assert counted(the_read(found.id)) == {"products": 1, "unchanged": 1}
    assert "if-none-match" in shop.server.headers(-2), "nothing is missing that would be made again"
    assert counted(shop.read(catalog)) == {"products": 1, "again": 1, "rendered": 1}


def begun_anew(session) -> None:
    render = session.scalars(select(Render).with_for_update()).one()
    runs.retry(session, render, force=True, api_key_id=None)

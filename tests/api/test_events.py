"""Events: one render's as they happen, everybody's in an order that never changes."""

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.api import working
from tests.api.service import FIRST_KEY, Service, until
from worker.renders.events import EventType

STREAM = {"Accept": "text/event-stream"}


@contextmanager
def _listening(service: Service, render_id: str, **headers: str) -> Iterator[Iterator[tuple[int, str, dict[str, Any]]]]:
    """The events of a stream as (id, name, data); begun when its first comment has come."""
    with service.first.stream("GET", f"/v1/renders/{render_id}/events", headers=STREAM | headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        while not next(lines).startswith(": following"):
            pass
        yield _events(lines)


def _events(lines: Iterator[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and "data" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}
        elif name:
            fields[name] = value


def test_a_stream_has_the_past_then_the_present_and_ends_with_the_final_event(service: Service) -> None:
    """What happened before connecting and while connected arrives once each, in order, and the stream closes."""
    render_id = service.make()["id"]
    held = service.write(lambda session: working.claimed(session, render_id))
    with _listening(service, render_id) as events:
        assert [next(events)[1] for _ in range(2)] == ["render.queued", "render.started"]
        service.write(lambda session: working.happened(session, held, EventType.PROGRESS, EventType.ANSWER))
        assert [next(events)[:2] for _ in range(2)] == [(3, "render.progress"), (4, "render.answer")]
        service.write(lambda session: working.finished(session, held))
        number, name, data = next(events)
        assert (number, name, data["final"], data["render_id"]) == (5, "render.succeeded", True, render_id)
        assert list(events) == []


def test_a_stream_resumes_where_it_was_cut(service: Service) -> None:
    """`Last-Event-ID` and `after` give exactly what comes behind; behind the end is a 204."""
    render_id = service.make()["id"]
    held = service.write(lambda session: working.claimed(session, render_id))
    service.write(lambda session: working.happened(session, held, EventType.PROGRESS, EventType.PROGRESS))
    service.write(lambda session: working.finished(session, held))
    with _listening(service, render_id, **{"Last-Event-ID": "2"}) as events:
        assert [number for number, _, _ in events] == [3, 4, 5]
    at = f"/v1/renders/{render_id}/events"
    assert [event["number"] for event in service.first.get(at, params={"after": 3}).json()["data"]] == [4, 5]
    assert service.first.get(at, headers=STREAM | {"Last-Event-ID": "5"}).status_code == 204


def test_the_client_follows_to_the_end_and_resumes(service: Service) -> None:
    """`iter_events` gives each event once, up to the final one, from any place."""
    render_id = service.make()["id"]
    held = service.write(lambda session: working.claimed(session, render_id))
    with service.client as client:
        events = client.iter_events(render_id)
        assert [next(events).number for _ in range(2)] == [1, 2]
        service.write(lambda session: working.finished(session, held))
        assert [event.type for event in events] == ["render.succeeded"]
        assert [event.number for event in client.iter_events(render_id, after=2)] == [3]
        assert list(client.iter_events(render_id, after=3)) == []
        assert client.wait(render_id, timeout=5).status == "succeeded"


def test_events_of_an_older_transaction_that_comes_late_are_not_lost(service: Service) -> None:
    """A transaction may begin first and write last: a listener still gets every number, in order."""
    render_id = service.make()["id"]
    held = service.write(lambda session: working.claimed(session, render_id))
    with _listening(service, render_id) as events, service.session() as old:
        assert [next(events)[0] for _ in range(2)] == [1, 2]
        old.connection().exec_driver_sql("SELECT pg_current_xact_id()")  # this one's place in the feed is fixed now
        service.write(lambda session: working.happened(session, held, EventType.PROGRESS))
        working.finished(old, held)
        old.commit()
        assert [number for number, _, _ in events] == [3, 4]


def test_the_feed_is_complete_whatever_the_order_of_commits(service: Service) -> None:
    """Read while many transactions commit out of order, the feed gives every event once; read again, the same order."""
    helds = []
    for _ in range(6):
        render_id = service.make()["id"]
        helds.append(service.write(lambda session, one=render_id: working.claimed(session, one)))
    service.readable()
    start = _read(service, "", [])
    threads = [threading.Thread(target=_write_slowly, args=(service, held, seed)) for seed, held in enumerate(helds)]
    for thread in threads:
        thread.start()
    cursor, seen = start, []
    while any(thread.is_alive() for thread in threads) or len(seen) < 60:
        cursor = _read(service, cursor, seen)
    again: list[tuple[str, int]] = []
    _read(service, start, again)
    assert again == seen
    assert sorted(seen) == sorted((held.render.id, number) for held in helds for number in range(3, 13))


def _write_slowly(service: Service, held: Any, seed: int) -> None:
    """Ten events, each in a transaction that takes its number at once and commits after a random while."""
    dice = random.Random(seed)
    for _ in range(10):
        with service.session() as session, session.begin():
            working.happened(session, held, EventType.PROGRESS)
            session.connection().exec_driver_sql(f"SELECT pg_sleep({dice.uniform(0, 0.03):.3f})")


def _read(service: Service, cursor: str, seen: list[tuple[str, int]]) -> str:
    """Everything behind a place (the beginning, where there is none), page by page; the place after it."""
    while True:
        page = service.first.get("/v1/events", params={"limit": 7} | ({"after": cursor} if cursor else {})).json()
        seen += [(event["render_id"], event["number"]) for event in page["data"]]
        cursor = page["next_cursor"]
        if len(page["data"]) < 7:
            return cursor


def test_many_listeners_hold_neither_threads_nor_connections(service: Service) -> None:
    """500 open streams add no thread and no database connection to the process, and all hear the next event."""
    render_id = service.make()["id"]
    held = service.write(lambda session: working.claimed(session, render_id))
    asyncio.run(_crowd(service, render_id, held))


async def _crowd(service: Service, render_id: str, held: Any) -> None:
    request = (
        f"GET /v1/renders/{render_id}/events HTTP/1.1\r\nHost: {service.url[7:]}\r\n"
        f"Authorization: Bearer {FIRST_KEY}\r\nAccept: text/event-stream\r\n\r\n"
    ).encode()
    listeners = []
    for _ in range(500):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(request)
        listeners.append((reader, writer))
    await asyncio.gather(*(reader.readuntil(b"render.started") for reader, _ in listeners))
    # Starlette's pool has 40 threads, granian and the rest a handful.
    assert _threads(service) < 80
    assert _connections(service) <= 35
    service.write(lambda session: working.finished(session, held))
    async with asyncio.timeout(15):
        await asyncio.gather(*(reader.readuntil(b"render.succeeded") for reader, _ in listeners))
    for _, writer in listeners:
        writer.close()


def _threads(service: Service) -> int:
    """The most threads any process of the service has."""
    counts = []
    for pid in service.pids():
        status = (service.proc / str(pid) / "status").read_text()
        counts.append(int(status.partition("Threads:")[2].split()[0]))
    return max(counts)


def _connections(service: Service) -> int:
    with psycopg.connect(service.database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE 'vivideo-%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_listeners_that_leave_are_forgotten(service: Service) -> None:
    """When the last listener is gone, the reader stops asking the database."""
    render_id = service.make()["id"]
    with service.first.stream("GET", f"/v1/renders/{render_id}/events", headers=STREAM) as answer:
        next(answer.iter_bytes())
        until(lambda: _asked_lately(service))
    until(lambda: not _asked_lately(service), patience=25)


def _asked_lately(service: Service) -> bool:
    """Whether the service sent the database anything within the last second: with no request under way, the reader."""
    with psycopg.connect(service.database, autocommit=True) as connection:
        row = connection.execute(
            "SELECT bool_or(query_start > now() - interval '1 s') FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'vivideo-%'"
        ).fetchone()
    assert row is not None
    return bool(row[0])


def test_events_of_a_missing_render_are_a_problem_not_a_stream(service: Service) -> None:
    """Also with the stream's Accept header the refusal is an ordinary 404."""
    answer = service.first.get(f"/v1/renders/rnd_{'0' * 26}/events", headers=STREAM)
    assert (answer.status_code, answer.json()["code"]) == (404, "render.unknown")

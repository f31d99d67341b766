"""How much a key may have at once and spend a day."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from tests.renders.conftest import a_render
from worker.database import ago, transact
from worker.owners import limits, store
from worker.owners.limits import LimitReached, Limits
from worker.renders.models import Render, Run
from worker.renders.store import NewRender, accept

HOUR = timedelta(hours=1)


@pytest.fixture
def key_id() -> str:
    """A key of the default owner's."""
    made = transact(lambda s: store.new_key(s, store.owner(s, "default").id, "shop"))
    found = transact(lambda s: store.key(s, made))
    assert found is not None
    return found.id


def finished(key_id: str, status: str, charge: str, **columns: Any) -> str:
    """A render of the key's that ended so."""
    error = {"error_code": "generation.failed"} if status == "failed" else {}
    ended = {"status": status, "finished_at": func.now(), "charge_state": charge}
    return a_render(api_key_id=key_id, **ended, **error, **columns)


def refused(key_id: str, **own: Any) -> LimitReached | None:
    """What the check of one more run says."""
    try:
        transact(lambda s: limits.check(s, key_id, Limits(**own)))
    except LimitReached as reached:
        return reached
    return None


def test_a_key_without_such_limits_touches_no_table(key_id: str):
    """It neither waits for a row nor counts any."""
    held = text("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()")

    def work(session: Any) -> tuple[Any, Any]:
        session.execute(held)  # which itself takes a lock, the first time
        before = session.scalar(held)
        limits.check(session, key_id, Limits(requests_per_minute=1))
        return before, session.scalar(held)

    before, after = transact(work)
    assert before == after


def test_renders_in_flight_are_those_not_final(key_id: str):
    """Of this key alone; one that ends makes room."""
    a_render()
    open_ones = [a_render(api_key_id=key_id) for _ in range(2)]
    assert refused(key_id, renders_in_flight=3) is None
    reached = refused(key_id, renders_in_flight=2)
    assert reached is not None
    assert (reached.kind, reached.retry_after_seconds) == ("in_flight", 30)
    ended = update(Render).where(Render.id == open_ones[0]).values(status="canceled", finished_at=func.now())
    transact(lambda s: s.execute(ended))
    assert refused(key_id, renders_in_flight=2) is None


def test_a_hundred_simultaneous_posts_do_not_pass_the_limit(key_id: str):
    """Each counts those that were let in before it, also the ones just committing."""
    owner_id = transact(lambda s: store.owner(s, "default").id)
    request = NewRender(prompt="a lamp", language="en", api_key_id=key_id)

    def post(_: int) -> bool:
        def work(session: Any) -> None:
            limits.check(session, key_id, Limits(renders_in_flight=7, credits_per_day=5_000))
            accept(session, owner_id, request)

        try:
            transact(work)
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        accepted = list(pool.map(post, range(100)))
    assert sum(accepted) == 7
    assert transact(lambda s: s.scalar(select(func.count()).select_from(Render))) == 7


@pytest.mark.parametrize(
    ("status", "charge", "credits", "counts"),
    [
        ("succeeded", "incurred", 80.0, 80),
        ("failed", "unknown", None, 100),
        ("failed", "none", None, 0),
        ("canceled", "none", None, 0),
        ("failed", "incurred", None, 100),
    ],
)
def test_what_a_run_counts_for(key_id: str, status: str, charge: str, credits: float | None, counts: float):
    """What is known of its charge; about a clip's worth where nobody knows; nothing where it was surely free."""
    finished(key_id, status, charge, charge_credits=credits)
    assert refused(key_id, credits_per_day=counts + 100) is None
    reached = refused(key_id, credits_per_day=counts + 99)
    assert reached is not None
    assert reached.kind == "credits"


def test_a_run_under_way_counts_as_if_it_were_charged(key_id: str):
    """Also before its message is sent: it will be."""
    a_render(api_key_id=key_id)
    assert refused(key_id, credits_per_day=199) is not None
    assert refused(key_id, credits_per_day=200) is None


def test_earlier_runs_count_for_the_key_that_asked_for_them(key_id: str):
    """A retry by another key does not take them off its account."""
    render_id = a_render()
    owner_id = transact(lambda s: store.owner(s, "default").id)
    run = {"render_id": render_id, "run": 1, "owner_id": owner_id, "api_key_id": key_id, "status": "failed"}
    run |= {"stage": "lookup", "charge_state": "unknown", "queued_at": ago(HOUR), "finished_at": func.now()}
    transact(lambda s: s.execute(insert(Run).values(**run)))
    assert refused(key_id, credits_per_day=199) is not None
    assert refused(key_id, credits_per_day=200) is None


def test_a_day_is_the_last_24_hours(key_id: str):
    """What was asked for before them does not count; `retry_after` is when enough of it is as old."""
    finished(key_id, "succeeded", "incurred", charge_credits=100.0, queued_at=ago(25 * HOUR))
    finished(key_id, "succeeded", "incurred", charge_credits=50.0, queued_at=ago(20 * HOUR))
    finished(key_id, "succeeded", "incurred", charge_credits=100.0, queued_at=ago(10 * HOUR))
    assert refused(key_id, credits_per_day=250) is None
    reached = refused(key_id, credits_per_day=200)
    assert reached is not None
    assert abs(reached.retry_after_seconds - 4 * 3600) < 60
    reached = refused(key_id, credits_per_day=190)
    assert reached is not None
    assert abs(reached.retry_after_seconds - 14 * 3600) < 60


def test_a_run_that_costs_nothing_needs_no_credits(key_id: str):
    """An export made again is free, whatever was spent."""
    finished(key_id, "succeeded", "incurred", charge_credits=500.0)
    transact(lambda s: limits.check(s, key_id, Limits(credits_per_day=100), credits=0))


def test_the_counts_use_their_indexes(key_id: str):
    """With a hundred thousand renders of others, what a key has is found without reading theirs."""
    owner_id = transact(lambda s: store.owner(s, "default").id)
    a_render(api_key_id=key_id)
    other = transact(lambda s: store.new_key(s, owner_id, "busy"))
    fill = text(
        "INSERT INTO renders (id, owner_id, lane_id, prompt, language, api_key_id, status, finished_at)"
        " SELECT 'rnd_' || n, :owner, (SELECT min(id) FROM lanes), 'a lamp', 'en',"
        " (SELECT id FROM api_keys WHERE hash = :hash), 'canceled', now() FROM generate_series(1, 100000) n"
    )
    transact(lambda s: s.execute(fill, {"owner": owner_id, "hash": store.key_hash(other)}))
    transact(lambda s: s.execute(text("ANALYZE renders")))
    read = text("SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'renders'")

    def work(session: Any) -> tuple[Any, Any]:
        before = session.execute(read).one()
        limits.check(session, key_id, Limits(renders_in_flight=10, credits_per_day=1000))
        return before, session.execute(read).one()

    before, after = transact(work)
    assert after.seq_scan == before.seq_scan
    assert after.idx_tup_fetch - before.idx_tup_fetch < 10

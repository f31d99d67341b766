"""What the dispatcher begins, by whom each account may be used."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, insert

from tests.accounts.conftest import accounts, admitted
from tests.renders.conftest import a_render, a_worker
from worker import dispatch
from worker.accounts import admission
from worker.accounts.admission import NotAdmitted, Openings
from worker.accounts.models import Account
from worker.database import ago, engine, new_id, transact
from worker.owners.store import owner
from worker.renders.models import Render
from worker.renders.sharing import Shares


def an_account(whose: str | None = None, **columns: Any) -> None:
    def work(session: Any) -> None:
        mine = owner(session, whose).id if whose else None
        kind = {"id": new_id("acc"), "kind": "registered", "name": new_id("name"), "owner_id": mine}
        session.execute(insert(Account).values(**kind | columns))

    transact(work)


def the_trial(**columns: Any) -> None:
    an_account(kind="anonymous", client_id="c", **columns)


def openings() -> Openings:
    return transact(lambda session: admission.openings(session, default_slots=0))


def begun(limit: int = 100, shares: Shares | None = None) -> list[str]:
    """Owners' names of what one look begins."""
    found = transact(lambda session: [due.id for due in dispatch._new(session, limit, shares=shares)])
    return sorted(transact(lambda session: [_name(session, one) for one in found]))


def _name(session: Any, render: str) -> str:
    from worker.owners.models import Owner

    return session.get_one(Owner, session.get_one(Render, render).owner_id).name


HELD = {"held_at": func.now()}


def test_one_owners_open_account_opens_nothing_for_another():
    """Anna has an account of her own, Ben's only one is held: Ben's renders stay queued, where they ask nobody."""
    an_account("anna")
    an_account("ben", **HELD)
    for _ in range(3):
        a_render("anna")
        a_render("ben")
    assert begun() == ["anna"] * 3
    assert begun() == []


def test_the_trial_is_for_those_without_an_account():
    """An owner with a registered account waits for that one; the others' renders go to the trial, one at a time."""
    an_account("anna", **HELD)
    the_trial(slots=1)
    for name in ("anna", "ben", "ben"):
        a_render(name)
    found = openings()
    assert (found.shared, found.own, len(found.left_out)) == (1, {}, 1)
    assert begun() == ["ben"]


def test_a_shared_account_takes_all_and_an_own_one_its_owners_beside_it():
    """Two places for everybody and three of Anna's own: five of hers can begin, two of Ben's."""
    an_account(slots=2)
    an_account("anna", slots=3)
    found = openings()
    assert (found.shared, list(found.own.values()), found.left_out, found.total) == (2, [3], (), 5)
    shares = Shares()
    for _ in range(9):
        a_render("anna")
    assert begun(shares=shares) == ["anna"] * 5
    for _ in range(9):
        a_render("ben")
    assert begun(shares=shares) == ["anna"] * 3 + ["ben"] * 2, "what Anna begins on her own account counts"


FULL = {"slots": 1}
LIMITED = {"paused_until": func.now() + timedelta(hours=1), "pause_reason": "rate_limit"}


@pytest.mark.parametrize(
    ("one", "other", "reason"), [(FULL, HELD, "slot"), (LIMITED, HELD, "rate_limit"), (FULL, LIMITED, "slot")]
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_render_waits_for_what_ends_by_itself(one: dict[str, Any], other: dict[str, Any], reason: str, turned: bool):
    """Whichever account is looked at last: one that waits for somebody stops no clock while another is only busy."""
    for name, columns in reversed([("a", one), ("b", other)]) if turned else [("a", one), ("b", other)]:
        an_account(name=name, **columns)
    first = accounts()[turned]
    assert first.name == "a"
    a_render(account_id=first.id, stage="generate", started_at=func.now())
    refusal = admitted()
    assert isinstance(refusal, NotAdmitted)
    assert refusal.reason == reason


def statements(work: Callable[[], object]) -> int:
    """How many this process sends for it."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine(), "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(engine(), "before_cursor_execute", note)
    return len(sent)


def test_a_look_at_twenty_accounts_asks_no_more_than_at_one():
    """Each with slots, a pause that is over and a balance: due rows are held for as long as the look takes."""
    known = {"slots": 3, "balance_available": 500, "balance_read_at": func.now(), "paused_until": func.now()}
    an_account("anna", **known)
    one = statements(openings)
    for number in range(19):
        an_account("anna" if number % 2 else None, **known)
    assert openings().total == 20 * 3
    assert 0 < statements(openings) == one


def test_nothing_begins_beyond_the_places_of_the_workers():
    """However much the accounts would take."""
    an_account()
    for _ in range(4):
        a_render("anna")
    assert begun(0) == []
    assert begun(3) == ["anna"] * 3


def test_lost_messages_of_new_renders_take_no_streams():
    """As many marked as sent as there are streams, and the broker lost them all: once overdue they hold no place, or
    nothing would ever be begun again."""
    the_trial()
    a_worker("stream-1", "stream", capacity=2)
    a_worker("io-1")
    lost = [a_render(sent_at=ago(timedelta(seconds=31))) for _ in range(2)]
    assert sorted(due.id for due in transact(dispatch._due)) == sorted(lost)
    a_render()
    assert transact(dispatch._due) == [], "sent just now, each holds its place"

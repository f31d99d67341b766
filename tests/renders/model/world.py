"""The real store under the model's hands: its verbs, a clock moved by shifting rows, workers that fall silent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.settings import settings
from tests.renders.model.expected import OVERDUE, Row
from worker import watching
from worker.database import engine, transact
from worker.job import Job, Services
from worker.owners.store import owner
from worker.remote.intents import Intent
from worker.renders import events, lanes, queue, store, takeover
from worker.renders.events import Cursor
from worker.renders.leases import Held
from worker.renders.queue import Due
from worker.renders.states import Stage
from worker.renders.store import NewRender

LEASE = timedelta(seconds=0.5)
"""Shorter than the test's server has run: after a restart nobody is silent yet. The living are heard of in the very
transaction that looks for the silent, so that a slow machine decides nothing."""
REDISPATCH = timedelta(seconds=OVERDUE)
MANY = 500
SHIFTED = {
    "renders": ("ready_at", "sent_at", "failing_since", "stage_at", "deadline_at", "clock_stopped_at"),
    "accounts": ("paused_until",),
    "intents": ("send_by", "ended_at", "seen_since"),
    "exports": ("answered_at",),
}
"""Every time that a decision compares with the clock."""


@dataclass
class Claim:
    """A claim and what its worker has done with it so far; it may long be void."""

    held: Held
    cancelling: bool = False
    intent: Intent | None = None
    """Committed under this claim, or found carried out by it."""
    carried_out: bool = False
    admitted: bool = False
    reserved: str | None = None
    """The export id that this claim put on file."""

    @property
    def id(self) -> str:
        """The render's."""
        return self.held.render.id

    @property
    def stage(self) -> Stage:
        """As it was at the claim."""
        return Stage(self.held.render.stage)

    def is_void(self, row: Row) -> bool:
        """Whether the row went on without it."""
        return (row.owner, row.lease) != (self.held.worker, self.held.lease)

    def job(self) -> Job:
        """What a stage is given. Nothing here calls the backend or the storage."""
        nobody: Any = None
        return Job(self.held, Services(settings(), nobody, nobody, nobody))


@dataclass
class Reader:
    """Somebody who follows the feed of all events."""

    cursor: Cursor = field(default_factory=Cursor)
    seen: list[int] = field(default_factory=list[int])

    def read(self, limit: int) -> int:
        """The next few; how many there were."""
        rows = transact(lambda session: events.feed(session, after=self.cursor, limit=limit))
        self.seen += [row.id for row in rows]
        if rows:
            self.cursor = Cursor(rows[-1].transaction, rows[-1].id)
        return len(rows)


def empty() -> None:
    """Nothing but owners, lanes and one account. Lanes are made beforehand: one made by an open transaction would hold
    up everybody, which is not what is tried here."""

    def work(session: Session) -> None:
        for table in ("renders", "remote_sessions", "workers", "lanes", "accounts"):
            session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - own names
        mine = owner(session, "default").id
        for priority in ("high", "normal", "low"):
            store.lane(session, mine, priority)
        session.execute(text("INSERT INTO accounts (id, kind, name) VALUES ('acc', 'registered', 'of the model')"))

    transact(work)


def accept(session: Session, priority: str, on_unconfirmed: str, allowed: int | None = None) -> str:
    """Take one on, with so many seconds for each run; its id."""
    request = NewRender(
        prompt="a lamp", language="en", priority=priority, on_unconfirmed=on_unconfirmed, deadline_seconds=allowed
    )
    return store.accept(session, owner(session, "default").id, request).id


def on_row(render_id: str, change: Callable[[Session, Any], Any]) -> Any:
    """What the intake does to a render of an owner's, its row locked."""

    def work(session: Session) -> Any:
        row = store.locked(session, owner(session, "default").id, render_id)
        assert row is not None, "not purged"
        return change(session, row)

    return transact(work)


def found_late(intent_id: str) -> None:
    """A sparse read shows that an unconfirmed message was carried out."""
    transact(lambda session: watching.found(session, session.get_one(Intent, intent_id), "after"))


def let_pass(seconds: int) -> None:
    """So much time is over."""

    def work(session: Session) -> None:
        for table, columns in SHIFTED.items():
            sets = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
            session.execute(text(f"UPDATE {table} SET {sets}"), {"seconds": seconds})  # noqa: S608 - own names

    transact(work)


def register(worker: str) -> None:
    """A worker process says that it is there."""
    statement = (
        "INSERT INTO workers (id, kind, hostname, pid, version, capacity) VALUES (:id, 'io', 'here', 1, '1', 10)"
    )
    transact(lambda session: session.execute(text(statement), {"id": worker}))


def says_goodbye(worker: str) -> None:
    """It ends as it should."""
    statement = text("UPDATE workers SET stopped_at = now() WHERE id = :id")
    transact(lambda session: session.execute(statement, {"id": worker}))


def hear(session: Session, beating: set[str]) -> None:
    """The heartbeats of some; all others have been silent for an hour."""
    statement = (
        "UPDATE workers SET seen_at = CASE WHEN id = ANY(:beating) THEN now() ELSE now() - interval '1 hour' END"
    )
    session.execute(text(statement), {"beating": sorted(beating)})


def take_over(beating: set[str]) -> set[str]:
    """The dispatcher relieves the silent; the ids of what it freed."""

    def work(session: Session) -> set[str]:
        hear(session, beating)
        return {one.id for one in takeover.take_over(session, lease=LEASE)}

    return transact(work)


def looks(session: Session) -> list[Due]:
    """All looks of the dispatcher, with room for everything."""
    due = queue.due_cancels(session, redispatch=REDISPATCH, limit=MANY)
    due += queue.due_under_way(session, stages=list(Stage), redispatch=REDISPATCH, limit=MANY)
    return due + lanes.due_new(session, redispatch=REDISPATCH, limit=MANY)


def reached_in_the_end() -> list[str]:
    """Whom the dispatcher would reach if every worker died now and a year went by. Nothing of it is kept."""
    with Session(engine()) as session:
        session.execute(
            text("UPDATE renders SET ready_at = ready_at - interval '1 year', sent_at = sent_at - interval '1 year'")
        )
        hear(session, set())
        takeover.take_over(session, lease=LEASE)
        found = [due.id for due in looks(session)]
        session.rollback()
    return found

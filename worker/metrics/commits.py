"""Counting what a transaction wrote: once, and only when it is committed."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

Count = Callable[[], object]
_WAITING = "metrics"
_BEFORE = "metrics before savepoints"


def on_commit(session: Session, count: Count) -> None:
    """Call `count` after the commit. A transaction that is rolled back, or run again in another session, counts
    nothing; one whose commit's answer was lost is not counted either."""
    session.info.setdefault(_WAITING, []).append(count)


@event.listens_for(Session, "after_commit")
def _committed(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a savepoint's end is no commit
    for count in session.info.pop(_WAITING, ()):
        count()


@event.listens_for(Session, "after_rollback")
def _rolled_back(session: Session, *_: Any) -> None:
    """To a savepoint: what was counted before it stays."""
    before = session.info[_BEFORE][-1] if session.in_nested_transaction() else 0
    del session.info.get(_WAITING, [])[before:]


@event.listens_for(Session, "after_transaction_create")
def _begun(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        session.info.setdefault(_BEFORE, []).append(len(session.info.get(_WAITING, ())))


@event.listens_for(Session, "after_transaction_end")
def _ended(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        session.info[_BEFORE].pop()

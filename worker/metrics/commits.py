"""Counting what a transaction wrote: once, and only when it is committed."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

Count = Callable[[], object]
_WAITING = "metrics"


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
    session.info.pop(_WAITING, None)

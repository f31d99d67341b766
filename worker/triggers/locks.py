"""Who waits for whom at a trigger: its messages share it, who changes it has it alone, each to its transaction's end.

Not the row's own locks: of those PostgreSQL lets in who shares, however long somebody waits to change the row, so that
a source which sends on and on could be neither paused nor given another secret. Advisory locks stand in a queue. Locks
are taken in this order: the trigger, the thing (`planning.one_at_a_time`), the message, renders.
"""

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session


def share(session: Session, trigger_id: str) -> None:
    """The trigger stays as it is meanwhile."""
    session.execute(select(func.pg_advisory_xact_lock_shared(_number(trigger_id))))


def alone(session: Session, trigger_id: str) -> None:
    """No message of the trigger is decided meanwhile."""
    session.execute(select(func.pg_advisory_xact_lock(_number(trigger_id))))


def _number(trigger_id: str) -> ColumnElement[int]:
    return func.hashtextextended(f"trigger\n{trigger_id}", 0)

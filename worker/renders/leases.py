"""Who works on a render: claims, fenced writes, release.

A claim names the lease number it expects and raises it; every later write names the new number and the worker. A write
that touches no row raises `LeaseLost`: somebody else moved the render, this work stops.

These statements run several times a stage for every render, so they are written by hand, one round trip each: building
them from expressions took the workers more CPU than PostgreSQL needs to carry them out (`make bench`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from psycopg.types.json import Jsonb
from sqlalchemy import ColumnElement, CursorResult, and_, inspect, select, tuple_
from sqlalchemy.orm import Session

from worker.accounts.models import Account, RemoteSession
from worker.database import Base
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Render
from worker.renders.states import Reason, Stage, Status


class LeaseLost(Exception):
    """Another worker moved the render: whatever this one still holds of it is void."""

    def __init__(self, render_id: str, lease: int) -> None:
        super().__init__(f"lease {lease} of {render_id} is no longer held")


@dataclass(frozen=True)
class Held:
    """A claimed render: a snapshot of its row, and what each write has to name."""

    render: Render
    worker: str
    at: datetime
    """The database's time of the claim: what this work compares times with."""
    account: Account | None = None
    remote_session: RemoteSession | None = None
    circuit_open_until: datetime | None = None
    """Until when nobody calls the backend; None: it may be called."""
    late: timedelta = timedelta(0)
    """A poll's: how long it had been due when it was claimed."""

    @property
    def lease(self) -> int:
        """The fencing number of this claim."""
        return self.render.lease


@dataclass(frozen=True)
class Sql:
    """A changed column's value that the database computes; `parameters` are those it names, beyond the columns'."""

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


Changes = dict[str, Any]
"""Column → value, or `Sql`."""

CANCELING = "cancel_requested_at IS NOT NULL"

CIRCUIT = "(SELECT greatest(open_until, probing_until) FROM circuits WHERE name = 'backend') AS circuit_open_until"
"""Until when the circuit holds calls back, its probe included. Brought along by each claim, so that a held-back call
costs no round trip of its own."""

UNOWNED = "worker_id IS NULL AND finished_at IS NULL"
"""Not final and nobody's."""

# What a claim changes. A row that is being cancelled keeps saying so.
TAKEN = f"""worker_id = %(worker)s, lease = lease + 1, sent_at = NULL, reason = NULL,
    status = CASE WHEN {CANCELING} THEN 'canceling' ELSE 'running' END,
    deadline_at = deadline_at + coalesce(now() - clock_stopped_at, interval '0'), clock_stopped_at = NULL,
    started_at = coalesce(started_at, now()),
    event_number = event_number + (started_at IS NULL)::int"""

ON_HOLD = frozenset({Reason.CREDITS.value, Reason.SUBSCRIPTION.value, Reason.PAUSED.value})
"""Waits that no deadline counts: they end by somebody's decision, not by work."""

DUE_AT_STAGE = """id = %(id)s AND lease = %(lease)s AND stage = %(stage)s AND ready_at <= now()
    AND cancel_requested_at IS NULL"""


def unowned() -> ColumnElement[bool]:
    """Not final and nobody's, as an expression."""
    return and_(Render.worker_id.is_(None), Render.finished_at.is_(None))


def claim(session: Session, render_id: str, *, lease: int, stage: Stage, worker: str) -> Held | None:
    """Take a render at `stage` whose lease number is `lease`; None when it is not there to be taken (a message
    delivered twice, a forged one, or one that another worker was quicker with)."""
    return _claim(session, DUE_AT_STAGE, {"id": render_id, "lease": lease, "stage": stage.value, "worker": worker})


def claim_for_cancel(session: Session, render_id: str, *, worker: str) -> Held | None:
    """Take a render that was asked to be cancelled, whatever its stage and time."""
    return _claim(session, f"id = %(id)s AND {CANCELING}", {"id": render_id, "worker": worker})


def _claim(session: Session, where: str, parameters: dict[str, Any]) -> Held | None:
    """The claim, its attempt, the first one's event, and what the stage will need to know."""
    row = _run(session, _claim_statement(where), parameters).mappings().one_or_none()
    if row is None:
        return None
    found: dict[str, Any] = {str(name): value for name, value in row.items()}
    return Held(
        cast(Render, _snapshot(Render, found)),
        parameters["worker"],
        found["now"],
        cast(Account, _snapshot(Account, found)) if found["accounts_id"] else None,
        cast(RemoteSession, _snapshot(RemoteSession, found)) if found["remote_sessions_id"] else None,
        found["circuit_open_until"],
    )


@cache
def _claim_statement(where: str) -> str:
    return f"""
        WITH claimed AS (UPDATE renders SET {TAKEN} WHERE {UNOWNED} AND {where} RETURNING *),
        begun AS (INSERT INTO attempts (owner_id, render_id, run, stage, lease, worker_id)
            SELECT owner_id, id, run, stage, lease, worker_id FROM claimed),
        started AS (INSERT INTO events (owner_id, render_id, run, number, type)
            SELECT owner_id, id, run, event_number, '{EventType.STARTED.value}' FROM claimed WHERE started_at = now()),
        rescued AS (UPDATE recoveries SET to_worker = claimed.worker_id FROM claimed
            WHERE recoveries.id = claimed.recovery_id)
        SELECT now() AS now, {CIRCUIT}, {_columns(Render, "claimed")}, {_columns(Account, "accounts")},
            {_columns(RemoteSession, "remote_sessions")}
        FROM claimed LEFT JOIN accounts ON accounts.id = claimed.account_id
            LEFT JOIN remote_sessions ON remote_sessions.id = claimed.remote_session_id"""  # noqa: S608 - own names


@cache
def _attributes(model: type[Base]) -> tuple[tuple[str, str, str], ...]:
    """Attribute, column, and the column's label in a claim's answer."""
    mapper = inspect(model)
    return tuple(
        (name, column.name, f"{model.__tablename__}_{column.name}")
        for name, column in ((attribute.key, attribute.columns[0]) for attribute in mapper.column_attrs)
    )


def _columns(model: type[Base], table: str) -> str:
    return ", ".join(f"{table}.{column} AS {label}" for _, column, label in _attributes(model))


def _snapshot(model: type[Base], found: Mapping[str, Any]) -> object:
    """A row as it was: the attributes of the model, without the machinery that would write changes back."""
    return SimpleNamespace(**{name: found[label] for name, _, label in _attributes(model)})


def _run(session: Session, statement: str, parameters: Mapping[str, Any]) -> CursorResult[Any]:
    return session.connection().exec_driver_sql(statement, dict(parameters))


def claim_polls(session: Session, *, worker: str, limit: int, interval: timedelta) -> list[Held]:
    """Take up to `limit` exports that are due for a question. The next time is written now: whatever becomes of this
    worker, nobody asks again sooner than the interval. A takeover ends with the question that is asked.

    No attempt row each: the poll stage writes one when it ends, 40 a render would tell nothing more.
    """
    given = {"worker": worker, "limit": limit, "interval": interval}
    rows = _run(session, _claim_polls_statement(), given).mappings().all()
    found: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in rows]
    return [
        Held(
            cast(Render, _snapshot(Render, row)),
            worker,
            row["now"],
            circuit_open_until=row["circuit_open_until"],
            late=row["late"],
        )
        for row in found
    ]


@cache
def _claim_polls_statement() -> str:
    # `started_at` is always there at this stage; it is named for the index of rows under way.
    return f"""
        WITH due AS (SELECT id, ready_at AS due_at FROM renders WHERE {UNOWNED} AND stage = '{Stage.POLL.value}'
            AND ready_at <= now() AND cancel_requested_at IS NULL AND started_at IS NOT NULL
            ORDER BY ready_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
        claimed AS (UPDATE renders SET {TAKEN}, ready_at = now() + %(interval)s
            WHERE id IN (SELECT id FROM due) RETURNING *),
        rescued AS (UPDATE recoveries SET to_worker = claimed.worker_id, ended_at = now(), outcome = 'asked'
            FROM claimed WHERE recoveries.id = claimed.recovery_id)
        SELECT now() AS now, now() - due.due_at AS late, {CIRCUIT}, {_columns(Render, "claimed")}
        FROM claimed JOIN due ON due.id = claimed.id"""  # noqa: S608 - own names


def is_cancelled(session: Session, held: Held) -> bool:
    """Whether the render was asked to be cancelled; its row is locked, so the answer holds until the commit.

    Raises:
        LeaseLost: the row is no longer this claim's.
    """
    asked = session.execute(
        select(Render.cancel_requested_at)
        .where(Render.id == held.render.id, Render.lease == held.lease, Render.worker_id == held.worker)
        .with_for_update(key_share=True)
    ).one_or_none()
    if asked is None:
        raise LeaseLost(held.render.id, held.lease)
    return asked[0] is not None


def lock(session: Session, held: Held) -> None:
    """The claim's row until the commit: what is read of the render's messages from here on cannot change beside it.

    Raises:
        LeaseLost: the row is no longer this claim's.
    """
    is_cancelled(session, held)


def still_ours(session: Session, held: Sequence[Held]) -> set[str]:
    """Of one worker's claims the ids of those that it still has; their rows are locked, so the answer holds until the
    commit."""
    mine = select(Render.id).where(
        tuple_(Render.id, Render.lease).in_([(one.render.id, one.lease) for one in held]),
        Render.worker_id == held[0].worker,
    )
    return set(session.scalars(mine.order_by(Render.id).with_for_update(key_share=True)))


def release_polls(session: Session, polled: Sequence[tuple[Held, float]], *, interval: timedelta) -> set[str]:
    """Let go of polled renders, each with its progress (0-1), in one statement. The next question comes an interval
    from now: from the answer, not from the question. Returns the ids of those that were still ours."""
    changes = release(wait=interval) | {
        "fraction": Sql("asked.fraction"),
        "tries": 0,
        "failing_since": None,
        "event_number": Sql("event_number + asked.told"),
    }
    sets, parameters = _sets(changes)
    statement = f"""
        WITH asked AS (SELECT * FROM
            unnest(%(ids)s::text[], %(leases)s::int[], %(fractions)s::float8[], %(told)s::int[])
            AS asked (id, lease, fraction, told)),
        written AS (UPDATE renders SET {sets} FROM asked
            WHERE renders.id = asked.id AND renders.lease = asked.lease AND worker_id = %(worker)s
            RETURNING renders.*, asked.told),
        told AS (INSERT INTO events (owner_id, render_id, run, number, type, data)
            SELECT owner_id, id, run, event_number, '{EventType.PROGRESS.value}',
                jsonb_build_object('stage', stage, 'fraction', round(fraction::numeric, 3)) FROM written WHERE told = 1)
        SELECT id FROM written"""  # noqa: S608 - own names
    given = {
        "ids": [held.render.id for held, _ in polled],
        "leases": [held.lease for held, _ in polled],
        "fractions": [min(max(progress, 0.0), 1.0) for _, progress in polled],
        "told": [int(_is_worth_telling(held.render.fraction, progress)) for held, progress in polled],
        "worker": polled[0][0].worker,
    }
    return {row[0] for row in _run(session, statement, parameters | given)}


def _is_worth_telling(before: float, now: float) -> bool:
    """Progress is told in steps of a tenth: an event for each poll would bury the others."""
    return int(now * 10) > int(before * 10)


def write(session: Session, held: Held, changes: Changes | None = None, new: Sequence[NewEvent] = ()) -> None:
    """Write on a held render, with the events that tell of it.

    Raises:
        LeaseLost: the row is no longer this claim's.
    """
    _written(session, held, changes or {}, new, "", {})


def conclude(
    session: Session,
    held: Held,
    changes: Changes,
    new: Sequence[NewEvent],
    *,
    outcome: str,
    error_code: str | None = None,
    error_message: str | None = None,
) -> None:
    """The end of a claim in one statement: the write, its events, the attempt's end and that of the takeover it
    belonged to.

    A poll's claim wrote no attempt: the stage's one, from its beginning on, is written here with its end.

    Raises:
        LeaseLost: the row is no longer this claim's.
    """
    row = held.render
    ended = {
        "a_stage": row.stage,
        "a_started": row.stage_at,
        "a_outcome": outcome,
        "a_code": error_code,
        "a_message": error_message,
        "a_recovery": row.recovery_id,
    }
    _written(session, held, changes, new, ENDED, ended)


ENDED = """,
    ended AS (INSERT INTO attempts (owner_id, render_id, run, lease, stage, worker_id, started_at,
            ended_at, outcome, error_code, error_message)
        SELECT owner_id, id, run, %(held_lease)s, %(a_stage)s, %(held_worker)s, %(a_started)s, now(), %(a_outcome)s,
            %(a_code)s, %(a_message)s FROM written
        ON CONFLICT (render_id, lease) DO UPDATE SET ended_at = excluded.ended_at, outcome = excluded.outcome,
            error_code = excluded.error_code, error_message = excluded.error_message),
    rescued AS (UPDATE recoveries SET ended_at = now(), outcome = %(a_outcome)s, to_worker = %(held_worker)s
        FROM written WHERE recoveries.id = %(a_recovery)s::bigint AND recoveries.ended_at IS NULL)"""


def _written(
    session: Session, held: Held, changes: Changes, new: Sequence[NewEvent], more: str, given: Mapping[str, Any]
) -> None:
    sets, parameters = _sets(changes | {"event_number": Sql("event_number + %(held_events)s")})
    statement = f"""
        WITH written AS (UPDATE renders SET {sets}
            WHERE id = %(held_id)s AND lease = %(held_lease)s AND worker_id = %(held_worker)s
            RETURNING id, owner_id, run, event_number),
        told AS (INSERT INTO events (owner_id, render_id, run, number, type, data)
            SELECT owner_id, id, run, event_number - %(held_events)s + place, given ->> 'type', given -> 'data'
            FROM written, jsonb_array_elements(%(held_told)s) WITH ORDINALITY AS told (given, place)){more}
        SELECT id FROM written"""  # noqa: S608 - own names
    fence = {
        "held_id": held.render.id,
        "held_lease": held.lease,
        "held_worker": held.worker,
        "held_events": len(new),
        "held_told": Jsonb([{"type": event.type.value, "data": event.data} for event in new]),
    }
    if _run(session, statement, {**parameters, **given, **fence}).one_or_none() is None:
        raise LeaseLost(held.render.id, held.lease)


def _sets(changes: Changes) -> tuple[str, dict[str, Any]]:
    """The SET clause and its parameters; the columns are our own names, the values never part of the text."""
    parts: list[str] = ["updated_at = now()"]
    parameters: dict[str, Any] = {}
    for column, value in changes.items():
        if isinstance(value, Sql):
            parts.append(f"{column} = {value.text}")
            parameters |= value.parameters
        else:
            parts.append(f"{column} = %(new_{column})s")
            parameters[f"new_{column}"] = Jsonb(value) if isinstance(value, list | dict) else value
    return ", ".join(parts), parameters


def release(*, to: Stage | None = None, wait: timedelta = timedelta(0), reason: str | None = None) -> Changes:
    """The changes that let go of a render: to another stage, or to the same one later, waiting for `reason` or not.

    With no wait the caller sends the next message after the commit, which `sent_at` says beforehand.
    """
    waiting = Status.WAITING.value if reason else Status.RUNNING.value
    changes: Changes = {
        "worker_id": None,
        "recovery_id": None,
        "deaths": 0,
        "ready_at": Sql("now() + %(wait)s", {"wait": wait}),
        # One that is being cancelled goes to the canceller: the stage's message finds nothing to claim.
        "sent_at": None if wait else Sql(f"CASE WHEN {CANCELING} THEN NULL ELSE now() END"),
        "sends": 1,
        "status": Sql(f"CASE WHEN {CANCELING} THEN 'canceling' ELSE %(status)s END", {"status": waiting}),
        "reason": Sql(f"CASE WHEN {CANCELING} THEN NULL ELSE %(reason)s END", {"reason": reason}),
    }
    if reason in ON_HOLD:
        changes["clock_stopped_at"] = Sql("CASE WHEN deadline_at IS NOT NULL THEN now() END")
    if to is not None:
        changes |= {"stage": to.value, "stage_at": Sql("now()"), "fraction": 0, "tries": 0, "failing_since": None}
    return changes


def finish(status: Status, **changes: Any) -> Changes:
    """The changes that end a render."""
    return {
        "status": status.value,
        "reason": None,
        "worker_id": None,
        "recovery_id": None,
        "deaths": 0,
        "sent_at": None,
        "finished_at": Sql("now()"),
        **changes,
    }


TOO_LATE: Changes = {"cancel_effect": Sql(f"CASE WHEN {CANCELING} THEN 'too_late' END")}
"""A render that ends by itself while it is being cancelled says so."""

ONE_MORE_FAULT: Changes = {"tries": Sql("tries + 1"), "failing_since": Sql("coalesce(failing_since, now())")}
NO_FAULTS: Changes = {"tries": 0, "failing_since": None}

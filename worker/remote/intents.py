"""The paid message's record: committed before a byte leaves, settled by evidence alone.

`open` → `unsent` | `refused` (settled: nothing was done, may be sent again)
       → `received` | `unknown` (not settled: only the state can tell) → `applied` | `not_applied` | `unconfirmed`

`unconfirmed` and `not_applied` are watched for a day: the state of the session is read now and then, and a change makes
the message `applied`.

A remote session has at most one intent that is not settled (partial unique index): one turn at a time.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    and_,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from config.settings import settings
from worker.database import Base, from_now
from worker.metrics.commits import on_commit
from worker.metrics.declared import INTENTS, begin

if TYPE_CHECKING:
    from worker.renders.models import Render


class IntentState(StrEnum):
    """What is known of one paid message."""

    OPEN = "open"  # committed; its sender has not said more: bytes may have left
    UNSENT = "unsent"  # surely nothing left
    REFUSED = "refused"  # the backend answered that it did nothing
    RECEIVED = "received"  # an event stream came and ended properly
    UNKNOWN = "unknown"  # it may have been received
    APPLIED = "applied"  # the state changed
    NOT_APPLIED = "not_applied"  # evidence that nothing was done (an error frame, a refund)
    UNCONFIRMED = "unconfirmed"  # every look-up read unchanged and the longest life over: nobody can know


begin(INTENTS, [state for state in IntentState if state is not IntentState.OPEN])

SETTLED = frozenset(
    {
        IntentState.UNSENT,
        IntentState.REFUSED,
        IntentState.APPLIED,
        IntentState.NOT_APPLIED,
        IntentState.UNCONFIRMED,
    }
)

WATCHED = (IntentState.UNCONFIRMED, IntentState.NOT_APPLIED)
"""Read on for a day: nobody could know, or what was known was an error told while the turn may have gone on."""

MAY_HAVE_BEEN_RECEIVED = tuple(state for state in IntentState if state not in {IntentState.UNSENT, IntentState.REFUSED})
"""Each of these counts as a paid attempt."""

NOTHING_LEFT = (IntentState.UNSENT.value, IntentState.REFUSED.value)
"""Messages that did nothing, for sure."""

MAY_BE_REFUSED_YET = (*NOTHING_LEFT, IntentState.OPEN.value)
"""Messages that did nothing, or whose sender has not said more."""


class Intent(Base):
    """One paid message: what is about to be sent, what was seen of it, what it came to."""

    __tablename__ = "intents"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"))
    render_id: Mapped[str] = mapped_column(ForeignKey("renders.id", ondelete="CASCADE"), index=True)
    run: Mapped[int]
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    remote_session_id: Mapped[str] = mapped_column(ForeignKey("remote_sessions.id"))
    message: Mapped[str]
    before: Mapped[str]
    """Fingerprint of the state before the message."""
    draft_before: Mapped[bytes | None]
    reserved_credits: Mapped[float]
    send_by: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default="open")
    cause: Mapped[str | None]
    """Why the end of the stream was not seen, or the code of a refusal."""
    answer: Mapped[str | None]
    clean_end: Mapped[bool] = mapped_column(server_default="false")
    terminal: Mapped[bool] = mapped_column(server_default="false")
    """The stream's last word was the model's: a clean end without it may be a truncated tail."""
    error_frame: Mapped[str | None]
    reads: Mapped[int] = mapped_column(server_default="0")
    unchanged_reads: Mapped[int] = mapped_column(server_default="0")
    seen: Mapped[str | None]
    """Fingerprint of the last read that had changed, and since when it has stood still."""
    seen_since: Mapped[datetime | None]
    evidence: Mapped[list[Any]] = mapped_column(server_default="[]")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    """When the stream ended or was lost."""
    last_read_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    watch_at: Mapped[datetime | None]
    """The next sparse read of one that nobody could be sure of when it was settled; None: not watched (any more)."""
    balance_before: Mapped[float | None]
    """The account's total credits as last read before the message, and when: evidence of what it cost, or did not."""
    balance_read_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ({})".format(", ".join(f"'{state.value}'" for state in IntentState)), name="state"),
        CheckConstraint(
            "(settled_at IS NOT NULL) = (state IN ({}))".format(", ".join(f"'{s.value}'" for s in sorted(SETTLED))),
            name="settled",
        ),
        Index(
            "uq_intents_one_turn_a_session",
            "remote_session_id",
            unique=True,
            postgresql_where=text("settled_at IS NULL"),
        ),
        CheckConstraint("watch_at IS NULL OR state IN ('unconfirmed', 'not_applied')", name="watched"),
        Index("ix_intents_watched", "watch_at", postgresql_where=text("watch_at IS NOT NULL")),
        Index("ix_intents_remote_session", "remote_session_id", "created_at"),
        Index("ix_intents_open", "render_id", "run", postgresql_where=text("settled_at IS NULL")),
    )


ABOUT_A_CLIP = 100.0
"""Credits: what the backend's contract says that one generation costs, about."""

ABOUT_AN_EDIT = 50.0
"""Credits: what it says of a message in a session that has a draft already."""

EVIDENCE_KEPT = 50
"""Reads kept with an intent, the last ones: five are the rule, a day of sparse ones are a hundred and forty."""


def unsettled(session: Session, render_id: str, run: int) -> Intent | None:
    """The run's message that may have been received and is not settled, if there is one."""
    return session.scalars(
        select(Intent).where(Intent.render_id == render_id, Intent.run == run, Intent.settled_at.is_(None))
    ).one_or_none()


def latest(session: Session, render_id: str, run: int) -> Intent | None:
    """The run's last message."""
    return session.scalars(
        select(Intent)
        .where(Intent.render_id == render_id, Intent.run == run)
        .order_by(Intent.created_at.desc(), Intent.id.desc())
        .limit(1)
    ).one_or_none()


def under_verification(session: Session, render: "Render") -> Intent | None:
    """The message whose draft is awaited: the last one that was not refused in the render's session, of this run or,
    where it goes on from work that is paid for, of an earlier one."""
    return session.scalars(
        select(Intent)
        .where(
            Intent.render_id == render.id,
            Intent.remote_session_id == render.remote_session_id,
            Intent.state.not_in([IntentState.UNSENT.value, IntentState.REFUSED.value]),
        )
        .order_by(Intent.created_at.desc(), Intent.id.desc())
        .limit(1)
    ).one_or_none()


def carried_out(session: Session, render_id: str, *, since_run: int) -> Intent | None:
    """The last message of the render, from a run on, that is known to have been carried out and whose draft is still
    the state of its session."""
    return session.scalars(
        select(Intent)
        .where(Intent.render_id == render_id, Intent.run >= since_run, Intent.state == IntentState.APPLIED.value)
        .where(~followed())
        .order_by(Intent.created_at.desc(), Intent.id.desc())
        .limit(1)
    ).one_or_none()


WANTING = {"wanting": True}
"""Found with a carried out message: its draft was read for long enough and cannot be exported."""


def followed(*, but: Sequence[str] = NOTHING_LEFT) -> ColumnElement[bool]:
    """That another message may have been received in an intent's session after it (those in states of `but` left out):
    the state there is no longer its own."""
    later = aliased(Intent)
    return (
        select(later.id)
        .where(
            later.remote_session_id == Intent.remote_session_id,
            later.id != Intent.id,
            later.created_at > Intent.created_at,
            later.state.not_in(but),
        )
        .exists()
    )


def is_followed(session: Session, intent: Intent, *, but: Sequence[str] = NOTHING_LEFT) -> bool:
    """Whether that is so of this one."""
    return session.scalar(select(Intent.id).where(Intent.id == intent.id, followed(but=but))) is not None


def may_be_at_work(session: Session, remote_session_id: str, *, apart_from: ColumnElement[bool]) -> datetime | None:
    """Until when a settled message of this session may still be at work there, those `apart_from` left out; None: all
    that was said in it is over.

    Over is what was seen to end with the model's words and no error, and then read for long without anything to export
    (the backend adds to a draft after the stream's end), and everything a stream's longest life after its sending. A
    watched message is over once it was read after that, too: the read is asked of the watch, and not waited for longer
    than the watch's interval.
    """
    waits = settings().waits
    ends = Intent.send_by + waits.stream_max_seconds
    seen_to_end = and_(Intent.clean_end, Intent.terminal, Intent.error_frame.is_(None), _read_for_long())
    unread = and_(
        Intent.watch_at.is_not(None),
        func.coalesce(Intent.last_read_at, Intent.created_at) < ends,
        func.now() < ends + waits.watch_seconds,
    )
    open_ones = (
        Intent.remote_session_id == remote_session_id,
        Intent.state.not_in(NOTHING_LEFT),
        Intent.settled_at.is_not(None),
        ~seen_to_end,
        ~apart_from,
        or_(func.now() < ends, unread),
    )
    session.execute(
        update(Intent)
        .where(*open_ones, Intent.watch_at > ends)
        .values(watch_at=ends)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(select(func.max(ends)).where(*open_ones))


def _read_for_long() -> ColumnElement[bool]:
    """That the reads after a message's end were as many as it takes to say that nothing was done, or that what was done
    cannot be exported. One whose render was called off before is not known to stand still."""
    unchanged = Intent.unchanged_reads >= settings().waits.lookup_reads
    return unchanged | Intent.evidence.contains([WANTING])


def may_still_come(session: Session, render_id: str, *, runs: range) -> datetime | None:
    """Until when a message of these runs may still be carried out although an error was told on its stream: its turn
    may live on for as long as a stream does, and one read after that tells. None: nothing more comes.

    That read is asked of the watch; a session that cannot be read is not waited for longer than the watch's interval.
    """
    waits = settings().waits
    ends = Intent.send_by + waits.stream_max_seconds
    open_ones = (
        Intent.render_id == render_id,
        Intent.run >= runs.start,
        Intent.run < runs.stop,
        Intent.state == IntentState.NOT_APPLIED.value,
        Intent.error_frame.is_not(None),
        Intent.watch_at.is_not(None),
        func.coalesce(Intent.last_read_at, Intent.created_at) < ends,
        func.now() < ends + waits.watch_seconds,
    )
    session.execute(
        update(Intent)
        .where(*open_ones, Intent.watch_at > ends)
        .values(watch_at=ends)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(select(func.max(ends)).where(*open_ones))


def count(session: Session, render_id: str, run: int, *states: IntentState) -> int:
    """How many of the run's messages are in one of `states`."""
    return session.execute(
        select(func.count())
        .select_from(Intent)
        .where(Intent.render_id == render_id, Intent.run == run, Intent.state.in_([state.value for state in states]))
    ).scalar_one()


def record(session: Session, intent_id: str, state: IntentState, **facts: Any) -> None:
    """Write what became known of a message. A settled one is never reopened: the guard leaves it as it is."""
    changes: dict[str, Any] = {"state": state.value}
    if state in SETTLED:
        changes["settled_at"] = func.now()
    if state in WATCHED:
        changes["watch_at"] = from_now(settings().waits.watch_seconds)
    changes |= facts
    written = session.execute(
        update(Intent)
        .where(Intent.id == intent_id, Intent.settled_at.is_(None))
        .values(**changes)
        .returning(Intent.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if written is not None:
        on_commit(session, INTENTS.labels(state.value).inc)


def record_read(session: Session, intent: Intent, fingerprint: str) -> None:
    """Note one read of the state: unchanged, or since when the changed state has stood still."""
    changed = fingerprint != intent.before
    finding = {"read": intent.reads + 1, "changed": changed, "fingerprint": fingerprint[:16]}
    changes: dict[str, Any] = {
        "reads": Intent.reads + 1,
        "unchanged_reads": Intent.unchanged_reads + (0 if changed else 1),
        "last_read_at": func.now(),
        "evidence": _kept([*intent.evidence, finding]),
    }
    if changed and fingerprint != intent.seen:
        changes |= {"seen": fingerprint, "seen_since": func.now()}
    session.execute(
        update(Intent).where(Intent.id == intent.id).values(**changes).execution_options(synchronize_session=False)
    )


def _kept(evidence: list[Any]) -> list[Any]:
    """Everything but the oldest of too many reads: what was told and found stays."""
    surplus = _reads(evidence) - EVIDENCE_KEPT
    return [one for place, one in enumerate(evidence) if "read" not in one or _reads(evidence[:place]) >= surplus]


def _reads(evidence: list[Any]) -> int:
    return sum("read" in finding for finding in evidence)


def record_finding(session: Session, intent: Intent, finding: dict[str, Any], **changes: Any) -> None:
    """Keep a finding that is no read of the state, in the order in which they came."""
    kept = Intent.evidence.op("||")(literal([finding], JSONB))
    session.execute(
        update(Intent)
        .where(Intent.id == intent.id)
        .values(evidence=kept, **changes)
        .execution_options(synchronize_session=False)
    )


def claim_watched(session: Session, *, limit: int) -> Sequence[Intent]:
    """Messages that are due for a sparse read; the next one is on file before this one is made."""
    waits = settings().waits
    due = (
        select(Intent.id)
        .where(Intent.watch_at <= func.now())
        .order_by(Intent.watch_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return session.scalars(
        update(Intent)
        .where(Intent.id.in_(session.scalars(due).all()))
        .values(watch_at=from_now(waits.watch_seconds))
        .returning(Intent)
        .execution_options(synchronize_session=False)
    ).all()


def is_any_watch_due(session: Session) -> bool:
    """Whether a watched message is due for its read."""
    return session.scalar(select(Intent.id).where(Intent.watch_at <= func.now()).limit(1)) is not None


def found_applied(session: Session, intent: Intent, finding: dict[str, Any]) -> bool:
    """A watched message turned out to have been carried out. False: that is on file already."""
    written = session.execute(
        update(Intent)
        .where(Intent.id == intent.id, Intent.state.in_([state.value for state in WATCHED]))
        .values(
            state=IntentState.APPLIED.value,
            watch_at=None,
            evidence=Intent.evidence.op("||")(literal([finding], JSONB)),
        )
        .returning(Intent.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if written is not None:
        on_commit(session, INTENTS.labels(IntentState.APPLIED.value).inc)
    return written is not None


def refusal_told(intent: Intent) -> int | None:
    """The backend's code that an error on the stream named, if it named one."""
    for finding in intent.evidence:
        if isinstance(finding, dict) and "told" in finding:
            return int(finding["told"])  # pyright: ignore[reportUnknownArgumentType] - JSON of our own
    return None


def charge(session: Session, render_id: str, run: int) -> tuple[str, float | None]:
    """What is known of the run's charge: its state, and the credits reserved for what was applied.

    One applied message makes it `incurred`; one that nobody can know about makes it `unknown`.
    """
    states = session.execute(
        select(Intent.state, func.sum(Intent.reserved_credits))
        .where(Intent.render_id == render_id, Intent.run == run)
        .group_by(Intent.state)
    ).all()
    credits = {IntentState(state): float(total) for state, total in states}
    if IntentState.APPLIED in credits:
        return "incurred", credits[IntentState.APPLIED]
    if credits.keys() - {IntentState.UNSENT, IntentState.REFUSED, IntentState.NOT_APPLIED}:
        return "unknown", None
    return "none", None

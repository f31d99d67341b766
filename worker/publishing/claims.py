"""The life of a publication, on its row: claimed, renewed, moved on, let go, ended.

Each claim raises the lease's number, and each write names it: whoever lost it writes nothing. A claim lasts until
`lease_until`, which each write moves on; after that the next look of the dispatcher gives it to another worker.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select, text, update
from sqlalchemy.orm import Session

from config.settings import settings
from worker.database import from_now
from worker.metrics.commits import on_commit
from worker.metrics.declared import PUBLICATIONS_ENDED
from worker.publishing import ending, publications
from worker.publishing.errors import Again, GivenUp
from worker.publishing.models import Publication, PublicationState, Publisher
from worker.publishing.scrubbing import ELSEWHERE, digested, wordless
from worker.renders import events
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Render, Result

MOST_EARLIER = 50
"""Of a product's earlier publications that may still have something at the shop."""
_AS_IS: dict[str, Any] = {"synchronize_session": False}
_FREE: dict[str, Any] = {"lease_until": None, "sent_at": None}
_WELL: dict[str, Any] = {"tries": 0, "failing_since": None, "error_code": None, "error_detail": None}


class LeaseLost(Exception):
    """Another worker has the publication, or it is over: whatever this one still holds of it is void."""


@dataclass(frozen=True)
class Held:
    """A claimed publication and all that its way needs."""

    publication: Publication
    publisher: Publisher
    lease: int
    result: Result | None
    external_ref: str | None
    earlier: Sequence[Publication]
    """Older ones of the same reference that may have something at the shop, first those that surely had."""


def claim(session: Session, publication_id: str, *, lease: int) -> Held | None:
    """Take a publication whose lease number is `lease`; None when it is not there to be taken, or not needed."""
    found = session.get(Publication, publication_id)
    if found is None:
        return None
    publications.alone(session, found.publisher_id, found.ref)
    ending.end_needless(session, Publication.id == publication_id)
    same = (Publication.publisher_id == found.publisher_id, Publication.ref == found.ref)
    if session.scalar(select(exists().where(*same, Publication.id != found.id, ending.in_hand(Publication)))):
        return None
    row = session.scalars(
        update(Publication)
        .where(
            Publication.id == publication_id,
            Publication.lease == lease,
            Publication.state == PublicationState.PENDING.value,
            Publication.ready_at <= func.now(),
            ~ending.in_hand(Publication),
            exists().where(Publisher.id == Publication.publisher_id, Publisher.disabled_at.is_(None)),
        )
        .values(lease=Publication.lease + 1, lease_until=_until(), sent_at=func.now())
        .returning(Publication)
        .execution_options(populate_existing=True, **_AS_IS)
    ).one_or_none()
    if row is None:
        return None
    return Held(
        row,
        session.get_one(Publisher, row.publisher_id),
        row.lease,
        session.get(Result, (row.render_id, row.run)),
        session.scalar(select(Render.external_ref).where(Render.id == row.render_id)),
        _earlier(session, row),
    )


def _earlier(session: Session, row: Publication) -> Sequence[Publication]:
    query = select(Publication).where(
        Publication.publisher_id == row.publisher_id,
        Publication.ref.in_((row.ref, digested(row.publisher_id, row.ref))),
        Publication.id != row.id,
        Publication.state != PublicationState.PENDING.value,
        ~Publication.remote.has_key(ELSEWHERE),
        ~Publication.remote.has_key("removed"),
        Publication.remote.has_key("product_id"),  # else it never came as far as the shop
    )
    unmade = func.jsonb_extract_path_text(Publication.remote, "media_id").is_(None)
    return session.scalars(query.order_by(unmade, Publication.number.desc()).limit(MOST_EARLIER)).all()


def renew(session: Session, held: Held) -> None:
    """It is being worked on. Raises LeaseLost."""
    _write(session, held)


def advance(session: Session, held: Held, step: str, remote: dict[str, Any]) -> None:
    """What a step came to is on file before the next is taken. Raises LeaseLost."""
    _write(session, held, step=step, remote=remote, **_WELL)


def wait(session: Session, held: Held, step: str, remote: dict[str, Any], pause: timedelta) -> None:
    """The shop is at work: ask again after `pause`. No fault. Raises LeaseLost."""
    _alone(session, held)
    _let_go(session, held, pause, step=step, remote=remote, **_WELL)


def again(session: Session, held: Held, fault: Again) -> bool:
    """The same step again after a growing pause; False where that was long enough and it is given up.

    Raises LeaseLost.
    """
    waits = settings().waits
    _alone(session, held)
    row = session.scalars(select(Publication).where(_mine(held)).with_for_update()).one_or_none()
    if row is None:
        raise LeaseLost
    since = row.failing_since or session.scalars(select(func.now())).one()
    late = session.scalar(select(func.now() - since > waits.publish_for_seconds))
    if late:
        end(session, held, GivenUp(fault.code, fault.detail))
        return False
    longest = waits.publish_longest_seconds
    pause = min(waits.retry_first_seconds * 2 ** min(row.tries, 30), longest) * random.uniform(0.75, 1.25)  # noqa: S311
    if fault.after is not None:
        pause = max(pause, min(timedelta(seconds=fault.after), longest))
    told = {"error_code": fault.code, "error_detail": fault.detail or None}
    _let_go(session, held, pause, tries=row.tries + 1, failing_since=since, **told)
    return True


def published(session: Session, held: Held, remote: dict[str, Any], removed: Sequence[str]) -> None:
    """It is at the shop, and what `removed` brought there earlier is not any more. Raises LeaseLost."""
    _finish(session, held, PublicationState.PUBLISHED, step="done", remote=remote, **_WELL)
    session.execute(
        update(Publication)
        .where(Publication.id.in_(removed))
        .values(remote=Publication.remote.op("||")(text("'{\"removed\": true}'::jsonb")))
        .execution_options(**_AS_IS)
    )
    well = {"succeeded_at": func.now(), "failing_since": None, "error_code": None}
    _on_publisher(session, held, **well)
    _tell(session, held, EventType.PUBLISHED)
    on_commit(session, PUBLICATIONS_ENDED.labels(held.publisher.kind, "published", "").inc)


def end(session: Session, held: Held, fault: GivenUp) -> None:
    """Given up, with the reason. Raises LeaseLost."""
    told = {"error_code": fault.code, "error_detail": fault.detail or None}
    _finish(session, held, PublicationState.FAILED, **told)
    _on_publisher(
        session, held, failing_since=func.coalesce(Publisher.failing_since, func.now()), error_code=fault.code
    )
    _tell(session, held, EventType.PUBLISH_FAILED, code=fault.code)
    on_commit(session, PUBLICATIONS_ENDED.labels(held.publisher.kind, "failed", fault.code).inc)


def _alone(session: Session, held: Held) -> None:
    """Before its row is locked, as everybody does: a newer one sees that this one is let go of, or this one sees it."""
    publications.alone(session, held.publication.publisher_id, held.publication.ref)


def _let_go(session: Session, held: Held, pause: timedelta, **values: Any) -> None:
    """Nobody has it until `pause` is over; one that was overtaken meanwhile would only keep the newer one waiting."""
    _write(session, held, ready_at=from_now(pause), **_FREE, **values)
    ending.end_needless(session, Publication.id == held.publication.id)


def _finish(session: Session, held: Held, state: PublicationState, **values: Any) -> None:
    _write(session, held, state=state.value, finished_at=func.now(), **_FREE, **values)
    mine, purged = held.publication, exists().where(Render.id == Publication.render_id, Render.purged_at.is_not(None))
    scrubbed = update(Publication).where(Publication.id == mine.id, purged).values(**wordless())
    session.execute(scrubbed.execution_options(**_AS_IS))


def _on_publisher(session: Session, held: Held, **values: Any) -> None:
    kept = {"updated_at": Publisher.updated_at}
    mine = Publisher.id == held.publisher.id
    session.execute(update(Publisher).where(mine).values(**values, **kept).execution_options(**_AS_IS))


def _tell(session: Session, held: Held, type: EventType, **more: Any) -> None:
    """An event of the render: only its number moves, nothing else of it."""
    row = held.publication
    number = session.scalars(
        update(Render)
        .where(Render.id == row.render_id, Render.purged_at.is_(None))
        .values(event_number=Render.event_number + 1, updated_at=Render.updated_at)
        .returning(Render.event_number)
        .execution_options(**_AS_IS)
    ).one_or_none()
    if number is None:
        return
    data = {"publisher_id": row.publisher_id, "publication_id": row.id, "ref": row.ref, **more}
    told = [NewEvent(type, data)]
    events.append(session, render_id=row.render_id, owner_id=row.owner_id, run=row.run, last=number, events=told)


def _write(session: Session, held: Held, **values: Any) -> None:
    values = {"lease_until": _until(), **values}
    written = update(Publication).where(_mine(held)).values(**values).returning(Publication.id)
    if session.execute(written.execution_options(**_AS_IS)).one_or_none() is None:
        raise LeaseLost


def _mine(held: Held) -> ColumnElement[bool]:
    return and_(
        Publication.id == held.publication.id,
        Publication.lease == held.lease,
        Publication.state == PublicationState.PENDING.value,
    )


def _until() -> ColumnElement[Any]:
    return from_now(settings().waits.publish_lease_seconds)

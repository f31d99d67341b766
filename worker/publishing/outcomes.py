"""What came of a claimed publication, on its row: moved on, let go, ended; and what that says of its publisher.

Locks are taken in one order: the publisher's row, then its publications', as by whoever changes or drops a publisher.
What ends one writes to its render, and so does without the product's lock (`publications.alone`): a message of a
trigger has the render's row first, and asks for that lock then.
"""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select, true, update
from sqlalchemy.orm import Session

from config.settings import settings
from worker.database import from_now
from worker.metrics.commits import on_commit
from worker.metrics.declared import PUBLICATIONS_ENDED
from worker.publishing import ending, publications
from worker.publishing.claims import Held, LeaseLost, borne_long_enough, mine, write
from worker.publishing.errors import OF_THE_PLACE, REFUSED, Again, Crowded, GivenUp
from worker.publishing.models import Publication, PublicationState, Publisher
from worker.publishing.scrubbing import wordless
from worker.renders import events
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Render

CROWDED_PAUSE = timedelta(seconds=15)
FIRST_HOLD = timedelta(seconds=15)
"""After a refusal; each further one is twice as long."""
_AS_IS: dict[str, Any] = {"synchronize_session": False}
_FREE: dict[str, Any] = {"lease_until": None, "sent_at": None}
_WELL: dict[str, Any] = {"tries": 0} | dict.fromkeys(("failing_since", "refused_at", "error_code", "error_detail"))


def advance(session: Session, held: Held, step: str, remote: dict[str, Any]) -> None:
    """What a step came to is on file before the next is taken. Where the way led back, what went wrong before counts
    until it is further than it was: else it would be tried for ever. Raises LeaseLost."""
    write(session, held, step=step, remote=remote, **({} if remote.get("back") else _WELL))


def wait(session: Session, held: Held, step: str, remote: dict[str, Any], pause: timedelta) -> None:
    """The shop is at work: ask again after `pause`. No fault. Raises LeaseLost."""
    _alone(session, held)
    _let_go(session, held, pause, step=step, remote=remote, **_WELL)


def again(session: Session, held: Held, fault: Again | Crowded) -> bool:
    """The same step again after a growing pause; False where that was long enough and it is given up. Where there was
    only no place for its call, again soon, and whatever is said of it stays. Raises LeaseLost."""
    if isinstance(fault, Crowded):
        _alone(session, held)
        _let_go(session, held, CROWDED_PAUSE)
        return True
    waits = settings().waits
    row = session.scalars(select(Publication).where(mine(held))).one_or_none()
    if row is None:
        raise LeaseLost
    now = session.scalars(select(func.now())).one()
    since = row.failing_since or now
    # Refused credentials have their own three days: they fail nothing for what went wrong before them.
    if borne_long_enough(session, since if fault.code != REFUSED else row.refused_at or now):
        end(session, held, GivenUp(fault.code, fault.detail))
        return False
    _alone(session, held)
    longest = waits.publish_longest_seconds
    pause = min(waits.retry_first_seconds * 2 ** min(row.tries, 30), longest)
    pause *= random.uniform(0.75, 1.25)  # noqa: S311 - no secret: what failed together does not come back together
    if fault.after is not None:
        pause = max(pause, min(timedelta(seconds=fault.after), longest))
    told: dict[str, Any] = {"error_code": fault.code, "error_detail": fault.detail or None}
    if fault.code == REFUSED:
        told["refused_at"] = func.coalesce(Publication.refused_at, func.now())
        _fails(session, held, fault.code, quiet_until=func.now() + _as_long_again())
        pause, since = timedelta(), now  # the time of faults that pass begins after it
    elif fault.code in OF_THE_PLACE:
        _fails(session, held, fault.code)
    _let_go(session, held, pause, tries=row.tries + 1, failing_since=since, **told)
    return True


def refused(session: Session, held: Held, fault: GivenUp) -> bool:
    """The credentials were: that is every publication's fault, so the publisher is left alone, longer each time, and
    none of them fails; at once again where the credentials are others by now. False where it is this one's alone, as
    others went through since it was refused before, or where that was long enough. Raises LeaseLost."""
    since = session.scalars(select(Publication.refused_at).where(mine(held))).one_or_none()
    succeeded = session.scalars(select(Publisher.succeeded_at).where(Publisher.id == held.publisher.id)).one_or_none()
    if since is not None and succeeded is not None and succeeded > since:
        end(session, held, fault)
        return False
    return again(session, held, Again(fault.code, fault.detail))


def published(
    session: Session, held: Held, remote: dict[str, Any], removed: Sequence[str], left: Sequence[str] = ()
) -> None:
    """It is at the shop, and what `removed` brought there earlier is not any more; what `left` may have stays, and was
    said. Raises LeaseLost."""
    # A claim that began before a refusal proves nothing against it: its calls may all have been before.
    began = held.publication.sent_at
    proves = func.coalesce(Publisher.quiet_until <= began, true())
    _on_publisher(session, held, succeeded_at=func.greatest(Publisher.succeeded_at, began))
    _on_publisher(session, held, proves, failing_since=None, error_code=None, quiet_until=None)
    _finish(session, held, PublicationState.PUBLISHED, step="done", remote=remote, **_WELL)
    _tell(session, held, EventType.PUBLISHED)  # which has the render's row, as who deletes it has before these
    _note(session, removed, "removed")
    _note(session, left, "left")
    on_commit(session, PUBLICATIONS_ENDED.labels(held.publisher.kind, "published", "").inc)


def _note(session: Session, ids: Sequence[str], what: str) -> None:
    """Of earlier ones."""
    noted = Publication.remote.op("||")(func.jsonb_build_object(what, true()))
    earlier = update(Publication).where(Publication.id.in_(ids)).values(remote=noted)
    session.execute(earlier.execution_options(**_AS_IS))


def end(session: Session, held: Held, fault: GivenUp) -> None:
    """Given up, with the reason. Raises LeaseLost."""
    told = {"error_code": fault.code, "error_detail": fault.detail or None}
    _fails(session, held, fault.code)
    _finish(session, held, PublicationState.FAILED, **told)
    _tell(session, held, EventType.PUBLISH_FAILED, code=fault.code)
    on_commit(session, PUBLICATIONS_ENDED.labels(held.publisher.kind, "failed", fault.code).inc)


def _alone(session: Session, held: Held) -> None:
    """Before its row is locked, as everybody does: a newer one sees that this one is let go of, or this one sees it."""
    publications.alone(session, held.publication.publisher_id, held.publication.ref)


def _let_go(session: Session, held: Held, pause: timedelta, **values: Any) -> None:
    """Nobody has it until `pause` is over; one that was overtaken meanwhile would only keep the newer one waiting."""
    write(session, held, ready_at=from_now(pause), **_FREE, **values)
    ending.end_needless(session, Publication.id == held.publication.id)


def _finish(session: Session, held: Held, state: PublicationState, **values: Any) -> None:
    write(session, held, state=state.value, finished_at=func.now(), **_FREE, **values)


def _fails(session: Session, held: Held, code: str, **more: Any) -> None:
    """Not where it is told something else by now: that is a new start. A product's fault leaves standing what is said
    of the whole shop."""
    since = func.coalesce(Publisher.failing_since, func.now())
    if code == REFUSED:
        since = case((Publisher.error_code == REFUSED, since), else_=func.now())
    of_the_shop = code in OF_THE_PLACE or Publisher.error_code.is_(None) | Publisher.error_code.not_in(OF_THE_PLACE)
    told = code if of_the_shop is True else case((of_the_shop, code), else_=Publisher.error_code)
    _on_publisher(session, held, _told_the_same(held), failing_since=since, error_code=told, **more)


def _as_long_again() -> ColumnElement[timedelta]:
    """A publisher's pause: as long as its credentials are refused, so that each is twice the one before."""
    borne = case((Publisher.error_code == REFUSED, func.now() - Publisher.failing_since))  # NULL is passed over
    return func.least(func.greatest(borne, FIRST_HOLD), settings().waits.publish_longest_seconds)


def _told_the_same(held: Held) -> ColumnElement[bool]:
    was = held.publisher
    return and_(Publisher.credentials_encrypted == was.credentials_encrypted, Publisher.settings == was.settings)


def _on_publisher(session: Session, held: Held, *where: ColumnElement[bool], **values: Any) -> None:
    kept = {"updated_at": Publisher.updated_at}
    its = and_(Publisher.id == held.publisher.id, *where)
    session.execute(update(Publisher).where(its).values(**values, **kept).execution_options(**_AS_IS))


def _tell(session: Session, held: Held, type: EventType, **more: Any) -> None:
    """An event of the render: only its number moves, nothing else of it. Where that was deleted, also in this moment,
    there is none, and its publication loses its words."""
    row = held.publication
    number = session.scalars(
        update(Render)
        .where(Render.id == row.render_id, Render.purged_at.is_(None))
        .values(event_number=Render.event_number + 1, updated_at=Render.updated_at)
        .returning(Render.event_number)
        .execution_options(**_AS_IS)
    ).one_or_none()
    if number is None:
        scrubbed = update(Publication).where(Publication.id == row.id).values(**wordless())
        session.execute(scrubbed.execution_options(**_AS_IS))
        return
    data = {"publisher_id": row.publisher_id, "publication_id": row.id, "ref": row.ref, **more}
    told = [NewEvent(type, data)]
    events.append(session, render_id=row.render_id, owner_id=row.owner_id, run=row.run, last=number, events=told)

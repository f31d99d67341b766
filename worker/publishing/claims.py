"""The life of a publication, on its row: claimed, renewed, moved on, let go, ended.

Each claim raises the lease's number, and each write names it: whoever lost it writes nothing. A claim lasts until
`lease_until`, which each write moves on; after that the next look of the dispatcher gives it to another worker.

Locks are taken in one order: the publisher's row, then its publications', as by whoever changes or drops a publisher.
What ends one writes to its render, and so does without the product's lock (`publications.alone`): a message of a
trigger has the render's row first, and asks for that lock then.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, select, true, update
from sqlalchemy.orm import Session

from config.settings import settings
from worker.database import from_now
from worker.metrics.commits import on_commit
from worker.metrics.declared import PUBLICATIONS_ENDED
from worker.publishing import ending, publications
from worker.publishing.errors import OF_THE_PLACE, REFUSED, Again, Crowded, GivenUp
from worker.publishing.models import Publication, PublicationState, Publisher
from worker.publishing.scrubbing import digested, wordless
from worker.renders import events
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Render, Result

MOST_EARLIER = 50
"""Of a product's earlier publications that may still have something at the shop."""
CROWDED_PAUSE = timedelta(seconds=15)
FIRST_HOLD = timedelta(seconds=15)
"""After a refusal; each further one is twice as long."""
_AS_IS: dict[str, Any] = {"synchronize_session": False}
_FREE: dict[str, Any] = {"lease_until": None, "sent_at": None}
_WELL: dict[str, Any] = {"tries": 0} | dict.fromkeys(("failing_since", "refused_at", "error_code", "error_detail"))


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
    """Older ones that may have something of this product at the shop, by its reference or the one that it had before;
    first those that surely have."""
    lost: bool = False
    """No worker came back from it, for as long as faults are borne with: it would end workers for ever."""


def claim(session: Session, publication_id: str, *, lease: int) -> Held | None:
    """Take a publication whose lease number is `lease`; None when it is not there to be taken, or not needed. A claim
    that ended by itself before was a fault."""
    found = session.get(Publication, publication_id)
    if found is None:
        return None
    publications.alone(session, found.publisher_id, found.ref)
    # Who gives it another shop sees this claim, or is waited for, and its settings are read afterwards.
    its = select(Publisher.id).where(Publisher.id == found.publisher_id)
    session.execute(its.with_for_update(read=True, key_share=True))
    ending.end_needless(session, Publication.id == publication_id)
    same = (Publication.publisher_id == found.publisher_id, Publication.ref == found.ref)
    if session.scalar(select(exists().where(*same, Publication.id != found.id, ending.in_hand(Publication)))):
        return None
    lapsed = Publication.lease_until.is_not(None)
    was_lapsed = session.scalar(select(lapsed).where(Publication.id == publication_id).with_for_update())
    row = session.scalars(
        update(Publication)
        .where(
            Publication.id == publication_id,
            Publication.lease == lease,
            Publication.state == PublicationState.PENDING.value,
            Publication.ready_at <= func.now(),
            ~ending.in_hand(Publication),
            exists().where(Publisher.id == Publication.publisher_id, _is_open()),
        )
        .values(
            lease=Publication.lease + 1,
            lease_until=_until(),
            sent_at=func.now(),
            tries=Publication.tries + case((lapsed, 1), else_=0),
            failing_since=case(
                (lapsed, func.coalesce(Publication.failing_since, func.now())), else_=Publication.failing_since
            ),
        )
        .returning(Publication)
        .execution_options(populate_existing=True, **_AS_IS)
    ).one_or_none()
    if row is None:
        _give_back(session, publication_id, lease)
        return None
    return Held(
        row,
        session.get_one(Publisher, row.publisher_id),
        row.lease,
        session.get(Result, (row.render_id, row.run)),
        session.scalar(select(Render.external_ref).where(Render.id == row.render_id)),
        _earlier(session, row),
        lost=bool(was_lapsed) and _borne_long_enough(session, row.failing_since),
    )


def _give_back(session: Session, publication_id: str, lease: int) -> None:
    """Nothing is brought to its publisher now. Told of or not, nobody has it: else it would count as in flight until it
    is taken for lost, though the publisher is open again."""
    mine = Publication.id == publication_id, Publication.lease == lease, Publication.lease_until.is_(None)
    waits = Publication.state == PublicationState.PENDING.value, Publication.sent_at.is_not(None)
    closed = exists().where(Publisher.id == Publication.publisher_id, ~_is_open())
    session.execute(update(Publication).where(*mine, *waits, closed).values(sent_at=None).execution_options(**_AS_IS))


def _borne_long_enough(session: Session, since: datetime | None) -> bool:
    return bool(session.scalar(select(func.now() - since > settings().waits.publish_for_seconds)))


def _is_open() -> ColumnElement[bool]:
    """Those that anything is brought to now."""
    return and_(Publisher.disabled_at.is_(None), func.coalesce(Publisher.quiet_until <= func.now(), true()))


def _earlier(session: Session, row: Publication) -> Sequence[Publication]:
    query = select(Publication).where(
        Publication.publisher_id == row.publisher_id,
        _under(row, *publications.references(row.ref, row.product)),
        # A newer one under the product's other reference did not end this one, so it is not ended by this one either.
        _under(row, row.ref) | (Publication.number < row.number),
        Publication.id != row.id,
        Publication.state != PublicationState.PENDING.value,
        ~Publication.remote.has_key("removed"),
        Publication.remote.has_key("product_id"),  # else it never came as far as the shop
    )
    unmade = func.jsonb_extract_path_text(Publication.remote, "media_id").is_(None)
    return session.scalars(query.order_by(unmade, Publication.number.desc()).limit(MOST_EARLIER)).all()


def _under(row: Publication, *refs: str) -> ColumnElement[bool]:
    """Those by one of these references, also of renders that were deleted."""
    return Publication.ref.in_((*refs, *(digested(row.publisher_id, one) for one in refs)))


def renew(session: Session, held: Held) -> None:
    """It is being worked on. Raises LeaseLost."""
    _write(session, held)


def advance(session: Session, held: Held, step: str, remote: dict[str, Any]) -> None:
    """What a step came to is on file before the next is taken. Where the way led back, what went wrong before counts
    until it is further than it was: else it would be tried for ever. Raises LeaseLost."""
    _write(session, held, step=step, remote=remote, **({} if remote.get("back") else _WELL))


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
    row = session.scalars(select(Publication).where(_mine(held))).one_or_none()
    if row is None:
        raise LeaseLost
    now = session.scalars(select(func.now())).one()
    since = row.failing_since or now
    # Refused credentials have their own three days: they fail nothing for what went wrong before them.
    if _borne_long_enough(session, since if fault.code != REFUSED else row.refused_at or now):
        end(session, held, GivenUp(fault.code, fault.detail))
        return False
    _alone(session, held)
    longest = waits.publish_longest_seconds
    pause = min(waits.retry_first_seconds * 2 ** min(row.tries, 30), longest) * random.uniform(0.75, 1.25)  # noqa: S311
    if fault.after is not None:
        pause = max(pause, min(timedelta(seconds=fault.after), longest))
    told: dict[str, Any] = {"error_code": fault.code, "error_detail": fault.detail or None}
    if fault.code == REFUSED:
        told["refused_at"] = func.coalesce(Publication.refused_at, func.now())
        _fails(session, held, fault.code, quiet_until=func.now() + _as_long_again())
        pause = timedelta()
    elif fault.code in OF_THE_PLACE:
        _fails(session, held, fault.code)
    _let_go(session, held, pause, tries=row.tries + 1, failing_since=since, **told)
    return True


def refused(session: Session, held: Held, fault: GivenUp) -> bool:
    """The credentials were: that is every publication's fault, so the publisher is left alone, longer each time, and
    none of them fails; at once again where the credentials are others by now. False where it is this one's alone, as
    others went through since it was refused before, or where that was long enough. Raises LeaseLost."""
    since = session.scalars(select(Publication.refused_at).where(_mine(held))).one_or_none()
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
    _write(session, held, ready_at=from_now(pause), **_FREE, **values)
    ending.end_needless(session, Publication.id == held.publication.id)


def _finish(session: Session, held: Held, state: PublicationState, **values: Any) -> None:
    _write(session, held, state=state.value, finished_at=func.now(), **_FREE, **values)


def _fails(session: Session, held: Held, code: str, **more: Any) -> None:
    """Not where it is told something else by now: that is a new start. A product's fault leaves standing what is said
    of the whole shop."""
    since = func.coalesce(Publisher.failing_since, func.now())
    of_the_shop = code in OF_THE_PLACE or Publisher.error_code.is_(None) | Publisher.error_code.not_in(OF_THE_PLACE)
    told = code if of_the_shop is True else case((of_the_shop, code), else_=Publisher.error_code)
    _on_publisher(session, held, _told_the_same(held), failing_since=since, error_code=told, **more)


def _as_long_again() -> ColumnElement[timedelta]:
    """A publisher's pause: as long as it has had faults, so that each is twice the one before."""
    borne = func.now() - Publisher.failing_since  # NULL is passed over
    return func.least(func.greatest(borne, FIRST_HOLD), settings().waits.publish_longest_seconds)


def _told_the_same(held: Held) -> ColumnElement[bool]:
    was = held.publisher
    return and_(Publisher.credentials_encrypted == was.credentials_encrypted, Publisher.settings == was.settings)


def _on_publisher(session: Session, held: Held, *where: ColumnElement[bool], **values: Any) -> None:
    kept = {"updated_at": Publisher.updated_at}
    mine = and_(Publisher.id == held.publisher.id, *where)
    session.execute(update(Publisher).where(mine).values(**values, **kept).execution_options(**_AS_IS))


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

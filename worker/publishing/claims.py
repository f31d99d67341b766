"""A publication in a worker's hands: claimed, renewed, written to.

Each claim raises the lease's number, and each write names it: whoever lost it writes nothing. A claim lasts until
`lease_until`, which each write moves on; after that the next look of the dispatcher gives it to another worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, select, true, update
from sqlalchemy.orm import Session

from config.settings import settings
from worker.database import from_now
from worker.publishing import ending, publications
from worker.publishing.models import Publication, PublicationState, Publisher
from worker.publishing.scrubbing import digested
from worker.renders.models import Render, Result

MOST_EARLIER = 50
"""Of a product's earlier publications that may still have something at the shop."""
_AS_IS: dict[str, Any] = {"synchronize_session": False}


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
        lost=bool(was_lapsed) and borne_long_enough(session, row.failing_since),
    )


def _give_back(session: Session, publication_id: str, lease: int) -> None:
    """Nothing is brought to its publisher now. Told of or not, nobody has it: else it would count as in flight until it
    is taken for lost, though the publisher is open again."""
    its = Publication.id == publication_id, Publication.lease == lease, Publication.lease_until.is_(None)
    waits = Publication.state == PublicationState.PENDING.value, Publication.sent_at.is_not(None)
    closed = exists().where(Publisher.id == Publication.publisher_id, ~_is_open())
    session.execute(update(Publication).where(*its, *waits, closed).values(sent_at=None).execution_options(**_AS_IS))


def borne_long_enough(session: Session, since: datetime | None) -> bool:
    """Whether faults since then are as many days old as they are borne with."""
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
    write(session, held)


def write(session: Session, held: Held, **values: Any) -> None:
    """Change the row, and move the claim's end on. Raises LeaseLost."""
    values = {"lease_until": _until(), **values}
    written = update(Publication).where(mine(held)).values(**values).returning(Publication.id)
    if session.execute(written.execution_options(**_AS_IS)).one_or_none() is None:
        raise LeaseLost


def mine(held: Held) -> ColumnElement[bool]:
    """The row, as long as this claim of it holds."""
    return and_(
        Publication.id == held.publication.id,
        Publication.lease == held.lease,
        Publication.state == PublicationState.PENDING.value,
    )


def _until() -> ColumnElement[Any]:
    return from_now(settings().waits.publish_lease_seconds)

"""Publications are kept as long as their video may be in a shop; others for a month after their end."""

from datetime import timedelta

from sqlalchemy import delete, exists, or_, select, text
from sqlalchemy.orm import Session, aliased

from worker.database import ago
from worker.publishing.models import Publication

KEPT = timedelta(days=30)
AT_ONCE = 5_000


def forget(session: Session) -> int:
    """Delete up to `AT_ONCE` that never began or whose video is off the product again, but for each product's newest,
    which says what was asked for last; how many."""
    newer = aliased(Publication)
    overtaken = exists().where(
        newer.publisher_id == Publication.publisher_id,
        newer.ref == Publication.ref,
        newer.number > Publication.number,
    )
    nothing_there = or_(Publication.remote == text("'{}'"), Publication.remote.has_key("removed"))
    old = select(Publication.id).where(Publication.finished_at < ago(KEPT), nothing_there, overtaken).limit(AT_ONCE)
    gone = delete(Publication).where(Publication.id.in_(old.with_for_update(of=Publication, skip_locked=True)))
    return len(session.execute(gone.returning(Publication.id).execution_options(synchronize_session=False)).all())

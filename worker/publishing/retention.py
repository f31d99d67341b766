"""Publications are kept as long as their video may be in a shop, and each render's newest for a product as long as that
render can be asked for: it says that this was done. Others go a month after their end."""

from datetime import timedelta

from sqlalchemy import Select, delete, exists, literal_column, or_, select, text
from sqlalchemy.orm import Session, aliased

from worker.database import ago
from worker.publishing.models import DIGEST, Publication

KEPT = timedelta(days=30)
AT_ONCE = 5_000

_NOTHING_THERE = or_(Publication.remote == text("'{}'"), Publication.remote.has_key("removed"))
_DELETED = Publication.ref.regexp_match(literal_column(f"'{DIGEST}'"))
"""Its render was: it is never asked for again."""


def forget(session: Session) -> int:
    """Delete up to `AT_ONCE` that may go; how many."""
    ids = session.scalars(over().with_for_update(of=Publication, skip_locked=True)).all()
    gone = delete(Publication).where(Publication.id.in_(ids))
    return len(session.execute(gone.returning(Publication.id).execution_options(synchronize_session=False)).all())


def over() -> Select[str]:
    """Up to `AT_ONCE` that have nothing in a shop, and whose render was deleted or asked for again there; found by
    `ix_publications_over`, however many are kept."""
    newer = aliased(Publication)
    repeated = exists().where(
        newer.publisher_id == Publication.publisher_id,
        newer.ref == Publication.ref,
        newer.number > Publication.number,
        newer.render_id == Publication.render_id,
        newer.run == Publication.run,
    )
    unasked = or_(Publication.asked_again, _DELETED), or_(_DELETED, repeated)
    return select(Publication.id).where(Publication.finished_at < ago(KEPT), _NOTHING_THERE, *unasked).limit(AT_ONCE)

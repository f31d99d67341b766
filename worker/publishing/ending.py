"""What nobody needs any more is ended: older videos of a product that has a newer one, and videos that were deleted.

That is done where it comes about (a newer one is asked for, a render is deleted), not looked for. One that a worker has
in hand is left to it: it is ended as soon as it is let go of, at the latest when it is claimed again.
"""

from collections import Counter
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from worker.metrics.commits import on_commit
from worker.metrics.declared import PUBLICATIONS_ENDED
from worker.publishing.models import Publication, PublicationState, Publisher
from worker.publishing.scrubbing import wordless
from worker.renders.models import Render


def end_needless(session: Session, *only: ColumnElement[bool]) -> None:
    """Of those that `only` names: supersede what is older than another video of its product that is there or on its
    way, end what has no video. Rows that another transaction has locked are passed over."""
    free = Publication.state == PublicationState.PENDING.value, ~in_hand(Publication), *only
    newer = aliased(Publication)
    overtaken = exists().where(
        newer.publisher_id == Publication.publisher_id,
        newer.ref == Publication.ref,
        newer.state.in_((PublicationState.PENDING.value, PublicationState.PUBLISHED.value)),
        newer.number > Publication.number,
    )
    purged = exists().where(Render.id == Publication.render_id, Render.purged_at.is_not(None))
    _end(session, and_(*free, purged), PublicationState.FAILED, "publish.no_video", **wordless())
    _end(session, and_(*free, overtaken), PublicationState.SUPERSEDED, None)


def _end(session: Session, which: ColumnElement[bool], state: PublicationState, code: str | None, **more: Any) -> None:
    ids = select(Publication.id).where(which).with_for_update(skip_locked=True)
    ended = {"state": state.value, "error_code": code, "finished_at": func.now()}
    free = {"lease_until": None, "sent_at": None, "lease": Publication.lease + 1}
    kinds = session.scalars(
        update(Publication)
        .where(Publication.id.in_(ids), Publisher.id == Publication.publisher_id)
        .values(**ended, **free, **more)
        .returning(Publisher.kind)
        .execution_options(synchronize_session=False)
    ).all()
    for kind, count in Counter(kinds).items():
        on_commit(session, partial(PUBLICATIONS_ENDED.labels(kind, state.value, code or "").inc, count))


def in_hand(row: Any) -> ColumnElement[bool]:
    """A worker has it, as far as is known."""
    return and_(row.lease_until.is_not(None), row.lease_until >= func.now())

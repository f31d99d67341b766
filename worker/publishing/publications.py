"""Publications as their owner sees them: asked for, listed, shown, retried."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.database import new_id
from worker.publishing.models import Publication, PublicationState
from worker.renders.models import Render
from worker.renders.states import Status

ELSEWHERE = "elsewhere"
"""In `remote`: its publisher's place is another one since, and what it has of the shop means nothing there."""
_DELETED = "deleted:"


class NotFailed(Exception):
    """Only what failed is retried."""


@dataclass(frozen=True)
class Filter:
    """Which publications; None: all."""

    publisher_id: str | None = None
    render_id: str | None = None
    state: PublicationState | None = None


@dataclass(frozen=True)
class Wish:
    """A video that belongs to a product at a publisher's."""

    publisher_id: str
    owner_id: str
    render_id: str
    run: int
    ref: str
    product: Mapping[str, Any]


def ask(
    session: Session, publisher_id: str, render: Render, ref: str, product: Mapping[str, Any]
) -> Publication | None:
    """Have a finished render's video brought to a product; None where that is what was asked for last, or there is no
    video (yet: the relay asks once it is there)."""
    if render.status != Status.SUCCEEDED or render.purged_at is not None:
        return None
    made = put(session, [Wish(publisher_id, render.owner_id, render.id, render.run, ref, product)])
    return made[0] if made else None


def put(session: Session, wishes: Sequence[Wish], *, late: bool = False) -> Sequence[Publication]:
    """Those that were not on file: a product has, or is about to have, what was asked for last. The same video after
    another one is asked for anew. `late`: of a finished render, which may have been overtaken by one that was asked for
    after it."""
    made: list[Publication] = []
    for one in sorted(wishes, key=lambda wish: (wish.publisher_id, wish.ref, wish.render_id)):
        alone(session, one.publisher_id, one.ref)
        last = newest(session, one.publisher_id, one.ref)
        if last is not None and (_is_of(last, one) or (late and (last.render_id, last.run) > (one.render_id, one.run))):
            continue
        row = {"id": new_id("pbn"), **{name: getattr(one, name) for name in _COLUMNS}}
        made.append(session.scalars(insert(Publication).values(row).returning(Publication)).one())
    return made


def alone(session: Session, publisher_id: str, ref: str) -> None:
    """What is decided of one product's publications comes one after the other, to this transaction's end."""
    product = f"publications\n{publisher_id}\n{ref}"
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(product, 0))))


def newest(session: Session, publisher_id: str, ref: str) -> Publication | None:
    """What was asked for last for a product."""
    its = Publication.publisher_id == publisher_id, Publication.ref == ref
    return session.scalars(select(Publication).where(*its).order_by(Publication.number.desc()).limit(1)).one_or_none()


def _is_of(last: Publication, wish: Wish) -> bool:
    there = last.state in (PublicationState.PENDING, PublicationState.PUBLISHED)
    return there and (last.render_id, last.run) == (wish.render_id, wish.run)


_COLUMNS = tuple(Wish.__dataclass_fields__)


def get(session: Session, owner_id: str, publication_id: str) -> Publication | None:
    """The owner's, or None."""
    query = select(Publication).where(Publication.id == publication_id, Publication.owner_id == owner_id)
    return session.scalars(query).one_or_none()


def page(
    session: Session,
    owner_id: str,
    wanted: Filter,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> Sequence[Publication]:
    """Up to `limit` of the owner's publications, newest first, behind `after` (keyset: creation time and id)."""
    query = select(Publication).where(Publication.owner_id == owner_id)
    if wanted.publisher_id is not None:
        query = query.where(Publication.publisher_id == wanted.publisher_id)
    if wanted.render_id is not None:
        query = query.where(Publication.render_id == wanted.render_id)
    if wanted.state is not None:
        query = query.where(Publication.state == wanted.state.value)
    if after is not None:
        query = query.where(tuple_(Publication.created_at, Publication.id) < tuple_(*after))
    return session.scalars(query.order_by(Publication.created_at.desc(), Publication.id.desc()).limit(limit)).all()


def retry(session: Session, owner_id: str, publication_id: str) -> Publication | None:
    """Try one that failed again, now; None where the owner has no such one. What it made before is on file and is
    asked after first, so nothing comes twice. Raises NotFailed."""
    row = session.scalars(
        select(Publication)
        .where(Publication.id == publication_id, Publication.owner_id == owner_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        return None
    if row.state != PublicationState.FAILED:
        raise NotFailed
    session.execute(
        update(Publication)
        .where(Publication.id == row.id)
        .values(
            state=PublicationState.PENDING.value,
            step="begin",
            remote=case((Publication.remote.has_key(ELSEWHERE), text("'{}'::jsonb")), else_=Publication.remote),
            tries=0,
            failing_since=None,
            sent_at=None,
            lease_until=None,
            error_code=None,
            error_detail=None,
            finished_at=None,
            ready_at=func.now(),
        )
        .execution_options(synchronize_session=False)
    )
    session.refresh(row)
    return row


def begin_anew(session: Session, publisher_id: str) -> None:
    """A publisher's place is another one: what waits begins there, whoever has it in hand writes nothing more, and what
    is final belongs to the old place and is left alone there."""
    its = Publication.publisher_id == publisher_id
    pending = Publication.state == PublicationState.PENDING.value
    afresh = {"step": "begin", "remote": {}, "lease": Publication.lease + 1, "tries": 0, "ready_at": func.now()}
    free = dict.fromkeys(("lease_until", "sent_at", "failing_since", "error_code", "error_detail"))
    _set(session, and_(its, pending), afresh | free)
    _set(session, and_(its, ~pending), {"remote": Publication.remote.op("||")(text("'{\"elsewhere\": true}'::jsonb"))})


def scrub(session: Session, render: Render) -> None:
    """Take the words out of a deleted render's publications, and end those that wait. One that a worker has in hand
    loses them when it is over."""
    its = Publication.render_id == render.id
    pending = Publication.state == PublicationState.PENDING.value
    free = or_(Publication.lease_until.is_(None), Publication.lease_until < func.now())
    _set(session, and_(its, ~pending), wordless())
    ended = {"state": PublicationState.FAILED.value, "error_code": "publish.no_video", "finished_at": func.now()}
    void = {"lease": Publication.lease + 1, "lease_until": None, "sent_at": None}
    _set(session, and_(its, pending, free), wordless() | ended | void)


def wordless() -> dict[str, Any]:
    """Values for a publication whose render was deleted. What the shop calls the video stays: the product's next one
    replaces it. So does the reference, as a digest that tells it again to who knows it."""
    its = Publication.remote
    named = func.jsonb_strip_nulls(
        func.jsonb_build_object(
            *(part for name in _KEPT for part in (text(f"'{name}'"), func.jsonb_extract_path(its, name)))
        )
    )
    return {"ref": digest(), "product": {}, "remote": named, "error_detail": None}


def digest() -> ColumnElement[str]:
    """Of a publication's reference; of a digest, itself."""
    told = func.convert_to(Publication.publisher_id + "\n" + Publication.ref, "UTF8")
    hashed = literal(_DELETED) + func.encode(func.sha256(told), "hex")
    return case((Publication.ref.startswith(_DELETED), Publication.ref), else_=hashed)


def digested(publisher_id: str, ref: str) -> str:
    """As `digest`, of what is not on file yet."""
    return _DELETED + hashlib.sha256(f"{publisher_id}\n{ref}".encode()).hexdigest()


def _set(session: Session, which: ColumnElement[bool], values: Mapping[str, Any]) -> None:
    session.execute(update(Publication).where(which).values(**values).execution_options(synchronize_session=False))


_KEPT = ("media_id", "product_id", "removed", ELSEWHERE)
"""Of `remote`: nothing that anybody wrote, and no address."""

"""Publications as their owner sees them: asked for, listed, shown, retried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, literal_column, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.database import new_id
from worker.publishing import ending
from worker.publishing.models import Publication, PublicationState
from worker.publishing.scrubbing import digested, wordless
from worker.renders.models import Render
from worker.renders.states import Status


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
    late: bool = False
    """It may have been overtaken by one that was asked for since: never over a render that is newer than its own."""


def ask(
    session: Session, publisher_id: str, render: Render, ref: str, product: Mapping[str, Any]
) -> Publication | None:
    """Have a finished render's video brought to a product; None where that is what was asked for last, or there is no
    video (yet: the relay asks once it is there)."""
    if render.status != Status.SUCCEEDED or render.purged_at is not None:
        return None
    made = put(session, [Wish(publisher_id, render.owner_id, render.id, render.run, ref, product)])
    return made[0] if made else None


def ask_where_new(
    session: Session, publisher_id: str, render: Render, ref: str, product: Mapping[str, Any], *, moved: bool
) -> Publication | None:
    """As `ask`, for a message about a product that did not change, which may be the echo of an edit by ours: only what
    was never asked for there, or, where the product `moved` to this render from another, what did not fail."""
    alone(session, publisher_id, ref)
    its = Publication.render_id == render.id, Publication.run == render.run, Publication.ref == ref
    query = select(Publication.state).where(*its, Publication.publisher_id == publisher_id)
    before = session.scalars(query.order_by(Publication.number.desc()).limit(1)).one_or_none()
    if before is None or (moved and before != PublicationState.FAILED):
        return ask(session, publisher_id, render, ref, product)
    return None


def put(session: Session, wishes: Sequence[Wish]) -> Sequence[Publication]:
    """Those that were not on file: a product has, or is about to have, what was asked for last. The same video after
    another one is asked for anew."""
    made: list[Publication] = []
    for one in sorted(wishes, key=lambda wish: (wish.publisher_id, wish.ref, wish.render_id)):
        alone(session, one.publisher_id, one.ref)
        last = newest(session, one.publisher_id, one.ref)
        if last is not None and (
            _is_of(last, one) or (one.late and (last.render_id, last.run) > (one.render_id, one.run))
        ):
            continue
        row = {"id": new_id("pbn")} | {name: getattr(one, name) for name in _COLUMNS}
        made.append(session.scalars(insert(Publication).values(row).returning(Publication)).one())
        if last is not None:
            its = Publication.publisher_id == one.publisher_id, Publication.ref == one.ref
            _asked_again(session, made[-1], *its)
            ending.end_needless(session, *its)
    return made


def _asked_again(session: Session, newer: Publication, *its: ColumnElement[bool]) -> None:
    """Rows that another transaction has locked are passed over: those are kept."""
    same = Publication.render_id == newer.render_id, Publication.run == newer.run
    older = select(Publication.id).where(*its, *same, Publication.number < newer.number, ~Publication.asked_again)
    _set(session, Publication.id.in_(older.with_for_update(skip_locked=True)), {"asked_again": True})


def alone(session: Session, publisher_id: str, ref: str) -> None:
    """What is decided of one product's publications comes one after the other, to this transaction's end."""
    product = f"publications\n{publisher_id}\n{ref}"
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(product, 0))))


def newest(session: Session, publisher_id: str, ref: str) -> Publication | None:
    """What was asked for last for a product."""
    its = Publication.publisher_id == publisher_id, Publication.ref == ref
    return session.scalars(select(Publication).where(*its).order_by(Publication.number.desc()).limit(1)).one_or_none()


def own_reference(ref: str, product: Mapping[str, Any]) -> str:
    """A second product's, where `ref` is another's: with the place where it is."""
    return f"{ref} ({', '.join(f'{kind} {value}' for kind, value in product.items())})"


def references(ref: str, product: Mapping[str, Any]) -> tuple[str, str]:
    """All that this product may have had where it has `ref` now: the bare one and its own."""
    bare = ref.removesuffix(own_reference("", product))
    return bare, own_reference(bare, product)


def reference(session: Session, publisher_id: str, ref: str, product: Mapping[str, Any]) -> str | None:
    """Which one this very product had last, `ref` or its own. Where its render was deleted, only the latter says whose
    it was."""
    own = own_reference(ref, product)
    gone = digested(publisher_id, own)
    its = Publication.publisher_id == publisher_id, Publication.ref.in_((ref, own, gone))
    its = *its, (Publication.ref == gone) | (Publication.product == product)
    query = select(Publication.ref).where(*its).order_by(Publication.number.desc()).limit(1)
    last = session.scalars(query).one_or_none()
    return last if last is None or last == ref else own


def _is_of(last: Publication, wish: Wish) -> bool:
    """What is there, or about to be."""
    there = last.state in (PublicationState.PUBLISHED, PublicationState.PENDING)
    as_before = not wish.product or last.product == wish.product
    return there and as_before and (last.render_id, last.run) == (wish.render_id, wish.run)


_COLUMNS = tuple(name for name in Wish.__dataclass_fields__ if name != "late")


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
        query = query.where(Publication.state == literal_column(f"'{wanted.state.value}'"))  # else no partial index
    if after is not None:
        query = query.where(tuple_(Publication.created_at, Publication.id) < tuple_(*after))
    return session.scalars(query.order_by(Publication.created_at.desc(), Publication.id.desc()).limit(limit)).all()


def retry(session: Session, owner_id: str, publication_id: str) -> Publication | None:
    """Try one that failed again, now; None where the owner has no such one. What it made before is on file and is
    asked after first, so nothing comes twice; whoever gave it up writes nothing more. Raises NotFailed."""
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
            lease=Publication.lease + 1,
            step="begin",
            tries=0,
            failing_since=None,
            refused_at=None,
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


def begun(session: Session, publisher_id: str) -> bool:
    """Whether anything of a publisher's is at its shop, as far as is known, or a worker may be about to bring it."""
    of_there = Publication.remote != text("'{}'"), Publication.state == PublicationState.PUBLISHED.value
    there = or_(*of_there, Publication.lease_until.is_not(None))
    return bool(session.scalar(select(exists().where(Publication.publisher_id == publisher_id, there))))


def let_go(session: Session, publisher_id: str) -> None:
    """Whoever has one of a publisher's in hand writes nothing more. Nobody else has it before that claim would have
    been over, so what is done at the shop at this moment is seen by the next."""
    its = Publication.publisher_id == publisher_id, Publication.state == PublicationState.PENDING.value
    in_hand = Publication.lease_until.is_not(None) | Publication.sent_at.is_not(None)
    ready_at = func.greatest(Publication.ready_at, Publication.lease_until)
    free = {"lease": Publication.lease + 1, "lease_until": None, "sent_at": None, "ready_at": ready_at}
    _set(session, and_(*its, in_hand), free)


def forgive(session: Session, publisher_id: str) -> None:
    """What waits after a fault goes on at once, and its faults no longer count: they were of what was told before."""
    fault = Publication.failing_since.is_not(None), Publication.state == PublicationState.PENDING.value
    afresh = {"tries": 0, "ready_at": func.now()}
    afresh |= dict.fromkeys(("failing_since", "refused_at", "error_code", "error_detail"))
    _set(session, and_(Publication.publisher_id == publisher_id, *fault), afresh)


def scrub(session: Session, render: Render) -> None:
    """Take the words out of the publications of a render that was deleted in this transaction, and end those that wait.
    One that a worker has in hand loses them when it is over."""
    session.flush()
    its = Publication.render_id == render.id
    ending.end_needless(session, its)
    _set(session, and_(its, Publication.state != PublicationState.PENDING.value), wordless())


def _set(session: Session, which: ColumnElement[bool], values: Mapping[str, Any]) -> None:
    session.execute(update(Publication).where(which).values(**values).execution_options(synchronize_session=False))

"""Products on their way in, some hundred at a time: compared with what was known, and put where nothing is promised.

Each chunk is one transaction, fenced by the reading's lease: the renders go into a batch that is being received, what
was found out about each product into `catalog_changes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Exists, exists, insert, select
from sqlalchemy.orm import Session

from worker.batches import receiving
from worker.batches.models import Batch
from worker.batches.receiving import Entry, NewProblem, Received
from worker.catalogs import reads
from worker.catalogs.feeds import Problem
from worker.catalogs.fingerprint import Picture, fingerprint
from worker.catalogs.models import CatalogChange, CatalogProblem, CatalogProduct, Kind, Outcome, Trigger
from worker.catalogs.reads import Held
from worker.catalogs.requests import Requested
from worker.catalogs.versions import Version
from worker.renders.models import Render, Run
from worker.renders.states import Charge, Status


@dataclass(frozen=True)
class Known:
    """A product as the last reading left it, and what became of its render."""

    product: CatalogProduct
    render: Render | None
    called_off: bool = False
    """Its batch was: its renders are canceled piece by piece after that."""
    was_charged: bool = False
    """An earlier run of the render was, or may have been."""

    @property
    def stands(self) -> bool:
        """Whether there is a video, or will be one."""
        render = self.render
        if render is None or render.purged_at is not None:
            return False
        if render.status == Status.SUCCEEDED:
            return True
        return render.finished_at is None and render.cancel_requested_at is None and not self.called_off

    def may_be_repeated(self, trigger: str) -> bool:
        """Whether an unchanged product without a video is rendered again: whenever a person asks; by the schedule only
        where that can be no second charge and nobody called it off."""
        if trigger == Trigger.ASKED or self.render is None:
            return True
        failed = self.render.status in (Status.FAILED, Status.EXPIRED) and self.render.purged_at is None
        return failed and self.render.charge_state == Charge.NONE and not self.was_charged


@dataclass(frozen=True)
class Judged:
    """A product and what is to become of it."""

    requested: Requested
    fingerprint: str
    versions: Mapping[str, Version]
    kind: Kind
    kept: str | None
    """The render that still stands for it; None: a new one."""


def known(session: Session, catalog_id: str, refs: Sequence[str]) -> dict[str, Known]:
    """What is known of some products, by ref."""
    rows = session.execute(
        select(CatalogProduct, Render, Batch.cancel_requested_at.is_not(None), charged_before())
        .outerjoin(Render, Render.id == CatalogProduct.render_id)
        .outerjoin(Batch, Batch.id == Render.batch_id)
        .where(CatalogProduct.catalog_id == catalog_id, CatalogProduct.ref.in_(refs))
    )
    return {row[0].ref: Known(*row) for row in rows}


def charged_before() -> Exists:
    """Of a render whether an earlier run of it was charged, or may have been."""
    return exists().where(Run.render_id == Render.id, Run.charge_state != Charge.NONE.value)


def seen(session: Session, read_id: str, refs: Sequence[str]) -> set[str]:
    """Of some refs those that this reading has met before."""
    query = select(CatalogChange.ref).where(CatalogChange.read_id == read_id, CatalogChange.ref.in_(refs))
    return set(session.scalars(query))


def judge(
    one: Requested, before: Known | None, learned: Mapping[str, Version], *, template: str, trigger: str, force: bool
) -> Judged:
    """What is to become of a product.

    What its pictures' servers said before stands for what they do not say now; and where they say something of a kind
    for the first time, that alone is no change.
    """
    past = {address: Version.read(kept) for address, kept in before.product.pictures.items()} if before else {}
    versions = {address: past.get(address, Version()).after(learned[address]) for address in one.pictures}
    number = _number(template, one, versions)
    if before is None:
        return Judged(one, number, versions, Kind.NEW, None)
    # As they were known then, but for those that are other pictures now.
    then = {address: known if not known.differs(versions[address]) else versions[address]
            for address, known in past.items() if address in versions}  # fmt: skip
    same = before.product.fingerprint in (number, _number(template, one, versions | then))
    back = before.product.gone_at is not None
    if not same:
        return Judged(one, number, versions, Kind.NEW if back else Kind.CHANGED, None)
    if force or (not before.stands and before.may_be_repeated(trigger)):
        return Judged(one, number, versions, Kind.AGAIN, None)
    return Judged(one, number, versions, Kind.NEW if back else Kind.UNCHANGED, before.product.render_id)


def _number(template: str, one: Requested, versions: Mapping[str, Version]) -> str:
    return fingerprint(template, one, [Picture(address, versions[address].counts) for address in one.pictures])


def add(
    session: Session,
    held: Held,
    batch_id: str,
    judged: Sequence[Judged],
    problems: Sequence[Problem],
    *,
    before: Received,
) -> Received:
    """Put a chunk on file; how much of the batch is in. Raises LeaseLost, batches.receiving.Gone."""
    reads.write(session, held)
    fresh = [one for one in judged if one.kept is None]
    entries = [Entry(one.requested.request, fingerprint=one.fingerprint) for one in fresh]
    rejected = [NewProblem(one.place, one.code, one.detail, one.ref) for one in problems if one.fatal]
    after = receiving.add(session, batch_id, entries, rejected, before=before)
    if judged and seen(session, held.read.id, [judged[0].requested.ref]):
        return after  # again after a COMMIT whose answer was lost: all of it is there
    made = dict(zip((one.requested.ref for one in fresh), _ids(session, batch_id, before.total), strict=True))
    _note(session, held.read.id, judged, made)
    _note_problems(session, held.read.id, problems)
    return after


def _ids(session: Session, batch_id: str, before: int) -> Sequence[str]:
    query = select(Render.id).where(Render.batch_id == batch_id, Render.batch_position > before)
    return session.scalars(query.order_by(Render.batch_position)).all()


def _note(session: Session, read_id: str, judged: Sequence[Judged], made: Mapping[str, str]) -> None:
    rows = [
        {
            "read_id": read_id,
            "ref": one.requested.ref,
            "title": one.requested.title,
            "kind": one.kind.value,
            "outcome": (Outcome.KEPT if one.kept else Outcome.RENDERED).value,
            "fingerprint": one.fingerprint,
            "pictures": {address: version.kept() for address, version in one.versions.items()},
            "render_id": one.kept or made[one.requested.ref],
        }
        for one in judged
    ]
    if rows:
        session.execute(insert(CatalogChange), rows)


def _note_problems(session: Session, read_id: str, problems: Sequence[Problem]) -> None:
    rows = [
        {
            "read_id": read_id,
            "place": one.place,
            "ref": one.ref,
            "code": one.code,
            "detail": one.detail,
            "fatal": one.fatal,
        }
        for one in problems
    ]
    if rows:
        session.execute(insert(CatalogProblem), rows)

"""Renders whose video is the same as one that is asked for, and that stand: it is there, or is being made (the rules of
`worker.catalogs.reuse`)."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from worker.batches.models import Batch, BatchState
from worker.renders.models import Lane, Render, Result
from worker.renders.states import Status
from worker.renders.store import NewRender

_LOOKED_AT = 10
"""Of one reference's renders: an older one that is the same is found by its number alone."""


def newest(session: Session, owner_id: str, number: str, request: NewRender) -> Render | None:
    """The newest of the owner's, by the number (`worker.catalogs.fingerprint`), or else by what it is made of."""
    return _numbered(session, owner_id, number) or _made_of_the_same(session, owner_id, request)


def stands(render: Render) -> bool:
    """Whether what was found still is there, or on its way."""
    if render.purged_at is not None:
        return False
    return render.status == Status.SUCCEEDED or (render.finished_at is None and render.cancel_requested_at is None)


def _numbered(session: Session, owner_id: str, number: str) -> Render | None:
    query = select(Render).where(Render.owner_id == owner_id, Render.fingerprint == number, _stands())
    return session.scalars(query.order_by(Render.created_at.desc(), Render.id.desc()).limit(1)).one_or_none()


def _made_of_the_same(session: Session, owner_id: str, request: NewRender) -> Render | None:
    """One that a catalog made: its number also counts what the pictures' servers said, for which no message waits."""
    query = select(Render).where(
        Render.owner_id == owner_id,
        Render.external_ref == request.external_ref,
        Render.template_version_id == request.template_version_id,
        Render.fingerprint.is_not(None),
        Render.language == request.language,
        _stands(),
    )
    latest = session.scalars(query.order_by(Render.created_at.desc(), Render.id.desc()).limit(_LOOKED_AT))
    return next((one for one in latest if _same(one, request)), None)


def _same(render: Render, request: NewRender) -> bool:
    said = render.variables, render.output, _addresses(render.assets)
    return said == (request.variables, request.output, _addresses(request.assets))


def _addresses(assets: Sequence[Any]) -> list[Any]:
    return [cast("Mapping[str, Any]", one).get("url") for one in assets]


def _stands() -> ColumnElement[bool]:
    has_video = exists().where(Result.render_id == Render.id, Result.run == Render.run)
    called_off = exists().where(
        Batch.id == Render.batch_id,
        or_(Batch.state == BatchState.RECEIVING.value, Batch.cancel_requested_at.is_not(None)),
    )
    # Nobody knows whether a person will ever let it go on, and nobody looks again at the message that it stood for.
    kept_back = exists().where(Lane.id == Render.lane_id, or_(Lane.held, Lane.paused_at.is_not(None)))
    there = (Render.status == Status.SUCCEEDED.value) & has_video
    waits = Render.started_at.is_(None) & kept_back
    coming = Render.finished_at.is_(None) & Render.cancel_requested_at.is_(None) & ~called_off & ~waits
    return Render.purged_at.is_(None) & or_(there, coming)

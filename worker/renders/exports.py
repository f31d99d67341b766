"""The exports of a render: reserved before they are submitted, numbered by the backend's own id."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from worker.renders.models import Export, Render

ENDED = ("completed", "failed", "lost", "refused", "gone", "canceled")
"""`gone`: the backend never took it. `lost`: it took it and knows nothing of it any more."""

MOST = 2
"""One new export after a failed one (they are free), then the render fails."""


def new_export_id() -> str:
    """`render_` and 24 random characters: the backend refuses an id that anybody used before."""
    return f"render_{secrets.token_hex(12)}"


def current(session: Session, render: Render) -> Export | None:
    """The run's export under way."""
    return session.get(Export, render.export_id) if render.export_id else None


def failed(session: Session, render: Render) -> int:
    """How many of the run's exports failed or gave no playable file."""
    return session.execute(
        select(func.count())
        .select_from(Export)
        .where(Export.render_id == render.id, Export.run == render.run, Export.state.in_(["failed", "lost"]))
    ).scalar_one()


def reserve(session: Session, render: Render, export_id: str) -> None:
    """Put an export's id on file, before the call that uses it."""
    session.merge(Export(id=export_id, owner_id=render.owner_id, render_id=render.id, run=render.run, state="reserved"))
    session.flush()


def record(session: Session, export_id: str, state: str, *, asked: bool = False, **facts: Any) -> None:
    """Write what became known of an export; `asked` when it is the answer to a question after it."""
    changes: dict[str, Any] = {"state": state, **facts}
    if state in ENDED:
        changes["ended_at"] = func.now()
    if asked:
        changes |= {"polls": Export.polls + 1, "answered_at": func.now()}
    session.execute(
        update(Export).where(Export.id == export_id).values(**changes).execution_options(synchronize_session=False)
    )


def recording(export_id: str, state: str, *, asked: bool = False, **facts: Any) -> Callable[[Session], None]:
    """`record` as a step of an outcome's transaction."""
    return lambda session: record(session, export_id, state, asked=asked, **facts)


def record_asked(session: Session, export_ids: Sequence[str]) -> None:
    """Note that these were asked after and answered just now, with nothing new."""
    session.execute(
        update(Export)
        .where(Export.id.in_(export_ids))
        .values(state="submitted", polls=Export.polls + 1, answered_at=func.now())
        .execution_options(synchronize_session=False)
    )


def of_renders(session: Session, export_ids: Sequence[str]) -> dict[str, Export]:
    """These exports by id."""
    return {row.id: row for row in session.scalars(select(Export).where(Export.id.in_(export_ids)))}

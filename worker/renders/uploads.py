"""Files given to us before the render that uses them: found, locked, used, removed."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from worker.renders import purge
from worker.renders.models import Upload, UploadUse
from worker.sessions import files

KEPT = timedelta(days=1)
"""How long an upload stays that no render uses."""


class InUse(Exception):
    """A render, under way or kept, has this file as an asset, or a session as one that waits for its next turn."""


def get(session: Session, owner_id: str, upload_id: str) -> Upload | None:
    """The owner's upload, or None."""
    return session.scalars(select(Upload).where(Upload.id == upload_id, Upload.owner_id == owner_id)).one_or_none()


def locked(session: Session, upload_id: str) -> Upload | None:
    """An upload with its row locked; None where it is gone, or a render just being accepted has it."""
    return session.scalars(select(Upload).where(Upload.id == upload_id).with_for_update(skip_locked=True)).one_or_none()


def take(session: Session, owner_id: str, ids: Sequence[str]) -> dict[str, Upload]:
    """The owner's uploads among `ids`, marked as used; locked, so that none is thrown away before the commit of the
    render that needs it."""
    if not ids:
        return {}
    rows = session.scalars(
        select(Upload).where(Upload.owner_id == owner_id, Upload.id.in_(ids)).order_by(Upload.id).with_for_update()
    ).all()
    found = {row.id: row for row in rows}
    if found:
        session.execute(
            update(Upload)
            .where(Upload.id.in_(found))
            .values(used_at=func.now())
            .execution_options(synchronize_session=False)
        )
    return found


def discard(session: Session, upload: Upload) -> None:
    """Throw a locked upload away at its owner's wish.

    Raises:
        InUse
    """
    if _is_used(session, upload):
        raise InUse
    purge.drop_upload(session, upload)


def expire(session: Session, upload_id: str) -> None:
    """Throw an upload away that nobody used in its time; one that somebody uses after all is marked as used.

    Its mark may have been taken off by who gave it up while another was just taking it: what counts are the uses.
    """
    upload = locked(session, upload_id)
    if upload is None or upload.used_at is not None:
        return
    if _is_used(session, upload):
        upload.used_at = func.now()
    else:
        purge.drop_upload(session, upload)


def _is_used(session: Session, upload: Upload) -> bool:
    """By a render, or by a session whose next turn it waits for; true until the commit of who has it locked."""
    uses = select(UploadUse.render_id).where(UploadUse.upload_id == upload.id).limit(1)
    return session.scalar(uses) is not None or bool(files.waiting(session, upload.owner_id, [upload.id]))

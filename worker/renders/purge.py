"""A render's content, deleted for good at its owner's wish; what it cost stays in the books.

The row, its intents and its takeovers are kept without a word of what they held: a charge must not vanish with the
video it was for, and an idempotency key that led here must not lead to a second render. Stored files are written into
an outbox in the same transaction and deleted after it, so that neither outlives the other's loss.

A file that is about to be stored is written there too, to be deleted later, and taken out by the commit that names it:
whoever dies in between leaves nothing that nobody knows of.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.accounts.models import RemoteSession
from worker.database import from_now, transact
from worker.media.storage import Storage
from worker.owners.models import IdempotencyKey
from worker.remote.intents import Intent
from worker.renders import store
from worker.renders.events import EventType, NewEvent
from worker.renders.models import (
    Attempt,
    DoomedFile,
    Draft,
    Event,
    Export,
    Render,
    Result,
    Run,
    Upload,
    UploadUse,
)
from worker.renders.runs import NotFinal
from worker.sessions import files

UPLOAD_ROUTE = "POST /v1/uploads"
"""The call that makes uploads, as their idempotency keys name it."""
AT_ONCE = 100
"""Files deleted in one round."""
UNNAMED_KEPT = timedelta(days=1)
"""How long a stored file may wait for the commit that names it: far longer than storing 4 GB takes."""


def purge(session: Session, render: Render) -> None:
    """Delete what a locked, final render holds, down to files that no other render uses.

    Raises:
        NotFinal: it is still at work.
    """
    if render.finished_at is None:
        raise NotFinal
    # Somebody may still be storing the very file that its successor stored and named: the key is the content's.
    again = datetime.now(UTC) - render.finished_at < UNNAMED_KEPT
    _doom(session, _files(session, render), timedelta(0), again=UNNAMED_KEPT if again else None)
    _doom_unnamed(session, render)
    _drop_uploads(session, render)
    for model in (Draft, Attempt, Event):
        session.execute(delete(model).where(model.render_id == render.id))
    _scrub(session, render)
    _scrub_session(session, render)
    emptied = {"prompt": "", "assets": [], "tags": [], "meta": {}, "hints": [], "variables": {}}
    # `webhook_url` stays until the relay has told it of the end (`worker.webhooks.relay`).
    emptied |= {"purged_at": func.now()} | dict.fromkeys(("external_ref", "revision", "answer", "timeline"))
    if render.error_code is not None:
        emptied |= {"error_message": None, "error_help": None}
    store.change(session, render, emptied, NewEvent(EventType.DELETED))


def doom(session: Session, keys: Sequence[str]) -> None:
    """Have stored files deleted once this transaction is committed."""
    _doom(session, keys, timedelta(0))


def foretell(session: Session, keys: Sequence[str]) -> None:
    """Put files on record that are stored next: those that no `name` takes out again are deleted a day later."""
    _doom(session, keys, UNNAMED_KEPT)


def name(session: Session, keys: Sequence[str]) -> None:
    """These foretold files are named by a row of this transaction."""
    session.execute(delete(DoomedFile).where(DoomedFile.storage_key.in_(keys)))


def _doom(session: Session, keys: Sequence[str], wait: timedelta, *, again: timedelta | None = None) -> None:
    if keys:
        times = {"doomed_at": from_now(wait), "again_at": from_now(again) if again else None}
        add = insert(DoomedFile).values([{"storage_key": key} | times for key in keys])
        at = {"doomed_at": add.excluded.doomed_at, "again_at": add.excluded.again_at}
        session.execute(add.on_conflict_do_update(index_elements=["storage_key"], set_=at))


def _doom_unnamed(session: Session, render: Render) -> None:
    """What a worker stored for the render, and nobody named, goes with it, and once more at its own time: that worker
    may have lost the render and be storing still."""
    mine = DoomedFile.storage_key.startswith(f"{render.owner_id}/{render.id}/", autoescape=True)
    later = DoomedFile.doomed_at > func.now()
    session.execute(update(DoomedFile).where(mine, later).values(doomed_at=func.now(), again_at=DoomedFile.doomed_at))


def clear(storage: Storage, *, limit: int = AT_ONCE) -> int:
    """Delete doomed files; how many there were. Each leaves the outbox when it is gone from the storage for good.

    Raises:
        StorageUnavailable: the rest stays in the outbox.
    """
    due = DoomedFile.doomed_at <= func.now()
    oldest = select(DoomedFile.storage_key).where(due).order_by(DoomedFile.doomed_at).limit(limit)
    keys = transact(lambda session: session.scalars(oldest).all())
    for key in keys:
        storage.delete(key)
        transact(lambda session, gone=key: _gone(session, gone))
    return len(keys)


def _gone(session: Session, key: str) -> None:
    # Guarded by its time: done twice, or beside another's, this must not take the second deletion for done.
    mine = DoomedFile.storage_key == key, DoomedFile.doomed_at <= func.now()
    again = update(DoomedFile).where(*mine, DoomedFile.again_at.is_not(None)).returning(DoomedFile.storage_key)
    if session.scalar(again.values(doomed_at=DoomedFile.again_at, again_at=None)) is None:
        session.execute(delete(DoomedFile).where(*mine))


def _files(session: Session, render: Render) -> list[str]:
    """Its files that no other render names. An unchanged product's render names those of the one it was reused from.

    The results that name them are locked: of two deletions at once the second sees what the first did. Nobody can come
    to name one of them meanwhile without a lock on a render that does (`worker.catalogs.reuse`).
    """
    mine = select(Result.storage_key).where(Result.render_id == render.id)
    naming = select(Result.render_id).where(Result.storage_key.in_(mine))
    session.execute(naming.order_by(Result.render_id, Result.run).with_for_update())
    rows = session.scalars(select(Result).where(Result.render_id == render.id)).all()
    others = session.execute(
        select(Result.storage_key, Result.poster_key)
        .join(Render, Render.id == Result.render_id)
        .where(Result.storage_key.in_(mine), Render.id != render.id, Render.purged_at.is_(None))
    )
    used = {key for pair in others for key in pair}
    return [key for row in rows for key in (row.storage_key, row.poster_key) if key and key not in used]


def drop_upload(session: Session, upload: Upload) -> None:
    """Delete a locked upload: its row now, its file after the commit, and its key, so that the same call again uploads
    anew instead of finding nothing."""
    doom(session, [upload.storage_key])
    session.execute(
        delete(IdempotencyKey).where(
            # Both lead to the primary key's index: without them every key of a month would be looked at.
            IdempotencyKey.owner_id == upload.owner_id,
            IdempotencyKey.route == UPLOAD_ROUTE,
            IdempotencyKey.resource_id == upload.id,
        )
    )
    session.execute(delete(Upload).where(Upload.id == upload.id))


def _drop_uploads(session: Session, render: Render) -> None:
    """The uploads that only this render used; locked, as the intake locks them for a render that uses them."""
    mine = select(UploadUse.upload_id).where(UploadUse.render_id == render.id)
    locked = session.scalars(select(Upload).where(Upload.id.in_(mine)).order_by(Upload.id).with_for_update()).all()
    session.execute(delete(UploadUse).where(UploadUse.render_id == render.id))
    used = set(session.scalars(select(UploadUse.upload_id).where(UploadUse.upload_id.in_([row.id for row in locked]))))
    used |= files.waiting(session, render.owner_id, [row.id for row in locked])
    gone = [row for row in locked if row.id not in used]
    for row in gone:
        drop_upload(session, row)


def _scrub(session: Session, render: Render) -> None:
    """The rows that stay for the books, without words."""
    intents = {"message": "", "draft_before": None, "answer": None, "cause": None, "error_frame": None}
    session.execute(update(Intent).where(Intent.render_id == render.id).values(**intents))
    session.execute(update(Export).where(Export.render_id == render.id).values(url=None, detail=None))
    session.execute(update(Run).where(Run.render_id == render.id).values(answer=None, error_message=None))


def _scrub_session(session: Session, render: Render) -> None:
    """The links into the backend's own editor, of every run, unless another render still shows them."""
    used = select(Intent.remote_session_id).where(Intent.render_id == render.id)
    mine = or_(RemoteSession.id == render.remote_session_id, RemoteSession.id.in_(used))
    shown = select(Render.id).where(
        Render.remote_session_id == RemoteSession.id, Render.id != render.id, Render.purged_at.is_(None)
    )
    session.execute(
        update(RemoteSession)
        .where(mine, ~shown.exists())
        .values(claim_url=None)
        .execution_options(synchronize_session=False)
    )

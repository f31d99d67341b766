"""A valid request becomes a render: with its key, in one transaction."""

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.database import transact
from api.idempotency import Key
from api.problems import FieldError, Problem
from api.schemas import RenderRequest
from worker.remote import hints, language
from worker.renders import store
from worker.renders.models import Render, Upload
from worker.renders.store import NewRender

ROUTE = "POST /v1/renders"


def accept(caller: Caller, request: RenderRequest, key: Key) -> tuple[str, bool]:
    """The id of the render this request led to, and whether an earlier one with this key had.

    Raises Problem `idempotency.mismatch`, `upload.unknown`.
    """
    hashed = idempotency.body_hash(request.model_dump(mode="json"))
    spoken = request.language or language.detect(request.prompt)

    def work(session: Session) -> tuple[str, bool]:
        def make() -> str:
            assets = _assets(session, caller.owner_id, request)
            return store.accept(session, caller.owner_id, _new(request, spoken, assets)).id

        return idempotency.once(session, caller.owner_id, ROUTE, key, hashed, make)

    return transact(work)


def _new(request: RenderRequest, spoken: str, assets: list[dict[str, Any]]) -> NewRender:
    names = [asset.get("name") or asset["url"] for asset in assets]
    return NewRender(
        prompt=request.prompt,
        language=spoken,
        assets=assets,
        output=request.output.model_dump(),
        priority=request.priority,
        on_unconfirmed=request.on_unconfirmed,
        external_ref=request.external_ref,
        tags=list(dict.fromkeys(request.tags)),
        metadata=request.metadata,
        hints=[{"code": hint.code, "message": hint.message} for hint in hints.hints(request.prompt, names)],
    )


def _assets(session: Session, owner_id: str, request: RenderRequest) -> list[dict[str, Any]]:
    """The assets as kept on the render; the uploads among them are marked as used."""
    wanted = [asset.upload for asset in request.assets if asset.upload]
    uploads: dict[str, Upload] = {}
    if wanted:
        # Locked, so that housekeeping does not throw away between here and the commit what this render needs.
        rows = session.scalars(
            select(Upload)
            .where(Upload.owner_id == owner_id, Upload.id.in_(wanted))
            .order_by(Upload.id)
            .with_for_update()
        )
        uploads = {row.id: row for row in rows}
    missing = [
        FieldError(f"/assets/{place}/upload", "there is no such upload")
        for place, asset in enumerate(request.assets)
        if asset.upload and asset.upload not in uploads
    ]
    if missing:
        raise Problem("upload.unknown", "Not every upload is there.", errors=missing)
    if uploads:
        session.execute(
            update(Upload)
            .where(Upload.id.in_(uploads))
            .values(used_at=func.now())
            .execution_options(synchronize_session=False)
        )
    return [_kept(uploads[asset.upload]) if asset.upload else {"url": asset.url} for asset in request.assets]


def _kept(upload: Upload) -> dict[str, Any]:
    return {
        "upload": upload.id,
        "name": upload.name,
        "media_type": upload.media_type,
        "bytes": upload.bytes,
        "storage_key": upload.storage_key,
    }


def found(session: Session, owner_id: str, render_id: str) -> Render:
    """The owner's render. Raises Problem `render.unknown`."""
    render = store.get(session, owner_id, render_id)
    if render is None:
        raise unknown(render_id)
    return render


def unknown(render_id: str) -> Problem:
    """The problem of a render that is not there, or somebody else's."""
    return Problem("render.unknown", f"You have no render {render_id[:64]}.")

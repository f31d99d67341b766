"""What a worker does to a render, done by the tests with the workers' own verbs."""

import hashlib
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from tests.api.service import Service
from tests.stack import here
from worker.accounts.models import Account, RemoteSession
from worker.catalogs import reading, reads
from worker.database import new_id, transact
from worker.media.storage import open_storage
from worker.owners import store as owners
from worker.remote.intents import Intent
from worker.renders import leases
from worker.renders.events import EventType, NewEvent
from worker.renders.leases import Held
from worker.renders.models import Draft, Render, Result, Worker
from worker.renders.states import Stage, Status

WORKER = "stream-1@tests"


def claimed(session: Session, render_id: str, worker: str = WORKER) -> Held:
    """The render in a worker's hands, at whatever stage it is."""
    row = session.scalars(select(Render).where(Render.id == render_id)).one()
    held = leases.claim(session, render_id, lease=row.lease, stage=Stage(row.stage), worker=worker)
    assert held is not None
    return held


def happened(session: Session, held: Held, *types: EventType) -> None:
    """Events on a held render."""
    leases.write(session, held, {}, [NewEvent(one) for one in types])


def finished(session: Session, held: Held, status: Status = Status.SUCCEEDED, **changes: Any) -> None:
    """The render's end."""
    leases.write(session, held, leases.finish(status, **changes), [NewEvent(EventType(f"render.{status.value}"))])


def with_result(
    session: Session,
    held: Held,
    *,
    key: str,
    size: int,
    sha256: str,
    poster: str | None = None,
    quality: dict[str, Any] | None = None,
) -> None:
    """The record of a finished file."""
    session.execute(
        insert(Result).values(
            render_id=held.render.id,
            run=held.render.run,
            owner_id=held.render.owner_id,
            storage_key=key,
            poster_key=poster,
            sha256=sha256,
            bytes=size,
            duration_seconds=2.5,
            width=1080,
            height=1920,
            video_codec="h264",
            pixel_format="yuv420p",
            quality=quality,
        )
    )


def with_draft(session: Session, held: Held, body: bytes) -> None:
    """The draft of a run."""
    session.execute(
        insert(Draft).values(render_id=held.render.id, run=held.render.run, owner_id=held.render.owner_id, body=body)
    )


def paid_message(session: Session, held: Held, **place: Any) -> dict[str, Any]:
    """What was said for a run and carried out, in a place of its own: the columns that say where.

    `place`: columns of that remote session.
    """
    account, remote = new_id("acc"), new_id("ses")
    nobody = owners.owner(session, "nobody").id  # whose accounts no other test sees
    session.execute(insert(Account).values(id=account, kind="registered", name=account, owner_id=nobody))
    row = {"id": remote, "owner_id": held.render.owner_id, "account_id": account} | place
    session.execute(insert(RemoteSession).values(**row, task_id=remote, session_id=remote))
    said = {"message": "m", "before": "b", "reserved_credits": 100.0, "send_by": func.now(), "state": "applied"}
    whose = {"render_id": held.render.id, "run": held.render.run, "owner_id": held.render.owner_id}
    where = {"account_id": account, "remote_session_id": remote}
    session.execute(insert(Intent).values(id=new_id("int"), settled_at=func.now(), **said, **whose, **where))
    return where


def paid_draft(session: Session, held: Held, body: bytes = b'{"t": []}', **place: Any) -> dict[str, Any]:
    """The same, and what came of it was read."""
    where = paid_message(session, held, **place)
    with_draft(session, held, body)
    return where


def alive(session: Session, kind: str) -> None:
    """A worker of this kind that reports now."""
    session.execute(
        insert(Worker).values(id=f"{kind}@tests", kind=kind, hostname="tests", pid=1, version="0", capacity=1)
    )


def delivered(service: Service, render_id: str, video: bytes, *, recorded: bytes | None = None) -> None:
    """A worker takes the render, keeps this video, and it has succeeded; `recorded` is what it was before the storage
    damaged it."""
    held = service.write(lambda session: claimed(session, render_id))
    key = f"renders/{render_id}/video.mp4"
    open_storage((service.home / "results").as_uri()).put_bytes(key, video)

    def end(session: Session) -> None:
        whole = video if recorded is None else recorded
        with_result(session, held, key=key, size=len(whole), sha256=hashlib.sha256(whole).hexdigest())
        finished(session, held)

    service.write(end)


def failed(service: Service, render_id: str, **why: Any) -> None:
    """A worker takes the render, and it has failed."""
    held = service.write(lambda session: claimed(session, render_id))
    service.write(lambda session: finished(session, held, Status.FAILED, **why))


def read_catalogs(service: Service) -> None:
    """Catalogs that are due are read to their ends."""
    environment = {"VIVIDEO_DATABASE_URL": service.database, "VIVIDEO_SECRET_KEY": "k" * 40}
    with here(environment), capture_logs():  # standard output may be a command's
        tools = reading.Tools(open_storage((service.home / "results").as_uri()))
        while found := transact(reads.due):
            for due in found:
                reading.drive(due.id, due.lease, worker="media-1", tools=tools)

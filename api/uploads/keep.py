"""A received file becomes an upload: into the storage first, then into the database. It is foretold in the outbox of
deletions, in case this process dies in between."""

import re
from contextlib import suppress
from pathlib import PurePosixPath

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.bodies import UploadBody
from api.database import transact
from api.files import storage
from api.idempotency import Earlier, Key
from api.limits import NAME_CHARACTERS
from api.problems import Problem
from api.uploads.receive import Received
from api.views import upload_body
from worker.database import new_id
from worker.media.kinds import Kind
from worker.media.storage import StorageError
from worker.renders import purge
from worker.renders.models import Upload

_UNPRINTABLE = re.compile(r'[\x00-\x1f\x7f"<>|:*?\ud800-\udfff]')
_ALIASES = {"jpg": {"jpeg", "jpe"}, "mp4": {"m4v"}, "mov": {"qt"}, "mp3": {"mpga"}, "wav": {"wave"}}


def keep(caller: Caller, key: Key, received: Received, kind: Kind) -> UploadBody:
    """Store a complete file under the caller's key.

    Raises Problem `idempotency.mismatch`, StorageUnavailable.
    """
    name = file_name(received.name, kind)
    hashed = idempotency.body_hash({"name": name, "sha256": received.sha256})
    if key.given:
        known = transact(lambda session: _earlier(session, caller, key, hashed))
        if known is not None:
            return known
    upload_id = new_id("upl")
    storage_key = f"uploads/{upload_id}/file.{kind.extension}"
    transact(lambda session: purge.foretell(session, [storage_key]))
    storage().put_file(storage_key, received.path, kind.media_type)

    def make(session: Session) -> UploadBody:
        row = insert(Upload).values(
            id=upload_id,
            owner_id=caller.owner_id,
            name=name,
            media_type=kind.media_type,
            bytes=received.bytes,
            sha256=received.sha256,
            storage_key=storage_key,
        )
        session.execute(row)
        purge.name(session, [storage_key])
        return _body(session, upload_id)

    def work(session: Session) -> tuple[UploadBody, bool]:
        made = idempotency.once(
            session, caller.owner_id, purge.UPLOAD_ROUTE, key, hashed, upload_id, lambda: make(session)
        )
        body = _body(session, made.resource_id) if isinstance(made, Earlier) else made
        return body, body.id == upload_id

    try:
        body, mine = transact(work)
    except Problem:
        _forget(storage_key)
        raise
    # Not after a database error: the record may have been made all the same, and a repeated call finds it.
    if not mine:
        _forget(storage_key)
    return body


def _forget(storage_key: str) -> None:
    with suppress(StorageError):
        storage().delete(storage_key)


def file_name(given: str, kind: Kind) -> str:
    """The name alone, without a path or anything a file system chokes on, ending as its content says it should."""
    name = _UNPRINTABLE.sub("", PurePosixPath(given.replace("\\", "/")).name).strip(" .")
    suffix = PurePosixPath(name).suffix.lower().removeprefix(".")
    if suffix == kind.extension or suffix in _ALIASES.get(kind.extension, ()):
        stem, ending = name[: -len(suffix) - 1], name[-len(suffix) - 1 :]
    else:
        stem, ending = name, f".{kind.extension}"
    return (stem.strip(" .") or "upload")[: NAME_CHARACTERS - len(ending)] + ending


def _earlier(session: Session, caller: Caller, key: Key, hashed: str) -> UploadBody | None:
    found = idempotency.earlier(session, caller.owner_id, purge.UPLOAD_ROUTE, key, hashed)
    row = session.get(Upload, found) if found else None
    return upload_body(row) if row else None


def _body(session: Session, upload_id: str) -> UploadBody:
    return upload_body(session.get_one(Upload, upload_id))

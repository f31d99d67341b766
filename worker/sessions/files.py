"""Files given to sessions and not yet used: nobody throws them away meanwhile."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.sessions.models import EditingSession


def waiting(session: Session, owner_id: str, ids: Sequence[str]) -> set[str]:
    """Which of these uploads wait in one of the owner's sessions for its next turn."""
    if not ids:
        return set()
    pending = select(EditingSession.pending).where(EditingSession.owner_id == owner_id, EditingSession.pending != [])
    return {one["upload"] for files in session.scalars(pending) for one in files if "upload" in one} & set(ids)

"""Publishers where others name them."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.problems import FieldError, Problem
from worker.publishing.models import Publisher


def check_publisher(session: Session, owner_id: str, publisher_id: str | None) -> None:
    """Raises Problem `publisher.unknown` for one that the owner does not have."""
    mine = Publisher.id == publisher_id, Publisher.owner_id == owner_id
    if publisher_id is not None and session.scalar(select(Publisher.id).where(*mine)) is None:
        errors = [FieldError("/publisher_id", "there is none")]
        raise Problem("publisher.unknown", f"You have no publisher {publisher_id[:64]}.", errors=errors)

"""A feed's event as the webhook that tells of it: the same bytes as the service sends, under an id that stays."""

import base64
import hashlib
from dataclasses import dataclass

from api import cursors
from api.client import FeedEvent
from worker.renders.models import Event
from worker.webhooks import messages
from worker.webhooks.messages import Of

ID_CHARACTERS = 26
"""As those of the service's."""


@dataclass(frozen=True)
class Message:
    """What is posted."""

    id: str
    body: str


def message(event: FeedEvent) -> Message:
    """The webhook of an event. Its id is made of the event alone: over a restart a receiver knows it again."""
    place = cursors.unpack_feed(event.cursor or "")
    row = Event(
        id=place.id,
        transaction=place.transaction,
        render_id=event.render_id,
        batch_id=None if event.render_id else event.batch_id,
        endpoint_id=event.endpoint_id,
        run=event.run,
        number=event.number,
        type=event.type,
        data=event.data,
        created_at=event.at,
    )
    return Message(
        _id(*messages.subject(row), event.number), messages.body(row, Of(event.external_ref, event.batch_id))
    )


def _id(name: str, subject: str, number: int) -> str:
    digest = hashlib.sha256(f"{name}/{subject}/{number}".encode()).digest()
    return f"msg_{base64.b32encode(digest).decode().lower()[:ID_CHARACTERS]}"

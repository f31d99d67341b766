"""Events of batches: each in the transaction that makes the change, by the batch's own growing number."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from worker.renders.events import EventType


def tell(session: Session, type: EventType, data: Mapping[str, Mapping[str, Any]]) -> None:
    """Write one event of each batch, by its id, with what is said of it. The rows are locked by raising their numbers,
    where the caller has not done that already."""
    if data:
        ids = sorted(data)
        given = {"type": type.value, "ids": ids, "data": [json.dumps(data[batch_id]) for batch_id in ids]}
        session.execute(_TELL, given)


_TELL = text(
    """
    WITH given AS (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:data AS text[])) AS given (batch_id, data)),
        counted AS (UPDATE batches SET event_number = event_number + 1 FROM given WHERE batches.id = given.batch_id
            RETURNING batches.id, batches.owner_id, batches.event_number, given.data)
    INSERT INTO events (owner_id, batch_id, number, type, data)
    SELECT owner_id, id, event_number, :type, CAST(data AS jsonb) FROM counted"""
)

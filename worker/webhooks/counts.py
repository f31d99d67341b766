"""What lately became of what was to be delivered, counted no further than anybody needs to know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import func, lateral, literal, select, true
from sqlalchemy.orm import Session

from worker.database import ago
from worker.webhooks.models import WebhookDelivery, WebhookEndpoint

SPAN = timedelta(hours=24)
MOST = 10_000
"""Of one endpoint; beyond it the newest are counted, by the index of the list."""
MOST_IN_A_LIST = 500
"""Of each of up to 200: a page of endpoints stays quick, on a disk that is cold too."""


@dataclass(frozen=True)
class Counts:
    """Deliveries of the last day by state; not `complete`: there were more."""

    by_state: Mapping[str, int] = field(default_factory=dict[str, int])
    complete: bool = True


def lately(session: Session, endpoint_ids: Sequence[str], *, most: int) -> dict[str, Counts]:
    """Of these endpoints, those that had any; of each the newest `most`."""
    if not endpoint_ids:
        return {}
    newest = lateral(
        select(WebhookDelivery.state.label("state"))
        .where(WebhookDelivery.endpoint_id == WebhookEndpoint.id, WebhookDelivery.created_at > ago(SPAN))
        .order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc())
        .limit(literal(most + 1))
    )
    query = (
        select(WebhookEndpoint.id, newest.c.state, func.count())
        .join(newest, true())
        .where(WebhookEndpoint.id.in_(endpoint_ids))
        .group_by(WebhookEndpoint.id, newest.c.state)
    )
    found: dict[str, dict[str, int]] = {}
    for endpoint_id, state, count in session.execute(query):
        found.setdefault(endpoint_id, {})[state] = count
    return {id: Counts(states, sum(states.values()) <= most) for id, states in found.items()}

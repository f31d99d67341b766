"""What a render's end overtakes: as the delivery of the end is made, and by the feed, also where none was ever made,
for what an endpoint missed meanwhile. What an owner asked for is overtaken by nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from worker.renders.events import FINAL
from worker.webhooks import filters
from worker.webhooks.making import Wanted
from worker.webhooks.models import EndpointKind, WebhookEndpoint

AT_ONCE = 2_000
"""Superseded in one transaction."""


def supersede(session: Session, wanted: Sequence[Wanted]) -> None:
    """A final event overtakes what is pending of its render at the same endpoint. What is being tried at this moment
    may still be delivered, but is not tried again: the mark is set or seen under the row's lock (`outcomes`)."""
    finals = [one for one in wanted if one.event.type in FINAL]
    if finals:
        given = {
            "endpoints": [one.endpoint_id for one in finals],
            "subjects": [one.event.render_id for one in finals],
            "sequences": [one.event.number for one in finals],
        }
        session.execute(_SUPERSEDE_EARLIER, given)


_SUPERSEDE_EARLIER = text(
    """
    UPDATE webhook_deliveries AS earlier SET
        state = CASE WHEN earlier.lease_until >= now() THEN earlier.state ELSE 'superseded' END,
        ended_at = CASE WHEN earlier.lease_until >= now() THEN NULL ELSE now() END,
        sent_at = CASE WHEN earlier.lease_until >= now() THEN earlier.sent_at END,
        lease_until = CASE WHEN earlier.lease_until >= now() THEN earlier.lease_until END, overtaken = true
    FROM unnest(CAST(:endpoints AS text[]), CAST(:subjects AS text[]), CAST(:sequences AS int[]))
        AS final (endpoint_id, subject, sequence)
    WHERE earlier.endpoint_id = final.endpoint_id AND earlier.subject = final.subject
        AND earlier.sequence < final.sequence AND earlier.state = 'pending' AND NOT earlier.asked_for"""
)


OVERTAKEN = """EXISTS (SELECT 1 FROM events AS later
            WHERE later.render_id = events.render_id AND later.number > events.number AND later.type = ANY(:ends)
                AND (:standing OR EXISTS (SELECT 1 FROM renders WHERE renders.id = later.render_id
                    AND renders.webhook_events && ARRAY['*', 'render.*', later.type])))"""
"""Of a row of `events`: whether its render has ended since, and the endpoint asks for that end (`asks`)."""


def asks(endpoint: WebhookEndpoint) -> Mapping[str, Any]:
    """What `OVERTAKEN` is given: the ends that the endpoint's own filter lets through, or its renders' do."""
    standing = endpoint.kind == EndpointKind.STANDING.value
    ends = [type.value for type in FINAL if not standing or filters.lets_through(endpoint.events, type.value)]
    return {"ends": ends, "standing": standing}


def supersede_some(session: Session, endpoint: WebhookEndpoint) -> bool:
    """End up to `AT_ONCE` of the endpoint's pending deliveries that are overtaken; whether there may be more. One that
    is being tried at this moment is not tried again."""
    given = {**asks(endpoint), "endpoint": endpoint.id, "most": AT_ONCE}
    return len(session.execute(_SUPERSEDE, given).all()) >= AT_ONCE


_SUPERSEDE = text(
    f"""
    UPDATE webhook_deliveries AS earlier SET
        state = CASE WHEN earlier.lease_until >= now() THEN earlier.state ELSE 'superseded' END,
        ended_at = CASE WHEN earlier.lease_until >= now() THEN NULL ELSE now() END,
        sent_at = CASE WHEN earlier.lease_until >= now() THEN earlier.sent_at END,
        lease_until = CASE WHEN earlier.lease_until >= now() THEN earlier.lease_until END, overtaken = true
    WHERE earlier.id = ANY (ARRAY(SELECT d.id FROM webhook_deliveries AS d JOIN events ON events.id = d.event_id
        WHERE d.endpoint_id = :endpoint AND d.state = 'pending' AND NOT d.overtaken AND NOT d.asked_for
            AND {OVERTAKEN}
        LIMIT :most FOR UPDATE OF d SKIP LOCKED))
    RETURNING earlier.id"""  # noqa: S608 - own names
)

"""From the feed of events to deliveries: what each enabled endpoint asks for, once, with the relay's place.

A second row beside each event would be a write on the path of every render, asked for or not; the feed is there anyway.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, select, text
from sqlalchemy.orm import Session

from worker.portions import WHOLE, Portion
from worker.renders import relays
from worker.renders.events import EventType
from worker.renders.models import Event
from worker.webhooks import filters, making, overtaking
from worker.webhooks.making import Asking, Wanted
from worker.webhooks.messages import NOTHING_MORE
from worker.webhooks.models import EndpointKind, WebhookEndpoint

NAME = "webhooks"
MOST = 500
"""Deliveries made at once, in a quarter of a second or so: one event of somebody with many endpoints is many of them,
and the dispatcher looks at the renders between two passes."""


def relay(session: Session, portion: Portion = WHOLE) -> bool:
    """Make deliveries of the next events, of as many as `MOST` come of; whether there may be more."""
    most = portion.of(MOST)
    found = relays.take(session, NAME, limit=most)
    told = len(found)
    if found and session.execute(_ANYBODY).scalar_one():
        told = _told(session, found, most)
    _forget_addresses(session, found[:told])
    if told < len(found):
        relays.stay(session, NAME, behind=found[told - 1])
        return True
    return len(found) >= most


def _told(session: Session, events: Sequence[Event], most: int) -> int:
    """Make deliveries of these, up to `most`, but of the first in any case; of how many events."""
    wanted: list[Wanted] = []
    told = 0
    for its in _wanted(session, events):
        if told and len(wanted) + len(its) > most:
            break
        wanted += its
        told += 1
    making.make(session, wanted)
    overtaking.supersede(session, wanted)
    return told


def _forget_addresses(session: Session, events: Sequence[Event]) -> None:
    """A deleted render kept the address that is told of it until now."""
    if gone := [event.render_id for event in events if event.type == EventType.DELETED]:
        session.execute(_FORGET_ADDRESSES, {"ids": gone})


_FORGET_ADDRESSES = text(
    """
    UPDATE renders SET webhook_url = NULL
    WHERE id = ANY(CAST(:ids AS text[])) AND webhook_url IS NOT NULL AND purged_at IS NOT NULL"""
)


_ANYBODY = text(
    """
    SELECT EXISTS (SELECT FROM webhook_endpoints WHERE disabled_at IS NULL)
        OR EXISTS (SELECT FROM webhook_endpoints WHERE kind = 'render' AND deleted_at IS NULL)"""
)


def _wanted(session: Session, events: Sequence[Event]) -> Iterator[list[Wanted]]:
    """What comes of each, in order."""
    standing = _standing(session, {event.owner_id for event in events})
    asking = making.renders(session, events, owners=standing.keys())
    own = _own(session, asking.values())
    for event in events:
        said = asking.get(event.render_id or "")
        of = said.of if said is not None else NOTHING_MORE
        its: list[Wanted] = []
        for endpoint in standing.get(event.owner_id, ()):
            # An endpoint is not told of itself: what says that it takes nothing is for the others.
            if endpoint.id != event.endpoint_id and filters.lets_through(endpoint.events, event.type):
                its.append(Wanted(endpoint.id, event, of))
        if said is not None and said.url is not None and filters.lets_through(said.patterns, event.type):
            endpoint = own.get(said.endpoint_id or "")
            if endpoint is not None and endpoint.owner_id == event.owner_id and _is_told(endpoint, event):
                its.append(Wanted(endpoint.id, event, of, said.url))
        yield its


def _is_told(endpoint: WebhookEndpoint, event: Event) -> bool:
    """A render's endpoint that is disabled is told of deletions once it is enabled: nobody else keeps their address.
    What else happens there is found by who has it sent again."""
    return endpoint.disabled_at is None or event.type == EventType.DELETED


def _standing(session: Session, owners: Collection[str]) -> Mapping[str, Sequence[WebhookEndpoint]]:
    """Enabled ones by owner."""
    found: dict[str, list[WebhookEndpoint]] = {}
    its = WebhookEndpoint.owner_id.in_(owners), WebhookEndpoint.kind == EndpointKind.STANDING.value
    for endpoint in _held(session, *its, WebhookEndpoint.disabled_at.is_(None)):
        found.setdefault(endpoint.owner_id, []).append(endpoint)
    return found


def _own(session: Session, asking: Iterable[Asking]) -> Mapping[str, WebhookEndpoint]:
    """Those of renders, by id, disabled ones included."""
    ids = {one.endpoint_id for one in asking if one.endpoint_id is not None}
    its = WebhookEndpoint.id.in_(ids), WebhookEndpoint.deleted_at.is_(None)
    return {endpoint.id: endpoint for endpoint in _held(session, *its)} if ids else {}


def _held(session: Session, *which: ColumnElement[bool]) -> Sequence[WebhookEndpoint]:
    """Until this transaction ends, so that none is deleted before its deliveries are on file."""
    query = select(WebhookEndpoint).where(*which)
    return session.scalars(query.order_by(WebhookEndpoint.id).with_for_update(read=True, key_share=True)).all()

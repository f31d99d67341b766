"""Endpoints: made, found, listed, changed, their secrets turned over, switched off and on. Every query names the owner
it is for. An address is checked for its form by who calls, and at each try by `worker.addresses`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.accounts import vault
from worker.addresses import form
from worker.addresses.policy import policy
from worker.database import from_now, new_id
from worker.owners.models import Owner
from worker.renders import events as feed
from worker.renders.events import EventType, NewEvent
from worker.webhooks import overtaking, signing
from worker.webhooks.models import DisabledReason, EndpointKind, WebhookEndpoint

MOST = 16
"""Standing ones of an owner: each of his events is a delivery to each of them, and all are made in one queue."""
MOST_OF_RENDERS = 200
"""Hosts that an owner's renders name, each with a secret of its own."""


class TooMany(Exception):
    """The owner has as many endpoints of a kind as he may: `MOST`, or `MOST_OF_RENDERS`."""


def create(
    session: Session,
    owner_id: str,
    *,
    url: str,
    events: Sequence[str],
    description: str | None = None,
    secret: str | None = None,
) -> tuple[WebhookEndpoint, str]:
    """Put a standing endpoint on file; it, and its secret in clear, which is made where none is given.

    Raises BadSecret, TooMany.
    """
    clear = signing.new_secret() if secret is None else signing.checked(secret)
    _one_at_a_time(session, owner_id)
    _refuse_beyond(session, owner_id, EndpointKind.STANDING, MOST)
    row = _row(owner_id, url, clear) | {"events": list(events), "description": description}
    return session.scalars(insert(WebhookEndpoint).values(row).returning(WebhookEndpoint)).one(), clear


def _one_at_a_time(session: Session, owner_id: str) -> None:
    """Have an owner's endpoints be counted and made by one call after the other, under the owner's row."""
    session.execute(select(Owner.id).where(Owner.id == owner_id).with_for_update(key_share=True))


def _refuse_beyond(session: Session, owner_id: str, kind: EndpointKind, most: int) -> None:
    its = WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.kind == kind.value
    there = select(func.count()).where(*its, WebhookEndpoint.deleted_at.is_(None))
    if session.execute(there).scalar_one() >= most:
        raise TooMany


def of_render(session: Session, owner_id: str, url: str) -> WebhookEndpoint:
    """The endpoint of renders that name an address of this scheme, host and port, made on first use, once however many
    ask at the same time. Whoever answers there is one receiver, with one secret and one share of the places, however
    many orders its paths and queries name: the whole address stays with the render.

    Raises TooMany.
    """
    if (found := _of_render(session, owner_id, url)) is not None:
        return found
    _one_at_a_time(session, owner_id)
    if (found := of_render_there(session, owner_id, url)) is not None:
        return found
    row = _row(owner_id, _keyed(url), signing.new_secret()) | {"kind": EndpointKind.RENDER.value}
    return session.scalars(insert(WebhookEndpoint).values(row).returning(WebhookEndpoint)).one()


def of_render_there(session: Session, owner_id: str, url: str) -> WebhookEndpoint | None:
    """As `of_render`, where there is one already; None: it would be made. Raises TooMany."""
    found = _of_render(session, owner_id, url)
    if found is None:
        _refuse_beyond(session, owner_id, EndpointKind.RENDER, MOST_OF_RENDERS)
    return found


def _of_render(session: Session, owner_id: str, url: str) -> WebhookEndpoint | None:
    mine = select(WebhookEndpoint).where(
        WebhookEndpoint.owner_id == owner_id,
        WebhookEndpoint.url == _keyed(url),
        WebhookEndpoint.kind == EndpointKind.RENDER.value,
        WebhookEndpoint.deleted_at.is_(None),
    )
    return session.scalars(mine).one_or_none()


def _keyed(url: str) -> str:
    """In the one spelling of an origin: short enough for an index, whatever the address is."""
    return str(replace(form.parse(url, policy()), target="/"))


def _row(owner_id: str, url: str, secret: str) -> dict[str, Any]:
    return {"id": new_id("whe"), "owner_id": owner_id, "url": url, "secret_encrypted": vault.lock(secret)}


def get(session: Session, owner_id: str, endpoint_id: str) -> WebhookEndpoint | None:
    """The owner's endpoint, or None: somebody else's is as good as none."""
    return session.scalars(_owned(owner_id, endpoint_id)).one_or_none()


def locked(session: Session, owner_id: str, endpoint_id: str) -> WebhookEndpoint | None:
    """As `get`, with the row locked until the transaction ends; not its key: deliveries are made of it meanwhile."""
    query = _owned(owner_id, endpoint_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def _owned(owner_id: str, endpoint_id: str) -> Select[WebhookEndpoint]:
    mine = WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.deleted_at.is_(None)
    return select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, *mine)


def page(
    session: Session, owner_id: str, *, limit: int, after: tuple[datetime, str] | None = None
) -> Sequence[WebhookEndpoint]:
    """Up to `limit` of the owner's endpoints, newest first, behind `after` (keyset: creation time and id)."""
    place = WebhookEndpoint.created_at, WebhookEndpoint.id
    query = select(WebhookEndpoint).where(WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.deleted_at.is_(None))
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after))
    return session.scalars(query.order_by(*(column.desc() for column in place)).limit(limit)).all()


_UNCHANGED: Any = object()


def change(
    session: Session,
    row: WebhookEndpoint,
    *,
    url: str = _UNCHANGED,
    events: Sequence[str] = _UNCHANGED,
    description: str | None = _UNCHANGED,
) -> None:
    """Change what is given of a locked endpoint. What is pending goes to the new address, which asked for no quiet."""
    quiet = row.quiet_until if url in (_UNCHANGED, row.url) else None
    given = {"url": url, "events": events, "description": description, "quiet_until": quiet}
    _set(session, row, {name: value for name, value in given.items() if value is not _UNCHANGED})


def disable(session: Session, row: WebhookEndpoint) -> None:
    """Send a locked endpoint nothing more. What is pending stays so."""
    shut(session, row, DisabledReason.ASKED)


def shut(session: Session, row: WebhookEndpoint, reason: DisabledReason) -> bool:
    """As `disable`, for a reason, with the event that says so; whether it was open."""
    if row.disabled_at is not None:
        return False
    _set(session, row, {"disabled_at": func.now(), "disabled_reason": reason.value})
    last = session.execute(
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == row.id)
        .values(event_number=WebhookEndpoint.event_number + 1, updated_at=WebhookEndpoint.updated_at)
        .returning(WebhookEndpoint.event_number)
        .execution_options(synchronize_session=False)
    ).scalar_one()
    told = NewEvent(EventType.WEBHOOK_DISABLED, {"reason": reason.value})
    feed.append(session, endpoint_id=row.id, owner_id=row.owner_id, last=last, events=[told])
    return True


def enable(session: Session, row: WebhookEndpoint) -> None:
    """Go on with a locked endpoint, with what is pending first; its failures so far are forgotten, and so is
    the quiet that it asked for. Of what is pending no event goes out that its render's end has overtaken: with many,
    `overtaking.supersede_some` comes first, in transactions of its own."""
    if row.disabled_at is not None:
        overtaking.supersede_some(session, row)
    forgotten = ("disabled_at", "disabled_reason", "failing_since", "quiet_until")
    _set(session, row, dict.fromkeys(forgotten))


def delete(session: Session, row: WebhookEndpoint) -> None:
    """Send a locked endpoint nothing more and show it to nobody; housekeeping removes it, its deliveries and its own
    events in pieces (`retention.remove`)."""
    values = {
        "deleted_at": func.now(),
        "disabled_at": func.coalesce(WebhookEndpoint.disabled_at, func.now()),
        "disabled_reason": func.coalesce(WebhookEndpoint.disabled_reason, DisabledReason.ASKED.value),
    }
    _set(session, row, values)


def rotate(session: Session, row: WebhookEndpoint, *, overlap: timedelta, secret: str | None = None) -> str:
    """A new secret of a locked endpoint, in clear. For `overlap` from now both sign; one that was still valid from an
    earlier rotation ends at once.

    Raises BadSecret.
    """
    clear = signing.new_secret() if secret is None else signing.checked(secret)
    values: dict[str, Any] = {"secret_encrypted": vault.lock(clear)}
    kept = overlap > timedelta(0)
    values["previous_secret_encrypted"] = row.secret_encrypted if kept else None
    values["previous_secret_until"] = from_now(overlap) if kept else None
    _set(session, row, values)
    return clear


def secrets_of(row: WebhookEndpoint, now: datetime) -> list[str]:
    """What signs at `now`, newest first; the previous secret only until its time. Raises SecretKeyChanged."""
    found = [vault.unlock(row.secret_encrypted)]
    if row.previous_secret_encrypted is not None and row.previous_secret_until is not None:
        found += [vault.unlock(row.previous_secret_encrypted)] if now < row.previous_secret_until else []
    return found


def _set(session: Session, row: WebhookEndpoint, values: dict[str, Any]) -> None:
    changes: dict[str, ColumnElement[Any] | Any] = {**values, "updated_at": func.now()}
    session.execute(
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == row.id)
        .values(changes)
        .execution_options(synchronize_session=False)
    )
    session.refresh(row)

"""Triggers and what came of their messages: put on file, found, changed, dropped. Every query names the owner it is
for, but the one by which a shop's message finds its trigger.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from worker.accounts import vault
from worker.catalogs.options import Options
from worker.database import ago, from_now, new_id
from worker.owners.models import ApiKey
from worker.renders.models import Render
from worker.renders.states import FINAL
from worker.triggers import locks
from worker.triggers.messages import OF_BODY
from worker.triggers.models import Trigger, TriggerDelivery, TriggerThing, Verdict

KEPT = timedelta(days=30)
"""Messages, and with them what a duplicate is told by: shops repeat theirs for four hours, Standard Webhooks' sources
for days."""
AFTER_ITS_END = timedelta(days=1)
"""A message of a render is kept longer where that is not over for so long: by it is known where the video goes."""
HELD_KEPT = timedelta(days=90)
"""Of what was never decided, because its trigger is paused or its key has ended: nobody comes back to it."""
REPEATED = timedelta(hours=24)
"""So long the same body without an id is the same message: sources repeat for hours, and a price that is taken back a
day later is news."""
FORGOTTEN_AT_ONCE = 5_000
PAUSED = "trigger.paused"
"""`code` of what is held because its trigger is paused."""
KEY_ENDED = "key.revoked"
"""The same because its trigger's key was revoked or has expired."""


def create(
    session: Session,
    owner_id: str,
    *,
    trigger_id: str,
    api_key_id: str | None,
    style: str,
    secret: str,
    template: str,
    options: Options,
    **given: Any,
) -> Trigger:
    """Put a trigger on file; `given` are `name`, `topics`, `mapping`, `conditions`, `publisher_id`. Raises
    SecretKeyMissing."""
    row = {
        "id": trigger_id,
        "owner_id": owner_id,
        "api_key_id": api_key_id,
        "style": style,
        "secret_encrypted": vault.lock(secret),
        "template": template,
        "options": options.kept(),
        **given,
    }
    return session.scalars(insert(Trigger).values(row).returning(Trigger)).one()


def any_owners(session: Session, trigger_id: str) -> Trigger | None:
    """A trigger by its id alone: for a message, which proves itself by its signature."""
    return session.scalars(select(Trigger).where(Trigger.id == trigger_id, Trigger.deleted_at.is_(None))).one_or_none()


def every_id(session: Session) -> frozenset[str]:
    """Of all owners."""
    return frozenset(session.scalars(select(Trigger.id).where(Trigger.deleted_at.is_(None))))


def get(session: Session, owner_id: str, trigger_id: str) -> Trigger | None:
    """The owner's trigger, or None: somebody else's is as good as none."""
    return session.scalars(_owned(owner_id, trigger_id)).one_or_none()


def locked(session: Session, owner_id: str, trigger_id: str) -> Trigger | None:
    """As `get`, and alone with it until the transaction ends: no message is decided meanwhile."""
    if get(session, owner_id, trigger_id) is None:
        return None  # nobody waits for what is another's
    locks.alone(session, trigger_id)
    query = _owned(owner_id, trigger_id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def _owned(owner_id: str, trigger_id: str) -> Select[Trigger]:
    mine = Trigger.owner_id == owner_id, Trigger.deleted_at.is_(None)
    return select(Trigger).where(Trigger.id == trigger_id, *mine)


def page(
    session: Session, owner_id: str, *, limit: int, after: tuple[datetime, str] | None = None
) -> Sequence[Trigger]:
    """Up to `limit` of the owner's triggers, newest first, behind `after` (keyset: creation time and id)."""
    query = select(Trigger).where(Trigger.owner_id == owner_id, Trigger.deleted_at.is_(None))
    if after is not None:
        query = query.where(tuple_(Trigger.created_at, Trigger.id) < tuple_(*after))
    return session.scalars(query.order_by(Trigger.created_at.desc(), Trigger.id.desc()).limit(limit)).all()


def of_publisher(session: Session, owner_id: str, publisher_id: str, *, but: str) -> Sequence[Trigger]:
    """The owner's triggers that have this publisher, all `but` one."""
    mine = Trigger.owner_id == owner_id, Trigger.publisher_id == publisher_id, Trigger.id != but
    return session.scalars(select(Trigger).where(*mine).order_by(Trigger.id)).all()


def change(session: Session, trigger: Trigger, values: Mapping[str, Any]) -> Trigger:
    """Write on a locked trigger: its own columns, but `paused_at`, which `pause` and `resume` do."""
    if values:
        session.execute(
            update(Trigger)
            .where(Trigger.id == trigger.id)
            .values(**values, updated_at=func.now())
            .execution_options(synchronize_session=False)
        )
        session.refresh(trigger)
    return trigger


def count_anew(session: Session, trigger: Trigger) -> None:
    """Have the revisions of a locked trigger's things say nothing any more: those that come are counted in another way,
    and would be older, or newer, than all that came for ever."""
    numbers = func.pg_get_serial_sequence(TriggerDelivery.__tablename__, TriggerDelivery.number.key)
    change(session, trigger, {"counts_from": func.nextval(numbers)})


def rotate(session: Session, trigger: Trigger, secret: str, overlap: timedelta) -> Trigger:
    """Give a locked trigger another secret; messages signed with the one before are taken for `overlap` more, those of
    a rotation before that no longer. The same secret again makes the overlap no longer, so that who repeats the call
    keeps both; a shorter one, or none, cuts the one before off sooner."""
    if vault.unlock(trigger.secret_encrypted) == secret:
        return _cut_off(session, trigger, overlap)
    before = trigger.secret_encrypted if overlap else None
    return change(
        session,
        trigger,
        {
            "secret_encrypted": vault.lock(secret),
            "previous_secret_encrypted": before,
            "previous_secret_until": from_now(overlap) if overlap else None,
        },
    )


def _cut_off(session: Session, trigger: Trigger, overlap: timedelta) -> Trigger:
    if trigger.previous_secret_until is None:
        return trigger
    if not overlap:
        return change(session, trigger, {"previous_secret_encrypted": None, "previous_secret_until": None})
    return change(
        session, trigger, {"previous_secret_until": func.least(Trigger.previous_secret_until, from_now(overlap))}
    )


def secrets(session: Session, trigger: Trigger) -> list[str]:
    """Those that a message may be signed with now. Raises SecretKeyMissing, SecretKeyChanged."""
    found = [vault.unlock(trigger.secret_encrypted)]
    if trigger.previous_secret_encrypted is not None:
        still = session.scalar(select(Trigger.previous_secret_until > func.now()).where(Trigger.id == trigger.id))
        found += [vault.unlock(trigger.previous_secret_encrypted)] if still else []
    return found


def pause(session: Session, trigger: Trigger) -> Trigger:
    """Have a locked trigger keep its messages. Harmless to repeat."""
    return trigger if trigger.paused_at is not None else change(session, trigger, {"paused_at": func.now()})


def resume(session: Session, trigger: Trigger) -> Trigger:
    """Have a locked trigger go on. Harmless to repeat. What it kept may be much: `holding` comes to it in pieces."""
    if trigger.paused_at is None:
        return trigger
    return change(session, trigger, {"paused_at": None, "goes_on_at": func.now()})


def take_over(session: Session, trigger: Trigger, api_key_id: str | None) -> Trigger:
    """Have another key stand for a locked trigger, and what is held because its own has ended be decided."""
    return change(session, trigger, {"api_key_id": api_key_id, "goes_on_at": func.now()})


def key_ended(session: Session, trigger: Trigger) -> bool:
    """Whether the trigger's key was revoked or has expired."""
    ended = or_(ApiKey.revoked_at.is_not(None), ApiKey.expires_at <= func.now())
    return session.scalar(select(ApiKey.id).where(ApiKey.id == trigger.api_key_id, ended)) is not None


def drop(session: Session, trigger: Trigger) -> None:
    """Forget a locked trigger and its messages; its renders and their videos stay. It is nobody's at once, and its
    secrets are gone; the rows may be many: `removal` takes them away in pieces."""
    secrets = {"secret_encrypted": b"", "previous_secret_encrypted": None, "previous_secret_until": None}
    change(session, trigger, {"deleted_at": func.now(), "publisher_id": None, **secrets})


def deliveries(
    session: Session,
    trigger: Trigger,
    *,
    limit: int,
    verdict: Verdict | None = None,
    after: tuple[datetime, str] | None = None,
) -> Sequence[TriggerDelivery]:
    """Up to `limit` of a trigger's messages, newest first, of one verdict alone where named."""
    query = select(TriggerDelivery).where(TriggerDelivery.trigger_id == trigger.id)
    if verdict is not None:
        query = query.where(TriggerDelivery.verdict == verdict.value)
    if after is not None:
        query = query.where(tuple_(TriggerDelivery.received_at, TriggerDelivery.id) < tuple_(*after))
    order = TriggerDelivery.received_at.desc(), TriggerDelivery.id.desc()
    return session.scalars(query.order_by(*order).limit(limit)).all()


def delivery(session: Session, owner_id: str, delivery_id: str) -> TriggerDelivery | None:
    """One message of the owner's."""
    mine = TriggerDelivery.id == delivery_id, TriggerDelivery.owner_id == owner_id
    there = Trigger.id == TriggerDelivery.trigger_id, Trigger.deleted_at.is_(None)
    return session.scalars(select(TriggerDelivery).join(Trigger, and_(*there)).where(*mine)).one_or_none()


def scrub(session: Session, render: Render) -> None:
    """Take the words out of the messages that a render was made of, or stands for, once it is deleted: they are its
    own. The rows stay, so that the same message again is a duplicate still."""
    emptied = {"headers": {}, "body": b"", "product": {}, "ref": None, "detail": None, "topic": None}
    session.execute(
        update(TriggerDelivery)
        .where(TriggerDelivery.render_id == render.id, TriggerDelivery.owner_id == render.owner_id)
        .values(**emptied)
        .execution_options(synchronize_session=False)
    )
    # Its reference is a word, too. What comes next of the thing is news.
    its = TriggerThing.render_id == render.id, TriggerThing.owner_id == render.owner_id
    session.execute(delete(TriggerThing).where(*its).execution_options(synchronize_session=False))


def let_go(session: Session, trigger: Trigger, key: str) -> bool:
    """Have a body that came without an id be news again once its message is older than `REPEATED`; whether it is.

    The old row keeps what it says under another key. Of two that try at once the second waits here for the first, finds
    nothing any more, and then the first's message under the key.
    """
    if not key.startswith(OF_BODY):
        return False
    its = TriggerDelivery.trigger_id == trigger.id, TriggerDelivery.key == key
    old = update(TriggerDelivery).where(*its, TriggerDelivery.received_at < ago(REPEATED))
    old = old.values(key=TriggerDelivery.key + ":" + TriggerDelivery.id).returning(TriggerDelivery.id)
    return session.scalar(old.execution_options(synchronize_session=False)) is not None


def forget(session: Session) -> int:
    """Delete messages that are older than `KEPT`, and what is held after `HELD_KEPT`, a piece of them; how many. Not of
    a render that is under way or was just now (`AFTER_ITS_END`)."""
    its = Render.id == TriggerDelivery.render_id
    final = Render.status.in_([one.value for one in FINAL]) & (Render.finished_at < ago(AFTER_ITS_END))
    decided = TriggerDelivery.retry_at.is_(None)
    old = select(TriggerDelivery.id).where(
        TriggerDelivery.received_at < ago(KEPT),
        decided | (TriggerDelivery.received_at < ago(HELD_KEPT)),
        ~exists().where(its, ~final),
    )
    old = old.limit(FORGOTTEN_AT_ONCE)
    gone = session.execute(delete(TriggerDelivery).where(TriggerDelivery.id.in_(old)).returning(TriggerDelivery.id))
    return len(gone.all())


def forget_things(session: Session) -> int:
    """Delete what is known of things that have no video, and of which no message came for as long as messages are kept,
    a piece of them; how many. The others go with their render, and all with their trigger."""
    idle = TriggerThing.render_id.is_(None), TriggerThing.updated_at < ago(KEPT)
    old = select(TriggerThing.trigger_id, TriggerThing.ref).where(*idle).limit(FORGOTTEN_AT_ONCE)
    chosen = old.with_for_update(skip_locked=True).cte()
    these = tuple_(TriggerThing.trigger_id, TriggerThing.ref).in_(select(chosen.c.trigger_id, chosen.c.ref))
    return len(session.execute(delete(TriggerThing).where(these).returning(TriggerThing.ref)).all())


def new_delivery_id() -> str:
    """`tdl_…`."""
    return new_id("tdl")

"""A shop at the level of transactions: messages are taken as the intake takes them, without HTTP."""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from tests.emptying import empty_tables
from worker.accounts import vault
from worker.catalogs.options import Options
from worker.database import new_id, transact
from worker.owners import store as owners
from worker.owners.limits import Limits
from worker.owners.models import ApiKey
from worker.publishing.models import Publication, Publisher
from worker.renders.models import Render, Result
from worker.templates import store as templates
from worker.templates.store import Content
from worker.templates.variables import Variable
from worker.triggers import acceptance, store
from worker.triggers.acceptance import Arrived, Taken
from worker.triggers.models import Style, Trigger, TriggerDelivery, TriggerThing
from worker.triggers.planning import Said

TEMPLATE = Content(
    "a video about {{ title }}{% if price %} for {{ price }}{% endif %}",
    {"title": Variable(), "price": Variable(required=False)},
)


def empty() -> None:
    """Nothing is left of other tests."""
    tables = "triggers, publishers, catalogs, batches, renders, lanes, templates, api_keys, owners"
    transact(lambda session: empty_tables(session, tables))


def owner_id(name: str = "default") -> str:
    return transact(lambda session: owners.owner(session, name).id)


class Shop:
    """An owner's shop with a trigger and a template; `options` are the trigger's columns."""

    def __init__(self, *, owner: str = "default", limits: Limits | None = None, **columns: Any) -> None:
        self.owner_id = owner_id(owner)
        self.name = f"promo-{new_id('tpl')[4:]}"
        transact(lambda session: templates.create(session, self.owner_id, self.name, TEMPLATE))
        self.key_id = transact(lambda session: self.key(session, limits)) if limits else None
        self.id = transact(lambda session: self._trigger(session, columns)).id

    def key(self, session: Session, limits: Limits) -> str:
        """Another key of the owner; its id."""
        text = owners.new_key(session, self.owner_id, "shop", limits=limits)
        return session.scalars(select(ApiKey.id).where(ApiKey.hash == owners.key_hash(text))).one()

    def _trigger(self, session: Session, columns: dict[str, Any]) -> Trigger:
        usual = {
            "style": "bearer",
            "name": None,
            "topics": None,
            "mapping": {},
            "conditions": [],
            "publisher_id": None,
            "template": self.name,
            "options": Options(),
        }
        return store.create(
            session, self.owner_id, trigger_id=new_id("trg"), api_key_id=self.key_id, secret="s" * 20, **usual | columns
        )

    def changes(self, **columns: Any) -> None:
        """The trigger's own columns."""
        transact(lambda session: session.execute(update(Trigger).where(Trigger.id == self.id).values(**columns)))

    def pauses(self, on: bool = True) -> None:
        def work(session: Session) -> None:
            row = store.locked(session, self.owner_id, self.id)
            assert row is not None
            _ = store.pause(session, row) if on else store.resume(session, row)

        transact(work)

    def publisher(self) -> str:
        """A new one."""
        row = Publisher(id=new_id("pub"), owner_id=self.owner_id, kind="http", credentials_encrypted=vault.lock("{}"))
        transact(lambda session: session.add(row))
        self.changes(publisher_id=row.id)
        return row.id

    def said(self, body: Any, *, key: str = "", topic: str = "product.updated", style: Style = Style.BEARER) -> Arrived:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        said = Said.read(style, {"webhook-id": key or new_id("msg"), "x-topic": topic}, content)
        return Arrived(said.message.key, said)

    def takes(self, body: Any, **how: Any) -> Taken:
        """A message that comes in."""
        arrived, id = self.said(body, **how), store.new_delivery_id()
        return transact(lambda session: acceptance.receive(session, self.id, arrived, id))

    def verdict(self, body: Any, **how: Any) -> str:
        return self.takes(body, **how).delivery.verdict

    def deliveries(self) -> Sequence[TriggerDelivery]:
        query = select(TriggerDelivery).where(TriggerDelivery.trigger_id == self.id).order_by(TriggerDelivery.id)
        return transact(lambda session: session.scalars(query).all())

    def thing(self, ref: str = "1") -> TriggerThing | None:
        return transact(lambda session: session.get(TriggerThing, (self.id, ref)))


def product(ref: int = 1, *, at: int = 1, **fields: Any) -> dict[str, Any]:
    """A product as of second `at`."""
    moment = f"2026-03-01T10:00:{at:02d}Z"
    return {"id": ref, "title": f"Lamp {ref}", "price": "19.90", "updated_at": moment, "status": "active"} | fields


def renders() -> Sequence[Render]:
    """All, oldest first."""
    return transact(lambda session: session.scalars(select(Render).order_by(Render.id)).all())


def publications() -> Sequence[Publication]:
    return transact(lambda session: session.scalars(select(Publication)).all())


def ends(render_id: str | None, status: str = "succeeded") -> None:
    """As if workers had made it."""
    transact(lambda session: end(session, render_id, status))


def end(session: Session, render_id: str | None, status: str = "succeeded") -> None:
    """The same within a transaction."""
    assert render_id is not None
    session.execute(
        update(Render)
        .where(Render.id == render_id)
        .values(status=status, started_at=text("now()"), finished_at=text("now()"))
    )
    if status == "succeeded":
        row = session.get_one(Render, render_id)
        facts = {"sha256": "0", "bytes": 5, "duration_seconds": 6.0, "width": 1, "height": 1}
        facts |= {"video_codec": "h264", "pixel_format": "yuv420p", "storage_key": row.id, "poster_key": row.id}
        session.add(Result(render_id=row.id, run=row.run, owner_id=row.owner_id, **facts))


def due_now() -> None:
    """What is held because of limits is due."""
    held = TriggerDelivery.retry_at < text("'infinity'")
    transact(lambda session: session.execute(update(TriggerDelivery).where(held).values(retry_at=text("now()"))))


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls return, begun in one moment."""
    found: list[Any] = []
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> None:
        barrier.wait()
        found.append(call())

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return found

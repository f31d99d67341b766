"""Triggers: sources of webhooks, and what each of their messages came to."""

import base64
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from .answers import Model, Page, every
from .connection import Connection
from .wire import at, parameters

OF_THE_SOURCE = ("shopify", "stripe")
"""Styles whose sources make their secrets themselves."""


class Trigger(Model):
    """A source of messages and what is made of them; `secret` is shown as it is made or rotated, and never again."""

    id: str
    name: str | None = None
    style: str
    template: str
    options: dict[str, Any] = {}
    topics: list[str] | None = None
    mapping: dict[str, Any] = {}
    conditions: list[dict[str, Any]] = []
    publisher_id: str | None = None
    api_key_id: str | None = None
    paused: bool = False
    paused_at: datetime | None = None
    previous_secret_until: datetime | None = None
    secret: str | None = None
    created_at: datetime
    updated_at: datetime
    links: dict[str, str] = {}


class TriggerDelivery(Model):
    """A message and what became of it (`verdict`); `headers` and `body` where one alone was asked for."""

    id: str
    trigger_id: str
    topic: str | None = None
    verdict: str
    code: str | None = None
    detail: str | None = None
    render_id: str | None = None
    external_ref: str | None = None
    revision: int | None = None
    product: dict[str, Any] = {}
    replay_of: str | None = None
    duplicates: int = 0
    received_at: datetime
    sent_at: datetime | None = None
    tries: int = 0
    retry_at: datetime | None = None
    headers: dict[str, str] = {}
    body: str | None = None
    body_encoding: str = "utf-8"

    def content(self) -> bytes:
        """The body as it came; empty where it was not asked for."""
        text = self.body or ""
        return base64.b64decode(text) if self.body_encoding == "base64" else text.encode()


class TriggerTrial(Model):
    """What would become of a message; nothing was kept or charged."""

    verdict: str
    code: str | None = None
    detail: str | None = None
    topic: str | None = None
    external_ref: str | None = None
    revision: int | None = None
    product: dict[str, Any] = {}
    template: str | None = None
    prompt: str | None = None
    language: str | None = None
    variables: dict[str, Any] = {}
    pictures: list[str] = []
    render_id: str | None = None


class Triggers(Connection):
    """Calls about triggers."""

    def create_trigger(
        self, style: str, template: str, *, idempotency_key: str | None = None, **options: Any
    ) -> Trigger:
        """Take a source of messages on; `links["deliveries"]` is the address to give it, `secret` what it signs with.

        `options` as the service has them: `name`, `secret`, `topics`, `mapping`, `conditions`, `publisher_id`,
        `options`, `paused`. Without a `secret` one is made; `shopify` and `stripe` make their own.
        """
        body = {"style": style, "template": template, **options}
        return self._ask(Trigger, "POST", at("triggers"), body=body, idempotency_key=idempotency_key)

    def triggers(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Trigger]:
        """Your triggers, newest first."""
        return self._list(Page[Trigger], at("triggers"), limit=limit, cursor=cursor)

    def trigger(self, trigger_id: str) -> Trigger:
        """A trigger, without its secret."""
        return self._ask(Trigger, "GET", at("triggers", trigger_id))

    def change_trigger(self, trigger_id: str, **changes: Any) -> Trigger:
        """Change `name`, `template`, `topics`, `publisher_id`, `paused`, or as a whole `options`, `mapping`,
        `conditions`; None takes back what a trigger may be without."""
        return self._ask(Trigger, "PATCH", at("triggers", trigger_id), body=changes)

    def delete_trigger(self, trigger_id: str) -> None:
        """Forget a trigger and its messages; its renders and videos stay."""
        self._send("DELETE", at("triggers", trigger_id))

    def rotate_trigger_secret(
        self, trigger_id: str, *, secret: str | None = None, overlap_seconds: int | None = None
    ) -> Trigger:
        """Give a trigger another secret; the one before is taken too for the overlap, a day by default.

        One that is made is made here: the call may be repeated after a lost answer, and the same secret again changes
        nothing, where another one would end the overlap of the first.
        """
        if secret is None and self.trigger(trigger_id).style not in OF_THE_SOURCE:
            secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        given = {"secret": secret, "overlap_seconds": overlap_seconds}
        body = {name: value for name, value in given.items() if value is not None}
        return self._ask(Trigger, "POST", at("triggers", trigger_id, "rotate-secret"), body=body)

    def try_trigger(self, trigger_id: str, body: bytes, *, topic: str | None = None) -> TriggerTrial:
        """What would become of a message with this body; no signature is needed."""
        path, headers = at("triggers", trigger_id, "test"), {"Content-Type": "application/json"}
        return self._ask(
            TriggerTrial,
            "POST",
            path,
            headers=headers | {"Content-Length": str(len(body))},
            params=parameters({"topic": topic}),
            content=lambda: iter([body]),
        )

    def trigger_deliveries(
        self, trigger_id: str, *, verdict: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Page[TriggerDelivery]:
        """A trigger's messages, newest first."""
        path = at("triggers", trigger_id, "deliveries")
        return self._list(Page[TriggerDelivery], path, verdict=verdict, limit=limit, cursor=cursor)

    def iter_trigger_deliveries(self, trigger_id: str, *, verdict: str | None = None) -> Iterator[TriggerDelivery]:
        """All of a trigger's messages, newest first."""
        return every(lambda cursor: self.trigger_deliveries(trigger_id, verdict=verdict, limit=200, cursor=cursor))

    def trigger_delivery(self, delivery_id: str) -> TriggerDelivery:
        """A message with its headers, without secrets, and its body."""
        return self._ask(TriggerDelivery, "GET", at("trigger-deliveries", delivery_id))

    def replay_delivery(
        self, delivery_id: str, *, force: bool = False, idempotency_key: str | None = None
    ) -> TriggerDelivery:
        """Decide a message anew, as its trigger is now; `force` renders, and pays, although its video is there."""
        path = at("trigger-deliveries", delivery_id, "replay")
        return self._ask(TriggerDelivery, "POST", path, body={"force": force}, idempotency_key=idempotency_key)

    def try_replay(self, delivery_id: str, *, force: bool = False) -> TriggerTrial:
        """What would become of a message now; nothing is kept."""
        path = at("trigger-deliveries", delivery_id, "replay")
        return self._ask(TriggerTrial, "POST", path, body={"force": force, "dry_run": True})

"""Somebody who is told of the storm's ends by webhook, and takes two of three tries: what has to hold of that."""

import itertools
import random
from collections import defaultdict
from typing import Any, Self

import psycopg

from tests.chaos.customers import Customers
from tests.chaos.invariants import Violation
from tests.receivers import Received, Receiver

SETTINGS = {
    "VIVIDEO_WEBHOOK_TIMEOUT_SECONDS": "1",
    "VIVIDEO_WEBHOOK_RETRY_SECONDS": ",".join(["0.3", "0.6", *["1"] * 60]),
}
"""A storm is minutes: what fails is tried again soon, and often enough for all of it."""
REFUSED = 0.3
"""Share of the tries that fail, by answer or by none in time."""
EVENTS = ["render.succeeded", "render.failed", "render.canceled", "render.expired", "batch.finished"]

_OPEN = "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'"
_WANTED = """
    SELECT coalesce(render_id, batch_id), number FROM events
    WHERE type = ANY(%s) AND owner_id = (SELECT owner_id FROM webhook_endpoints WHERE id = %s)"""
_STATES = """
    SELECT d.id, d.subject, d.sequence, d.state FROM webhook_deliveries d
    WHERE d.endpoint_id = %s AND d.event_id IS NOT NULL"""


class Listener:
    """The receiver, and its endpoint, which is made before the first render is asked for."""

    def __init__(self, customers: Customers, seed: int) -> None:
        self._chance = random.Random(seed)
        self._slow = itertools.count(1)
        self._receiver = Receiver({"/hook": self._take})
        self._customers = customers
        self.endpoint = ""

    def __enter__(self) -> Self:
        self._receiver.__enter__()
        body = {"url": f"{self._receiver.url}/hook", "events": EVENTS}
        made = self._customers.insist("POST", "/v1/webhook-endpoints", json=body, headers={"Idempotency-Key": "storm"})
        assert made is not None, self._customers.complaints
        self.endpoint = made["id"]
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.__exit__()

    def _take(self, one: Received, before: int) -> tuple[int, dict[str, str]]:
        if self._chance.random() >= REFUSED:
            return 204, {}
        if next(self._slow) % 5 == 0:
            self._receiver.released.wait(1.5)  # longer than anybody waits for an answer
        return 503, {}

    def check(self, connection: psycopg.Connection) -> list[Violation]:
        """Each end was told, at least once and under one id, or a later one of its render was; nothing was told that
        is not so; nothing is left over; and what is said to be delivered came."""
        ids: dict[tuple[str, int], set[str]] = defaultdict(set)
        for one in self._receiver.on("/hook"):
            said: dict[str, Any] = one.event["data"]
            ids[said.get("render_id") or said["batch_id"], said["number"]].add(one.id)
        wanted = set(connection.execute(_WANTED, (EVENTS, self.endpoint)).fetchall())
        came = {id for of in ids.values() for id in of}
        last = {subject: max(number for one, number in ids if one == subject) for subject, _ in ids}
        untold = [(subject, number) for subject, number in wanted - {*ids} if number > last.get(subject, 0)]
        found = [Violation("webhook", subject, f"event {number} was not told") for subject, number in untold]
        found += [Violation("webhook", subject, f"event {number} is none") for subject, number in {*ids} - wanted]
        found += [Violation("webhook", subject, f"told as {of}") for (subject, _), of in ids.items() if len(of) > 1]
        for id, subject, number, state in connection.execute(_STATES, (self.endpoint,)):
            overtaken = state == "superseded" and number < last.get(subject, 0)
            if not overtaken and (state != "delivered" or id not in came):
                found.append(Violation("webhook", subject, f"event {number}: {state}, came: {id in came}"))
        return found


def rests(ask: Any) -> bool:
    """Whether nothing is on its way any more."""
    return ask(_OPEN) == [(0,)]

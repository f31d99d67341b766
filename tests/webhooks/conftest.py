"""A database of a module's own, and a receiver that keeps what it got and answers as it is told."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select, text, update

from tests import feed
from tests.renders.conftest import _empty
from tests.stack import here
from worker.database import transact
from worker.owners.store import owner
from worker.renders import store
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Render
from worker.webhooks import due, endpoints, relay, sending
from worker.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = ["_empty", "_settings"]

SETTINGS = {
    "VIVIDEO_SECRET_KEY": "k" * 40,
    "VIVIDEO_ALLOW_LOCAL_ADDRESSES": "true",
    "VIVIDEO_WEBHOOK_TIMEOUT_SECONDS": "0.4",
    "VIVIDEO_WEBHOOK_RETRY_SECONDS": "0,100,200",
    "VIVIDEO_DISPATCH_TICK_SECONDS": "0",
}
"""A place is given back after each try, and the first retry comes at once."""


@pytest.fixture(scope="module", autouse=True)
def _settings(database: str) -> Iterator[None]:
    with here(SETTINGS | {"VIVIDEO_DATABASE_URL": database}):
        yield


@dataclass
class Got:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A real HTTP server. `answers` are given in turn, the last one for ever: a status, or status, headers and body."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answers: list[Any] = field(default_factory=lambda: [204])

    def next(self) -> tuple[int, dict[str, str], bytes]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return (answer, {}, b"") if isinstance(answer, int) else answer

    @property
    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.got.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, headers, answer = told.next()
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(answer))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_port}/hook?token=s3cr3t"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield told
        server.shutdown()


def an_endpoint(url: str = "http://127.0.0.1:9/", events: tuple[str, ...] = ("*",), owner_name: str = "default") -> str:
    def make(session):
        return endpoints.create(session, owner(session, owner_name).id, url=url, events=events)[0].id

    return transact(make)


def names(render_id: str, url: str, *events: str, owner_name: str = "default") -> str:
    """A render's own webhook; the endpoint's id."""
    endpoint = by_owner(lambda s, mine: endpoints.of_render(s, mine, url).id, owner_name)
    put(Render, render_id, webhook_endpoint_id=endpoint, webhook_events=list(events or ("*",)), webhook_url=url)
    return endpoint


def happens(render_id: str, *types: EventType) -> None:
    """Something happens to a render."""

    def work(session):
        render = session.get_one(Render, render_id, with_for_update=True)
        store.change(session, render, {}, *(NewEvent(type) for type in types))

    transact(work)


def relayed() -> None:
    """All events become deliveries."""
    feed.readable()
    while transact(relay.relay):
        pass


def handed_out() -> list[due.Due]:
    return transact(due.hand_out)


def tried() -> int:
    """Hand out and try once what is due; how many tries."""
    return sum(sending.deliver(one.id, one.lease, tools=sending.Tools()) for one in handed_out())


def deliveries(endpoint_id: str | None = None) -> list[WebhookDelivery]:
    query = select(WebhookDelivery).order_by(WebhookDelivery.subject, WebhookDelivery.sequence)
    if endpoint_id is not None:
        query = query.where(WebhookDelivery.endpoint_id == endpoint_id)
    return transact(lambda s: list(s.scalars(query)))


def states(endpoint_id: str | None = None) -> list[tuple[str, str]]:
    return [(one.type.partition(".")[2], one.state) for one in deliveries(endpoint_id)]


def the_delivery(id: str) -> WebhookDelivery:
    return transact(lambda s: s.get_one(WebhookDelivery, id))


def the_endpoint(id: str) -> WebhookEndpoint:
    return transact(lambda s: s.get_one(WebhookEndpoint, id))


def attempts(id: str) -> list[WebhookAttempt]:
    query = select(WebhookAttempt).where(WebhookAttempt.delivery_id == id).order_by(WebhookAttempt.number)
    return transact(lambda s: list(s.scalars(query)))


def put(model: Any, id: str, **columns: Any) -> None:
    transact(lambda s: s.execute(update(model).where(model.id == id).values(**columns)))


def later(seconds: float) -> None:
    """Time passes: every time on an event, a delivery, an endpoint or a redelivery lies so much further back."""

    def work(session):
        for table, names in (
            ("webhook_deliveries", ("ready_at", "sent_at", "lease_until", "created_at", "ended_at")),
            (
                "webhook_endpoints",
                ("failing_since", "failed_at", "quiet_until", "disabled_at", "previous_secret_until"),
            ),
            ("events", ("created_at",)),
            ("webhook_redeliveries", ("since", "created_at", "moved_at", "finished_at")),
        ):
            sets = ", ".join(f"{name} = {name} - make_interval(secs => {seconds})" for name in names)
            session.execute(text(f"UPDATE {table} SET {sets}"))  # noqa: S608 - own names

    transact(work)


def by_owner(work: Any, name: str = "default") -> Any:
    return transact(lambda s: work(s, owner(s, name).id))

"""One scenario being played on a ground: its renders, and what each may end as."""

import io
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx
from PIL import Image
from sqlalchemy import text

from tests.chaos.points import many
from tests.chaos.points.ground import Ground
from tests.chaos.points.many import Expected
from tests.chaos.points.sql import rows, sql
from tests.journeys.conftest import Journey
from tests.media.servers import answer, serving
from tests.stack import until
from worker.app import app
from worker.database import engine, transact
from worker.owners.store import owner
from worker.renders import store

_numbers = count(1)
_OWNED = """UPDATE renders SET worker_id = :worker, lease = lease + 1, status = 'running', started_at = now()
    WHERE id = :id"""
_LIVING_IO = "SELECT id FROM workers WHERE kind = 'io' AND stopped_at IS NULL ORDER BY seen_at DESC LIMIT 1"
WELL = ("succeeded",)


class Play:
    """The scenario's hands. What it does itself goes through this process, which is no test build."""

    def __init__(self, ground: Ground, scenario: str) -> None:
        self.ground = ground
        self.number = next(_numbers)
        self.name = f"{scenario} {self.number} of {ground.home.name}"
        self.ends: dict[str, tuple[str, ...]] = {}
        """Render id → the statuses it may end with."""
        self.messages: dict[str, int] = {}
        """Render id → the messages it may have sent, where that is more than one."""
        self.batches: list[Expected] = []
        self.catalogs: list[str] = []
        """Ids of catalogs that are still there."""

    def render(
        self,
        directives: str = "",
        *,
        ends: tuple[str, ...] = WELL,
        messages: int = 1,
        rule: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Journey:
        """A render taken on. Directives hold in each of its sessions, a rule once for all of them."""
        words = f"A 1 second clip, {self.name}, number {len(self.ends) + 1}."
        if rule:
            self.ground.rule(match=words, **rule)
        journey = Journey(self.ground, f"{words} {directives}".strip(), **fields)
        self.ends[journey.id] = ends
        self.messages[journey.id] = messages
        return journey

    def post(self, *, ends: tuple[str, ...] = WELL, **fields: Any) -> str:
        """A render taken on by the intake; its id. The same key goes with each repetition."""
        prompt = f"A 1 second clip, {self.name}, posted as number {len(self.ends) + 1}."
        headers = {"Idempotency-Key": f"{self.name} {len(self.ends)}".replace(" ", "-")}
        answer = self.ground.ask("POST", "/v1/renders", json={"prompt": prompt, **fields}, headers=headers)
        assert answer.status_code == 202, answer.text
        self.ends[answer.json()["id"]] = ends
        self.messages[answer.json()["id"]] = 1
        return answer.json()["id"]

    def template(self) -> str:
        """A template of products with a title and perhaps a price; its name."""
        name = self.name.replace(" ", "-").replace("_", "-").lower()
        prompt = "A 1 second clip of {{ title }} for {{ price }}"
        content = {"prompt": prompt, "variables": {"title": {}, "price": {"required": False}}}
        self.made("/v1/templates", {"name": name, **content}, "template")
        return name

    def made(self, at: str, body: dict[str, Any], what: str) -> dict[str, Any]:
        """What the intake made of a request, perhaps at its second try."""
        answer = self.ground.ask("POST", at, json=body, headers=self.once(what))
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()

    def seen(self, *pages: str) -> None:
        """Each of them is answered."""
        for page in pages:
            answer = self.ground.ask("GET", page)
            assert answer.status_code == 200, answer.text

    def took_on(self, render_id: str) -> None:
        """A render that the service made by itself: it has to succeed."""
        self.ends[render_id] = WELL
        self.messages[render_id] = 1

    def until(self, holds: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """Wait for a condition while whatever dies is put up again."""

        def look() -> Any:
            self.ground.mend()
            return holds()

        return until(look, seconds, what=what)

    def final(self, *journeys: Journey) -> None:
        """Wait for the ends of these renders."""
        for journey in journeys:
            self.until(lambda one=journey: one.row.finished_at, f"the end of {journey.prompt!r}")

    def expect(self, batch: Expected) -> None:
        """A batch that was taken on."""
        self.batches.append(batch)
        for render_id in many.render_ids(batch):
            self.ends[render_id] = batch.ends
            self.messages[render_id] = 1

    def settled(self) -> None:
        """Wait for the ends of all of them."""
        open_ones = "SELECT id FROM renders WHERE id = ANY(:ids) AND finished_at IS NULL"
        self.until(lambda: not rows(open_ones, ids=list(self.ends)), f"the end of {self.name}")
        for batch in self.batches:
            self.until(lambda one=batch: not many.is_open(one), f"the end of {batch.asked}")
        self.until(many.forgotten, "the end of what was never received whole")

    def once(self, what: str) -> dict[str, str]:
        """The same key goes with each repetition."""
        return {"Idempotency-Key": f"{self.name} {what}".replace(" ", "-")}

    def cancel(self, journey: Journey) -> None:
        """Ask for its cancellation."""
        transact(lambda session: store.cancel(session, owner(session, "default").id, journey.id))

    def streaming(self, journey: Journey) -> None:
        """Wait until the backend has its message, or none will come any more."""
        self.until(lambda: journey.messages() or journey.row.finished_at, f"the message of {journey.prompt!r}")

    def sweep(self) -> None:
        """Ask for the housekeeping, as beat does, and wait until it got to its end: a file doomed now is gone."""
        mark = f"uploads/{self.name.replace(' ', '-')}/nothing.png"
        sql("INSERT INTO doomed_files (storage_key) VALUES (:mark) ON CONFLICT DO NOTHING", mark=mark)
        asked = [0.0]

        def done() -> bool:
            if time.monotonic() - asked[0] > 3:
                asked[0] = time.monotonic()
                with app.connection_for_write(self.ground.environment["VIVIDEO_BROKER_URL"]) as broker:
                    app.send_task("housekeeping", queue="io", connection=broker)
            return not rows("SELECT 1 FROM doomed_files WHERE storage_key = :mark", mark=mark)

        self.until(done, "the housekeeping")

    def stray(self) -> Journey:
        """A render that a living worker owns and knows nothing of, as after a claim whose answer was lost."""
        # Before the dispatcher sees it.
        with self.still("dispatcher"):
            journey = self.render()
            worker = self.until(lambda: rows(_LIVING_IO), "a living worker")[0].id
            sql(_OWNED, id=journey.id, worker=worker)
        return journey

    @contextmanager
    def still(self, name: str) -> Iterator[None]:
        """A process that does nothing meanwhile."""
        process = self.ground.running[name]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def quietly(self, act: Callable[[], Any]) -> Any:
        """Its value; None where the intake died meanwhile."""
        try:
            return act()
        except (httpx.TransportError, AssertionError):
            return None

    @contextmanager
    def key_in_flight(self, route: str, key: str) -> Iterator[None]:
        """The first owner's idempotency key, as held by a request that is not through."""
        with engine().connect() as connection, connection.begin():
            held = text(
                "SELECT pg_advisory_xact_lock(hashtextextended(id || :rest, 0)) FROM owners WHERE name = 'default'"
            )
            connection.execute(held, {"rest": f"\n{route}\n{key}"})
            yield

    @contextmanager
    def shop(self, pages: dict[str, bytes]) -> Iterator[str]:
        """A web server with these pictures; its address."""
        with serving() as said:
            for path, body in pages.items():
                said.answers[path] = answer(body=body, Content_Type="image/png", Content_Length=len(body))
            yield said.base

    def leave(self, name: str) -> None:
        """SIGTERM, the end, and a fresh one."""
        process = self.ground.running[name]
        process.send_signal(signal.SIGTERM)
        self.until(lambda: self.ground.running[name].pid != process.pid, f"another {name}")


def picture(colour: str) -> bytes:
    """A small PNG."""
    held = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(held, "PNG")
    return held.getvalue()

"""The database goes and comes: the intake starts without it, says so, keeps its listeners, and goes on."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from tests.api import working
from tests.api.service import Service, until
from worker import migrations


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Running]:
    """A server of this test's own, made and stopped again."""
    running = Running(Postgres(tmp_path / "postgres", durable=False), tmp_path / "postgres.log")
    with running:
        pass
    yield running
    running.stop()


def test_the_intake_outlives_its_database(own_postgres: Running, tmp_path: Path, worker_number: int) -> None:
    """It starts before the database, takes renders as soon as there is one, answers 503 while it is away, and a
    stream opened before an outage delivers what happened after it."""
    server = own_postgres.server
    assert isinstance(server, Postgres)
    (tmp_path / "state").mkdir()
    service = Service(server.url(), tmp_path / "state", 21_080 + worker_number * 100)
    service.start()
    try:
        _refused(service.first.post("/v1/renders", json={"prompt": "kites"}))
        assert service.nobody.get("/readyz").json()["checks"] == {"database": False}
        assert service.nobody.get("/").status_code == 200
        own_postgres.__enter__()
        server.ensure_database()
        until(lambda: service.nobody.get("/readyz").json()["checks"].get("migrations") is False)
        _refused(service.first.get("/v1/credits"))
        migrations.upgrade(server.url())
        until(lambda: service.first.get("/v1/credits").status_code == 200)
        render_id = service.make()["id"]
        held = service.write(lambda session: working.claimed(session, render_id))
        headers = {"Accept": "text/event-stream"}
        with service.first.stream("GET", f"/v1/renders/{render_id}/events", headers=headers) as answer:
            lines = answer.iter_lines()
            until(lambda: "render.started" in next(lines))
            own_postgres.stop()
            _refused(service.first.get(f"/v1/renders/{render_id}"))
            _refused(service.first.post("/v1/renders", json={"prompt": "kites"}, headers={"Idempotency-Key": "k"}))
            own_postgres.__enter__()
            until(lambda: service.first.get(f"/v1/renders/{render_id}").status_code == 200)
            service.forget_connections()
            service.write(lambda session: working.finished(session, held))
            until(lambda: "render.succeeded" in next(lines))
        assert "request.fault" not in service.log
    finally:
        service.close()


def _refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "database.unavailable"), answer.text
    assert int(answer.headers["retry-after"]) > 0


def test_open_streams_do_not_hold_the_intake_up(service: Service) -> None:
    """Asked to leave with a stream open, it is gone within the time a supervisor gives it."""
    render_id = service.make()["id"]
    headers = {"Accept": "text/event-stream"}
    with service.first.stream("GET", f"/v1/renders/{render_id}/events", headers=headers) as answer:
        next(answer.iter_lines())
        assert service.stop() < 2.5
    service.start()

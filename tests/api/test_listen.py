"""`vivideo hooks listen`, a process of its own: what a program on this machine receives, through what goes wrong."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook

from tests.addresses.servers import serving as silent
from tests.api import working
from tests.api.command import PROGRAM, environment
from tests.api.service import FIRST_KEY, Service, serving, until
from tests.api.wire import Told, answering
from worker.renders.events import Cursor
from worker.renders.models import Event, Render
from worker.renders.states import Status
from worker.webhooks import messages
from worker.webhooks.messages import Of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[Service]:
    """An intake of its own: it is stopped and started."""
    with serving(database, tmp_path_factory.mktemp("state"), 23_000 + worker_number * 100) as running:
        yield running


class Listening:
    """The command at work; `said` and `told` are what it wrote so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", home: Path) -> None:
        self.process, self._home = process, home

    @property
    def told(self) -> list[str]:
        return (self._home / "told").read_text().splitlines()

    @property
    def said(self) -> str:
        return (self._home / "said").read_text()

    @property
    def goes_on_after(self) -> str:
        """The place that its last words name."""
        return self.said.partition("hooks listen --after ")[2].split()[0]

    def interrupt(self) -> int:
        """Ctrl-C; its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


@contextmanager
def listening(service: Service, home: Path, *arguments: str) -> Iterator[Listening]:
    """The command from when it waits for events on."""
    with (home / "told").open("wb") as told, (home / "said").open("wb") as said:
        process = subprocess.Popen(
            # Where the tests themselves run in the background they ignore Ctrl-C, and their children would.
            ["env", "--default-signal=INT", *PROGRAM, "hooks", "listen", *arguments],
            env=environment(service.url, FIRST_KEY),
            cwd=home,
            stdout=told,
            stderr=said,
        )
    running = Listening(process, home)
    try:
        until(lambda: "waiting for events" in running.said or process.poll() is not None, 20, lambda: running.said)
        assert process.poll() is None, running.said
        yield running
    finally:
        process.kill()
        process.wait()


def ended(service: Service, **fields: Any) -> str:
    """A render that came to its end."""
    render_id = service.make(**fields)["id"]

    def end(session: Any) -> None:
        working.finished(session, working.claimed(session, render_id), Status.FAILED, error_code="export.failed")

    service.write(end)
    return render_id


def written(service: Service, render_id: str) -> list[str]:
    """The bodies of the service's own webhooks about a render, in order."""
    with service.session() as session:
        render = session.scalars(select(Render).where(Render.id == render_id)).one()
        found = session.scalars(select(Event).where(Event.render_id == render_id).order_by(Event.number))
        return [messages.body(event, Of(render.external_ref, render.batch_id)) for event in found]


def test_a_receiver_gets_what_the_service_would_send(service: Service, tmp_path: Path) -> None:
    """To the byte, in order, each signed as the published library demands; a restart sends the same under the same
    ids; Ctrl-C ends it with 130."""
    with answering(Told(204)) as (url, asked):
        forward = ("--forward-to", f"{url}/hooks", "--secret", SECRET)
        with listening(service, tmp_path, *forward) as running:
            render_id = ended(service, external_ref="sku-ü")
            until(lambda: len(running.told) >= 3, why=lambda: running.said)
            assert running.interrupt() == 130
            assert running.goes_on_after == cursor(service, render_id, -1)
            assert [line.split()[1:3] for line in running.told] == [
                [json.loads(body)["type"], render_id] for body in written(service, render_id)
            ]
        first = list(asked)
        assert [one.body.decode() for one in first] == written(service, render_id)
        for one in first:
            assert (one.method, one.path, one.headers["content-type"]) == ("POST", "/hooks", "application/json")
            assert Webhook(SECRET).verify(one.body, one.headers)["data"]["render_id"] == render_id
        with listening(service, tmp_path, *forward, "--since", "1h", "--events", "render.failed"):
            until(lambda: len(asked) >= len(first) + 1)
    again = asked[len(first)]
    assert (again.body, again.headers["webhook-id"]) == (first[-1].body, first[-1].headers["webhook-id"])
    assert len({one.headers["webhook-id"] for one in first}) == len(first)


def cursor(service: Service, render_id: str, number: int) -> str:
    """The place of one of a render's events in the feed."""
    with service.session() as session:
        found = list(session.scalars(select(Event).where(Event.render_id == render_id).order_by(Event.number)))
        return Cursor(found[number].transaction, found[number].id).text


def test_what_was_not_taken_or_on_its_way_comes_with_the_place_that_is_told(service: Service, tmp_path: Path) -> None:
    """From the first of them on, under the same ids."""
    with silent() as slow:
        slow.answers["/"] = lambda _line: slow.stopping.wait(30) and None
        with listening(service, tmp_path, "--forward-to", slow.url("/")) as running:
            render_id = ended(service)
            until(lambda: slow.requests, why=lambda: running.said)
            assert running.interrupt() == 130
            assert "0 events, one was on its way" in running.said
            place = running.goes_on_after
    with answering(Told(204), Told(400), Told(204)) as (url, asked):
        with listening(service, tmp_path, "--forward-to", url, "--after", place) as running:
            until(lambda: len(running.told) >= 3, why=lambda: running.said)
            assert running.interrupt() == 130
            assert "3 events, 1 not taken" in running.said
            assert running.goes_on_after == cursor(service, render_id, 0)
        assert [one.body.decode() for one in asked] == written(service, render_id)


def test_a_batch_is_told_of_with_its_renders(service: Service, tmp_path: Path) -> None:
    """What is not about a render has its own place; a render's says its batch; a filter leaves the rest out."""
    with answering(Told(200)) as (url, asked), listening(service, tmp_path, "--forward-to", url, "--events", "batch.*"):
        ended(service)
        batch = service.first.post("/v1/batches", json={"items": [{"prompt": "a kite"}]}).json()["id"]
        until(lambda: asked)
    event = json.loads(asked[0].body)
    assert event["type"].startswith("batch.")
    assert event["data"]["batch_id"] == batch
    assert event["data"]["links"]["self"] == f"/v1/batches/{batch}"


def test_a_receiver_in_trouble_is_told_again_and_then_passed_over(service: Service, tmp_path: Path) -> None:
    """A 503 is repeated under its id until it is taken; a 400 is not; the order stays."""
    answers = (Told(503, b"restarting"), Told(400, b"no such thing"), Told(204))
    with answering(*answers) as (url, asked):  # noqa: SIM117 - the receiver outlives the command
        with listening(service, tmp_path, "--forward-to", url, "--print-json") as running:
            render_id = ended(service)
            until(lambda: len(asked) >= 4, why=lambda: running.said)
            until(lambda: len(running.told) >= 3)
            assert "whsec_" in running.said
            assert "503: restarting; again in" in running.said
            assert "400: no such thing; going on with the next" in running.said
            lines = [json.loads(line) for line in running.told]
    assert [one["event"]["data"]["render_id"] for one in lines] == [render_id] * 3
    assert [(one["answer"]["status"], one["answer"]["tries"]) for one in lines] == [(400, 2), (204, 1), (204, 1)]
    assert asked[0].headers["webhook-id"] == asked[1].headers["webhook-id"] == lines[0]["id"]


def test_an_outage_of_the_service_leaves_nothing_out(service: Service, tmp_path: Path) -> None:
    """It is waited for, whatever happened meanwhile comes, in order; without an address events are only shown."""
    with listening(service, tmp_path, "--events", "render.failed", "--json") as running:
        before = ended(service)
        until(lambda: len(running.told) == 1, why=lambda: running.said)
        render_id = service.make()["id"]
        service.stop()

        def end(session: Any) -> None:
            working.finished(session, working.claimed(session, render_id), Status.FAILED, error_code="export.failed")

        service.write(end)
        service.start()
        until(lambda: len(running.told) == 2, 30, lambda: running.said)
        after = ended(service)
        until(lambda: len(running.told) == 3, why=lambda: running.said)
        lines = [json.loads(line) for line in running.told]
    assert [one["event"]["data"]["render_id"] for one in lines] == [before, render_id, after]
    assert {one["answer"] for one in lines} == {None}


def test_a_wrong_address_or_key_is_told_at_once(service: Service, tmp_path: Path) -> None:
    """Before anything is waited for."""
    for key, status, words in (("vv_wrong", 4, "auth.invalid"), (FIRST_KEY, 1, "nothing listens")):
        url = service.url if status == 4 else "http://127.0.0.1:9"
        command = [*PROGRAM, "hooks", "listen"]
        done = subprocess.run(command, env=environment(url, key), cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode, words in done.stderr.decode()) == (status, True), done.stderr

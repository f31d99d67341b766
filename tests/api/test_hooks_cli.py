"""`vivideo hooks …` against the service, as a person runs it; `listen` is tested on its own."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, update

from tests.api.keys import new_key
from tests.api.service import Service
from worker.owners.scopes import Scope
from worker.webhooks.models import WebhookAttempt, WebhookDelivery


@pytest.fixture
def endpoint(run: Any) -> Iterator[dict[str, Any]]:
    """One of this test's own; an owner may have sixteen."""
    made = run("hooks", "create", f"https://shop.example/{uuid4().hex}", "--events", "render.*", "--json")
    assert made.returncode == 0, made
    shown = json.loads(made.stdout)
    yield shown
    run("hooks", "delete", shown["id"])


def test_an_endpoint_from_its_making_to_its_end(run: Any) -> None:
    """Made with its secret, shown without, changed, switched off and on, rotated, deleted."""
    url = f"https://shop.example/{uuid4().hex}"
    made = run("hooks", "create", url, "--description", "the shop")
    assert made.returncode == 0, made
    (id,) = {word for word in made.stdout.split() if word.startswith("whe_")}
    (secret,) = [word for word in made.stdout.split() if word.startswith("whsec_")]
    shown = run("hooks", "show", id).stdout
    assert (url in shown, "the shop" in shown, "enabled" in shown, secret in shown) == (True, True, True, False)
    assert run("hooks", "secret", id).stdout == f"{secret}\n"
    assert "render.failed" in run("hooks", "update", id, "--events", "render.failed").stdout
    off = run("hooks", "disable", id).stdout
    assert "disabled: asked" in off
    assert "remedy" in off
    assert "enabled" in run("hooks", "enable", id).stdout
    rotated = json.loads(run("hooks", "rotate", id, "--overlap", "1h", "--json").stdout)["secret"]
    assert run("hooks", "secret", id).stdout.split() == [rotated, secret]
    listed = run("hooks", "list").stdout
    assert [line.split()[:2] for line in listed.splitlines() if id in line] == [[id, "enabled"]]
    assert run("hooks", "delete", id).returncode == 0
    assert run("hooks", "show", id).returncode == 1


def test_a_test_event_is_triggered_and_sent_again(service: Service, run: Any, endpoint: dict[str, Any]) -> None:
    """Its tries are shown; what failed is sent again, alone or with all since a moment."""
    sent = run("hooks", "trigger", "render.failed", "--endpoint", endpoint["id"])
    delivery = sent.stdout.split()[0]
    assert (sent.returncode, delivery[:4]) == (0, "msg_"), sent
    tried = {"delivery_id": delivery, "number": 1, "started_at": func.now(), "seconds": 0.5, "status": 503}
    failed = update(WebhookDelivery).where(WebhookDelivery.id == delivery)
    service.write(lambda s: s.execute(insert(WebhookAttempt).values(**tried, error="webhook.status", answer="busy")))
    service.write(lambda s: s.execute(failed.values(state="failed", ended_at=func.now(), last_status=503)))
    shown = run("hooks", "delivery", delivery).stdout
    for words in ("render.failed (a test)", "503 webhook.status", "0.50 s", "busy", f"hooks resend {delivery}"):
        assert words in shown, shown
    rows = run("hooks", "deliveries", "--endpoint", endpoint["id"], "--state", "failed").stdout.splitlines()
    assert [line.split()[0] for line in rows[1:]] == [delivery]
    assert "is on its way" in run("hooks", "resend", delivery).stdout
    page = json.loads(run("hooks", "deliveries", "--endpoint", endpoint["id"], "--json").stdout)["data"]
    assert [(one["id"], one["state"]) for one in page] == [(delivery, "pending")]
    many = run("hooks", "resend", "--endpoint", endpoint["id"], "--since", "1h", "--json")
    assert json.loads(many.stdout)["redelivered"] >= 0


def test_an_empty_list_says_how_to_fill_it(run: Any, endpoint: dict[str, Any], service: Service) -> None:
    """With a command that works here."""
    nothing = new_key(service, owner=f"nobody-{uuid4().hex}")
    assert "vivideo hooks create" in run("hooks", "list", key=nothing).stdout
    assert "vivideo hooks trigger" in run("hooks", "deliveries", "--endpoint", endpoint["id"]).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("create", "http://shop.example/"), 2, "/url"),
        (("create", "https://shop.example/", "--events", "render.done"), 2, "succeeded"),
        (("update", "whe_x"), 2, "--description"),
        (("show", "whe_nothing"), 1, "webhook.unknown"),
        (("delivery", "msg_nothing"), 1, "webhook.delivery_unknown"),
        (("resend",), 2, "--since"),
        (("resend", "msg_x", "--endpoint", "whe_x"), 2, "--since"),
        (("resend", "--endpoint", "whe_x"), 2, "--since"),
        (("deliveries", "--render", "rnd_x", "--batch", "bat_x"), 2, "--batch"),
        (("trigger", "render.succeeded"), 2, "--endpoint"),
        (("trigger", "render.*", "--endpoint", "ENDPOINT"), 2, "/type"),
        (("rotate", "ENDPOINT", "--overlap", "30d"), 2, "overlap"),
        (("listen", "--forward-to", "localhost:3000"), 2, "http://localhost:3000"),
        (("listen", "--events", "render.done"), 2, "succeeded"),
        (("listen", "--forward-to", "http://localhost:1", "--secret", "whsec_x"), 2, "whsec_"),
    ],
)
def test_mistakes_are_named(
    run: Any, endpoint: dict[str, Any], arguments: tuple[str, ...], status: int, words: str
) -> None:
    """With what is right, and the status of a wrong use where it is one."""
    said = run("hooks", *(one.replace("ENDPOINT", endpoint["id"]) for one in arguments))
    assert (said.returncode, words in said.stderr) == (status, True), said


def test_a_key_that_may_not_is_told_which_scope_it_lacks(service: Service, run: Any) -> None:
    """With the status of who is not authorised."""
    reader = new_key(service, scopes=[Scope.RENDERS_READ])
    said = run("hooks", "create", "https://shop.example/", key=reader)
    assert (said.returncode, "webhooks:write" in said.stderr) == (4, True)

"""Readiness, balances, takeovers, secrets."""

import json
from datetime import timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from tests.api import working
from tests.api.service import Service
from worker.accounts.models import Account, RemoteSession
from worker.database import ago
from worker.owners.models import Owner
from worker.renders import takeover
from worker.renders.models import Render, Worker


def _owner(service: Service, name: str) -> str:
    with service.session() as session:
        return session.scalars(select(Owner.id).where(Owner.name == name)).one()


def test_ready_means_a_worker_of_each_kind_reports(service: Service) -> None:
    """503 names the kinds without a worker that reported within a lease; with all three it is 200."""
    answer = service.nobody.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {
        "database": True,
        "migrations": True,
        "worker-stream": False,
        "worker-io": False,
        "worker-media": False,
    }
    assert len(answer.json()["missing"]) == 3
    for kind in ("stream", "io", "media"):
        service.write(lambda session, kind=kind: working.alive(session, kind))
    assert service.nobody.get("/readyz").json() == {
        "ready": True,
        "checks": dict.fromkeys(answer.json()["checks"], True),
        "missing": [],
    }
    assert "Everything is running" in service.nobody.get("/").text
    silent = update(Worker).where(Worker.kind == "io").values(seen_at=ago(timedelta(hours=1)))
    service.write(lambda session: session.execute(silent))
    assert service.nobody.get("/readyz").json()["missing"] == ["worker-io: none reported within a lease"]
    assert "worker-io" in service.nobody.get("/").text
    service.write(lambda session: session.execute(delete(Worker)))


def test_balances_are_those_of_usable_accounts(service: Service) -> None:
    """Shared and own accounts with the time of their reading; never another owner's, never a token."""
    assert service.first.get("/v1/credits").json() == {"available": None, "accounts": []}
    common = {"kind": "registered", "balance_read_at": func.now(), "token_encrypted": b"secret-token-bytes"}
    rows = [
        {"id": "acc_1", "name": "shared", "balance_available": 80, "balance_frozen": 20, "balance_total": 100},
        {"id": "acc_2", "name": "hers", "owner_id": _owner(service, "demo"), "balance_available": 5},
    ]
    for row in rows:
        service.write(lambda session, row=row: session.execute(insert(Account).values(**common | row)))
    mine = service.first.get("/v1/credits")
    assert [account["name"] for account in mine.json()["accounts"]] == ["shared"]
    assert mine.json()["available"] == 80
    assert mine.json()["accounts"][0]["read_at"] is not None
    assert "secret" not in mine.text
    assert service.second.get("/v1/credits").json()["available"] == 85
    with service.client as client:
        assert client.credits().to_dict() == mine.json()


def test_takeovers_are_shown_to_their_owner(service: Service) -> None:
    """A render freed from a worker that said goodbye appears with who, where and why; pages go by key."""
    ids = [service.make()["id"] for _ in range(3)]
    service.write(lambda session: working.alive(session, "stream"))
    gone = update(Worker).values(stopped_at=func.now())
    service.write(lambda session: session.execute(gone))
    for render_id in ids:
        service.write(lambda session, one=render_id: working.claimed(session, one, "stream@tests"))
    # A lease of a day: the other tests' worker, which never reports, is none of this test's business.
    service.write(lambda session: takeover.take_over(session, lease=timedelta(days=1)))
    page = service.first.get("/v1/recoveries", params={"limit": 2}).json()
    rest = service.first.get("/v1/recoveries", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    found = page["data"] + rest["data"]
    assert {row["render_id"] for row in found} == set(ids)
    assert len(found) == 3
    assert rest["next_cursor"] is None
    assert {(row["stage"], row["from_worker"], row["why"]) for row in found} == {
        ("token", "stream@tests", "worker stopped")
    }
    assert service.second.get("/v1/recoveries").json()["data"] == []
    attempts = service.first.get(f"/v1/renders/{ids[0]}").json()["attempts"]
    assert [(one["stage"], one["outcome"]) for one in attempts] == [("token", "taken_over")]


def test_a_render_under_way_is_canceled_in_two_steps(service: Service) -> None:
    """202 and `canceling` while a worker holds it; what the cancelling achieved once that worker has said so."""
    render_id = service.make()["id"]
    held = service.write(lambda session: working.claimed(session, render_id))
    answer = service.first.post(f"/v1/renders/{render_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "canceling")
    end = {"cancel_effect": "stopped"}
    service.write(lambda session: working.finished(session, held, working.Status.CANCELED, **end))
    again = service.first.post(f"/v1/renders/{render_id}/cancel")
    assert (again.status_code, again.json()["status"], again.json()["cancel_effect"]) == (200, "canceled", "stopped")


def test_a_failed_render_says_why_and_what_to_do(service: Service) -> None:
    """Code, words, whether trying again can help, and the remedy; with what is known of the charge."""
    render_id = service.make()["id"]

    def fail(session: Session) -> None:
        held = working.claimed(session, render_id)
        why = {"error_code": "session.lost", "error_message": "It is gone.", "error_retryable": True}
        why |= {"error_help": "Send it again.", "charge_state": "unknown"}
        working.finished(session, held, working.Status.FAILED, **why)

    service.write(fail)
    found = service.first.get(f"/v1/renders/{render_id}").json()
    assert found["error"] == {
        "code": "session.lost",
        "message": "It is gone.",
        "retryable": True,
        "help": "Send it again.",
    }
    assert (found["charge"]["state"], found["status"], found["eta"]) == ("unknown", "failed", None)


def test_where_the_work_is_but_no_token(service: Service) -> None:
    """The remote ids are shown, the editor's link only while it is valid, a token never."""
    render_id = service.make()["id"]
    owner = _owner(service, "default")

    def place(session: Session) -> None:
        values = {
            "id": "ses_1",
            "owner_id": owner,
            "account_id": "acc_1",
            "task_id": "t-1",
            "session_id": "12345678901",
        }
        values |= {"claim_url": "https://web.example/claim", "claim_expires_at": ago(timedelta(minutes=-5))}
        session.execute(insert(RemoteSession).values(**values))
        placed = update(Render).where(Render.id == render_id).values(remote_session_id="ses_1", export_id="render_7")
        session.execute(placed)

    service.write(place)
    found = service.first.get(f"/v1/renders/{render_id}").json()["remote"]
    assert found == {
        "task_id": "t-1",
        "session_id": "12345678901",
        "export_id": "render_7",
        "link": "https://web.example/claim",
    }
    late = update(RemoteSession).values(claim_expires_at=ago(timedelta(minutes=5)))
    service.write(lambda session: session.execute(late))
    answer = service.first.get(f"/v1/renders/{render_id}")
    assert answer.json()["remote"]["link"] is None
    assert "token" not in json.dumps(answer.json()["remote"])

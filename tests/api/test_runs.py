"""Retries asked for over HTTP."""

from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests.api import working
from tests.api.service import Service
from worker.accounts.models import RemoteSession
from worker.failures import EXPORT_FAILED, SESSION_LOST, UNCONFIRMED, Failure
from worker.renders import leases
from worker.renders.models import Event, Run
from worker.renders.states import Stage, Status


def ended(service: Service, status: Status, charge: str = "none", *, draft: bool = False, **fields: Any) -> str:
    """A render whose first run ended so; its link."""
    made = service.make(**fields)
    failure: Failure | None = {"incurred": EXPORT_FAILED, "unknown": UNCONFIRMED}.get(charge, UNCONFIRMED)

    def work(session: Any) -> None:
        held = working.claimed(session, made["id"])
        changes: dict[str, Any] = {"charge_state": charge}
        if charge == "incurred":
            changes["charge_credits"] = 100
        if draft:
            changes |= working.paid_draft(session, held) | {"stage": Stage.POLL.value}
            changes["answer"] = "Your video is ready."
        if status in (Status.FAILED, Status.EXPIRED):
            assert failure is not None
            changes |= {"error_code": failure.code, "error_message": failure.message, "error_help": failure.help}
            changes["error_retryable"] = failure.retryable
        working.finished(session, held, status, **changes)

    service.write(work)
    return made["links"]["self"]


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELED, Status.EXPIRED])
def test_a_retry_keeps_the_id_and_starts_the_next_run(service: Service, status: Status) -> None:
    """202 with run 2, queued from the beginning; the run before is shown as it ended, and events say which run."""
    at = ended(service, status)
    before = service.first.get(at).json()
    assert before["links"]["retry"] == f"{at}/retry"
    answer = service.first.post(f"{at}/retry")
    assert (answer.status_code, answer.headers["location"]) == (202, at)
    after = answer.json()
    assert (after["id"], after["run"], after["status"], after["stage"]) == (before["id"], 2, "queued", "token")
    assert (after["error"], after["finished_at"], after["started_at"], after["attempts"][0]["run"]) == (
        None,
        None,
        None,
        1,
    )
    (run,) = after["runs"]
    assert (run["run"], run["status"], run["finished_at"]) == (1, status.value, before["finished_at"])
    assert (run["error"] or {}).get("code") == (before["error"] or {}).get("code")
    assert "retry" not in after["links"]
    events = service.first.get(f"{at}/events").json()["data"]
    assert [(event["run"], event["type"]) for event in events][-2:] == [
        (1, f"render.{status.value}"),
        (2, "render.queued"),
    ]


def test_a_paid_draft_is_gone_on_from(service: Service) -> None:
    """With the draft kept, the next run begins at the export, with the session, the answer, and no new charge to come;
    what the run before cost stays in the render's charge."""
    at = ended(service, Status.FAILED, "incurred", draft=True)
    before = service.first.get(at).json()
    after = service.first.post(f"{at}/retry", json={}).json()
    assert (after["stage"], after["answer"]) == ("export", before["answer"])
    assert after["remote"]["session_id"] == before["remote"]["session_id"]
    assert after["charge"] == {"state": "incurred", "credits": 100}
    assert service.first.get(f"{at}/timeline").status_code == 200


def test_force_pays_again(service: Service) -> None:
    """`force` leaves the paid draft where it is and begins with a new session."""
    at = ended(service, Status.FAILED, "incurred", draft=True)
    after = service.first.post(f"{at}/retry", json={"force": True}).json()
    assert (after["stage"], after["answer"], after["remote"]["session_id"]) == ("token", None, None)
    assert after["charge"] == {"state": "incurred", "credits": 100}


@pytest.mark.parametrize("charge", ["unknown", "incurred"])
def test_a_second_charge_has_to_be_asked_for(service: Service, charge: str) -> None:
    """409 without `force`, and nothing is begun; with it, run 2."""
    at = ended(service, Status.FAILED, charge)
    refused = service.first.post(f"{at}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "render.force_needed")
    assert charge in refused.json()["detail"]
    assert service.first.get(at).json()["run"] == 1
    assert service.first.post(f"{at}/retry", json={"force": True}).json()["run"] == 2


def test_only_what_ended_without_a_video_is_retried(service: Service) -> None:
    """409 with its own code for one under way and for one that succeeded, 404 for another owner's."""
    queued = service.make()["links"]["self"]
    assert service.first.post(f"{queued}/retry").json()["code"] == "render.not_final"
    assert service.first.post(f"{ended(service, Status.SUCCEEDED)}/retry").json()["code"] == "render.succeeded"
    failed = ended(service, Status.FAILED)
    assert service.second.post(f"{failed}/retry").json()["code"] == "render.unknown"
    assert service.first.get(failed).json()["run"] == 1


def test_a_repeated_retry_starts_one_run(service: Service) -> None:
    """The same key finds the run it started, also after that one failed too; another key starts the next."""
    at = ended(service, Status.FAILED)
    key = {"Idempotency-Key": f"again-{at}"}
    first = service.first.post(f"{at}/retry", headers=key)
    again = service.first.post(f"{at}/retry", headers=key)
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert first.json()["run"] == again.json()["run"] == 2
    id = first.json()["id"]
    service.first.post(f"{at}/cancel")
    assert service.first.post(f"{at}/retry", headers=key).json()["status"] == "canceled"
    other = service.first.post(f"{at}/retry", headers=key, json={"force": True})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    assert service.first.post(f"{at}/retry").json()["run"] == 3
    with service.session() as session:
        kept = session.scalars(select(Run.run).where(Run.render_id == id).order_by(Run.run)).all()
        assert list(kept) == [1, 2]
        assert session.scalar(select(func.count()).where(Event.render_id == id, Event.run == 3)) == 1


@pytest.mark.parametrize(
    "body", [{"force": "yes"}, {"force": 1}, {"force": None}, {"forced": True}, [], "force", {"force": True, "x": 1}]
)
def test_a_retry_that_is_not_understood_is_refused(service: Service, body: Any) -> None:
    """422: paying again is never read out of something else than `true`."""
    at = ended(service, Status.FAILED)
    answer = service.first.post(f"{at}/retry", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert service.first.get(at).json()["run"] == 1


def test_an_old_worker_writes_nothing_on_the_next_run(service: Service) -> None:
    """A worker that still holds the first run's lease is refused: run 2 belongs to whoever claims it."""
    made = service.make()
    at = made["links"]["self"]
    held = service.write(lambda session: working.claimed(session, made["id"]))
    service.write(lambda session: working.finished(session, held, Status.CANCELED))
    assert service.first.post(f"{at}/retry").json()["run"] == 2
    with pytest.raises(leases.LeaseLost):
        service.write(lambda session: working.happened(session, held))
    again = service.write(lambda session: working.claimed(session, made["id"]))
    assert (again.lease, again.render.run) == (held.lease + 1, 2)


def test_a_free_retry_does_not_open_the_way_to_a_second_charge(service: Service) -> None:
    """Run 1 was paid, run 2 only exported and found its session gone: run 3 would pay again, so it has to be asked
    for, though run 2 itself cost nothing."""
    at = ended(service, Status.FAILED, "incurred", draft=True)
    made = service.first.post(f"{at}/retry").json()
    assert (made["run"], made["stage"]) == (2, "export")

    def lost(session: Any) -> None:
        held = working.claimed(session, made["id"])
        session.execute(
            update(RemoteSession).where(RemoteSession.id == held.render.remote_session_id).values(lost_at=func.now())
        )
        failed = {"error_code": SESSION_LOST.code, "error_message": SESSION_LOST.message, "error_retryable": True}
        working.finished(session, held, Status.FAILED, charge_state="none", **failed)

    service.write(lost)
    refused = service.first.post(f"{at}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "render.force_needed")
    assert service.first.get(at).json()["run"] == 2
    assert service.first.post(f"{at}/retry", json={"force": True}).json()["stage"] == "token"


def test_a_canceled_forced_run_does_not_either(service: Service) -> None:
    """Run 2 was to pay again and was canceled before it did: run 3 is asked for like run 2."""
    at = ended(service, Status.FAILED, "unknown")
    assert service.first.post(f"{at}/retry", json={"force": True}).json()["run"] == 2
    service.first.post(f"{at}/cancel")
    refused = service.first.post(f"{at}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "render.force_needed")

"""Batches under way, over HTTP: paused, approved, cancelled, begun anew, reported."""

import csv
import io
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tests.api import working
from tests.api.keys import caller, new_key
from tests.api.service import Service
from worker.batches import store
from worker.batches.models import Batch, PauseReason
from worker.database import new_id
from worker.owners.limits import Limits
from worker.renders.models import Event, Lane, Render
from worker.renders.states import Status
from worker.sessions import store as sessions

NDJSON = {"Content-Type": "application/x-ndjson"}
SHA256 = "c" * 64


def _made(service: Service, count: int = 3, **params: Any) -> str:
    lines = "".join(json.dumps({"prompt": f"a kite {n}", "external_ref": f"r-{n}"}) + "\n" for n in range(1, count + 1))
    answer = service.first.post("/v1/batches", content=lines, headers=NDJSON, params=params)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def _ids(service: Service, batch_id: str) -> list[str]:
    query = select(Render.id).where(Render.batch_id == batch_id).order_by(Render.batch_position)
    return service.write(lambda s: list(s.scalars(query)))


def _show(service: Service, batch_id: str) -> dict[str, Any]:
    return service.first.get(f"/v1/batches/{batch_id}").json()


def _ask(service: Service, batch_id: str, what: str, **options: Any) -> httpx.Response:
    return service.first.post(f"/v1/batches/{batch_id}/{what}", **options)


def _end(service: Service, render_id: str, status: Status = Status.SUCCEEDED, **changes: Any) -> None:
    def work(session: Session) -> None:
        held = working.claimed(session, render_id)
        if status is Status.SUCCEEDED:
            working.with_result(session, held, key=f"renders/{render_id}/video.mp4", size=7, sha256=SHA256)
        working.finished(session, held, status, **changes)

    service.write(work)


def _fail(service: Service, render_id: str, **changes: Any) -> None:
    _end(service, render_id, Status.FAILED, error_code="export.failed", error_retryable=True, **changes)


def _finish(service: Service, batch_id: str) -> None:
    ended = {"state": "finished", "finished_at": func.now()}
    service.write(lambda s: s.execute(update(Batch).where(Batch.id == batch_id).values(**ended)))


def _lanes(service: Service, batch_id: str) -> list[tuple[str, int, bool, bool]]:
    query = select(Lane).where(Lane.batch_id == batch_id).order_by(Lane.priority, Lane.part)
    return service.write(
        lambda s: [(one.priority, one.part, one.held, one.paused_at is not None) for one in s.scalars(query)]
    )


def test_a_pause_stops_the_lanes_and_a_resumption_frees_them(service: Service):
    """And says since when and why; asked twice it is the same pause."""
    batch = _made(service)
    paused = _ask(service, batch, "pause").json()
    assert (paused["status"], paused["pause"]["reason"], paused["estimate"]) == ("paused", "asked", None)
    assert _lanes(service, batch) == [("normal", 0, False, True)]
    assert _ask(service, batch, "pause").json()["pause"] == paused["pause"]
    resumed = _ask(service, batch, "resume").json()
    assert (resumed["status"], resumed["pause"]) == ("running", None)
    assert _lanes(service, batch) == [("normal", 0, False, False)]
    assert _ask(service, batch, "resume").status_code == 200


def test_a_pause_of_its_own_keeps_its_reason_and_failures_are_counted_anew(service: Service):
    """Who resumes has seen them."""
    batch = _made(service)

    def itself(session: Session) -> None:
        row = session.get_one(Batch, batch)
        store.pause(session, row, PauseReason.MAX_FAILURE_RATE, "2 of 3 failed")

    service.write(itself)
    shown = _ask(service, batch, "pause").json()["pause"]
    assert (shown["reason"], shown["detail"]) == ("max_failure_rate", "2 of 3 failed")
    assert _ask(service, batch, "resume").status_code == 200
    assert service.write(lambda s: s.get_one(Batch, batch).counting_from) is not None


def test_a_batch_without_credits_is_resumed_once_it_may_spend_more(service: Service):
    """409 says what is missing; raising the limit lets it go on."""
    batch = _made(service, max_credits=250)
    for id in _ids(service, batch)[:2]:
        _end(service, id, charge_state="incurred", charge_credits=100.0)
    service.write(lambda s: store.pause(s, s.get_one(Batch, batch), PauseReason.MAX_CREDITS, "spent"))
    refused = _ask(service, batch, "resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "batch.max_credits")
    assert service.first.patch(f"/v1/batches/{batch}", json={"max_credits": 300}).json()["max_credits"] == 300
    assert _ask(service, batch, "resume").json()["status"] == "running"


def test_a_batch_waits_for_approval_once_its_first_are_done(service: Service):
    """Running before, awaiting after; what is open behind them does not count."""
    batch = _made(service, 3, first=1)
    assert _show(service, batch)["status"] == "running"
    _end(service, _ids(service, batch)[0])
    assert _show(service, batch)["status"] == "awaiting_approval"
    assert _ask(service, batch, "approve").json()["status"] == "running"
    assert _lanes(service, batch) == [("normal", 0, False, False), ("normal", 1, False, False)]


def test_counts_credits_and_progress_are_those_of_the_rows(service: Service):
    """Over all runs, also of those begun anew; what nobody can know is counted apart."""
    batch = _made(service, 4)
    ids = _ids(service, batch)
    _end(service, ids[0], charge_state="incurred", charge_credits=100.0)
    _fail(service, ids[1], charge_state="unknown")
    _fail(service, ids[2], charge_state="incurred", charge_credits=90.0)
    assert service.first.post(f"/v1/renders/{ids[2]}/retry", json={"force": True}).status_code == 202
    shown = _show(service, batch)
    assert shown["counts"] == dict.fromkeys(shown["counts"], 0) | {"succeeded": 1, "failed": 1, "queued": 2}
    assert (shown["credits"], shown["progress"]) == ({"known": 190.0, "unknown_count": 1}, 0.5)


def test_cancelling_stops_the_lanes_and_then_each_render(service: Service):
    """Those that nobody began are canceled, of the others it is asked; each has its event; then nothing is left."""
    batch = _made(service, 4)
    ids = _ids(service, batch)
    service.write(lambda s: working.claimed(s, ids[0]))
    _end(service, ids[1])
    answer = _ask(service, batch, "cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "canceling")
    assert _lanes(service, batch) == [("normal", 0, False, True)]
    assert _ask(service, batch, "resume").json()["code"] == "batch.canceling"
    done = [service.write(lambda s: store.cancel_some(s, s.get_one(Batch, batch), 2)) for _ in range(3)]
    assert done == [2, 1, 0]
    shown = {id: service.first.get(f"/v1/renders/{id}").json() for id in ids}
    assert [shown[id]["status"] for id in ids] == ["canceling", "succeeded", "canceled", "canceled"]
    assert shown[ids[2]]["cancel_effect"] == "prevented"
    query = select(Event.type, Event.number).where(Event.render_id == ids[3])
    assert service.write(lambda s: s.execute(query).all()) == [("render.canceled", 1)]
    _finish(service, batch)
    assert _ask(service, batch, "cancel").status_code == 200
    assert _ask(service, batch, "pause").json()["code"] == "batch.finished"


def test_a_new_priority_moves_what_is_queued(service: Service):
    """To lanes that stand still where the old ones did; what is begun stays."""
    batch = _made(service, 4, first=2)
    ids = _ids(service, batch)
    service.write(lambda s: working.claimed(s, ids[0]))
    assert service.first.patch(f"/v1/batches/{batch}", json={"priority": "high", "name": "new"}).json()["name"] == "new"
    priorities = [service.first.get(f"/v1/renders/{id}").json()["priority"] for id in ids]
    assert priorities == ["normal", "high", "high", "high"]
    lanes = {(one[0], one[1]): one[2] for one in _lanes(service, batch)}
    assert lanes == {("normal", 0): False, ("normal", 1): True, ("high", 0): False, ("high", 1): True}
    assert _ask(service, batch, "approve").status_code == 200
    assert not any(held for _, _, held, _ in _lanes(service, batch))


@pytest.mark.parametrize("body", [{}, {"priority": "urgent"}, {"max_failure_rate": 2}, {"first": 3}])
def test_what_is_no_change_is_refused(service: Service, body: dict[str, Any]):
    """Nothing given, no such value, and what cannot be changed."""
    assert service.first.patch(f"/v1/batches/{_made(service)}", json=body).status_code == 422


def test_failed_renders_begin_anew_without_a_second_charge(service: Service):
    """Those that were charged are left out until `force`; a finished batch is open again, and not paused."""
    batch = _made(service, 4)
    ids = _ids(service, batch)
    _fail(service, ids[0])
    _fail(service, ids[1], charge_state="unknown")
    _end(service, ids[2])
    _end(service, ids[3], Status.EXPIRED, error_code="deadline.passed")
    service.write(lambda s: store.cancel(s, s.get_one(Batch, batch)))
    assert _ask(service, batch, "retry-failed").json()["code"] == "batch.canceling"
    _finish(service, batch)
    key = {"Idempotency-Key": new_id("key")}
    answer = _ask(service, batch, "retry-failed", json={"force": False}, headers=key)
    told = answer.json()
    assert (told["retried"], told["needs_force"], told["left"]) == (2, 1, 0)
    assert (told["batch"]["status"], told["batch"]["counts"]["queued"]) == ("running", 2)
    assert _lanes(service, batch) == [("normal", 0, False, False)]
    again = _ask(service, batch, "retry-failed", json={"force": False}, headers=key)
    assert (again.headers["idempotent-replayed"], again.json()["retried"]) == ("true", 0)
    forced = _ask(service, batch, "retry-failed", json={"force": True}).json()
    assert (forced["retried"], forced["needs_force"], forced["batch"]["counts"]["failed"]) == (1, 0, 0)


def test_a_paid_draft_is_exported_again_and_a_lost_one_is_told(service: Service):
    """What is paid for goes on from there; a draft whose session is not there does not pass for a free one."""
    batch = _made(service, 2)
    kept, lost = _ids(service, batch)

    def fail(session: Session) -> None:
        for id, place in ((kept, {}), (lost, {"lost_at": func.now()})):
            held = working.claimed(session, id)
            paid = working.paid_draft(session, held, **place)
            told = {"error_code": "export.failed", "error_retryable": True, "charge_state": "incurred"}
            working.finished(session, held, Status.FAILED, **told, **paid)

    service.write(fail)
    told = _ask(service, batch, "retry-failed").json()
    assert (told["retried"], told["needs_force"], told["left"]) == (1, 1, 0)
    assert service.write(lambda s: (s.get_one(Render, kept).stage, s.get_one(Render, lost).run)) == ("export", 1)


def test_a_keys_limits_hold_for_failed_renders_too(service: Service):
    """Nothing begins where it may have no more."""
    batch = _made(service, 2)
    for id in _ids(service, batch):
        _fail(service, id)
    with caller(service, new_key(service, limits=Limits(renders_in_flight=1))) as key:
        refused = key.post(f"/v1/batches/{batch}/retry-failed")
    assert (refused.status_code, refused.json()["code"]) == (429, "limit.in_flight")
    assert _show(service, batch)["counts"]["failed"] == 2


def test_a_render_whose_session_is_over_keeps_none_of_the_others_from_being_begun_anew(service: Service):
    """One that was edited is in a session, which its owner closed or the backend forgot: it stays as it is."""
    batch = _made(service, 3)
    ids = _ids(service, batch)

    def in_a_session(session: Session, render_id: str, **ended: Any) -> None:
        place = sessions.make(session, session.get_one(Render, render_id).owner_id)
        sessions.change(session, place, **ended)
        session.execute(update(Render).where(Render.id == render_id).values(session_id=place.id))

    for one in ids:
        _fail(service, one)
    service.write(lambda s: in_a_session(s, ids[0], closed_at=func.now()))
    service.write(lambda s: in_a_session(s, ids[1], lost_at=func.now()))
    told = _ask(service, batch, "retry-failed").json()
    assert (told["retried"], told["needs_force"], told["left"]) == (1, 2, 0)
    states = service.write(lambda s: [s.get_one(Render, one).status for one in ids])
    assert states == ["failed", "failed", "queued"]


def test_a_retry_of_one_render_opens_its_finished_batch(service: Service):
    """Else it would wait in a lane that nobody serves."""
    batch = _made(service, 2)
    ids = _ids(service, batch)
    _ask(service, batch, "cancel")
    service.write(lambda s: store.cancel_some(s, s.get_one(Batch, batch), 10))
    _finish(service, batch)
    assert _show(service, batch)["status"] == "finished"
    assert service.first.post(f"/v1/renders/{ids[0]}/retry").status_code == 202
    shown = _show(service, batch)
    assert (shown["status"], shown["finished_at"], shown["cancel_requested_at"]) == ("running", None, None)
    assert _lanes(service, batch) == [("normal", 0, False, False)]


def test_the_manifest_says_what_became_of_each_row(service: Service):
    """While it runs, in both forms, with whole addresses; over more than one page of it."""
    batch = _made(service, 4)
    ids = _ids(service, batch)
    _end(service, ids[1], charge_state="incurred", charge_credits=100.0)
    _fail(service, ids[2], charge_state="incurred", charge_credits=90.0)
    service.first.post(f"/v1/renders/{ids[2]}/retry", json={"force": True})
    _fail(service, ids[2], charge_state="incurred", charge_credits=80.0)
    _fail(service, ids[3])
    answer = service.first.get(f"/v1/batches/{batch}/manifest")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [(one["ref"], one["position"], one["status"], one["credits"], one["error"]) for one in lines] == [
        ("r-1", 1, "queued", None, None),
        ("r-2", 2, "succeeded", 100.0, None),
        ("r-3", 3, "failed", 170.0, "export.failed"),
        ("r-4", 4, "failed", None, "export.failed"),
    ]
    assert [one["address"] for one in lines] == [None, f"{service.url}/v1/renders/{ids[1]}/video", None, None]
    assert (lines[1]["sha256"], lines[1]["duration"]) == (SHA256, 2.5)
    table = service.first.get(f"/v1/batches/{batch}/manifest", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [{name: value or None for name, value in row.items()} for row in rows] == [
        {name: None if value is None else str(value) for name, value in one.items()} for one in lines
    ]


def test_a_long_manifest_and_a_long_list_of_problems_are_whole(service: Service):
    """Over several pages, none missing and none twice."""
    lines = "".join(json.dumps({"prompt": "a" if n % 2 else "", "external_ref": str(n)}) + "\n" for n in range(2_400))
    answer = service.first.post("/v1/batches", content=lines, headers=NDJSON)
    batch = answer.json()
    assert (batch["total"], batch["rejected"]) == (1_200, 1_200)
    manifest = service.first.get(f"/v1/batches/{batch['id']}/manifest").text.splitlines()
    assert [json.loads(line)["ref"] for line in manifest] == [str(n) for n in range(1, 2_400, 2)]
    file = service.first.get(f"/v1/batches/{batch['id']}/problems", params={"format": "csv"}).text
    told = list(csv.DictReader(io.StringIO(file)))
    assert [int(one["problem.line"]) for one in told] == list(range(1, 2_400, 2))


def test_an_estimate_needs_something_measured(service: Service):
    """Null where there are no workers and no times."""
    assert _show(service, _made(service))["estimate"] is None

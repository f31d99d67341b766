"""Revisions over HTTP: the newest of a reference is what is made, whatever comes when."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import literal_column, select
from sqlalchemy.orm import Session

from tests.api import working
from tests.api.keys import caller, new_key
from tests.api.service import Service
from worker.owners.limits import Limits
from worker.renders import following
from worker.renders.leases import Held
from worker.renders.models import Render
from worker.renders.states import Status


def asked(service: Service, ref: str, revision: int | None, **fields: Any) -> httpx.Response:
    """The answer to a request for this revision."""
    return service.first.post(
        "/v1/renders", json={"prompt": "a kite", "external_ref": ref, "revision": revision, **fields}
    )


def made(service: Service, ref: str, revision: int | None) -> str:
    """The id of a render of this revision."""
    answer = asked(service, ref, revision)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["external_ref"], answer.json()["revision"]) == (ref, revision)
    return answer.json()["id"]


def begin(service: Service, render_id: str) -> Held:
    """A worker takes it."""
    return service.write(lambda session: working.claimed(session, render_id))


def end(service: Service, held: Held) -> None:
    """The worker is done with it."""
    service.write(lambda session: working.finished(session, held))


def row(service: Service, render_id: str) -> Any:
    """Where it stands, and whether its turn has come."""
    with service.session() as session:
        not_yet = literal_column("ready_at = 'infinity'").label("not_yet")
        query = select(Render.status, Render.follows_id, not_yet)
        return session.execute(query.where(Render.id == render_id)).one()


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """What a refusal says."""
    return answer.status_code, answer.json()["code"], answer.json()["detail"]


def test_an_older_one_is_refused(service: Service) -> None:
    """Whatever became of the newer one, and also where it is only checked; nothing is made of it."""
    end(service, begin(service, made(service, "stale", 5)))
    told = (409, "render.stale_revision", "stale is at revision 5, which is newer than 4")
    assert refusal(asked(service, "stale", 4)) == told
    dry = {"prompt": "a kite", "external_ref": "stale", "revision": 4}
    assert refusal(service.first.post("/v1/renders", params={"dry_run": True}, json=dry)) == told
    assert len(service.first.get("/v1/renders", params={"external_ref": "stale"}).json()["data"]) == 1


def test_another_reference_and_another_owner_have_revisions_of_their_own(service: Service) -> None:
    """As have renders that say none: they neither take places nor lose theirs."""
    first, plain = made(service, "own", 5), made(service, "own", None)
    made(service, "other", 1)
    mine = {"external_ref": "own", "revision": 1}
    assert service.make(service.second, **mine)["revision"] == 1
    assert [row(service, one).status for one in (first, plain)] == ["queued", "queued"]


@pytest.mark.parametrize("revision", [8, 7])
def test_a_queued_one_makes_way(service: Service, revision: int) -> None:
    """For a newer one and for the same again: it is canceled before it cost anything, and says for which."""
    ref = f"queued-{revision}"
    older, newer = made(service, ref, 7), made(service, ref, revision)
    was = service.first.get(f"/v1/renders/{older}").json()
    assert (was["status"], was["cancel_effect"], was["charge"]["state"]) == ("canceled", "prevented", "none")
    last = service.first.get(f"/v1/renders/{older}/events").json()["data"][-1]
    assert (last["type"], last["data"]["superseded_by"]) == ("render.canceled", newer)
    assert row(service, newer) == ("queued", None, False)


def test_one_at_work_is_not_overtaken(service: Service) -> None:
    """It goes on; the newest waits for its end, and is the only one that does."""
    at_work = made(service, "busy", 1)
    held = begin(service, at_work)
    between, newest = made(service, "busy", 2), made(service, "busy", 3)
    assert row(service, at_work).status == "running"
    assert row(service, between).status == "canceled"
    assert row(service, newest) == ("queued", at_work, True)
    service.write(following.release_followers)
    assert row(service, newest).not_yet
    end(service, held)
    service.write(following.release_followers)
    assert not row(service, newest).not_yet


def test_an_older_one_is_not_begun_anew(service: Service) -> None:
    """A retry makes a video too: what was replaced stays replaced, the newest may be tried again."""
    older, newer = made(service, "retry", 1), made(service, "retry", 2)
    service.first.post(f"/v1/renders/{newer}/cancel")
    answer = service.first.post(f"/v1/renders/{older}/retry")
    assert refusal(answer) == (409, "render.stale_revision", "retry is at revision 2, which is newer than 1")
    assert service.first.post(f"/v1/renders/{newer}/retry").status_code == 202


@pytest.mark.parametrize("read", [True, False], ids=["export", "verify"])
def test_what_is_paid_for_is_delivered_whatever_is_newer(service: Service, read: bool) -> None:
    """A retry that sends nothing takes nobody's place: the newer one goes on. Paid again, the older one is refused."""
    ref = f"paid-{read}"
    older = made(service, ref, 1)
    held = begin(service, older)

    def fail(session: Session) -> None:
        paid = working.paid_draft(session, held) if read else working.paid_message(session, held)
        working.finished(session, held, Status.CANCELED, charge_state="incurred", charge_credits=100, **paid)

    service.write(fail)
    newer = made(service, ref, 2)
    again = f"/v1/renders/{older}/retry"
    assert refusal(service.first.post(again, json={"force": True}))[1] == "render.stale_revision"
    answer = service.first.post(again)
    assert (answer.status_code, answer.json().get("stage")) == (202, "export" if read else "verify")
    assert row(service, newer) == ("queued", None, False)


def test_a_retry_overtakes_nobody(service: Service) -> None:
    """One that was called off while it waited waits again; one of the same revision that did not begin makes way."""
    at_work = made(service, "again", 1)
    begin(service, at_work)
    newest = made(service, "again", 2)
    service.first.post(f"/v1/renders/{newest}/cancel")
    same = made(service, "again", 2)
    assert service.first.post(f"/v1/renders/{newest}/retry").status_code == 202
    assert row(service, newest) == ("queued", at_work, True)
    assert row(service, same).status == "canceled"


def test_a_key_with_one_render_in_flight_can_replace_it(service: Service) -> None:
    """What makes way no longer counts; a refused one takes no place."""
    with caller(service, new_key(service, limits=Limits(renders_in_flight=1))) as client:
        service.make(client, external_ref="full", revision=1)
        service.make(client, external_ref="full", revision=2)
        assert client.post("/v1/renders", json={"prompt": "a kite"}).json()["code"] == "limit.in_flight"


def test_a_deleted_one_is_forgotten(service: Service) -> None:
    """With its reference goes its revision."""
    newest = made(service, "gone", 9)
    service.first.post(f"/v1/renders/{newest}/cancel")
    assert service.first.delete(f"/v1/renders/{newest}").status_code == 204
    assert asked(service, "gone", 1).status_code == 202


def test_of_simultaneous_ones_the_newest_is_made(service: Service) -> None:
    """In whatever order twenty revisions come in, one is queued at the end, the highest; each other one was replaced or
    refused."""
    order = [(7 * number) % 20 for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda revision: asked(service, "race", revision), order))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"render.stale_revision"}
    renders = service.first.get("/v1/renders", params={"external_ref": "race"}).json()["data"]
    assert len(renders) == sum(answer.status_code == 202 for answer in answers)
    assert [(one["revision"], one["status"]) for one in renders if one["status"] != "canceled"] == [(19, "queued")]


def test_rows_of_a_batch_have_none(service: Service) -> None:
    """A field that does nothing there is refused, not ignored."""
    items = [{"prompt": "a kite"}, {"prompt": "a kite", "external_ref": "row", "revision": 1}]
    batch = service.first.post("/v1/batches", json={"items": items}).json()
    (problem,) = service.first.get(f"/v1/batches/{batch['id']}/problems").json()["data"]
    assert (problem["line"], problem["code"], "/revision" in problem["detail"]) == (2, "row.invalid", True)

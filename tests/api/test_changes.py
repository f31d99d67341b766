"""What an owner changes: priority and metadata while a render is queued, and its deletion."""

import httpx
import pytest
from sqlalchemy import func, select

from tests.api import working
from tests.api.service import Service
from worker.owners.models import IdempotencyKey
from worker.renders.models import DoomedFile, Draft, Event, Lane, Render, Upload, UploadUse
from worker.renders.states import Status

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(64)


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_queued_render_changes_its_lane_and_metadata(service: Service) -> None:
    """PATCH: the priority moves it to that lane, metadata is replaced as a whole, an event tells of both."""
    at = service.make(metadata={"a": 1})["links"]["self"]
    answer = service.first.patch(at, json={"priority": "high", "metadata": {"b": 2}})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["priority"], body["metadata"], body["status"]) == ("high", {"b": 2}, "queued")
    assert answer.headers["etag"] == service.first.get(at).headers["etag"]
    with service.session() as session:
        lane = session.scalar(
            select(Lane.priority).join(Render, Render.lane_id == Lane.id).where(Render.id == body["id"])
        )
    assert lane == "high"
    last = service.first.get(f"{at}/events").json()["data"][-1]
    assert (last["type"], last["data"]) == ("render.updated", {"fields": ["metadata", "priority"]})


def test_what_is_begun_or_over_stays_as_it_was_asked_for(service: Service) -> None:
    """409 from the moment a worker has it."""
    begun = service.make()
    service.write(lambda session: working.claimed(session, begun["id"]))
    refused(service.first.patch(begun["links"]["self"], json={"priority": "low"}), 409, "render.begun")
    over = service.make()["links"]["self"]
    service.first.post(f"{over}/cancel")
    refused(service.first.patch(over, json={"metadata": {}}), 409, "render.begun")


@pytest.mark.parametrize(
    "body",
    [{}, {"priority": "urgent"}, {"prompt": "other"}, {"priority": None}, {"metadata": []}, {"metadata": {"a": "\0"}}],
)
def test_a_change_that_is_not_understood_is_refused(service: Service, body: dict[str, object]) -> None:
    """422, and nothing has changed."""
    made = service.make()
    refused(service.first.patch(made["links"]["self"], json=body), 422, "request.invalid")
    assert service.first.get(made["links"]["self"]).json()["updated_at"] == made["updated_at"]


def test_a_change_of_something_older_is_refused(service: Service) -> None:
    """`If-Match` with the tag of an earlier state: 412 with today's tag, and nothing is changed or deleted."""
    at = service.make()["links"]["self"]
    old = service.first.get(at).headers["etag"]
    assert service.first.patch(at, json={"priority": "low"}, headers={"If-Match": old}).status_code == 200
    answer = service.first.patch(at, json={"priority": "high"}, headers={"If-Match": old})
    refused(answer, 412, "render.changed")
    assert answer.headers["etag"] == service.first.get(at).headers["etag"]
    service.first.post(f"{at}/cancel")
    refused(service.first.delete(at, headers={"If-Match": f'"nonsense", {old}'}), 412, "render.changed")
    now = service.first.get(at).headers["etag"]
    assert service.first.delete(at, headers={"If-Match": f'"nonsense", {now}'}).status_code == 204


def test_a_read_of_what_is_known_is_a_304(service: Service) -> None:
    """`If-None-Match` with the tag, in a list or as `*`: no body; after a change, the body."""
    at = service.make()["links"]["self"]
    tag = service.first.get(at).headers["etag"]
    for given in (tag, f'"x", {tag}', "*", tag.removeprefix("W/")):
        answer = service.first.get(at, headers={"If-None-Match": given})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), given
    service.first.patch(at, json={"priority": "low"})
    assert service.first.get(at, headers={"If-None-Match": tag}).status_code == 200


def test_a_deleted_render_is_gone_for_its_owner(service: Service) -> None:
    """204 once final, then 404 everywhere, in lists too; the feed tells of it; its key does not make it anew."""
    key = {"Idempotency-Key": "to-be-deleted"}
    made = service.first.post("/v1/renders", json={"prompt": "a secret kite", "tags": ["gone"]}, headers=key).json()
    at = made["links"]["self"]
    refused(service.first.delete(at), 409, "render.not_final")
    held = service.write(lambda session: working.claimed(session, made["id"]))
    service.write(lambda session: working.with_draft(session, held, b'{"t": []}'))
    service.write(lambda session: working.finished(session, held, Status.SUCCEEDED))
    refused(service.second.delete(at), 404, "render.unknown")
    answer = service.first.delete(at)
    assert (answer.status_code, answer.content) == (204, b"")
    for call in (
        service.first.get(at),
        service.first.delete(at),
        service.first.get(f"{at}/events"),
        service.first.get(f"{at}/video"),
        service.first.get(f"{at}/timeline"),
        service.first.post(f"{at}/cancel"),
        service.first.post(f"{at}/retry"),
        service.first.patch(at, json={"priority": "low"}),
    ):
        refused(call, 404, "render.unknown")
    assert service.first.get("/v1/renders", params={"tag": "gone"}).json()["data"] == []
    assert service.first.get("/v1/renders", params={"ids": made["id"]}).json()["data"] == []
    again = service.first.post("/v1/renders", json={"prompt": "a secret kite", "tags": ["gone"]}, headers=key)
    refused(again, 410, "render.deleted")
    with service.session() as session:
        events = session.scalars(select(Event.type).where(Event.render_id == made["id"])).all()
        assert list(events) == ["render.deleted"]
        assert session.scalar(select(func.count()).where(Draft.render_id == made["id"])) == 0
        assert "secret" not in str(session.get_one(Render, made["id"]).__dict__)


def test_a_shared_upload_goes_with_its_last_render(service: Service) -> None:
    """Two renders use one file: it stays with the first deletion and goes, from the storage too, with the second; the
    call that made it makes it anew then."""
    again = {"params": {"name": "kite.png"}, "headers": {"Idempotency-Key": "shared-upload"}}
    upload = service.first.post("/v1/uploads", content=PNG, **again).json()
    ends = []
    for _ in range(2):
        at = service.make(assets=[{"upload": upload["id"]}])["links"]["self"]
        service.first.post(f"{at}/cancel")
        ends.append(at)
    with service.session() as session:
        key = session.get_one(Upload, upload["id"]).storage_key
    file = service.home / "results" / key
    assert file.is_file()
    for at, there in zip(ends, (True, False), strict=True):
        refused_or_gone = service.first.delete(f"/v1/uploads/{upload['id']}")
        refused(refused_or_gone, 409, "upload.in_use")
        assert service.first.delete(at).status_code == 204
        assert file.exists() == there
    assert service.first.get(f"/v1/uploads/{upload['id']}").status_code == 404
    anew = service.first.post("/v1/uploads", content=PNG, **again)
    assert (anew.status_code, anew.json()["id"] != upload["id"]) == (201, True)
    with service.session() as session:
        assert session.scalar(select(func.count()).where(UploadUse.upload_id == upload["id"])) == 0
        assert session.scalar(select(func.count()).where(DoomedFile.storage_key == key)) == 0


def test_an_unused_upload_can_be_shown_and_thrown_away(service: Service) -> None:
    """With the time it would expire, null once a render uses it; after DELETE its file, row and key are gone, and the
    same call uploads it anew. Another owner sees none of it."""
    key = {"Idempotency-Key": "throw-away"}
    made = service.first.post("/v1/uploads", content=PNG, headers=key).json()
    at = f"/v1/uploads/{made['id']}"
    assert service.first.get(at).json() == made
    assert made["expires_at"] > made["created_at"]
    refused(service.second.get(at), 404, "upload.not_found")
    refused(service.second.delete(at), 404, "upload.not_found")
    assert service.first.delete(at).status_code == 204
    refused(service.first.get(at), 404, "upload.not_found")
    with service.session() as session:
        assert session.scalar(select(func.count()).where(IdempotencyKey.resource_id == made["id"])) == 0
    again = service.first.post("/v1/uploads", content=PNG, headers=key).json()
    assert again["id"] != made["id"]
    service.make(assets=[{"upload": again["id"]}])
    assert service.first.get(f"/v1/uploads/{again['id']}").json()["expires_at"] is None


@pytest.mark.parametrize("id", ["upl_short", "rnd_" + "0" * 26, "%00", "upl_" + "é" * 26, "upl_" + "0" * 26])
def test_what_is_no_upload_is_not_found(service: Service, id: str) -> None:
    """404 for anything, well-formed or not."""
    refused(service.first.get(f"/v1/uploads/{id}"), 404, "upload.not_found")
    refused(service.first.delete(f"/v1/uploads/{id}"), 404, "upload.not_found")

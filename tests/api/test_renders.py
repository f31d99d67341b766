"""Renders over HTTP: taken on once, shown to their owner alone, listed by key, cancelled."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select

from tests.api.service import Service
from worker.owners.models import Owner
from worker.renders.models import Event, Render


def test_a_request_becomes_a_queued_render(service: Service) -> None:
    """202 with the address of a render that says where it stands and carries what was asked for."""
    asked = {
        "prompt": "  ein roter Drachen über dem Meer, für Kinder  ",
        "assets": [{"url": "https://shop.example/a.jpg"}],
        "external_ref": "sku-1",
        "tags": ["summer", "kite", "summer"],
        "metadata": {"shop": {"id": 7}},
        "priority": "high",
    }
    answer = service.first.post("/v1/renders", json=asked)
    assert answer.status_code == 202
    made = answer.json()
    assert answer.headers["location"] == made["links"]["self"] == f"/v1/renders/{made['id']}"
    assert int(answer.headers["retry-after"]) > 0
    assert (made["status"], made["stage"], made["progress"], made["run"]) == ("queued", "token", 0, 1)
    assert (made["prompt"], made["language"]) == ("ein roter Drachen über dem Meer, für Kinder", "de")
    assert (made["tags"], made["metadata"], made["external_ref"]) == (["summer", "kite"], {"shop": {"id": 7}}, "sku-1")
    assert made["assets"] == [{"url": "https://shop.example/a.jpg"}]
    assert made["charge"] == {"state": "none", "credits": None}
    assert service.first.get(answer.headers["location"]).json() == made


def test_a_deadline_is_counted_from_the_acceptance(service: Service) -> None:
    """The time asked for, and when it will be over; a render without one may take as long as it takes."""
    made = service.make(deadline_seconds=90.5)
    assert made["deadline_seconds"] == 90.5
    due, queued = (datetime.fromisoformat(made[name]) for name in ("deadline_at", "queued_at"))
    assert due - queued == timedelta(seconds=90.5)
    endless = service.make()
    assert (endless["deadline_seconds"], endless["deadline_at"]) == (None, None)


def test_what_is_unchanged_is_not_sent_again(service: Service) -> None:
    """A render asked for with its ETag answers 304 until something about it changes."""
    at = service.make()["links"]["self"]
    etag = service.first.get(at).headers["etag"]
    assert service.first.get(at, headers={"If-None-Match": etag}).status_code == 304
    service.first.post(f"{at}/cancel")
    assert service.first.get(at, headers={"If-None-Match": etag}).status_code == 200


def test_a_repeated_key_finds_the_same_render(service: Service) -> None:
    """The same key with the same request, however it is written, replays; with another request it is refused."""
    key = {"Idempotency-Key": "k-1"}
    first = service.first.post("/v1/renders", json={"prompt": "kites", "tags": []}, headers=key)
    again = service.first.post(
        "/v1/renders",
        content=b'{"priority":"normal",\n "prompt" : " kites "}',
        headers=key | {"Content-Type": "application/json"},
    )
    assert again.json()["id"] == first.json()["id"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = service.first.post("/v1/renders", json={"prompt": "boats"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    foreign = service.second.post("/v1/renders", json={"prompt": "boats"}, headers=key)
    assert foreign.status_code == 202


def test_a_hundred_simultaneous_posts_make_one_render(service: Service) -> None:
    """Whatever their timing, requests with one key end in one row, one queued event and one id: one makes it, the
    others find it or, while it is being made, are told when to come again, and find it then."""

    def post(_: int) -> httpx.Response:
        headers = {"Idempotency-Key": "hundred"}
        return service.first.post("/v1/renders", json={"prompt": "kites", "external_ref": "hundred"}, headers=headers)

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(post, range(100)))
    early = [answer for answer in answers if answer.status_code == 409]
    assert {(answer.json()["code"], answer.headers["retry-after"]) for answer in early} <= {
        ("idempotency.in_flight", "1")
    }
    answers = [answer for answer in answers if answer.status_code == 202] + [post(0) for _ in early]
    ids = {answer.json()["id"] for answer in answers}
    assert len(answers) == 100
    assert len(ids) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 99
    with service.session() as session:
        assert session.scalar(select(func.count()).where(Render.external_ref == "hundred")) == 1
        assert session.scalar(select(func.count()).where(Event.render_id.in_(ids))) == 1


def test_a_key_whose_request_is_under_way_is_told_so(service: Service) -> None:
    """While another request holds the key's lock, and only then: 409 with when to come again; nothing is made."""
    headers = {"Idempotency-Key": "under-way"}
    with service.session() as session, session.begin():
        owner = session.scalars(select(Owner.id).where(Owner.name == "default")).one()
        lock = "\n".join((owner, "POST /v1/renders", "under-way"))
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(lock, 0))))
        answer = service.first.post("/v1/renders", json={"prompt": "kites"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency.in_flight")
    assert service.first.post("/v1/renders", json={"prompt": "kites"}, headers=headers).status_code == 202


def test_a_refused_request_leaves_its_key_unused(service: Service) -> None:
    """After a 422 the corrected request may use the same key: the refusal was no first use."""
    headers = {"Idempotency-Key": "corrected"}
    missing = {"prompt": "kites", "assets": [{"upload": "upl_" + "0" * 26}]}
    assert service.first.post("/v1/renders", json=missing, headers=headers).status_code == 422
    assert service.first.post("/v1/renders", json={"prompt": "kites"}, headers=headers).status_code == 202


def test_another_owners_renders_do_not_exist(service: Service) -> None:
    """To the other owner every address of a render is a 404, and lists and feeds hold none of it."""
    made = service.make(external_ref="private", tags=["private"])
    at = made["links"]["self"]
    assert service.first.get(at).status_code == 200
    for path in (at, f"{at}/events", f"{at}/video", f"{at}/poster", f"{at}/timeline"):
        answer = service.second.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "render.unknown"), path
    assert service.second.post(f"{at}/cancel").status_code == 404
    assert service.second.get("/v1/renders", params={"tag": "private"}).json()["data"] == []
    service.readable()
    feed = service.second.get("/v1/events").json()["data"]
    assert made["id"] not in {event["render_id"] for event in feed}
    assert service.first.get(at).json()["status"] == "queued"


def test_filters_find_by_tag_reference_and_status(service: Service) -> None:
    """Each filter alone and together names exactly the renders it describes."""
    one = service.make(tags=["f1", "both"], external_ref="ref-1")["id"]
    two = service.make(tags=["f2", "both"], external_ref="ref-2")["id"]
    service.first.post(f"/v1/renders/{two}/cancel")

    def found(**query: object) -> list[str]:
        return [row["id"] for row in service.first.get("/v1/renders", params=query).json()["data"]]

    assert found(tag="both") == [two, one]
    assert found(tag="f1") == [one]
    assert found(external_ref="ref-2") == [two]
    assert found(tag="both", status="canceled") == [two]
    assert found(tag="both", status=["canceled", "queued"]) == [two, one]


def test_pages_neither_repeat_nor_skip_while_rows_come(service: Service) -> None:
    """Paging by key: renders made between two pages change nothing about the older pages."""
    expected = [service.make(tags=["paged"])["id"] for _ in range(7)][::-1]
    seen: list[str] = []
    query: dict[str, object] = {"tag": "paged", "limit": 3}
    while True:
        page = service.first.get("/v1/renders", params=query).json()
        seen += [row["id"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        service.make(tags=["paged"])
        query["cursor"] = page["next_cursor"]
    assert seen == expected


@pytest.mark.parametrize("repeat", [1, 2])
def test_cancelling_what_nobody_began_is_final_at_once(service: Service, repeat: int) -> None:
    """200 with `prevented`; asking again changes nothing."""
    at = service.make()["links"]["self"]
    for _ in range(repeat):
        answer = service.first.post(f"{at}/cancel")
    assert answer.status_code == 200
    canceled = answer.json()
    assert (canceled["status"], canceled["cancel_effect"]) == ("canceled", "prevented")
    assert "cancel" not in canceled["links"]
    types = [event["type"] for event in service.first.get(f"{at}/events").json()["data"]]
    assert types == ["render.queued", "render.canceled"]

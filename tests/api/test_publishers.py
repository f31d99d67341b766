"""Publishers and publications over the API: made, checked, changed, asked for, retried; nothing secret comes back."""

from typing import Any

import pytest
from sqlalchemy import func, update

from tests.api import working
from tests.api.service import Service
from worker.publishing.models import Publication
from worker.renders.states import Status

ADDRESS = {"kind": "http", "settings": {"url": "https://shop.example/videos"}}


def _publisher(service: Service, **given: Any) -> dict[str, Any]:
    made = service.first.post("/v1/publishers", json=ADDRESS | given)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"/v1/publishers/{made.json()['id']}"
    return made.json()


def _succeeded(service: Service) -> str:
    render_id = service.make(external_ref="lamp-7")["id"]

    def end(session):
        held = working.claimed(session, render_id)
        working.with_result(session, held, key=f"renders/{render_id}/v.mp4", size=3, sha256="a" * 64, poster=None)
        working.finished(session, held, Status.SUCCEEDED)

    service.write(end)
    return render_id


def test_a_secret_that_was_made_is_shown_once(service: Service):
    """One that was given is not shown at all."""
    made = _publisher(service, name="mine")
    assert made["secret"].startswith("whsec_")
    assert service.first.get(made["links"]["self"]).json() == made | {"secret": None}
    given = _publisher(service, credentials={"secret": made["secret"]})
    assert made["secret"] not in str(given)
    changed = service.first.patch(made["links"]["self"], json={"enabled": False, "name": None}).json()
    assert (changed["enabled"], changed["name"], changed["secret"]) == (False, None, None)
    assert service.first.get("/v1/publishers").json()["data"][0]["id"] == given["id"]
    assert service.first.delete(given["links"]["self"]).status_code == 204
    assert service.first.get(given["links"]["self"]).json()["code"] == "publisher.unknown"


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"settings": {"url": "ftp://shop.example"}}, "/settings/url"),
        ({"settings": {"url": "https://shop.example/", "unknown": 1}}, "/settings/unknown"),
        ({"kind": "shopify", "settings": {"shop": "shop.example"}}, "/settings/shop"),
        ({"credentials": {"secret": "whsec_short"}}, "/credentials/secret"),
        ({"kind": "shopify", "settings": {"shop": "a.myshopify.com"}}, "/credentials/access_token"),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(service: Service, given: dict[str, Any], pointer: str):
    """By its place; a credential of a wrong form is not in the answer."""
    refused = service.first.post("/v1/publishers", json=ADDRESS | given)
    assert refused.status_code == 422
    assert [one["pointer"] for one in refused.json()["errors"]] == [pointer]
    assert "whsec_short" not in refused.text


def test_a_check_says_why_not(service: Service):
    """An answer of its own, not an error: the shop was asked, and is not there."""
    made = _publisher(service, settings={"url": "https://shop.invalid/videos"})
    told = service.first.post(made["links"]["check"]).json()
    assert (told["ok"], told["told"], told["error"]["code"]) == (False, None, "publish.unavailable")
    assert told["error"]["help"]


def test_a_video_is_asked_to_be_brought(service: Service):
    """Twice is once; its reference is the render's where none is given; what failed is retried, nothing else is."""
    publisher, render_id = _publisher(service), _succeeded(service)
    at = f"{publisher['links']['self']}/publications"
    asked = service.first.post(at, json={"render_id": render_id, "product": {"handle": "lamp"}})
    assert asked.status_code == 202, asked.text
    made = asked.json()
    assert (made["ref"], made["product"], made["state"]) == ("lamp-7", {"handle": "lamp"}, "pending")
    assert service.first.post(at, json={"render_id": render_id}).json() == made
    listed = service.first.get("/v1/publications", params={"publisher_id": publisher["id"], "state": "pending"})
    assert listed.json()["data"] == [made]
    retry = f"{made['links']['self']}/retry"
    assert service.first.post(retry).json()["code"] == "publication.not_failed"
    failed = {"state": "failed", "error_code": "publish.refused", "error_detail": "no", "finished_at": func.now()}
    change = update(Publication).where(Publication.id == made["id"]).values(**failed)
    service.write(lambda session: session.execute(change))
    shown = service.first.get(made["links"]["self"]).json()
    assert shown["error"] | {"help": ""} == {"code": "publish.refused", "message": "no", "help": ""}
    assert service.first.post(retry).json()["state"] == "pending"


def test_without_a_video_nothing_is_brought(service: Service):
    """Nor of a render that is not there."""
    at = f"{_publisher(service)['links']['self']}/publications"
    assert service.first.post(at, json={"render_id": service.make()["id"]}).json()["code"] == "render.no_video"
    assert service.first.post(at, json={"render_id": f"rnd_{'0' * 26}"}).json()["code"] == "render.unknown"

"""Publishers and publications over the API: made, checked, changed, asked for, retried; nothing secret comes back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, update

from tests.api import working
from tests.api.service import Service, serving
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


def test_another_shop_is_another_publisher(service: Service):
    """Once something was begun at the first one: a typing error before that is put right, all else of it is changed."""
    shop = {"kind": "shopify", "settings": {"shop": "lmaps.myshopify.com"}, "credentials": {"access_token": "shpat_1"}}
    at = _publisher(service, **shop)["links"]["self"]
    asked = service.first.post(f"{at}/publications", json={"render_id": _succeeded(service)}).json()

    def told(**settings: Any) -> httpx.Response:
        return service.first.patch(at, json={"settings": {"shop": "lamps.myshopify.com"} | settings})

    assert told().json()["settings"]["shop"] == "lamps.myshopify.com"
    begun = update(Publication).where(Publication.id == asked["id"]).values(remote={"product_id": "gid://7"})
    service.write(lambda session: session.execute(begun))
    refused = told(shop="chairs.myshopify.com")
    assert (refused.status_code, refused.json()["code"]) == (409, "publisher.moved")
    assert told(alt="a lamp").json()["settings"]["alt"] == "a lamp"


def test_another_site_needs_its_own_credentials(service: Service):
    """The password on file was given for the one of before."""
    credentials = {"user": "ada", "application_password": "a b c"}
    made = _publisher(service, kind="woocommerce", settings={"url": "https://shop.example"}, credentials=credentials)
    moved = {"settings": {"url": "https://other.example"}}
    refused = service.first.patch(made["links"]["self"], json=moved)
    assert refused.status_code == 422
    assert [one["pointer"] for one in refused.json()["errors"]] == ["/credentials"]
    assert service.first.get(made["links"]["self"]).json() == made
    same = {"settings": {"url": "https://shop.example/", "meta_key": "clip"}}
    assert service.first.patch(made["links"]["self"], json=same).status_code == 200
    changed = service.first.patch(made["links"]["self"], json=moved | {"credentials": credentials})
    assert changed.json()["settings"]["url"] == "https://other.example"


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


def test_a_second_product_gets_the_video_too(service: Service):
    """Under a reference of its own where none is given; the first one's stays what it is. The same reference with
    another place is the product where it really is."""
    made, render_id = _publisher(service), _succeeded(service)
    asked = made["links"]["self"] + "/publications"

    def brought(handle: str, **given: Any) -> tuple[str, str, Any]:
        wish = {"render_id": render_id, "product": {"handle": handle}, **given}
        answer = service.first.post(asked, json=wish, headers={"Idempotency-Key": uuid4().hex})
        assert answer.status_code == 202, answer.text
        found = answer.json()
        return found["id"], found["ref"], found["product"]["handle"]

    first, second = brought("a"), brought("b")
    assert (first[1:], second[1:]) == (("lamp-7", "a"), ("lamp-7 (handle b)", "b"))
    assert (brought("a"), brought("b")) == (first, second)
    states = [service.first.get(f"/v1/publications/{one[0]}").json()["state"] for one in (first, second)]
    assert states == ["pending", "pending"]
    corrected = brought("c", ref="lamp-7")
    assert corrected[0] != first[0]
    assert service.first.get(f"/v1/publications/{first[0]}").json()["state"] == "superseded"


def test_a_product_keeps_its_reference_in_whatever_order_the_next_render_is_asked_for(service: Service):
    """Else neither would find the video that it has, and each would have two. Nor does one take the reference of
    another that this very render is brought to."""
    made, first, second = _publisher(service), _succeeded(service), _succeeded(service)
    asked = made["links"]["self"] + "/publications"

    def refs(render_id: str, *handles: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for handle in handles:
            wish = {"render_id": render_id, "product": {"handle": handle}}
            answer = service.first.post(asked, json=wish, headers={"Idempotency-Key": uuid4().hex})
            assert answer.status_code == 202, answer.text
            found[handle] = answer.json()["ref"]
        return found

    known = refs(first, "a", "b")
    assert known == {"a": "lamp-7", "b": "lamp-7 (handle b)"}
    assert refs(second, "b", "a") == known
    assert refs(_succeeded(service), "c", "a") == {"c": "lamp-7", "a": "lamp-7 (handle a)"}


def test_what_waits_of_a_deleted_render_is_ended(service: Service):
    """In the deletion's own transaction."""
    publisher, render_id = _publisher(service), _succeeded(service)
    at = f"{publisher['links']['self']}/publications"
    made = service.first.post(at, json={"render_id": render_id}).json()
    assert service.first.delete(f"/v1/renders/{render_id}").status_code == 204
    shown = service.first.get(made["links"]["self"]).json()
    assert (shown["state"], shown["error"]["code"]) == ("failed", "publish.no_video")


def test_without_a_video_nothing_is_brought(service: Service):
    """Nor of a render that is not there."""
    at = f"{_publisher(service)['links']['self']}/publications"
    assert service.first.post(at, json={"render_id": service.make()["id"]}).json()["code"] == "render.no_video"
    assert service.first.post(at, json={"render_id": f"rnd_{'0' * 26}"}).json()["code"] == "render.unknown"


def _keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_a_repeated_creation_finds_the_first(service: Service):
    """Its secret and all, where it was made; another body under the key is refused, what is gone is not made again."""
    key = uuid4().hex
    first, again = (service.first.post("/v1/publishers", json=ADDRESS, headers=_keyed(key)) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["secret"]
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    replayed = [one.headers.get("idempotent-replayed") for one in (first, again)]
    assert replayed == [None, "true"]
    other = service.first.post("/v1/publishers", json=ADDRESS | {"name": "other"}, headers=_keyed(key))
    assert other.json()["code"] == "idempotency.mismatch"
    given = ADDRESS | {"credentials": {"secret": first.json()["secret"]}}
    shown = [service.first.post("/v1/publishers", json=given, headers=_keyed(f"{key}-given")) for _ in range(2)]
    assert [one.json()["secret"] for one in shown] == [None, None]
    assert service.first.delete(first.json()["links"]["self"]).status_code == 204
    assert service.first.post("/v1/publishers", json=ADDRESS, headers=_keyed(key)).json()["code"] == "publisher.unknown"


def test_a_repeated_wish_is_the_same_publication(service: Service):
    """As it is by now: another video was asked for in between. Without the key it would be brought again."""
    at = f"{_publisher(service)['links']['self']}/publications"
    first, second = ({"render_id": _succeeded(service), "ref": "lamp"} for _ in range(2))
    key = _keyed(uuid4().hex)
    made = service.first.post(at, json=first, headers=key)
    assert (made.status_code, "idempotent-replayed" in made.headers) == (202, False)
    assert service.first.post(at, json=second).status_code == 202
    again = service.first.post(at, json=first, headers=key)
    overtaken = made.json() | {"state": "superseded", "next_try_at": None}
    assert again.json() | {"finished_at": None} == overtaken
    assert again.json()["finished_at"] is not None
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == made.headers["location"]
    assert service.first.post(at, json=second, headers=key).json()["code"] == "idempotency.mismatch"
    assert service.first.post(at, json=first).json()["id"] != made.json()["id"]


@pytest.fixture
def keyless(service: Service, tmp_path: Path, worker_number: int) -> Iterator[httpx.Client]:
    """The same service, started without VIVIDEO_SECRET_KEY."""
    with serving(service.database, tmp_path, 21_050 + worker_number * 100, VIVIDEO_SECRET_KEY="") as running:
        yield running.first


def test_without_the_secret_key_no_credential_is_kept_or_used(service: Service, keyless: httpx.Client):
    """Said as what it is; what needs none goes on, and the key of the request is not spent."""
    key = _keyed(uuid4().hex)
    made = service.first.post("/v1/publishers", json=ADDRESS, headers=key)
    at = made.json()["links"]["self"]
    refused = [
        keyless.post("/v1/publishers", json=ADDRESS, headers=_keyed(f"{key['Idempotency-Key']}-2")),
        keyless.post("/v1/publishers", json=ADDRESS, headers=key),
        keyless.patch(at, json={"credentials": {}}),
        keyless.post(f"{at}/check"),
    ]
    assert [(one.status_code, one.json()["code"]) for one in refused] == [(503, "webhook.no_secret_key")] * 4
    assert keyless.patch(at, json={"name": "kept"}).json()["name"] == "kept"
    wish = {"render_id": _succeeded(service)}
    assert keyless.post(f"{at}/publications", json=wish).status_code == 202
    later = service.first.post("/v1/publishers", json=ADDRESS, headers=_keyed(f"{key['Idempotency-Key']}-2"))
    assert (later.status_code, "idempotent-replayed" in later.headers) == (201, False)

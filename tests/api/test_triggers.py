"""Webhooks in, over HTTP: who may send, what is answered, what the owner sees of it."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.limits import MESSAGE_BYTES
from tests.api import shops
from tests.api.service import Service, serving, until
from tests.api.shops import SECRET, product, send, signed, trigger
from tests.api.tables import contents
from worker.database import new_id
from worker.renders.models import Render

REFUSED = (401, 429)
"""All that is not right counts against this machine's address: after some of it, it is a flood."""


@pytest.fixture(scope="module")
def service(database: str, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[Service]:
    """An intake of its own: who floods it here would be a flood to other tests as well."""
    many = {"VIVIDEO_UNVERIFIED_MESSAGES_PER_MINUTE": "200"}  # the tests before the flood have some dozens a minute
    with serving(database, tmp_path_factory.mktemp("state"), 23_000 + worker_number * 100, **many) as running:
        yield running


@pytest.fixture(scope="module")
def shop(service: Service) -> dict[str, Any]:
    """A Shopify shop's trigger."""
    return trigger(service, name="lamps")


def _at(shop: dict[str, Any]) -> str:
    return shop["links"]["deliveries"]


def _said(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_signed_product_becomes_a_render_once(service: Service, shop: dict[str, Any]):
    """The render has the product's words, picture and reference, the message its revision; the same again makes
    nothing."""
    first = _said(send(service, _at(shop), product(1), id="msg-1"))
    again = _said(send(service, _at(shop), product(1), id="msg-1"))
    assert (first["verdict"], first["duplicate"], again["duplicate"]) == ("rendered", False, True)
    assert {**again, "duplicate": False} == first
    render = service.first.get(f"/v1/renders/{first['render_id']}").json()
    assert render["prompt"] == "a video about Lamp 1 for 19.90"
    assert render["external_ref"] == "1"
    assert render["revision"] is None
    kept = service.first.get(f"/v1/trigger-deliveries/{first['delivery_id']}").json()
    assert kept["revision"] > 0
    assert (kept["duplicates"], kept["topic"], json.loads(kept["body"])) == (1, "products/update", product(1))
    assert "x-shopify-hmac-sha256" not in kept["headers"]
    assert SECRET not in json.dumps(kept)


def test_the_same_message_many_times_at_once_makes_one_render(service: Service, shop: dict[str, Any]):
    """Each is answered with the one render; one of them made it."""
    answers: list[dict[str, Any]] = []
    barrier = threading.Barrier(8)

    def call() -> None:
        barrier.wait()
        answers.append(_said(send(service, _at(shop), product(2), id="msg-2")))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len({one["render_id"] for one in answers}) == 1
    assert sorted(one["duplicate"] for one in answers) == [False] + [True] * 7


def test_two_messages_about_one_product_at_once_make_one_render(service: Service, shop: dict[str, Any]):
    """With ids of their own, and the same content: the second finds the first's render."""
    answers: list[dict[str, Any]] = []
    barrier = threading.Barrier(6)

    def call() -> None:
        barrier.wait()
        answers.append(_said(send(service, _at(shop), product(3))))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len({one["render_id"] for one in answers}) == 1
    assert sorted(one["verdict"] for one in answers) == ["rendered"] + ["unchanged"] * 5


_BODY = json.dumps(product(9)).encode()
_WRONG: dict[str, dict[str, str]] = {
    "no signature": {},
    "another secret": signed(_BODY, secret="another-secret-altogether"),
    "of another body": signed(b"{}"),
    "no base64": signed(_BODY) | {"X-Shopify-Hmac-Sha256": "%%%"},
    "not ASCII": signed(_BODY) | {"X-Shopify-Hmac-Sha256": "é".encode("latin-1").decode("latin-1")},
    "empty": signed(_BODY) | {"X-Shopify-Hmac-Sha256": ""},
    "a key of ours": {"Authorization": "Bearer vv_the-first-owners-key-of-the-tests"},
}


def test_what_is_not_the_triggers_is_answered_in_the_same_words(service: Service, shop: dict[str, Any]):
    """Whatever is wrong, the address included: 401 to the letter, and nothing is kept."""
    before = contents(service)
    nowhere = [f"/v1/triggers/trg_{'0' * 26}/deliveries", "/v1/triggers/anything/deliveries"]
    said = set()
    for at in (_at(shop), *nowhere):
        for headers in _WRONG.values():
            encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            answer = service.nobody.post(at, content=_BODY, headers=encoded)
            assert answer.status_code == 401, answer.text
            said.add(json.dumps(answer.json() | {"request_id": ""}))
        # Rightly signed, for another address.
    for at in nowhere:
        said.add(json.dumps(send(service, at, product(9)).json() | {"request_id": ""}))
    assert len(said) == 1
    assert json.loads(said.pop())["code"] == "trigger.unverified"
    assert contents(service) == before


def test_a_ping_is_answered_whatever_its_address_is(service: Service):
    """WooCommerce asks with an unsigned form before it keeps a webhook."""
    woo = trigger(service, style="woocommerce", secret=None)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for at in (_at(woo), f"/v1/triggers/trg_{'0' * 26}/deliveries"):
        answer = service.nobody.post(at, content=b"webhook_id=17", headers=form)
        assert _said(answer) == {"delivery_id": None, "verdict": "ignored", "render_id": None, "duplicate": False}


def test_what_is_signed_and_no_json_is_kept_and_not_sent_again(service: Service, shop: dict[str, Any]):
    """200, for the shop would repeat it in vain; the owner sees the reason."""
    for body in (b"", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 5_000):
        answer = _said(send(service, _at(shop), body))
        kept = service.first.get(f"/v1/trigger-deliveries/{answer['delivery_id']}").json()
        assert (kept["verdict"], kept["code"]) == ("refused", "trigger.not_json")
    assert kept["body_encoding"] == "utf-8"


def test_topics_nobody_asked_for_are_ignored(service: Service, shop: dict[str, Any]):
    """With 200, and on file."""
    assert _said(send(service, _at(shop), product(4), topic="orders/create"))["verdict"] == "ignored"


def test_a_body_has_a_bound(service: Service, shop: dict[str, Any]):
    """4 MiB are taken; one byte more is 413 as soon as it is told or read, and nothing is kept."""
    filling = b'{"x": "%s"}'
    fits = filling % (b"a" * (MESSAGE_BYTES - len(filling) + 2))
    assert len(fits) == MESSAGE_BYTES
    assert _said(send(service, _at(shop), fits, topic="orders/create"))["verdict"] == "ignored"
    before = contents(service)
    assert send(service, _at(shop), fits + b" ").status_code == 413
    parts = iter([fits, b" "])
    assert service.nobody.post(_at(shop), content=parts, headers=signed(fits + b" ")).status_code == 413
    assert contents(service) == before
    head = f"POST {_at(shop)} HTTP/1.1\r\nHost: x\r\nContent-Length: {MESSAGE_BYTES + 1}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_compressed_bodies_are_refused(service: Service, shop: dict[str, Any]):
    """As everywhere: what is signed are the bytes that come."""
    answer = service.nobody.post(_at(shop), content=_BODY, headers=signed(_BODY) | {"Content-Encoding": "gzip"})
    assert answer.status_code == 415


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_fields = st.dictionaries(st.sampled_from(sorted(product())), _values, max_size=8)
_bodies = (
    st.binary(max_size=200)
    | st.builds(lambda fields: json.dumps(product(77) | fields).encode(), _fields)
    | st.builds(lambda value: json.dumps(value).encode(), _values)
)
_header = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=_bodies, topic=_header, id=_header, right=st.booleans())
def test_no_message_is_a_fault_of_ours(service: Service, shop: dict[str, Any], body: bytes, topic: str, id: str, right):
    """Rightly signed or not, whatever it holds: 200 or 401, never 500."""
    headers = signed(body, secret=SECRET if right else "another")
    headers |= {"X-Shopify-Topic": topic or "products/update", "X-Shopify-Webhook-Id": id.strip()}
    encoded = [(name.encode(), value.strip().encode("latin-1")) for name, value in headers.items()]
    answer = service.nobody.post(_at(shop), content=body, headers=encoded)
    assert answer.status_code == 200 if right else answer.status_code in REFUSED, answer.text
    assert "request.fault" not in service.log


def test_secrets_change_without_a_message_lost(service: Service):
    """Both are taken in the overlap; without one the old is soon refused. The new secret is shown once."""
    shop = trigger(service)
    rotate = shop["links"]["rotate"]
    new = service.first.post(rotate, json={"secret": "the-shop's-second-secret"}).json()
    assert new["secret"] == "the-shop's-second-secret"
    assert new["previous_secret_until"] is not None
    for secret in (SECRET, "the-shop's-second-secret"):
        assert send(service, _at(shop), product(5), secret=secret).status_code == 200
    service.first.post(rotate, json={"secret": "the-shop's-third-secret", "overlap_seconds": 0})
    assert send(service, _at(shop), product(5), secret="the-shop's-third-secret").status_code == 200
    for old in (SECRET, "the-shop's-second-secret"):
        until(lambda old=old: send(service, _at(shop), product(5), secret=old).status_code in REFUSED)
    assert "secret" not in service.first.get(shop["links"]["self"]).json()


@pytest.mark.parametrize("style", ["standard", "woocommerce", "github", "bearer"])
def test_a_secret_is_made_where_none_is_given(service: Service, style: str):
    """In the style's own form; the same call again has the same secret."""
    wanted = {"style": style, "template": shops.template(service)}
    key = {"Idempotency-Key": new_id("key")}
    made, again = (service.first.post("/v1/triggers", json=wanted, headers=key) for _ in range(2))
    assert made.status_code == 201
    assert len(made.json()["secret"]) > 40
    assert again.json() == made.json()
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("style", ["shopify", "stripe"])
def test_a_source_that_makes_its_secret_has_to_be_asked(service: Service, style: str):
    """422 names the field."""
    answer = service.first.post("/v1/triggers", json={"style": style, "template": shops.template(service)})
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/secret"]


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"mapping": {"variables": {"title": "name"}}}, "/mapping/variables/title"),
        ({"conditions": [{"pointer": "/a", "like": 1}]}, "/conditions/0"),
        ({"style": "standard", "secret": "whsec_%%%"}, "/secret"),
        ({"template": "no-such-template"}, "/template"),
        ({"mapping": {"variables": {"a": {"const": "\0"}}}}, "/mapping"),
    ],
)
def test_what_is_wrong_with_a_trigger_is_named(service: Service, given: dict[str, Any], pointer: str):
    """At its making and at its change, and nothing is kept."""
    usual = {"style": "shopify", "template": shops.template(service), "secret": SECRET}
    before = contents(service)
    answer = service.first.post("/v1/triggers", json=usual | given)
    assert (answer.status_code, [one["pointer"] for one in answer.json()["errors"]]) == (422, [pointer])
    assert contents(service) == before


def test_a_publisher_needs_to_know_its_product(service: Service):
    """Without `external_ref` each video would be an edit that makes another: neither order of the two is taken."""
    address = {"kind": "http", "settings": {"url": "https://shop.example/videos"}}
    publisher = service.first.post("/v1/publishers", json=address).json()["id"]
    bare, whole = {"variables": {"title": "/t"}}, {"variables": {"title": "/t"}, "external_ref": "/id"}
    usual = {"style": "shopify", "template": shops.template(service), "secret": SECRET}

    def refused(answer: httpx.Response) -> list[str]:
        assert answer.status_code == 422, answer.text
        assert "external_ref" in answer.json()["errors"][0]["detail"]
        return [one["pointer"] for one in answer.json()["errors"]]

    both = usual | {"publisher_id": publisher, "mapping": bare}
    assert refused(service.first.post("/v1/triggers", json=both)) == ["/mapping/external_ref"]
    at = trigger(service, mapping=bare)["links"]["self"]
    assert refused(service.first.patch(at, json={"publisher_id": publisher})) == ["/publisher_id"]
    assert service.first.patch(at, json={"publisher_id": publisher, "mapping": whole}).status_code == 200
    assert refused(service.first.patch(at, json={"mapping": bare})) == ["/mapping/external_ref"]
    assert service.first.patch(at, json={"mapping": None}).status_code == 200


def test_two_templates_do_not_share_a_publisher(service: Service):
    """Each would take the other's place at the product: neither made nor changed so; with other references, another
    publisher, or the same template by its id and version, they may."""
    address = {"kind": "http", "settings": {"url": "https://shop.example/videos"}}
    publisher, other = (service.first.post("/v1/publishers", json=address).json()["id"] for _ in range(2))
    template, another = shops.template(service), shops.template(service)
    usual = {"style": "shopify", "secret": SECRET, "publisher_id": publisher}
    first = trigger(service, template=template, publisher_id=publisher)

    def refused(answer: httpx.Response) -> bool:
        assert answer.status_code in (200, 201, 422), answer.text
        if answer.status_code == 422:
            [error] = answer.json()["errors"]
            assert (error["pointer"], first["id"] in error["detail"]) == ("/publisher_id", True)
        return answer.status_code == 422

    def makes(**given: Any) -> httpx.Response:
        return service.first.post("/v1/triggers", json=usual | given)

    assert refused(makes(template=another))
    assert not refused(makes(template=another, options={"ref_prefix": "b-"}))
    by_id = service.first.get(f"/v1/templates/{template}").json()["id"]
    assert not refused(makes(template=f"{by_id}@1"))
    mine = makes(template=another, publisher_id=other).json()["links"]["self"]
    assert refused(service.first.patch(mine, json={"publisher_id": publisher}))
    assert not refused(service.first.patch(mine, json={"publisher_id": publisher, "template": template}))
    assert refused(service.first.patch(mine, json={"template": another}))
    assert not refused(service.first.patch(mine, json={"options": {"ref_prefix": "c-"}, "template": another}))
    assert refused(service.first.patch(mine, json={"options": {}}))
    assert not refused(service.first.patch(mine, json={"name": "anything else"}))


def test_a_catalog_names_a_publisher_that_is_there(service: Service):
    """404 for one that never was."""
    wanted = {"url": "https://shop.example/feed", "template": shops.template(service)}
    answer = service.first.post("/v1/catalogs", json=wanted | {"publisher_id": "pub_" + "0" * 26})
    assert (answer.status_code, answer.json()["code"]) == (404, "publisher.unknown")
    made = service.first.post("/v1/catalogs", json=wanted).json()
    answer = service.first.patch(made["links"]["self"], json={"publisher_id": "pub_" + "0" * 26})
    assert (answer.status_code, answer.json()["code"]) == (404, "publisher.unknown")


def test_a_trigger_is_changed_paused_and_dropped(service: Service):
    """What is left out stays, null takes back; paused it keeps what comes; dropped it answers as one that never was."""
    shop = trigger(service, topics=["products/*"], name="one")
    at = shop["links"]["self"]
    changed = service.first.patch(at, json={"name": None, "topics": None, "paused": True, "mapping": None}).json()
    assert (changed["name"], changed["topics"], changed["paused"], changed["mapping"]) == (None, None, True, {})
    assert changed["template"] == shop["template"]
    assert _said(send(service, _at(shop), product(6)))["verdict"] == "held"
    assert service.first.patch(at, json={"paused": False}).json()["paused"] is False
    held = service.first.get(_at(shop), params={"verdict": "held"}).json()["data"]
    assert [one["code"] for one in held] == ["trigger.paused"]
    assert held[0]["retry_at"] is not None
    assert service.first.delete(at).status_code == 204
    assert service.first.get(at).status_code == 404
    until(lambda: send(service, _at(shop), product(6)).status_code in REFUSED)


def test_messages_are_listed_newest_first_page_by_page(service: Service):
    """All of a trigger's, or those of one verdict."""
    shop = trigger(service)
    ids = [_said(send(service, _at(shop), product(number)))["delivery_id"] for number in range(3)]
    _said(send(service, _at(shop), product(1), topic="app/uninstalled"))
    seen: list[str] = []
    query: dict[str, Any] = {"verdict": "rendered", "limit": 2}
    while True:
        page = service.first.get(_at(shop), params=query).json()
        seen += [one["id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == ids[::-1]
    assert len(service.first.get(_at(shop)).json()["data"]) == 4


def test_a_message_is_tried_out(service: Service, shop: dict[str, Any]):
    """With an API key and no signature: the prompt and the pictures, or why not; nothing is kept."""
    before = contents(service)
    at = shop["links"]["test"]
    told = _said(service.first.post(at, json=product(50), params={"topic": "products/create"}))
    assert (told["verdict"], told["prompt"]) == ("rendered", "a video about Lamp 50 for 19.90")
    assert told["pictures"] == ["https://shop.example/50.jpg"]
    assert told["external_ref"] == "50"
    draft = _said(service.first.post(at, json=product(50, status="draft"), params={"topic": "products/create"}))
    assert (draft["verdict"], "draft" in draft["detail"]) == ("condition", True)
    assert _said(service.first.post(at, json=product(50)))["verdict"] == "ignored"
    assert contents(service) == before


def test_a_message_is_decided_anew(service: Service):
    """As its trigger is now; rehearsed it leaves nothing; forced it is paid for again."""
    shop = trigger(service, conditions=[{"pointer": "/status", "equals": "on sale"}])
    first = _said(send(service, _at(shop), product(60)))
    assert first["verdict"] == "condition"
    service.first.patch(shop["links"]["self"], json={"conditions": []})
    replay = f"/v1/trigger-deliveries/{first['delivery_id']}/replay"
    before = contents(service)
    assert _said(service.first.post(replay, json={"dry_run": True}))["verdict"] == "rendered"
    assert contents(service) == before
    key = {"Idempotency-Key": new_id("key")}
    made, same = (service.first.post(replay, headers=key) for _ in range(2))
    assert (made.status_code, made.json()["verdict"], made.json()["replay_of"]) == (
        201,
        "rendered",
        first["delivery_id"],
    )
    assert same.json()["id"] == made.json()["id"]
    unchanged = service.first.post(replay, json={}).json()
    assert (unchanged["verdict"], unchanged["render_id"]) == ("unchanged", made.json()["render_id"])
    forced = service.first.post(replay, json={"force": True}).json()
    assert forced["verdict"] == "rendered"
    assert forced["render_id"] != made.json()["render_id"]


def test_a_deleted_render_takes_its_messages_words_along(service: Service):
    """The row stays, so that the message is a duplicate still; there is nothing to replay."""
    shop = trigger(service)
    first = _said(send(service, _at(shop), product(70), id="gone"))
    render = f"/v1/renders/{first['render_id']}"
    assert service.first.post(f"{render}/cancel").status_code == 200
    assert service.first.delete(render).status_code == 204
    at = f"/v1/trigger-deliveries/{first['delivery_id']}"
    kept = service.first.get(at).json()
    assert (kept["body"], kept["headers"], kept["external_ref"]) == ("", {}, None)
    assert service.first.post(f"{at}/replay").json()["code"] == "trigger.delivery_emptied"
    assert _said(send(service, _at(shop), product(70), id="gone"))["duplicate"]


def test_two_owners_never_meet(service: Service, shop: dict[str, Any]):
    """The same product from two shops of two owners makes two renders, each its owner's."""
    other = trigger(service, service.second)
    mine, theirs = (_said(send(service, _at(one), product(90), id="same")) for one in (shop, other))
    assert mine["render_id"] != theirs["render_id"]
    assert service.first.get(f"/v1/renders/{theirs['render_id']}").status_code == 404
    assert service.second.get(f"/v1/trigger-deliveries/{mine['delivery_id']}").status_code == 404
    with service.session() as session:
        assert (
            session.get_one(Render, theirs["render_id"]).owner_id != session.get_one(Render, mine["render_id"]).owner_id
        )


def test_a_flood_does_not_shut_the_shop_out(service: Service):
    """From the shop's own address: the flood hears 429, whether its trigger is there or not, a right signature 200."""
    shop = trigger(service)
    nowhere = f"/v1/triggers/trg_{'0' * 26}/deliveries"
    until(lambda: service.nobody.post(_at(shop), content=b"{}").status_code == 429, patience=20)
    assert service.nobody.post(nowhere, content=b"{}").status_code == 429
    until(lambda: send(service, _at(shop), product(80)).status_code == 200)
    said = [send(service, _at(shop), b" " * 300_000).status_code for _ in range(20)]
    assert set(said) <= {200, 429}
    assert said[0] == 200

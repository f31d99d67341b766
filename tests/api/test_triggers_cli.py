"""`vivideo triggers …` and the client's calls, as a person runs them, against the running service."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.client import Conflict, Invalid, NotFound
from tests.api.service import Service
from tests.triggers.bodies import SHOPIFY, WOOCOMMERCE

SECRET = "shpss_of-the-tests-alone"


@pytest.fixture(scope="module")
def template(service: Service) -> str:
    """A template that a product fills."""
    name = f"trg-{uuid4().hex}"
    variables = {"title": {}, "price": {"required": False}}
    prompt = "a video about {{ title }}{% if price %} for {{ price }}{% endif %}"
    service.client.create_template(name, prompt, variables=variables)
    return name


def _created(run: Any, template: str, *more: str, style: str = "shopify") -> dict[str, Any]:
    secret = ("--secret", SECRET) if style in ("shopify", "stripe") else ()
    said = run("triggers", "create", "--style", style, "-t", template, *secret, *more, "--json")
    assert said.returncode == 0, said
    return json.loads(said.stdout)


def _shopify(service: Service, trigger: dict[str, Any], body: dict[str, Any], secret: str = SECRET) -> httpx.Response:
    content = json.dumps(body).encode()
    digest = base64.b64encode(hmac.digest(secret.encode(), content, hashlib.sha256)).decode()
    headers = {
        "X-Shopify-Topic": "products/update",
        "X-Shopify-Hmac-Sha256": digest,
        "X-Shopify-Webhook-Id": uuid4().hex,
    }
    return service.nobody.post(trigger["links"]["deliveries"], content=content, headers=headers)


def test_a_trigger_from_its_secret_to_its_end(service: Service, run: Any, template: str):
    """Made with the secret from standard input, shown with the address for the shop, listed, paused, resumed, gone."""
    given = ("--name", "the shop", "--changed", "/title", "--when", "/status=active", "--tag", "spring")
    made = run(
        "triggers", "create", "--style", "shopify", "-t", template, "--secret", "-", *given, stdin=b"s3cret-one\n"
    )
    assert made.returncode == 0, made
    trigger = made.stdout.split()[1]
    for words in (
        "trg_",
        f"{service.url}/v1/triggers/{trigger}/deliveries",
        "s3cret-one   (shown this once)",
        "spring",
    ):
        assert words in made.stdout
    shown = run("triggers", "show", trigger).stdout
    assert "s3cret-one" not in shown
    for words in ("the shop", "/title", "changed", "/status", "active", "the style's own"):
        assert words in shown
    assert trigger in run("triggers", "list").stdout
    assert run("triggers", "pause", trigger).stdout == f"{trigger} paused: what comes is kept\n"
    assert json.loads(run("triggers", "show", trigger, "--json").stdout)["paused"] is True
    assert run("triggers", "resume", trigger).stdout == f"{trigger} goes on\n"
    assert "No messages yet" in run("triggers", "deliveries", trigger).stdout
    assert run("triggers", "delete", trigger).returncode == 0
    assert run("triggers", "show", trigger).returncode == 1


def test_what_came_is_listed_shown_and_replayed(service: Service, run: Any, template: str):
    """A render, the same again unchanged, and one that is refused; each with why, headers without secrets, its body."""
    trigger = _created(run, template, "--ref-prefix", f"{uuid4().hex}-")
    first = _shopify(service, trigger, SHOPIFY).json()
    again = _shopify(service, trigger, SHOPIFY).json()
    refused = _shopify(service, trigger, {"id": 5}).json()
    assert [one["verdict"] for one in (first, again, refused)] == ["rendered", "unchanged", "refused"]
    assert again["render_id"] == first["render_id"]

    listed = run("triggers", "deliveries", trigger["id"]).stdout
    assert all(one["delivery_id"] in listed for one in (first, again, refused))
    alone = run("triggers", "deliveries", trigger["id"], "--verdict", "refused").stdout
    assert refused["delivery_id"] in alone
    assert first["delivery_id"] not in alone
    assert "No stale messages" in run("triggers", "deliveries", trigger["id"], "--verdict", "stale").stdout

    shown = run("triggers", "delivery", first["delivery_id"]).stdout
    for words in ("rendered", first["render_id"], "x-shopify-topic", "products/update", '"handle": "example-t-shirt"'):
        assert words in shown
    assert "hmac" not in shown
    assert "item.no_title" in run("triggers", "delivery", refused["delivery_id"]).stdout

    tried = run("triggers", "replay", first["delivery_id"], "--dry-run").stdout
    assert "unchanged" in tried
    assert "nothing was charged" in tried
    replayed = json.loads(run("triggers", "replay", first["delivery_id"], "--force", "--json").stdout)
    assert (replayed["verdict"], replayed["replay_of"]) == ("rendered", first["delivery_id"])
    assert replayed["render_id"] != first["render_id"]


@pytest.mark.parametrize(
    ("style", "body", "words"),
    [
        ("shopify", SHOPIFY, ("rendered", "a video about Example T-Shirt for 24.99", "788032119674292922")),
        ("woocommerce", WOOCOMMERCE, ("rendered", "Premium Quality", "T_2_front-4.jpg")),
        ("shopify", {"id": 1}, ("refused (item.no_title)", "title")),
        ("bearer", [], ("refused (trigger.no_product)", "mapping")),
        ("woocommerce", WOOCOMMERCE | {"status": "draft"}, ("condition", "draft")),
    ],
)
def test_a_body_is_tried_out(run: Any, template: str, style: str, body: Any, words: tuple[str, ...]):
    """From standard input: what would be made, or why not."""
    trigger = _created(run, template, style=style)["id"]
    said = run("triggers", "test", trigger, "-", stdin=json.dumps(body).encode())
    assert (said.returncode, [word for word in words if word not in said.stdout]) == (0, []), said


def test_another_topic_is_ignored(run: Any, template: str):
    """Also in a try, from a file, where it is said by hand; nothing comes to be."""
    trigger = _created(run, template)["id"]
    Path("body.json").write_text(json.dumps(SHOPIFY))
    said = run("triggers", "test", trigger, "body.json", "--topic", "orders/create", "--json")
    assert json.loads(said.stdout)["verdict"] == "ignored"
    assert "No messages yet" in run("triggers", "deliveries", trigger).stdout


@pytest.mark.parametrize(
    ("style", "topics", "body", "verdict"),
    [
        ("github", ["release.published"], {"id": 1, "title": "Mug"}, "rendered"),
        ("stripe", ["product.updated"], {"type": "invoice.paid", "data": {"object": {}}}, "ignored"),
        ("woocommerce", ["product.deleted", "*"], {"id": 1, "name": "Mug"}, "rendered"),
    ],
)
def test_a_try_is_about_what_would_render(
    run: Any, template: str, style: str, topics: list[str], body: dict[str, Any], verdict: str
):
    """Where a header would say what it is about; what the body says itself stands."""
    listed = [word for topic in topics for word in ("--topic", topic)]
    trigger = _created(run, template, *listed, style=style)["id"]
    said = run("triggers", "test", trigger, "-", "--json", stdin=json.dumps(body).encode())
    assert json.loads(said.stdout)["verdict"] == verdict


def test_a_mapping_and_conditions_from_the_command_line(run: Any, template: str):
    """Each in its form; an update changes what it names and takes back what it clears."""
    mapped = ("--var", "title=/name", "--var", 'price:="9.50"', "--picture", "/pics/*", "--ref", "/id")
    conditions = (
        "--when",
        "/a=b=c",
        "--when",
        "/b!=x",
        "--when",
        "/c:=1.5",
        "--when",
        '/d:=["x", 2]',
        "--exists",
        "/e",
    )
    made = _created(run, template, *mapped, *conditions, "--topic", "x.*", style="bearer")
    assert made["mapping"] == {
        "variables": {"title": "/name", "price": {"const": "9.50"}},
        "pictures": ["/pics/*"],
        "external_ref": "/id",
    }
    assert made["conditions"] == [
        {"pointer": "/a", "equals": "b=c"},
        {"pointer": "/b", "not_equals": "x"},
        {"pointer": "/c", "equals": 1.5},
        {"pointer": "/d", "in": ["x", 2]},
        {"pointer": "/e", "exists": True},
    ]
    body = {"name": "Mug", "id": 7, "pics": ["https://a.example/1.jpg"], "a": "b=c", "c": 1.5, "d": 2, "e": None}
    tried = run("triggers", "test", made["id"], "-", "--topic", "x.y", stdin=json.dumps(body).encode()).stdout
    assert "a video about Mug for 9.50" in tried

    update = ("triggers", "update", made["id"], "--json")
    changed = json.loads(run(*update, "--var", "price=/price", "--revision", "/v", "--include", "draft").stdout)
    assert changed["mapping"]["variables"] == {"title": "/name", "price": "/price"}
    assert (changed["mapping"]["revision"], changed["mapping"]["external_ref"]) == ("/v", "/id")
    assert (changed["options"]["include"], changed["conditions"]) == (["draft"], made["conditions"])
    cleared = json.loads(run(*update, "--clear", "conditions", "--clear", "topics", "--clear", "mapping").stdout)
    assert (cleared["conditions"], cleared["topics"], cleared["mapping"]) == ([], None, {})
    assert cleared["options"] == changed["options"]
    assert json.loads(run(*update).stdout) == cleared


def test_a_secret_is_rotated(service: Service, run: Any, template: str):
    """The new one is shown once; both are taken for the overlap."""
    trigger = _created(run, template, "--ref-prefix", uuid4().hex)
    rotated = run("triggers", "rotate", trigger["id"], "--secret", "the-second-secret", "--overlap", "600")
    assert (rotated.returncode, "the-second-secret   (shown this once)" in rotated.stdout) == (0, True), rotated
    assert "secret before" in rotated.stdout
    for secret in (SECRET, "the-second-secret"):
        assert _shopify(service, trigger, SHOPIFY, secret).status_code == 200
    assert _shopify(service, trigger, SHOPIFY, "the-third-secret").status_code == 401


def test_a_made_secret_signs(service: Service, run: Any, template: str):
    """As it was shown, and after a rotation as that showed it."""
    trigger = _created(run, template, style="woocommerce")
    rotated = json.loads(run("triggers", "rotate", trigger["id"], "--json").stdout)
    assert rotated["secret"] != trigger["secret"]
    content = json.dumps(WOOCOMMERCE).encode()
    for one in (trigger, rotated):
        digest = base64.b64encode(hmac.digest(one["secret"].encode(), content, hashlib.sha256)).decode()
        headers = {"X-WC-Webhook-Signature": digest, "X-WC-Webhook-Topic": "product.deleted"}
        answer = service.nobody.post(trigger["links"]["deliveries"], content=content, headers=headers)
        assert (answer.status_code, answer.json()["verdict"]) == (200, "ignored")


def test_the_client(service: Service, template: str):
    """Makes, changes, tries, lists and replays; a repeated creation finds the first, secret and all."""
    client = service.client
    key = uuid4().hex
    made, again = (
        client.create_trigger("standard", template, idempotency_key=key, name="one", topics=["p.*"]) for _ in range(2)
    )
    assert (again.id, again.secret) == (made.id, made.secret)
    with pytest.raises((Conflict, Invalid)):
        client.create_trigger("standard", template, idempotency_key=key, name="two")
    assert client.trigger(made.id).secret is None
    assert client.change_trigger(made.id, name=None, topics=["product.*"]).name is None
    product = {"id": uuid4().hex, "title": "Mug", "image": "https://a.example/mug.jpg"}
    body = json.dumps({"type": "product.new", "data": product}).encode()
    assert client.try_trigger(made.id, body).prompt == "a video about Mug"
    assert client.try_trigger(made.id, body, topic="other").verdict == "ignored"
    assert made.secret
    at = str(int(time.time()))
    digest = hmac.digest(base64.b64decode(made.secret.removeprefix("whsec_")), f"m.{at}.".encode() + body, "sha256")
    signature = f"v1,{base64.b64encode(digest).decode()}"
    headers = {"webhook-id": "m", "webhook-timestamp": at, "webhook-signature": signature}
    taken = [service.nobody.post(made.links["deliveries"], content=body, headers=headers).json() for _ in range(2)]
    assert [one["duplicate"] for one in taken] == [False, True]
    (kept,) = client.iter_trigger_deliveries(made.id, verdict="rendered")
    assert (kept.id, kept.duplicates, kept.external_ref) == (taken[0]["delivery_id"], 1, product["id"])
    whole = client.trigger_delivery(kept.id)
    assert (whole.content(), whole.headers["webhook-id"]) == (body, "m")
    assert client.try_replay(kept.id).render_id == kept.render_id
    assert client.replay_delivery(kept.id).verdict == "unchanged"
    assert client.triggers(limit=1).data
    client.delete_trigger(made.id)
    with pytest.raises(NotFound):
        client.trigger(made.id)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("create", "--style", "github"), 2, "--template"),
        (("create", "--style", "svix", "-t", "TEMPLATE"), 2, "svix"),
        (("create", "--style", "github", "-t", "nowhere-at-all"), 2, "template.unknown"),
        (("create", "--style", "shopify", "-t", "TEMPLATE"), 2, "/secret"),
        (("create", "--style", "standard", "-t", "TEMPLATE", "--secret", "no base64!"), 2, "/secret"),
        (("create", "--style", "github", "-t", "TEMPLATE", "--when", "/status"), 2, "POINTER=TEXT"),
        (("create", "--style", "github", "-t", "TEMPLATE", "--when", "/status:=active"), 2, "no JSON"),
        (("create", "--style", "github", "-t", "TEMPLATE", "--when", "status=active"), 2, "/conditions/0/pointer"),
        (("create", "--style", "github", "-t", "TEMPLATE", "--var", "title"), 2, "NAME=POINTER"),
        (("create", "--style", "github", "-t", "TEMPLATE", "--var", "title=name"), 2, "/mapping/variables/title"),
        (("create", "--style", "github", "-t", "TEMPLATE", "--include", "all"), 2, "/options/include"),
        (("create", "--style", "github", "-t", "TEMPLATE", "--publisher", "pub_x"), 2, "/publisher_id"),
        (("update", "trg_nothing", "--clear", "secret"), 2, "--clear"),
        (("show", "trg_nothing"), 1, "trigger.unknown"),
        (("rotate", "trg_nothing"), 1, "trigger.unknown"),
        (("deliveries", "trg_nothing"), 1, "trigger.unknown"),
        (("delivery", "tdl_nothing"), 1, "trigger.delivery_unknown"),
        (("replay", "tdl_nothing"), 1, "trigger.delivery_unknown"),
        (("test", "trg_nothing", "missing.json"), 2, "missing.json"),
    ],
)
def test_mistakes_are_named(run: Any, template: str, arguments: tuple[str, ...], status: int, words: str):
    """With the status of a wrong use where it is one."""
    said = run("triggers", *(one.replace("TEMPLATE", template) for one in arguments))
    assert (said.returncode, words in said.stderr) == (status, True), said

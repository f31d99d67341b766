"""`vivideo publishers …`, `vivideo publications …` and the client's calls, against the service and shops' stand-ins."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, update

from api.client import Client, Conflict, Invalid, NotFound
from tests.api import working
from tests.api.keys import new_key
from tests.api.service import FIRST_KEY, Service, serving
from tests.publishing.shopify_standin import TOKEN, Shopify
from tests.publishing.standin import running
from tests.publishing.woocommerce_standin import PASSWORD, USER, WooCommerce
from worker.publishing.models import Publication
from worker.renders.states import Status

ADDRESS = ("--url", "https://shop.example/videos")


@pytest.fixture(scope="module")
def local(service: Service, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[str]:
    """The service's address, started once more so that it calls shops on this machine."""
    home = tmp_path_factory.mktemp("local")
    allowed = {"VIVIDEO_ALLOW_LOCAL_ADDRESSES": "true"}
    with serving(service.database, home, 21_060 + worker_number * 100, **allowed) as here:
        yield here.url


def _made(run: Any, *arguments: str, **more: Any) -> dict[str, Any]:
    said = run("publishers", "create", *arguments, "--json", **more)
    assert said.returncode == 0, said
    return json.loads(said.stdout)


def _succeeded(service: Service) -> str:
    render_id = service.make(external_ref="lamp-7")["id"]

    def end(session: Any) -> None:
        held = working.claimed(session, render_id)
        working.with_result(session, held, key=f"renders/{render_id}/v.mp4", size=3, sha256="a" * 64, poster=None)
        working.finished(session, held, Status.SUCCEEDED)

    service.write(end)
    return render_id


def test_a_shopify_shop_is_checked(run: Any, local: str) -> None:
    """By a token from a file; another one is refused in the shop's own words, until it is replaced from the
    environment. It is in no answer."""
    Path("token.txt").write_text(f"{TOKEN}\n")
    shop = Shopify()
    with running(shop):
        at = ("shopify", "--shop", shop.url, "--name", "lamps", "--keep", "--token-from", "token.txt")
        publisher = _made(run, *at, url=local)
        assert publisher["settings"]["replace"] is False
        checked = run("publishers", "check", publisher["id"], url=local)
        assert (checked.returncode, checked.stdout) == (0, f"{publisher['id']} works: A lamp shop\n"), checked
        shop.token = "shpat_another"
        refused = run("publishers", "check", publisher["id"], url=local)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "Invalid API key" in refused.stderr
        assert "[publish.refused]" in refused.stderr
        document = json.loads(run("publishers", "check", publisher["id"], "--json", url=local).stdout)
        assert (document["ok"], document["error"]["code"]) == (False, "publish.refused")
        update = ("publishers", "update", publisher["id"], "--token-from", "env:NEW")
        changed = run(*update, url=local, NEW="shpat_another")
        assert (changed.returncode, "shpat" in changed.stdout + changed.stderr) == (0, False)
        assert run("publishers", "check", publisher["id"], url=local).returncode == 0


def test_a_woocommerce_is_checked(run: Any, local: str) -> None:
    """By an application password from standard input, with its spaces."""
    shop = WooCommerce()
    with running(shop):
        given = ("woocommerce", "--url", shop.url, "--user", USER, "--password-from", "-")
        publisher = _made(run, *given, url=local, stdin=f"{PASSWORD}\n".encode())
        assert "The shopkeeper" in run("publishers", "check", publisher["id"], url=local).stdout
        wrong = ("publishers", "update", publisher["id"], "--user", USER, "--password-from", "-")
        assert run(*wrong, url=local, stdin=b"wrong\n").returncode == 0
        assert run("publishers", "check", publisher["id"], url=local).returncode == 1


def test_several_credentials_come_by_lines(run: Any) -> None:
    """In the order of the help; the service takes the pair, and would not take half of it."""
    given = ("publishers", "create", "woocommerce", "--url", "https://shop.example", "--user", USER)
    pair = ("--password-from", "-", "--consumer-key-from", "-", "--consumer-secret-from", "-")
    assert run(*given, *pair, stdin=b"a b c\nck_1\ncs_1\n").returncode == 0
    half = run(*given, *pair[:4], stdin=b"a b c\nck_1\n")
    assert (half.returncode, "come together" in half.stderr, "ck_1" in half.stderr) == (2, True, False)


def test_another_shop_is_said_to_need_more(service: Service, run: Any) -> None:
    """Of a WooCommerce the password for it; where something was begun at the first one, a publisher of its own."""
    given = ("--user", USER, "--password-from", "-")
    id = _made(run, "woocommerce", "--url", "https://shop.example", *given, stdin=b"a b c\n")["id"]
    update_to = ("publishers", "update", id, "--url", "https://other.example")
    alone = run(*update_to)
    assert (alone.returncode, "/credentials: give those of the other site" in alone.stderr) == (2, True), alone
    assert run(*update_to, *given, stdin=b"d e f\n").returncode == 0
    asked = json.loads(run("publications", "ask", id, _succeeded(service), "--json").stdout)
    begun = update(Publication).where(Publication.id == asked["id"]).values(remote={"product_id": 7})
    service.write(lambda session: session.execute(begun))
    back = run("publishers", "update", id, "--url", "https://shop.example", *given, stdin=b"a b c\n")
    assert (back.returncode, "Make a publisher for the other shop" in back.stderr) == (1, True), back


def test_a_publisher_from_its_making_to_its_end(run: Any) -> None:
    """A made secret is shown once; changed, switched off and on, listed, deleted."""
    made = run("publishers", "create", "http", *ADDRESS, "--name", "mine")
    assert made.returncode == 0, made
    (id,) = {word for word in made.stdout.split() if word.startswith("pub_")}
    (secret,) = [word for word in made.stdout.split() if word.startswith("whsec_")]
    shown = run("publishers", "show", id).stdout
    for words in ("mine", ADDRESS[1], "POST", "enabled", f"vivideo publishers check {id}"):
        assert words in shown
    assert secret not in shown
    changed = json.loads(run("publishers", "update", id, "--method", "PUT", "--json").stdout)
    assert changed["settings"] == {"url": ADDRESS[1], "method": "PUT"}
    assert "disabled" in run("publishers", "disable", id).stdout
    assert "enabled" in run("publishers", "enable", id).stdout
    assert id in run("publishers", "list").stdout
    assert run("publishers", "delete", id).stdout == f"{id} is deleted; its videos stay in the shop\n"
    assert run("publishers", "show", id).returncode == 1


def test_a_video_is_brought_and_tried_again(service: Service, run: Any) -> None:
    """Asked for, listed, shown; what failed says why and how to go on."""
    publisher, render_id = _made(run, "http", *ADDRESS)["id"], _succeeded(service)
    assert "vivideo publications ask" in run("publications", "list", "--publisher", publisher).stdout
    asked = run("publications", "ask", publisher, render_id, "--handle", "red-lamp", "--json")
    assert asked.returncode == 0, asked
    publication = json.loads(asked.stdout)
    assert (publication["ref"], publication["product"]) == ("lamp-7", {"handle": "red-lamp"})
    again = run("publications", "ask", publisher, render_id)
    for words in (publication["id"], "lamp-7", "handle=red-lamp", "pending", "begin"):
        assert words in again.stdout
    early = run("publications", "retry", publication["id"])
    assert (early.returncode, "publication.not_failed" in early.stderr) == (1, True)
    failed = {"state": "failed", "error_code": "publish.refused", "error_detail": "no", "finished_at": func.now()}
    end = update(Publication).where(Publication.id == publication["id"]).values(**failed)
    service.write(lambda session: session.execute(end))
    shown = run("publications", "show", publication["id"]).stdout
    for words in ("failed", "no [publish.refused]", "credentials", f"vivideo publications retry {publication['id']}"):
        assert words in shown
    listed = run("publications", "list", "--render", render_id, "--state", "failed").stdout.splitlines()
    assert [line.split()[0] for line in listed[1:]] == [publication["id"]]
    assert "pending" in run("publications", "retry", publication["id"]).stdout
    remarked = {"state": "published", "finished_at": func.now(), "remote": {"remark": "the older one stays: no right"}}
    end = update(Publication).where(Publication.id == publication["id"]).values(**remarked)
    service.write(lambda session: session.execute(end))
    assert "the older one stays: no right" in run("publications", "show", publication["id"]).stdout
    second = json.loads(run("publications", "ask", publisher, render_id, "--handle", "blue-lamp", "--json").stdout)
    first_page = run("publications", "list", "--publisher", publisher, "--limit", "1")
    assert second["id"] in first_page.stdout
    cursor = first_page.stderr.partition("--cursor ")[2].split()[0]
    assert publication["id"] in run("publications", "list", "--publisher", publisher, "--cursor", cursor).stdout


def test_an_empty_list_says_how_to_fill_it(service: Service, run: Any) -> None:
    """With a command."""
    nothing = new_key(service, owner=f"nobody-{uuid4().hex}")
    assert "vivideo publishers create" in run("publishers", "list", key=nothing).stdout
    assert "vivideo publications ask" in run("publications", "list", key=nothing).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("publishers", "create", "ftp"), 2, "shopify"),
        (("publishers", "create", "shopify", "--token-from", "env:HOME"), 2, "needs --shop"),
        (("publishers", "create", "shopify", "--shop", "a.myshopify.com"), 2, "needs --token-from"),
        (("publishers", "create", "woocommerce", *ADDRESS), 2, "--user and --password-from"),
        (("publishers", "create", "http", *ADDRESS, "--alt", "a lamp"), 2, "/settings/alt"),
        (("publishers", "create", "http", "--url", "ftp://shop.example"), 2, "/settings/url"),
        (("publishers", "create", "http", *ADDRESS, "--secret-from", "missing.txt"), 1, "missing.txt"),
        (("publishers", "create", "http", *ADDRESS, "--secret-from", "-"), 2, "--secret-from: nothing is there"),
        (("publishers", "create", "http", *ADDRESS, "--secret-from", "env:NOT_THERE"), 2, "NOT_THERE"),
        (("publishers", "update", "pub_x"), 2, "nothing to change"),
        (("publishers", "show", "pub_nothing"), 1, "publisher.unknown"),
        (("publishers", "check", "pub_nothing"), 1, "publisher.unknown"),
        (("publications", "show", "pbn_nothing"), 1, "publication.unknown"),
        (("publications", "retry", "pbn_nothing"), 1, "publication.unknown"),
        (("publications", "ask", "pub_x", "rnd_x", "--id", "1", "--sku", "2"), 2, "--handle"),
        (("publications", "ask", "pub_x", "rnd_x"), 1, "publisher.unknown"),
        (("catalog", "update", "cat_x"), 2, "nothing to change"),
        (("catalog", "update", "cat_x", "--clear", "url"), 2, "--clear"),
    ],
)
def test_mistakes_are_named(run: Any, arguments: tuple[str, ...], status: int, words: str) -> None:
    """With the status of a wrong use where it is one."""
    said = run(*arguments)
    assert (said.returncode, words in said.stderr) == (status, True), said


@pytest.mark.parametrize("content", [b"one\ntwo\n", b"\xff\xfe", b"\x1b[2J", b"x" * 9000])
def test_what_is_no_credential_is_not_repeated(run: Any, content: bytes) -> None:
    """A file of several lines, of bytes, of a terminal's commands, too long."""
    Path("given").write_bytes(content)
    said = run("publishers", "create", "http", *ADDRESS, "--secret-from", "given")
    assert (said.returncode, said.stdout) == (2, "")
    assert "--secret-from" in said.stderr
    assert not any(part in said.stderr for part in ("two", "xxx", "\x1b"))


def test_a_catalog_has_a_publisher(service: Service, run: Any) -> None:
    """Named as it is added, shown, taken back and given again."""
    template, publisher = f"shop-{uuid4().hex}", _made(run, "http", *ADDRESS)["id"]
    service.client.create_template(template, "about {{ title }}", variables={"title": {}})
    Path("feed.csv").write_text(f"id,title\na,Lamp {uuid4().hex}\n")
    made = run("catalog", "add", "feed.csv", "-t", template, "--publisher", publisher, "--json")
    assert made.returncode == 0, made
    catalog = json.loads(made.stdout)["id"]
    assert publisher in run("catalog", "get", catalog).stdout
    assert run("catalog", "update", catalog, "--clear", "publisher").returncode == 0
    assert service.client.catalog(catalog).publisher_id is None
    assert run("catalog", "update", catalog, "--publisher", publisher, "--name", "mine").returncode == 0
    assert (service.client.catalog(catalog).publisher_id, service.client.catalog(catalog).name) == (publisher, "mine")


def test_the_client(service: Service, local: str) -> None:
    """Makes, changes, checks, lists, publishes; a repeated creation finds the first, secret and all."""
    client, key = Client(local, FIRST_KEY), uuid4().hex
    settings = {"url": ADDRESS[1]}
    made, again = (client.create_publisher("http", settings, name="one", idempotency_key=key) for _ in range(2))
    assert made.secret
    assert (again.id, again.secret) == (made.id, made.secret)
    with pytest.raises((Conflict, Invalid)):
        client.create_publisher("http", settings, name="two", idempotency_key=key)
    assert client.publisher(made.id).secret is None
    assert client.change_publisher(made.id, name=None).name is None
    gone = client.change_publisher(made.id, settings={"url": "https://shop.invalid/videos"})
    checked = client.check_publisher(gone.id)
    assert (checked.ok, checked.error and checked.error.code) == (False, "publish.unavailable")
    render_id = _succeeded(service)
    asked = client.publish(made.id, render_id, ref="lamp", product={"sku": "L-7"}, idempotency_key=key)
    assert client.publish(made.id, render_id, ref="lamp", product={"sku": "L-7"}, idempotency_key=key) == asked
    assert client.publication(asked.id) == asked
    assert [one.id for one in client.publications(publisher_id=made.id, state="pending").data] == [asked.id]
    with pytest.raises(Conflict):
        client.retry_publication(asked.id)
    with pytest.raises(Conflict):
        client.publish(made.id, service.make()["id"])
    assert made.id in {one.id for one in client.iter_publishers()}
    assert client.publishers(limit=1).data
    client.delete_publisher(made.id)
    with pytest.raises(NotFound):
        client.publication(asked.id)

"""Scenarios of products that become renders. The reading dies at each of its commits; `many.py` has what holds then."""

import socket
from collections.abc import Sequence
from typing import Any

from tests.chaos.points import many
from tests.chaos.points.many import Expected, refs_made
from tests.chaos.points.plays import Play
from tests.chaos.points.registry import Scenarios
from tests.chaos.points.sql import rows, sql
from tests.media.servers import Answer, Said, answer, serving
from worker.catalogs.reading import CHUNK
from worker.catalogs.source import BEAT_SECONDS

SCENARIOS = Scenarios()
scenario = SCENARIOS.add

_HEAD = "id,title,price"
_VIDEO = ("succeeded",)


def _feed(play: Play, refs: Sequence[str], *, price: str = "5.00 EUR") -> bytes:
    lines = [f"{_ref(play, one)},{play.name} {one},{price}" for one in refs]
    return "\n".join([_HEAD, *lines, ""]).encode()


def _ref(play: Play, name: str) -> str:
    return f"{play.name} {name}".replace(" ", "-")


def _of_file(play: Play, at: str, content: bytes, what: str, **options: Any) -> dict[str, Any]:
    headers = play.once(what) | {"Content-Type": "text/csv"}
    made = play.ground.ask("POST", at, params=options, content=content, headers=headers)
    assert made.status_code == 202, made.text
    return made.json()


def _at_address(play: Play, at: str, body: dict[str, Any], what: str) -> dict[str, Any]:
    made = play.ground.ask("POST", at, json=body, headers=play.once(what))
    assert made.status_code == 202, made.text
    return made.json()


def _read(play: Play, catalog_id: str, refs: Sequence[str] = ()) -> Any:
    """The catalog's newest reading once it ended; `refs` are those of the renders that its batch has to hold."""
    newest = """SELECT id, state, error_code, not_modified, batch_id, counts FROM catalog_reads
        WHERE catalog_id = :id ORDER BY id DESC LIMIT 1"""
    ended = ("done", "failed")
    (read,) = play.until(
        lambda: [one for one in rows(newest, id=catalog_id) if one.state in ended], f"the reading of {play.name}"
    )
    assert (read.batch_id is not None) == bool(refs), read
    if refs:
        play.expect(Expected(read.batch_id, read.id, [_ref(play, one) for one in refs], _VIDEO))
        play.settled()
    return read


@scenario
def catalog_of_a_file(play: Play) -> None:
    """A file of two chunks, most of its rows no good: tried, read, read again without news, read for another catalog,
    which takes the videos over, changed, looked at from all sides, forgotten."""
    ground, template = play.ground, play.template()
    content = _feed(play, ("a", "b")) + "".join(f",,{number}.00 EUR\n" for number in range(CHUNK)).encode()
    content += _feed(play, ("c",)).partition(b"\n")[2]
    tried = ground.ask("POST", "/v1/catalogs", params={"dry_run": True, "template": template}, content=content)
    assert tried.status_code == 200, tried.text
    first = _of_file(play, "/v1/catalogs", content, "first", template=template, name=f"{play.name} first")
    play.catalogs.append(first["id"])
    at = first["links"]["self"]
    assert _read(play, first["id"], "abc").counts["rendered"] == 3

    _of_file(play, f"{at}/read", content, "again")
    assert _read(play, first["id"]).counts["unchanged"] == 3

    other = _of_file(play, "/v1/catalogs", content, "other", template=template, name=f"{play.name} other")
    play.catalogs.append(other["id"])
    taken = _read(play, other["id"], "abc")
    assert taken.counts["reused"] == 3, taken
    _not_made_twice(play, taken.batch_id)

    assert ground.ask("PATCH", at, json={"name": "another"}).status_code == 200
    one = f"{at}/reads/{first['last_read']['id']}"
    for page in ("/v1/catalogs", at, f"{at}/reads", one, f"{one}/problems", f"{one}/changes"):
        assert ground.ask("GET", page).status_code == 200
    assert ground.ask("DELETE", at).status_code in (204, 404)
    play.catalogs.remove(first["id"])
    assert not rows("SELECT 1 FROM catalogs WHERE id = :id", id=first["id"])


def _not_made_twice(play: Play, batch_id: str) -> None:
    """Each of its renders names the very file of the one before."""
    same = """
        SELECT count(*) AS count FROM renders n JOIN renders s ON s.id = n.reused_from
        JOIN results a ON a.render_id = n.id JOIN results b ON b.render_id = s.id AND b.storage_key = a.storage_key
        WHERE n.batch_id = :id AND n.charge_state = 'none'"""
    assert rows(same, id=batch_id)[0].count == 3
    assert set(refs_made(_ref(play, "")).values()) == {1}


@scenario
def catalog_at_an_address(play: Play) -> None:
    """Its server is busy at first; read again it says that nothing changed; then one price did."""
    with serving() as shop:
        shop.answers["/feed.csv"] = answer("503 Service Unavailable")
        body = {"url": shop.url("/feed.csv"), "template": play.template(), "name": play.name}
        made = _at_address(play, "/v1/catalogs", body, "first")
        play.catalogs.append(made["id"])
        tried = "SELECT 1 FROM catalog_reads WHERE catalog_id = :id AND tries > 0"
        play.until(lambda: rows(tried, id=made["id"]), "the first try")
        _serve(shop, _feed(play, ("a", "b")))
        sql("UPDATE catalog_reads SET ready_at = now() WHERE catalog_id = :id", id=made["id"])
        assert _read(play, made["id"], "ab").counts["rendered"] == 2

        again = f"{made['links']['self']}/read"
        shop.answers["/feed.csv"] = answer("304 Not Modified")
        _at_address(play, again, {}, "again")
        assert _read(play, made["id"]).not_modified

        _serve(shop, _feed(play, ("a",)) + _feed(play, ("b",), price="4.00 EUR").partition(b"\n")[2])
        _at_address(play, again, {}, "changed")
        assert _read(play, made["id"], "b").counts["changed"] == 1
        assert refs_made(_ref(play, "")) == {_ref(play, "a"): 1, _ref(play, "b"): 2}


def _serve(shop: Said, content: bytes) -> None:
    shop.answers["/feed.csv"] = answer(body=content, ETag='"1"', Content_Length=len(content))


@scenario
def catalog_slow(play: Play) -> None:
    """The file drips so long, once, that the worker has to say that it is still at it."""
    with serving() as shop:
        content = _feed(play, ("a",))
        shop.answers["/feed.csv"] = _dripping(shop, content)
        body = {"url": shop.url("/feed.csv"), "template": play.template(), "name": play.name}
        made = _at_address(play, "/v1/catalogs", body, "first")
        play.catalogs.append(made["id"])
        assert _read(play, made["id"], "a").counts["rendered"] == 1


def _dripping(shop: Said, content: bytes) -> Answer:
    def drip(connection: socket.socket) -> None:
        _serve(shop, content)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content[:9])
        shop.stopping.wait(BEAT_SECONDS + 0.3)
        connection.sendall(content[9:])

    return drip


@scenario
def catalog_without_products(play: Play) -> None:
    """A head and no product: the reading fails, and what it had begun to receive is thrown away."""
    options = {"template": play.template(), "name": play.name}
    made = _of_file(play, "/v1/catalogs", f"{_HEAD}\n".encode(), "empty", **options)
    play.catalogs.append(made["id"])
    assert _read(play, made["id"]).error_code == "catalog.empty"
    play.until(many.forgotten, "the end of what it had begun to receive")
    assert not rows("SELECT 1 FROM batches WHERE name = :name", name=play.name)

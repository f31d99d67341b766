"""What is another owner's is as if it had never been: every address of the document is tried with real ids of it."""

import json
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import func, insert, update
from sqlalchemy.orm import Session

from api.app import app
from tests.api import shops, working
from tests.api.keys import caller, new_key
from tests.api.service import Service
from tests.api.tables import contents
from worker.accounts.models import Account
from worker.database import new_id
from worker.owners import store
from worker.publishing.models import PublicationState
from worker.renders.leases import Held
from worker.renders.models import Recovery, Render, Upload, UploadUse
from worker.renders.states import FINAL, Status

OWNER = "walled"
TAG = "behind-the-wall"
NEVER = "0" * 26
OPERATIONS = sorted(
    (
        method.upper(),
        path,
        tuple(sorted(one["name"] for one in operation.get("parameters", []) if one["in"] == "query")),
    )
    for path, item in app.openapi()["paths"].items()
    if path.startswith("/v1/")
    for method, operation in item.items()
)
OF_SHOPS = ("POST", "/v1/triggers/{id}/deliveries")
"""It knows no owner: whatever is not rightly signed is answered alike (`test_triggers.py`)."""
WITH_ID = [(method, path) for method, path, _ in OPERATIONS if "{" in path and (method, path) != OF_SHOPS]
LISTS = [(path, parameters) for method, path, parameters in OPERATIONS if method == "GET" and "{" not in path]
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/renders/{id}"): {"priority": "high"},
    ("POST", "/v1/renders/{id}/retry"): {"force": True},
    ("POST", "/v1/templates/{id}/versions"): {"prompt": "another wall"},
    ("POST", "/v1/templates/{id}/preview"): {"variables": {}},
    ("PATCH", "/v1/batches/{id}"): {"priority": "high"},
    ("POST", "/v1/batches/{id}/retry-failed"): {"force": True},
    ("PATCH", "/v1/publishers/{id}"): {"name": "another"},
    ("POST", "/v1/publishers/{id}/publications"): {"render_id": f"rnd_{NEVER}"},
    ("PATCH", "/v1/catalogs/{id}"): {"name": "another"},
    ("POST", "/v1/catalogs/{id}/read"): {"force": True},
    ("PATCH", "/v1/triggers/{id}"): {"name": "another"},
    ("POST", "/v1/triggers/{id}/rotate-secret"): {"overlap_seconds": 0},
    ("POST", "/v1/triggers/{id}/test"): {"title": "a wall"},
    ("POST", "/v1/trigger-deliveries/{id}/replay"): {"force": True},
    ("PATCH", "/v1/webhook-endpoints/{id}"): {"enabled": False},
    ("POST", "/v1/webhook-endpoints/{id}/rotate-secret"): {},
    ("POST", "/v1/webhook-endpoints/{id}/test"): {},
    ("POST", "/v1/webhook-endpoints/{id}/redeliver"): {"since": "2000-01-01T00:00:00Z", "only": "all"},
    ("POST", "/v1/renders/{id}/edits"): {"prompt": "a higher wall"},
    ("POST", "/v1/sessions/{id}/messages"): {"text": "a higher wall"},
}
HEADERS: list[dict[str, str]] = [
    {},
    {"If-Match": "*", "If-None-Match": "*"},
    {"Accept": "text/event-stream", "Last-Event-ID": "1"},
    {"Range": "bytes=0-1"},
    {"Prefer": "wait=5"},
    {"Idempotency-Key": "behind-the-wall"},
]


PLAIN: dict[str, list[Any]] = {
    "tag": [TAG],
    "external_ref": [TAG],
    "priority": ["normal"],
    "limit": [1, 200],
    "created_after": ["2000-01-01T00:00:00Z"],
    "created_before": ["2100-01-01T00:00:00Z"],
    "by": ["day"],
    "since": ["2000-01-01T00:00:00Z"],
    "state": ["pending"],
}
"""Parameters of lists that need nothing of the other owner's."""
BALANCE = 918273645


@dataclass
class Theirs:
    """What the other owner has."""

    client: httpx.Client
    ids: dict[str, list[str]] = field(default_factory=dict)
    """By the resource's name in the address."""


@pytest.fixture(scope="module")
def theirs(service: Service) -> Iterator[Theirs]:
    """A render in each state, one deleted; files used and unused; an account; takeovers; templates, one archived."""
    with caller(service, new_key(service, OWNER)) as client:
        renders = [_render(service, client, status) for status in Status]
        renders.append(_render(service, client, Status.FAILED))
        assert client.delete(f"/v1/renders/{renders[-1]}").status_code == 204
        given = [service.write(_upload) for _ in range(2)]
        use = insert(UploadUse).values(upload_id=given[0], render_id=renders[0])
        service.write(lambda session: session.execute(use))
        batches = [_batch(client, **options) for options in ({}, {"first": 1})]
        assert client.post(f"/v1/batches/{batches[0]}/pause").status_code == 200
        accounts, templates = [service.write(_account)], [_template(client, f"wall-{place}") for place in range(5)]
        sessions = [_session(client) for _ in range(4)]
        catalogs = [_catalog(client, name) for name in ("wall-1", "wall-2")]
        triggers = [_trigger(service, client, name) for name in ("wall-3", "wall-4")]
        came = [_message(client, one) for one in triggers]
        assert client.delete(f"/v1/templates/{templates[0]}").status_code == 204
        ids = {"renders": renders, "uploads": given, "accounts": accounts, "templates": templates}
        ids |= {"triggers": triggers, "trigger-deliveries": came}
        endpoints = [_endpoint(client, **kind) for kind in ({}, {"events": ["*"]})]
        sent = [_test_event(client, id) for id in (endpoints[0], endpoints[0])]
        ids |= {"webhook-endpoints": endpoints, "webhook-deliveries": sent}
        publishers = [_publisher(client) for _ in range(2)]
        done = next(one for one, status in zip(renders, Status, strict=False) if status is Status.SUCCEEDED)
        publications = [_publication(client, one, done) for one in publishers]
        ids |= {"publishers": publishers, "publications": publications}
        yield Theirs(client, ids | {"batches": batches, "catalogs": catalogs, "sessions": sessions})


def _publisher(client: httpx.Client) -> str:
    given = {"kind": "http", "settings": {"url": f"https://{TAG}.example/videos"}, "name": TAG}
    made = client.post("/v1/publishers", json=given)
    assert made.status_code == 201, made.text
    return made.json()["id"]


def _publication(client: httpx.Client, publisher: str, render: str) -> str:
    made = client.post(f"/v1/publishers/{publisher}/publications", json={"render_id": render, "ref": TAG})
    assert made.status_code == 202, made.text
    return made.json()["id"]


def _endpoint(client: httpx.Client, **options: Any) -> str:
    made = client.post("/v1/webhook-endpoints", json={"url": f"https://{TAG}.example/", "description": TAG, **options})
    assert made.status_code == 201, made.text
    return made.json()["id"]


def _test_event(client: httpx.Client, endpoint: str) -> str:
    made = client.post(f"/v1/webhook-endpoints/{endpoint}/test", json={})
    assert made.status_code == 202, made.text
    return made.json()["id"]


def _catalog(client: httpx.Client, template: str) -> str:
    made = client.post("/v1/catalogs", json={"url": f"https://{TAG}.example/feed", "template": template, "name": TAG})
    assert made.status_code == 202, made.text
    return made.json()["id"]


def _trigger(service: Service, client: httpx.Client, template: str) -> str:
    return shops.trigger(service, client, template=template, name=TAG)["id"]


def _message(client: httpx.Client, trigger_id: str) -> str:
    """One that is on file: it shows in lists, and can be replayed."""
    at = f"/v1/triggers/{trigger_id}/deliveries"
    body = json.dumps(shops.product(title=TAG)).encode()
    answer = client.post(at, content=body, headers=shops.signed(body))
    assert answer.json()["verdict"] == "rendered", answer.text
    return answer.json()["delivery_id"]


def _template(client: httpx.Client, name: str) -> str:
    made = client.post("/v1/templates", json={"name": name, "prompt": f"a wall, {TAG}", "tags": [TAG]})
    assert made.status_code == 201, made.text
    return made.json()["id"]


def _batch(client: httpx.Client, **options: Any) -> str:
    """One with a row that is not valid, too."""
    items = [{"prompt": TAG, "external_ref": TAG}, {"prompt": TAG}, {"prompt": "", "external_ref": TAG}]
    answer = client.post("/v1/batches", json={"name": TAG, "items": items, **options})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def _render(service: Service, client: httpx.Client, status: Status) -> str:
    wanted = {"prompt": "a wall", "tags": [TAG], "external_ref": TAG, "metadata": {"secret": TAG}}
    answer = client.post("/v1/renders", json=wanted, headers={"Idempotency-Key": f"wall-{new_id('key')}"})
    assert answer.status_code == 202, answer.text
    render_id: str = answer.json()["id"]
    service.write(lambda session: _put(session, render_id, status))
    return render_id


def _session(client: httpx.Client) -> str:
    answer = client.post("/v1/sessions", json={"name": TAG, "messages": [{"text": "a wall", "tags": [TAG]}]})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def _put(session: Session, render_id: str, status: Status) -> None:
    """The render into that state, with what belongs to it."""
    if status is Status.QUEUED:
        return
    held = working.claimed(session, render_id)
    _taken_over(session, held)
    if status in FINAL:
        _end(session, held, status)
    else:
        reason = "credits" if status is Status.WAITING else None
        session.execute(update(Render).where(Render.id == render_id).values(status=status.value, reason=reason))


def _end(session: Session, held: Held, status: Status) -> None:
    if status is Status.SUCCEEDED:
        key = f"renders/{held.render.id}/video.mp4"
        working.with_result(session, held, key=key, size=3, sha256="a" * 64, poster=f"{key}.jpg")
        working.with_draft(session, held, b"{}")
    why = {"error_code": "session.lost"} if status in (Status.FAILED, Status.EXPIRED) else {}
    working.finished(session, held, status, **why)


def _taken_over(session: Session, held: Held) -> None:
    render = held.render
    session.execute(
        insert(Recovery).values(
            owner_id=render.owner_id, render_id=render.id, run=1, stage="token", why=TAG, from_worker=TAG, lease=1
        )
    )


def _upload(session: Session) -> str:
    owner_id = store.owner(session, OWNER).id
    row = {"id": new_id("upl"), "owner_id": owner_id, "name": TAG, "media_type": "image/png", "bytes": 3}
    session.execute(insert(Upload).values(**row, sha256="b" * 64, storage_key=f"uploads/{row['id']}"))
    return row["id"]


def _account(session: Session) -> str:
    row = {"id": new_id("acc"), "owner_id": store.owner(session, OWNER).id, "name": TAG, "kind": "registered"}
    row |= {"token_encrypted": b"sealed", "balance_available": BALANCE, "balance_read_at": func.now()}
    session.execute(insert(Account).values(**row))
    return row["id"]


def _resource(path: str) -> str:
    """`/v1/renders/{id}/video` → `renders`; an address of another kind has to be taught to these tests."""
    found = re.fullmatch(
        r"/v1/(renders|batches|catalogs|uploads|accounts|sessions|templates|triggers|trigger-deliveries|webhook-[a-z]+"
        r"|publishers|publications)/\{id\}(/[a-z-]+)?(/\{(number|read_id)\}(/[a-z]+)?)?",
        path,
    )
    assert found, f"say in this file which ids of another owner {path} is to be tried with"
    return found[1]


def _asked(client: httpx.Client, method: str, path: str, id: str, headers: dict[str, str]) -> httpx.Response:
    body, path = BODIES.get((method, path)), path.replace("{number}", "1").replace("{read_id}", "crd_" + "0" * 26)
    return client.request(method, path.replace("{id}", id), json=body, headers=headers)


def _shape(answer: httpx.Response, id: str) -> Any:
    """An answer without what is different in each."""
    body = answer.text.replace(id, "ID").replace(answer.headers["x-request-id"], "REQUEST")
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    return answer.status_code, headers, body


@pytest.mark.parametrize(("method", "path"), WITH_ID)
def test_an_id_of_theirs_is_an_id_that_never_was(service: Service, theirs: Theirs, method: str, path: str):
    """The same 404 to the letter, whatever their thing is like and whatever headers come along; nothing changes."""
    ids = theirs.ids[_resource(path)]
    never = ids[0][:4] + NEVER
    before = contents(service)
    for headers in HEADERS:
        unknown = _asked(service.first, method, path, never, headers)
        assert unknown.status_code == 404, unknown.text
        for id in ids:
            answer = _asked(service.first, method, path, id, headers)
            assert _shape(answer, id) == _shape(unknown, never)
    assert contents(service) == before


@pytest.mark.parametrize(("path", "parameters"), LISTS)
def test_no_list_shows_what_is_theirs(service: Service, theirs: Theirs, path: str, parameters: tuple[str, ...]):
    """Not by itself, nor with any of its parameters set to what would find it."""
    tried: list[dict[str, Any]] = [{}]
    for name in parameters:
        tried += [{name: value} for value in _values(theirs, path, name)]
    for query in tried:
        answer = service.first.get(path, params=query)
        assert answer.status_code == 200, (query, answer.text)
        seen = [one for ids in theirs.ids.values() for one in ids if one in answer.text]
        assert (seen, TAG in answer.text, str(BALANCE) in answer.text) == ([], False, False), query


def _values(theirs: Theirs, path: str, name: str) -> list[Any]:
    """What a parameter is set to; an unknown one has to be taught to these tests."""
    match path, name:
        case "/v1/usage", "after" | "before":
            return [_moment(-60 if name == "after" else 86_400)]
        case (_, "cursor") | ("/v1/events", "after"):
            return _cursors(theirs, path, name)
        case "/v1/webhook-deliveries", "endpoint_id" | "render_id" | "batch_id":
            return [*theirs.ids["webhook-endpoints"], *theirs.ids["renders"]]
        case "/v1/publications", "publisher_id" | "render_id":
            return theirs.ids[name.removesuffix("_id") + "s"]
        case "/v1/publications", "state":
            return [state.value for state in PublicationState]
        case "/v1/renders", "batch":
            return theirs.ids["batches"]
        case "/v1/renders", "ids":
            return [theirs.ids["renders"]]
        case "/v1/renders", "status":
            return [status.value for status in Status]
        case _:
            assert name in PLAIN, f"say in this file what finds another owner's things with ?{name} at {path}"
            return PLAIN[name]


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def _cursors(theirs: Theirs, path: str, name: str) -> list[str]:
    """Every place in the other owner's own list."""
    found: list[str] = []
    page = theirs.client.get(path, params={"limit": 1}).json()
    while page["data"] and page["next_cursor"]:
        found.append(page["next_cursor"])
        page = theirs.client.get(path, params={"limit": 1, name: found[-1]}).json()
    assert found
    return found


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_a_file_of_theirs_is_no_asset(service: Service, theirs: Theirs, query: str):
    """422 as for one that never was, and no render."""
    before = contents(service)
    answers = {
        id: service.first.post(f"/v1/renders{query}", json={"prompt": "a wall", "assets": [{"upload": id}]})
        for id in ("upl_" + NEVER, *theirs.ids["uploads"])
    }
    shapes = [_shape(answer, id) for id, answer in answers.items()]
    assert {answer.json()["code"] for answer in answers.values()} == {"upload.unknown"}
    assert shapes == [shapes[0]] * len(shapes)
    assert contents(service) == before


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
@pytest.mark.parametrize("version", ["", "@1"])
def test_a_template_of_theirs_makes_nothing(service: Service, theirs: Theirs, query: str, version: str):
    """422 as for one that never was, by id and by name, and no render."""
    before = contents(service)
    for never, *refs in (("tpl_" + NEVER, *theirs.ids["templates"]), ("no-wall", "wall-0", "wall-1")):
        answers = {
            ref: service.first.post(f"/v1/renders{query}", json={"template": ref + version}) for ref in (never, *refs)
        }
        shapes = [_shape(answer, ref) for ref, answer in answers.items()]
        assert {answer.json()["code"] for answer in answers.values()} == {"template.unknown"}
        assert [shape[2].replace("ID", "") for shape in shapes] == [shapes[0][2].replace("ID", "")] * len(shapes)
    assert contents(service) == before


def test_an_idempotency_key_of_theirs_is_nobodys(service: Service, theirs: Theirs):
    """The same key with the same body makes a render of one's own; their first one stays the answer to them."""
    wanted, key = {"prompt": "the same wall"}, {"Idempotency-Key": "shared-by-chance"}
    first = theirs.client.post("/v1/renders", json=wanted, headers=key)
    mine = service.first.post("/v1/renders", json=wanted, headers=key)
    again = theirs.client.post("/v1/renders", json=wanted, headers=key)
    assert mine.status_code == 202
    assert "idempotent-replayed" not in mine.headers
    assert mine.json()["id"] != first.json()["id"] == again.json()["id"]


def test_it_takes_as_long_to_find_nothing_as_to_hide_something(service: Service, theirs: Theirs):
    """Nobody tells by the clock whether an id exists: no second query, no waiting for its end."""
    found = theirs.ids["renders"][0]
    spent: dict[str, list[float]] = {found: [], "rnd_" + NEVER: []}
    for _ in range(60):
        for id, times in spent.items():
            began = time.perf_counter()
            service.first.get(f"/v1/renders/{id}", headers={"Prefer": "wait=5"})
            times.append(time.perf_counter() - began)
    theirs_median, never_median = (statistics.median(times) for times in spent.values())
    assert 0.5 < theirs_median / never_median < 2

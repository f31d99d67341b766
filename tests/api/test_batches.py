"""Batches over HTTP: taken on row by row, kept whole or not at all, hidden until they are promised."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from tests.api.keys import caller, new_key
from tests.api.service import Service, until
from tests.api.tables import contents
from worker.batches import store
from worker.batches.models import Batch
from worker.batches.store import Entry, NewBatch, Received
from worker.database import new_id
from worker.owners import store as owners
from worker.owners.limits import Limits
from worker.renders.models import Event, Lane, Render
from worker.renders.store import NewRender

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv"}


def _lines(count: int, **fields: Any) -> str:
    return "".join(
        json.dumps({"prompt": f"a kite {n}", "external_ref": f"r-{n}", **fields}) + "\n" for n in range(count)
    )


def _post(service: Service, content: str | bytes, headers: dict[str, str] = NDJSON, **params: Any) -> dict[str, Any]:
    answer = service.first.post("/v1/batches", content=content, headers=headers, params=params)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/batches/{answer.json()['id']}"
    return answer.json()


def _problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def _items(service: Service, batch_id: str, **params: Any) -> list[dict[str, Any]]:
    return service.first.get(f"/v1/batches/{batch_id}/items", params={"limit": 200, **params}).json()["data"]


def _lanes(service: Service, batch_id: str) -> dict[tuple[str, int], tuple[bool, bool]]:
    query = select(Lane).where(Lane.batch_id == batch_id)
    return service.write(
        lambda s: {(one.priority, one.part): (one.held, one.paused_at is not None) for one in s.scalars(query)}
    )


def test_items_of_a_json_body_become_renders(service: Service):
    """In their order, with the defaults they lack; one that is not valid is told by its number."""
    wanted = {
        "name": "kites",
        "items": [
            {"prompt": "a red kite", "external_ref": "r", "metadata": {"a": 1}},
            {"prompt": ""},
            7,
            {"prompt": "a blue kite", "priority": "high", "language": "de"},
        ],
        "defaults": {"tags": ["wind"], "metadata": {"b": 2}},
        "priority": "low",
        "tags": ["spring"],
        "metadata": {"season": 1},
    }
    answer = service.first.post("/v1/batches", json=wanted)
    assert answer.status_code == 202, answer.text
    batch = answer.json()
    assert (batch["total"], batch["rejected"], batch["status"], batch["source"]) == (2, 2, "running", "inline")
    assert (batch["name"], batch["tags"], batch["metadata"]) == ("kites", ["spring"], {"season": 1})
    assert batch["counts"]["queued"] == 2
    renders = service.first.get("/v1/renders", params={"batch": batch["id"]}).json()["data"]
    by_position = {one["position"]: one for one in renders}
    assert by_position[1]["metadata"] == {"a": 1, "b": 2}
    assert (by_position[1]["priority"], by_position[1]["tags"]) == ("low", ["wind"])
    assert (by_position[2]["priority"], by_position[2]["language"]) == ("high", "de")
    assert {one["batch"] for one in renders} == {batch["id"]}
    problems = service.first.get(f"/v1/batches/{batch['id']}/problems").json()["data"]
    assert [(one["line"], one["code"]) for one in problems] == [(2, "row.invalid"), (3, "row.invalid")]
    assert problems[1]["raw"] == "7"
    assert set(_lanes(service, batch["id"])) == {("low", 0), ("high", 0)}


def test_five_hundred_items_are_taken_inline(service: Service):
    """One more is refused (`test_what_is_no_batch_leaves_nothing`)."""
    items = [{"prompt": f"a kite {n}", "language": "en"} for n in range(500)]
    answer = service.first.post("/v1/batches", json={"items": items})
    assert (answer.status_code, answer.json()["counts"]["queued"]) == (202, 500), answer.text


def test_a_batch_writes_no_event_for_each_render(service: Service):
    """And its renders stand still nowhere: their lanes are free."""
    batch = _post(service, _lines(3))
    ids = [one["id"] for one in _items(service, batch["id"])]
    told = service.write(lambda s: s.scalar(select(func.count()).where(Event.render_id.in_(ids))))
    assert (len(ids), told) == (3, 0)
    assert _lanes(service, batch["id"]) == {("normal", 0): (False, False)}


def test_a_csv_file_is_taken_with_its_bad_rows_told(service: Service):
    """By the line each begins at, with its reference; mended in the file of problems it is taken again.
    A row that was too short has all its cells there."""
    text = (
        'ref;prompt;assets\na;"two\nlines";\nb;;\nc;ok;not-an-address\nd;ok\n"e;open;\nf;fine;https://x.example/a.jpg\n'
    )
    batch = _post(service, text.encode("cp1252"), CSV, name="file", max_failure_rate="0.5")
    assert (batch["total"], batch["rejected"], batch["source"], batch["max_failure_rate"]) == (2, 4, "csv", 0.5)
    page = service.first.get(f"/v1/batches/{batch['id']}/problems", params={"limit": 3}).json()
    rest = service.first.get(f"/v1/batches/{batch['id']}/problems", params={"cursor": page["next_cursor"]}).json()
    told = [(one["line"], one["ref"], one["code"]) for one in page["data"] + rest["data"]]
    assert told == [
        (4, "b", "row.invalid"),
        (5, "c", "row.invalid"),
        (6, None, "row.malformed"),
        (7, None, "row.malformed"),
    ]
    file = service.first.get(f"/v1/batches/{batch['id']}/problems", params={"format": "csv"})
    assert file.headers["content-type"].startswith("text/csv")
    mended = file.text.replace("b,,", "b,now,").replace("not-an-address", "https://x.example/b.jpg")
    again = _post(service, mended, CSV)
    assert [one["ref"] for one in _items(service, again["id"])] == ["b", "c", "d"]


def test_the_first_few_begin_and_the_others_are_held(service: Service):
    """Until the batch is approved; their lanes are apart, nothing is written on the renders."""
    batch = _post(service, _lines(5), first=2)
    assert _lanes(service, batch["id"]) == {("normal", 0): (False, False), ("normal", 1): (True, False)}
    assert batch["status"] == "running"
    assert "approve" in batch["links"]
    approved = service.first.post(f"/v1/batches/{batch['id']}/approve").json()
    assert approved["approved_at"] is not None
    assert _lanes(service, batch["id"]) == {("normal", 0): (False, False), ("normal", 1): (False, False)}


def test_a_first_that_is_all_of_it_waits_for_nobody(service: Service):
    """There is nothing to approve."""
    batch = _post(service, _lines(2), first=2)
    assert "approve" not in batch["links"]
    assert _lanes(service, batch["id"]) == {("normal", 0): (False, False)}


@pytest.mark.parametrize(
    ("content", "headers", "params", "code"),
    [
        ('{"prompt": ""}\nnope\n', NDJSON, {}, "batch.empty"),
        ("\n", NDJSON, {}, "batch.empty"),
        ("", NDJSON, {}, "upload.empty"),
        ("prompt\n", CSV, {}, "batch.empty"),
        ("colour\nred\n", CSV, {}, "batch.header"),
        (_lines(1), NDJSON, {"defaults": "[]"}, "request.invalid"),
        (_lines(1), NDJSON, {"defaults": '{"colour": 1}'}, "request.invalid"),
        (_lines(1), NDJSON, {"first": 0}, "request.invalid"),
        (_lines(1), NDJSON, {"frist": 1}, "request.invalid"),
        (_lines(1), {"Content-Type": "text/plain"}, {}, "request.media_type"),
        ('{"items": []}', {"Content-Type": "application/json"}, {}, "request.invalid"),
        ('{"items": [{"prompt": "a"}]}', {"Content-Type": "application/json"}, {"first": 1}, "request.invalid"),
        (json.dumps({"items": [{"prompt": "a"}] * 501}), {"Content-Type": "application/json"}, {}, "request.invalid"),
        ('{"items": [7]}', {"Content-Type": "application/json"}, {}, "batch.empty"),
    ],
)
def test_what_is_no_batch_leaves_nothing(
    service: Service, content: str, headers: dict[str, str], params: dict[str, Any], code: str
):
    """Refused with its reason, and every table is as before."""
    before = contents(service)
    answer = service.first.post("/v1/batches", content=content, headers=headers, params=params)
    assert answer.json()["code"] == code, answer.text
    assert contents(service) == before
    assert list((service.home / "receiving").iterdir()) == []


def test_a_batch_without_a_good_row_says_what_is_wrong(service: Service):
    """The first problems are in the answer, with their lines."""
    answer = service.first.post("/v1/batches", content='{"prompt": ""}\n\n{"colour": 1}\n', headers=NDJSON)
    told = {one["pointer"]: one["detail"] for one in answer.json()["errors"]}
    assert set(told) == {"line 1", "line 3"}
    assert "/colour" in told["line 3"]


def test_a_file_in_a_form_is_a_batch_too(service: Service):
    """By the ending of its name."""
    answer = service.first.post("/v1/batches", files={"file": ("feed.CSV", "prompt\na kite\n")})
    assert (answer.status_code, answer.json()["source"]) == (202, "csv")
    refused = service.first.post("/v1/batches", files={"file": ("feed.bin", "prompt\na kite\n")})
    assert _problem(refused) == (415, "request.media_type")


def test_a_body_that_is_cut_leaves_nothing(service: Service):
    """Half a file, and then the client is gone."""
    before = contents(service)
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        head = f"POST /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: {service.first.headers['Authorization']}\r\n"
        head += "Content-Type: text/csv\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head.encode() + b"prompt\n" + b"a kite\n" * 100)
        until(lambda: list((service.home / "receiving").iterdir()))
    until(lambda: not list((service.home / "receiving").iterdir()))
    assert contents(service) == before


def test_the_same_key_leads_to_the_same_batch(service: Service):
    """Another file under it is refused, and simultaneous ones make one batch."""
    key = {"Idempotency-Key": new_id("key")}
    first = service.first.post("/v1/batches", content=_lines(2), headers=NDJSON | key)
    again = service.first.post("/v1/batches", content=_lines(2), headers=NDJSON | key)
    assert (again.json()["id"], again.headers["idempotent-replayed"]) == (first.json()["id"], "true")
    other = service.first.post("/v1/batches", content=_lines(3), headers=NDJSON | key)
    assert _problem(other) == (422, "idempotency.mismatch")
    options = service.first.post("/v1/batches?first=1", content=_lines(2), headers=NDJSON | key)
    assert _problem(options) == (422, "idempotency.mismatch")


def test_simultaneous_calls_with_one_key_make_one_batch(service: Service):
    """The others find it, or are told to come again; what they had received is thrown away."""
    before = service.write(lambda s: (s.scalar(select(func.count(Batch.id))), s.scalar(select(func.count(Render.id)))))
    key = {"Idempotency-Key": new_id("key")}
    answers: list[httpx.Response] = []

    def ask() -> None:
        with caller(service, service.first.headers["Authorization"].removeprefix("Bearer ")) as client:
            answers.append(client.post("/v1/batches", content=_lines(40), headers=NDJSON | key))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {one.status_code for one in answers} <= {202, 409}
    assert len({one.json()["id"] for one in answers if one.status_code == 202}) == 1
    after = service.write(lambda s: (s.scalar(select(func.count(Batch.id))), s.scalar(select(func.count(Render.id)))))
    assert (after[0] - before[0], after[1] - before[1]) == (1, 40)


def test_a_rehearsal_keeps_nothing(service: Service):
    """It counts, shows the first prompts and problems, and says what it would cost."""
    before = contents(service)
    content = _lines(3) + "nope\n"
    answer = service.first.post("/v1/batches", content=content, headers=NDJSON, params={"dry_run": "true"})
    found = answer.json()
    assert (answer.status_code, found["total"], found["rejected"]) == (200, 3, 1)
    assert [one["line"] for one in found["problems"]] == [4]
    assert [(one["line"], one["prompt"]) for one in found["prompts"]] == [
        (1, "a kite 0"),
        (2, "a kite 1"),
        (3, "a kite 2"),
    ]
    assert found["estimate"]["credits"] == 300
    assert contents(service) == before


def test_uploads_that_rows_name_are_used(service: Service):
    """One that is not there costs its row alone."""
    png = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000") + bytes(64)
    upload = service.first.post("/v1/uploads", content=png).json()["id"]
    rows = [{"prompt": "a", "assets": [{"upload": one}]} for one in (upload, "upl_" + "0" * 26)]
    batch = _post(service, "".join(json.dumps(row) + "\n" for row in rows))
    assert (batch["total"], batch["rejected"]) == (1, 1)
    [problem] = service.first.get(f"/v1/batches/{batch['id']}/problems").json()["data"]
    assert (problem["line"], problem["code"]) == (2, "upload.unknown")
    assert service.first.get(f"/v1/uploads/{upload}").json()["expires_at"] is None
    assert service.first.delete(f"/v1/uploads/{upload}").json()["code"] == "upload.in_use"


def test_a_keys_limits_count_every_row(service: Service):
    """One too many, and nothing of the batch is kept."""
    text = new_key(service, limits=Limits(renders_in_flight=3))
    with caller(service, text) as key:
        refused = key.post("/v1/batches", content=_lines(4), headers=NDJSON)
        assert _problem(refused) == (429, "limit.in_flight")
        taken = key.post("/v1/batches", content=_lines(3), headers=NDJSON)
        assert taken.status_code == 202
        more = key.post("/v1/batches", content=_lines(1), headers=NDJSON)
        assert _problem(more) == (429, "limit.in_flight")
        assert [one["id"] for one in key.get("/v1/batches?limit=1").json()["data"]] == [taken.json()["id"]]


@pytest.fixture
def receiving(service: Service) -> Iterator[str]:
    """A batch whose intake died in the middle: two rows are in, none is promised."""
    batch_id = new_id("bat")
    owner_id = service.write(lambda s: owners.owner(s, "default").id)
    rows = [Entry(NewRender(f"a half {n}", "en", external_ref=batch_id)) for n in range(2)]
    service.write(lambda s: store.begin(s, owner_id, NewBatch("csv", first=1), batch_id=batch_id))
    service.write(lambda s: store.add(s, batch_id, rows, before=Received()))
    yield batch_id
    service.write(lambda s: store.discard(s, batch_id))


def test_what_is_not_promised_yet_is_not_shown(service: Service, receiving: str):
    """Its renders are in no list and have no address; the batch says that it is coming in, and takes no order."""
    ids = service.write(lambda s: list(s.scalars(select(Render.id).where(Render.batch_id == receiving))))
    assert len(ids) == 2
    assert service.first.get("/v1/renders", params={"external_ref": receiving}).json()["data"] == []
    assert service.first.get("/v1/renders", params={"batch": receiving}).json()["data"] == []
    for id in ids:
        assert service.first.get(f"/v1/renders/{id}").status_code == 404
        assert service.first.post(f"/v1/renders/{id}/cancel").status_code == 404
    body = service.first.get(f"/v1/batches/{receiving}").json()
    assert (body["status"], body["total"], set(body["links"])) == ("receiving", 2, {"self"})
    for path in ("items", "manifest"):
        assert _problem(service.first.get(f"/v1/batches/{receiving}/{path}")) == (409, "batch.receiving")
    for path in ("cancel", "pause", "resume", "approve", "retry-failed"):
        assert _problem(service.first.post(f"/v1/batches/{receiving}/{path}")) == (409, "batch.receiving")
    assert _lanes(service, receiving) == {("normal", 0): (True, False), ("normal", 1): (True, False)}


def test_the_list_of_batches_pages(service: Service):
    """Newest first, each once."""
    made = [_post(service, _lines(1))["id"] for _ in range(3)]
    first = service.first.get("/v1/batches", params={"limit": 2}).json()
    rest = service.first.get("/v1/batches", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["id"] for one in first["data"] + rest["data"]][:3] == made[::-1]


def test_items_page_by_position_and_by_status(service: Service):
    """In the order of the source."""
    batch = _post(service, _lines(5))
    page = service.first.get(f"/v1/batches/{batch['id']}/items", params={"limit": 3}).json()
    rest = service.first.get(f"/v1/batches/{batch['id']}/items", params={"cursor": page["next_cursor"]}).json()
    assert [one["position"] for one in page["data"] + rest["data"]] == [1, 2, 3, 4, 5]
    assert [one["ref"] for one in rest["data"]] == ["r-3", "r-4"]
    assert rest["next_cursor"] is None
    gone = page["data"][1]["id"]
    assert service.first.post(f"/v1/renders/{gone}/cancel").status_code == 200
    assert [one["id"] for one in _items(service, batch["id"], status="canceled")] == [gone]
    assert len(_items(service, batch["id"], status=["canceled", "queued"])) == 5

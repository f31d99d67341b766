"""Sessions asked for over HTTP: where words go, what waits for what, what is refused. No worker runs: what has to have
happened is put into the database."""

import json
import threading
from typing import Any

import httpx
import pytest
from sqlalchemy import func, insert, select, text, update

from tests.api import working
from tests.api.keys import caller, new_key
from tests.api.service import Service
from worker.accounts.models import Account, RemoteSession
from worker.database import new_id
from worker.owners import store as owners
from worker.owners.limits import Limits
from worker.owners.scopes import Scope
from worker.remote import gui
from worker.remote.intents import Intent
from worker.renders.models import Draft, Render, Upload
from worker.renders.states import Stage, Status
from worker.sessions.models import EditingSession

DRAFT = b'{"d":3000,"t":[{"tt":0,"sg":[{"s":0,"d":3000,"m":{"name":"lamp"}}]}]}'
SUMMARY = "Timeline (1 track): 1. Video: lamp (0-3s)"


def begin(service: Service, *instructions: str, **fields: Any) -> dict[str, Any]:
    given = {"messages": [{"text": one} for one in instructions], **fields}
    answer = service.first.post("/v1/sessions", json=given)
    assert answer.status_code == 201, answer.text
    return answer.json()


def say(service: Service, session: dict[str, Any], text: str | None, **fields: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if (key := fields.pop("key", None)) else {}
    headers |= {"Prefer": f"wait={wait}"} if (wait := fields.pop("wait", None)) else {}
    given = ({"text": text} if text is not None else {}) | fields
    return service.first.post(session["links"]["messages"], json=given, headers=headers)


def upload(service: Service) -> str:
    def make(session: Any) -> str:
        row = {"id": new_id("upl"), "owner_id": owners.owner(session, "default").id, "name": "lamp.png"}
        row |= {"media_type": "image/png", "bytes": 3, "sha256": "c" * 64}
        session.execute(insert(Upload).values(**row, storage_key=f"uploads/{row['id']}"))
        return row["id"]

    return service.write(make)


def done(service: Service, render_id: str, *, stage: Stage = Stage.STORE, status: Status | None = None) -> None:
    """The render has its draft, in a session at the backend; with a status it is final."""

    def work(session: Any) -> None:
        render = session.get_one(Render, render_id)
        account, remote = new_id("acc"), new_id("ses")
        nobody = owners.owner(session, "nobody").id
        session.execute(insert(Account).values(id=account, kind="registered", name=account, owner_id=nobody))
        place = {"id": remote, "owner_id": render.owner_id, "account_id": account}
        session.execute(insert(RemoteSession).values(**place, task_id=remote, session_id=remote))
        session.execute(insert(Draft).values(render_id=render_id, run=1, owner_id=render.owner_id, body=DRAFT))
        values: dict[str, Any] = {"stage": stage.value, "status": "running", "started_at": func.now(), "reason": None}
        values |= {"account_id": account, "remote_session_id": remote, "timeline": SUMMARY, "ready_at": func.now()}
        if status is not None:
            values |= {"status": status.value, "finished_at": func.now()}
        session.execute(update(Render).where(Render.id == render_id).values(**values))
        if render.session_id:
            placed = {"account_id": account, "remote_session_id": remote}
            session.execute(update(EditingSession).where(EditingSession.id == render.session_id).values(**placed))

    service.write(work)


def row(service: Service, render_id: str) -> Render:
    return service.write(lambda session: session.get_one(Render, render_id))


def test_instructions_are_renders_in_order(service: Service) -> None:
    """Each waits for the one before it until that one's export is accepted; the first is ready at once."""
    begun = begin(service, "a red lamp", "make it blue", "add a title", name="lamps")
    first, second, third = (one["id"] for one in begun["turns"])
    assert [one["status"] for one in begun["turns"]] == ["queued", "waiting", "waiting"]
    assert [one["reason"] for one in begun["turns"]] == [None, "session", "session"]
    assert (row(service, second).follows_id, row(service, third).follows_id) == (first, second)
    assert {row(service, one).follows_until for one in (second, third)} == {"export"}
    assert (begun["name"], begun["language"], begun["renders"], begun["status"]) == ("lamps", "en", 3, "open")
    assert all(one["links"]["session"] == begun["links"]["self"] for one in begun["turns"])


@pytest.mark.parametrize(
    ("words", "action"),
    [("credits", "credits"), ("余额", "credits"), ("status", "state"), ("查看状态", "state"), ("upload", "upload"),
     ("上传文件", "upload")],
)  # fmt: skip
def test_a_request_is_answered_without_a_message(service: Service, words: str, action: str) -> None:
    """In English and Chinese, in the language it came in; no render is made, and none is charged."""
    begun = begin(service)
    answer = say(service, begun, words)
    assert (answer.status_code, answer.json()["action"], answer.json()["render"]) == (200, action, None)
    assert answer.json()["answer"].isascii() == words.isascii()
    assert service.first.get(begun["links"]["self"]).json()["renders"] == 0
    assert (answer.json()["credits"] is not None) == (action == "credits")


@pytest.mark.parametrize("words", ["add end credits", "余额宝广告", "export it and add music"])
def test_a_request_with_something_left_over_is_an_instruction(service: Service, words: str) -> None:
    """Only a message that is nothing but a request is one."""
    answer = say(service, begin(service), words)
    assert (answer.status_code, answer.json()["action"], answer.json()["render"]["prompt"]) == (202, "generate", words)
    assert answer.headers["location"] == answer.json()["render"]["links"]["self"]


def test_balances_need_their_scope(service: Service) -> None:
    """A key that may not see balances does not see them by asking in a session."""
    key = new_key(service, scopes=[Scope.RENDERS_READ, Scope.RENDERS_WRITE])
    with caller(service, key) as client:
        at = client.post("/v1/sessions", json={}).json()["links"]["messages"]
        assert client.post(at, json={"text": "credits"}).json()["code"] == "auth.scope"


def test_files_wait_for_the_next_instruction(service: Service) -> None:
    """Given alone or with the word, they wait; the next turn takes them, with its own; meanwhile nobody throws them
    away."""
    begun, first, second = begin(service), upload(service), upload(service)
    assert say(service, begun, None, assets=[{"upload": first}]).json()["action"] == "upload"
    waiting = say(service, begun, "upload", assets=[{"url": "https://shop.example/1.jpg"}]).json()
    assert [one.get("upload") for one in waiting["pending"]] == [first, None]
    assert service.first.delete(f"/v1/uploads/{first}").json()["code"] == "upload.in_use"
    made = say(service, begun, "a lamp", assets=[{"upload": second}]).json()
    assert [one.get("upload", one.get("url")) for one in made["render"]["assets"]] == [
        first,
        "https://shop.example/1.jpg",
        second,
    ]
    assert made["pending"] == []


def test_a_message_is_paid_once_whatever_is_repeated(service: Service) -> None:
    """The same key finds the same render, a file is added once, another body is refused."""
    begun, file = begin(service), upload(service)
    for _ in range(2):
        kept = say(service, begun, None, assets=[{"upload": file}], key="file")
        assert len(kept.json()["pending"]) == 1
    first, again = (say(service, begun, "a lamp", key="lamp") for _ in range(2))
    assert first.json()["render"]["id"] == again.json()["render"]["id"]
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert say(service, begun, "another lamp", key="lamp").json()["code"] == "idempotency.mismatch"
    headers = {"Idempotency-Key": "begun"}
    both = [service.first.post("/v1/sessions", json={"name": "once"}, headers=headers).json()["id"] for _ in range(2)]
    assert len(set(both)) == 1


def test_two_who_append_at_once_come_one_after_the_other(service: Service) -> None:
    """Eight messages at the same moment are one chain: each follows another one, and none twice."""
    begun = begin(service, "a lamp")
    at = threading.Barrier(8)

    def append(number: int) -> None:
        at.wait()
        assert say(service, begun, f"edit number {number}").status_code == 202

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    mine = select(Render.id, Render.follows_id).where(Render.session_id == begun["id"])
    follows = dict(service.write(lambda session: session.execute(mine).all()))
    assert len(follows) == 9
    assert len(set(follows.values())) == 9
    tail = service.write(lambda session: session.get_one(EditingSession, begun["id"]).last_render_id)
    seen: list[str] = []
    while tail is not None:
        seen.append(tail)
        tail = follows[tail]
    assert len(seen) == 9


def test_an_export_is_free_and_of_the_last_draft(service: Service) -> None:
    """None before there is a draft; while a render is under way that one is pointed to; then one that starts at its
    export with the same draft, and that changes nothing about whose draft is shown."""
    begun = begin(service)
    assert say(service, begun, "export").json()["code"] == "session.no_draft"
    first = say(service, begun, "a lamp").json()["render"]["id"]
    assert say(service, begun, "导出").json()["render"]["id"] == first
    done(service, first, status=Status.SUCCEEDED)
    made = say(service, begun, "export", key="one-more").json()
    assert made["render"]["id"] != first
    assert (made["render"]["stage"], made["render"]["charge"]["state"]) == ("export", "none")
    assert say(service, begun, "export", key="one-more").json()["render"]["id"] == made["render"]["id"]
    kept = service.write(lambda session: session.get_one(Draft, (made["render"]["id"], 1)).body)
    assert kept == DRAFT
    state = service.first.get(begun["links"]["state"])
    assert (state.json()["timeline"]["summary"], state.json()["turn"]["render"]) == (SUMMARY, made["render"]["id"])
    plain = service.first.get(begun["links"]["state"], headers={"Accept": "text/plain"})
    assert plain.text == f"{SUMMARY}\n"


TABLE = {
    "export": ("export", "导出", "download", "send me the video"),
    "credits": ("credits", "积分", "balance", "余额"),
    "state": ("status", "状态", "show tracks"),
    "upload": ("upload", "上传", "a file"),
}
"""The contract's routing table, word by word."""


def test_no_word_of_the_table_makes_a_message(service: Service) -> None:
    """Each is answered at once; an export alone makes a render, which begins behind every message, and there is none
    of it on record."""
    begun = begin(service, "a lamp")
    first = begun["turns"][0]["id"]
    done(service, first, status=Status.SUCCEEDED)
    for action, words in TABLE.items():
        for said in words:
            told = say(service, begun, said).json()
            assert told["action"] == action, said
            assert told["timeline"]["summary"] == SUMMARY
            assert told["answer"].isascii() == said.isascii()
            assert (told["render"] is not None) == (action == "export"), said
    mine = select(Render.id, Render.stage).where(Render.session_id == begun["id"], Render.id != first)
    made = service.write(lambda session: session.execute(mine).all())
    assert {stage for _, stage in made} == {"export"}
    assert not service.write(
        lambda session: session.scalars(select(Intent).where(Intent.render_id.in_(dict(made)))).all()
    )


def test_what_an_edit_led_to_is_answered_once_it_is_there(service: Service) -> None:
    """What was done, the timeline, and the backend's words without its buttons: of the message itself, and whenever it
    is repeated."""
    begun = begin(service, "a lamp")
    done(service, begun["turns"][0]["id"], status=Status.SUCCEEDED)
    taken = say(service, begun, "add a title", key="title")
    assert (taken.status_code, taken.json()["action"], taken.json()["changes"]) == (202, "edit", [])
    assert taken.json()["timeline"]["summary"] == SUMMARY, "of the last kept draft"
    edited = taken.json()["render"]["id"]
    titled = json.loads(DRAFT)
    titled["t"].append({"tt": 7, "sg": [{"s": 0, "d": 2000, "m": {"text": "Summer"}}]})
    service.write(lambda session: edited_as(session, edited, json.dumps(titled).encode()))
    there = say(service, begun, "add a title", key="title", wait=60)
    assert there.status_code == 200
    told = there.json()
    assert (told["action"], told["render"]["status"], told["answer"]) == ("edit", "succeeded", "I added the title.")
    assert '"Summer" (0-2s)' in told["timeline"]["summary"]
    assert [(one["what"], one["timing"]) for one in told["changes"]] == [("added", "0-2s")]


def edited_as(session: Any, render_id: str, draft: bytes) -> None:
    """The render found the first draft and left this one; its message's answer spoke of a button."""
    mine = session.get_one(Render, render_id)
    place = session.get_one(EditingSession, mine.session_id)
    where = {"account_id": place.account_id, "remote_session_id": place.remote_session_id}
    row = {"id": new_id("int"), "render_id": render_id, "run": 1, "message": mine.prompt, "before": "x"}
    row |= {"draft_before": DRAFT, "reserved_credits": 50, "send_by": func.now(), "state": "applied"}
    session.execute(insert(Intent).values(**row, **where, owner_id=mine.owner_id, settled_at=func.now()))
    session.execute(insert(Draft).values(render_id=render_id, run=1, owner_id=mine.owner_id, body=draft))
    spoken = gui.translate("I added the title. Click the Export button to download it.").text
    ended = {"status": "succeeded", "stage": "store", "started_at": func.now(), "finished_at": func.now()}
    ended |= {"reason": None, "answer": spoken} | where
    session.execute(update(Render).where(Render.id == render_id).values(**ended))


def test_an_export_is_never_a_message_whatever_is_forced(service: Service) -> None:
    """One that was called off is exported again, also with `force`: there is nothing in its word to pay for."""
    begun = begin(service, "a lamp")
    done(service, begun["turns"][0]["id"], status=Status.SUCCEEDED)
    for force in (False, True):
        made = say(service, begun, "export").json()["render"]["id"]
        service.write(lambda session, id=made: working.finished(session, working.claimed(session, id), Status.CANCELED))
        again = service.first.post(f"/v1/renders/{made}/retry", json={"force": force})
        assert (again.status_code, again.json()["stage"]) == (202, "export")
        service.write(lambda session, id=made: working.finished(session, working.claimed(session, id)))


def test_an_edit_makes_a_session_around_a_render(service: Service) -> None:
    """Once the render is at its export; its second edit joins the same session; a lost place is refused."""
    made = service.make()
    at = f"/v1/renders/{made['id']}/edits"
    assert service.first.post(at, json={"prompt": "make it blue"}).json()["code"] == "render.no_session"
    done(service, made["id"], stage=Stage.POLL)
    edits = [service.first.post(at, json={"prompt": f"make it blue, {n}"}) for n in range(2)]
    assert [one.status_code for one in edits] == [202, 202]
    bodies = [one.json() for one in edits]
    assert bodies[0]["session"] == bodies[1]["session"]
    # The first one's export is accepted: the edit is ready at once; the second waits for it.
    assert [one["status"] for one in bodies] == ["queued", "waiting"]
    assert service.first.get(f"/v1/renders/{made['id']}").json()["session"] == bodies[0]["session"]
    lost = service.make()
    done(service, lost["id"], status=Status.SUCCEEDED)
    forgotten = update(RemoteSession).where(RemoteSession.id == row(service, lost["id"]).remote_session_id)
    service.write(lambda session: session.execute(forgotten.values(lost_at=func.now())))
    refused = service.first.post(f"/v1/renders/{lost['id']}/edits", json={"prompt": "blue"})
    assert (refused.status_code, refused.json()["code"]) == (409, "render.no_session")


def test_nothing_more_is_said_in_a_lost_or_closed_session(service: Service) -> None:
    """409 with words; questions are still answered."""
    for ended, code in (("lost_at", "session.lost"), ("closed_at", "session.closed")):
        begun = begin(service)
        end = text(f"UPDATE sessions SET {ended} = now() WHERE id = :id")  # noqa: S608 - the two above
        service.write(lambda session, one=end, id=begun["id"]: session.execute(one, {"id": id}))
        for words in ("a lamp", "export"):
            answer = say(service, begun, words)
            assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert say(service, begun, "status").status_code == 200


def test_a_closed_session_gives_its_files_back(service: Service) -> None:
    """What waited in it expires like a file that no render ever used; closing twice is harmless."""
    file = upload(service)
    begun = begin(service, assets=[{"upload": file}])
    assert service.first.get(f"/v1/uploads/{file}").json()["expires_at"] is None
    for _ in range(2):
        assert service.first.post(begun["links"]["close"]).status_code == 204
    assert service.first.get(f"/v1/uploads/{file}").json()["expires_at"] is not None
    shown = service.first.get(begun["links"]["self"]).json()
    assert (shown["status"], shown["pending"], "messages" in shown["links"]) == ("closed", [], False)


def test_deleting_one_in_the_middle_leaves_the_others(service: Service) -> None:
    """The session shows what is left; the draft shown is the last one that is kept."""
    begun = begin(service, "a lamp", "make it blue")
    first, second = (one["id"] for one in begun["turns"])
    for one in (first, second):
        done(service, one, status=Status.SUCCEEDED)
    assert service.first.delete(f"/v1/renders/{second}").status_code == 204
    assert [one["id"] for one in service.first.get(begun["links"]["self"]).json()["turns"]] == [first]
    assert service.first.get(begun["links"]["state"]).json()["drafted_by"] == first


def test_an_instruction_is_no_request(service: Service) -> None:
    """A session cannot begin with an export of nothing; the field is named."""
    answer = service.first.post("/v1/sessions", json={"messages": [{"text": "a lamp"}, {"text": "export"}]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/messages/1")


def test_pages_of_sessions(service: Service) -> None:
    """Newest first, by key."""
    ids = [begin(service, name=f"page {number}")["id"] for number in range(3)]
    page = service.first.get("/v1/sessions", params={"limit": 2}).json()
    rest = service.first.get("/v1/sessions", params={"limit": 1, "cursor": page["next_cursor"]}).json()
    assert [one["id"] for one in [*page["data"], *rest["data"]]] == ids[::-1]


def test_a_retry_goes_to_the_end_of_the_order(service: Service) -> None:
    """Who follows it goes on without it; it waits behind the last one."""
    begun = begin(service, "a lamp", "make it blue", "add a title")
    first, second, third = (one["id"] for one in begun["turns"])
    service.write(lambda session: working.finished(session, working.claimed(session, first), Status.CANCELED))
    assert service.first.post(f"/v1/renders/{first}/retry").status_code == 202
    again = row(service, first)
    assert (again.status, again.reason, again.follows_id) == ("waiting", "session", third)
    assert row(service, second).status == "queued"


def test_a_retry_of_an_edit_is_checked_at_what_an_edit_costs(service: Service) -> None:
    """A key with 50 credits left begins it anew; without anything to edit it would cost a clip's hundred."""
    ended = {"status": Status.CANCELED.value, "finished_at": func.now(), "reason": None}
    for edits, status in ((True, 202), (False, 429)):
        begun = begin(service, "a lamp", "make it blue")
        first, second = (one["id"] for one in begun["turns"])
        if edits:
            done(service, first, status=Status.SUCCEEDED)
        over = update(Render).where(Render.session_id == begun["id"], Render.finished_at.is_(None)).values(**ended)
        service.write(lambda session, over=over: session.execute(over))
        with caller(service, new_key(service, limits=Limits(credits_per_day=50))) as client:
            answer = client.post(f"/v1/renders/{second}/retry")
        assert answer.status_code == status, answer.text

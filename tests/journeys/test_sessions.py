"""The product's three workflows over HTTP, on a whole stack: quick, batch style, iterative; and what goes wrong in
them. All sessions are under way together."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
from PIL import Image
from sqlalchemy import select

from tests.stack import Stack, until
from worker.database import transact
from worker.remote.intents import ABOUT_A_CLIP, ABOUT_AN_EDIT, Intent
from worker.renders.models import Render

FINAL = {"succeeded", "failed", "canceled", "expired"}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[httpx.Client]:
    """The intake, called with the first owner's key."""
    headers = {"Authorization": f"Bearer {stack.environment['VIVIDEO_API_KEY']}"}
    with httpx.Client(base_url=stack.start_api(), headers=headers, timeout=30) as client:
        until(lambda: _answers(client), what="the intake")
        yield client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class Session:
    """One session, talked to as a customer does."""

    api: httpx.Client
    id: str

    def say(self, text: str | None, *, status: int = 202, **fields: Any) -> Json:
        """A message; what it led to."""
        given = ({"text": text} if text else {}) | fields
        answer = self.api.post(f"/v1/sessions/{self.id}/messages", json=given)
        assert answer.status_code == status, answer.text
        return answer.json()

    def turn(self, text: str, **fields: Any) -> str:
        """An instruction's render."""
        return self.say(text, **fields)["render"]["id"]

    def shown(self) -> Json:
        return self.api.get(f"/v1/sessions/{self.id}").json()

    def state(self) -> Json:
        return self.api.get(f"/v1/sessions/{self.id}/state").json()

    def end(self, render_id: str) -> Json:
        return _end(self.api, render_id)


def _end(api: httpx.Client, render_id: str) -> Json:
    def final() -> Json | None:
        body = api.get(f"/v1/renders/{render_id}").json()
        return body if body["status"] in FINAL else None

    return cast(Json, until(final, 60, what=f"the end of {render_id}"))


def _begin(api: httpx.Client, *instructions: Json, **fields: Any) -> Session:
    answer = api.post("/v1/sessions", json={"messages": list(instructions), **fields})
    assert answer.status_code == 201, answer.text
    return Session(api, answer.json()["id"])


def _file(api: httpx.Client, colour: str) -> Json:
    held = io.BytesIO()
    Image.new("RGB", (320, 240), colour).save(held, "PNG")
    answer = api.post("/v1/uploads", params={"name": f"{colour}.png"}, content=held.getvalue())
    assert answer.status_code == 201, answer.text
    return {"upload": answer.json()["id"]}


def _message_of(render_id: str) -> Intent:
    """The last one: on a busy machine one may have missed its time, which costs nothing."""
    mine = select(Intent).where(Intent.render_id == render_id).order_by(Intent.created_at.desc()).limit(1)
    return transact(lambda session: session.scalars(mine).one())


@dataclass
class Everything:
    """All sessions, begun at once, and the renders of each in order."""

    quick: Session
    batch: Session
    iterative: Session
    failing: Session
    lost: Session
    plain: str
    turns: dict[str, list[str]]


@pytest.fixture(scope="module")
def all_of_them(api: httpx.Client, stack: Stack) -> Everything:
    """Begun at once: what has to wait for its turn waits by itself."""
    quick = _begin(api, assets=[_file(api, "red")])
    batch = _begin(api, *({"text": f"Create a 2 second clip, number {n}.", "assets": [_file(api, colour)]}
                          for n, colour in enumerate(("blue", "gold", "teal"), 1)))  # fmt: skip
    iterative, failing, lost = (_begin(api, name=name) for name in ("iterative", "failing", "lost"))
    stack.rule(on="message", do="silent_edit", match="Now change the music")
    stack.rule(on="message", do="error_frame", match="Make this one fail")
    stack.rule(on="message", do="lost", match="This one finds nothing")
    turns = {
        "quick": [quick.turn("Create a 2 second video about a red kettle.")],
        "batch": [one["id"] for one in batch.shown()["turns"]],
        "iterative": [
            iterative.turn("制作一个3秒的视频，介绍茶壶。"),
            iterative.turn("把标题改为夏天"),
            iterative.turn("Now change the music"),
        ],
        "failing": [
            failing.turn("Create a 2 second video about a kettle."),
            failing.turn("Make this one fail"),
            failing.turn("make it 3 seconds"),
        ],
        "lost": [lost.turn("Create a 2 second video about a lamp."), lost.turn("This one finds nothing")],
    }
    plain = api.post("/v1/renders", json={"prompt": "Create a 2 second video about a chair."}).json()["id"]
    return Everything(quick, batch, iterative, failing, lost, plain, turns)


def test_quick_a_file_a_prompt_a_video(all_of_them: Everything, api: httpx.Client):
    """The file that waited is used; while it is under way an export is only promised; then the video is there, and one
    more export of it is free."""
    session, (first,) = all_of_them.quick, all_of_them.turns["quick"]
    promised = session.say("导出")
    assert (promised["action"], promised["render"]["id"]) == ("export", first)
    assert "自动导出" in promised["answer"]
    made = session.end(first)
    assert (made["status"], [one["name"] for one in made["assets"]]) == ("succeeded", ["red.png"])
    assert api.get(f"/v1/renders/{first}/video").content[4:8] == b"ftyp"
    exported = session.say("Export the video, please")
    again = session.end(exported["render"]["id"])
    assert (again["status"], again["charge"]["state"], again["timeline"]) == ("succeeded", "none", made["timeline"])
    assert again["id"] != first
    assert session.shown()["pending"] == []


def test_batch_style_files_and_instructions_one_by_one(all_of_them: Everything, stack: Stack):
    """Three files and three instructions are three videos of one session, made in order, a turn at a time."""
    session, turns = all_of_them.batch, all_of_them.turns["batch"]
    ends = [session.end(one) for one in turns]
    assert [one["status"] for one in ends] == ["succeeded"] * 3
    assert len({one["result"]["sha256"] for one in ends}) == 3
    assert len({one["remote"]["session_id"] for one in ends}) == 1
    seen = [one["text"] for one in stack.ledger()["messages"] if one["session"] == ends[0]["remote"]["session_id"]]
    assert seen == [one["prompt"] for one in ends]
    assert [_message_of(one).reserved_credits for one in turns] == [ABOUT_A_CLIP, ABOUT_AN_EDIT, ABOUT_AN_EDIT]


def test_iterative_a_rough_cut_then_edits(all_of_them: Everything):
    """Edits go on with the timeline, in Chinese too; one that ends without a word says what it changed; each costs what
    an edit costs."""
    session, turns = all_of_them.iterative, all_of_them.turns["iterative"]
    rough, titled, silent = (session.end(one) for one in turns)
    assert [one["status"] for one in (rough, titled, silent)] == ["succeeded"] * 3
    assert "夏天" in titled["timeline"]
    assert "夏天" not in rough["timeline"]
    assert "Added BGM" in silent["answer"]
    assert [one["charge"]["credits"] for one in (rough, titled, silent)] == [100, 50, 50]
    state = session.state()
    assert (state["drafted_by"], state["turn"], state["timeline"]["summary"]) == (turns[2], None, silent["timeline"])
    assert {change["what"] for change in state["changes"]} == {"added", "removed"}
    assert session.say("状态", status=200)["answer"] == silent["timeline"]
    assert session.say("积分", status=200)["credits"]["accounts"]


def test_a_failed_edit_leaves_the_earlier_result_standing(all_of_them: Everything, api: httpx.Client):
    """It fails without a charge and changes nothing; the next one waits until nothing more can come of it, and goes on
    from the state there is."""
    session, turns = all_of_them.failing, all_of_them.turns["failing"]
    first, failed, after = (session.end(one) for one in turns)
    assert [one["status"] for one in (first, failed, after)] == ["succeeded", "failed", "succeeded"]
    assert (failed["error"]["code"], failed["charge"]["state"]) == ("generation.failed", "none")
    assert api.get(f"/v1/renders/{turns[0]}/video").status_code == 200
    assert "(0-3s)" in after["timeline"]
    message, ended = _message_of(turns[2]), _message_of(turns[1])
    assert (message.created_at - ended.send_by).total_seconds() > 7, "the longest life of a stream"
    assert message.before == ended.before
    assert ended.watch_at is None


def test_a_session_that_is_lost_is_over(all_of_them: Everything, api: httpx.Client):
    """After a first message a forgotten session is not begun anew: what was made stands, more is refused."""
    session, turns = all_of_them.lost, all_of_them.turns["lost"]
    made, gone = (session.end(one) for one in turns)
    assert (made["status"], gone["status"], gone["error"]["code"]) == ("succeeded", "failed", "session.lost")
    assert gone["charge"]["state"] == "none"
    assert session.shown()["status"] == "lost"
    assert session.say("and once more", status=409)["code"] == "session.lost"
    assert session.say("导出", status=409)["code"] == "session.lost"
    assert api.post(f"/v1/renders/{turns[1]}/retry").json()["code"] == "session.lost"
    assert api.get(f"/v1/renders/{turns[0]}/video").status_code == 200


def test_a_render_is_edited(all_of_them: Everything, api: httpx.Client):
    """A render that was asked for alone gets a session when it is edited, and its own video stays as it was."""
    made = _end(api, all_of_them.plain)
    answer = api.post(f"/v1/renders/{made['id']}/edits", json={"prompt": "make it 4 seconds"})
    assert answer.status_code == 202, answer.text
    edited = _end(api, answer.json()["id"])
    assert (edited["status"], edited["remote"]["session_id"]) == ("succeeded", made["remote"]["session_id"])
    assert "(0-4s)" in edited["timeline"]
    stands = api.get(f"/v1/renders/{made['id']}").json()
    assert stands["result"] == made["result"]
    assert stands["session"] == edited["session"]


def test_the_backend_saw_no_breach_of_its_contract(all_of_them: Everything, api: httpx.Client, stack: Stack):
    """No second turn beside another in a session, no poll too soon; every render ended."""
    for turns in all_of_them.turns.values():
        for one in turns:
            _end(api, one)
    assert stack.ledger()["violations"] == []
    assert transact(lambda session: session.query(Render).filter(Render.finished_at.is_(None)).count()) == 0

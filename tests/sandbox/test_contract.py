"""The sandbox keeps to the backend's contract."""

import io
import json
import uuid
import wave

import pytest
from PIL import Image

from tests.sandbox.driver import ATTRIBUTION, PROMPT, Caller, Sandbox, until

ANONYMOUS = "/api/auth/anonymous-token"


def a_picture(form: str = "PNG", colour: str = "red") -> bytes:
    """A small picture file."""
    held = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(held, form)
    return held.getvalue()


def test_a_client_keeps_its_user_and_balance_when_its_token_is_renewed(sandbox: Sandbox):
    """The same client id gets another token for the same user, who has spent what he spent."""
    head = {**ATTRIBUTION, "X-Client-Id": str(uuid.uuid4())}
    first = sandbox.http.post(ANONYMOUS, headers=head).json()["data"]
    spender = Caller(sandbox, first["token"])
    spender.say(spender.session())
    second = sandbox.http.post(ANONYMOUS, headers=head).json()["data"]
    assert first["token"].startswith("nmv_usr_")
    assert second["token"] != first["token"]
    assert second["user_id"] == first["user_id"]
    assert second["credits"] == first["credits"] - 100


def test_a_token_needs_a_client_id_and_may_be_limited(sandbox: Sandbox):
    """Without X-Client-Id comes 400; with the limit on, a second token within the week is 429."""
    assert sandbox.http.post(ANONYMOUS, headers=ATTRIBUTION).status_code == 400
    sandbox.switch(anonymous_limit=True)
    head = {**ATTRIBUTION, "X-Client-Id": str(uuid.uuid4())}
    assert sandbox.http.post(ANONYMOUS, headers=head).status_code == 200
    assert sandbox.http.post(ANONYMOUS, headers=head).status_code == 429


def test_unknown_and_expired_tokens_are_1001(sandbox: Sandbox):
    """1001 comes under HTTP 200, or under 401 where statuses are switched on."""
    path = "/api/credits/balance/simple"
    assert Caller(sandbox, "nmv_usr_nobody").http.get(path).json()["code"] == 1001
    head = {**ATTRIBUTION, "X-Client-Id": str(uuid.uuid4())}
    token = sandbox.http.post(ANONYMOUS, headers=head).json()["data"]["token"]
    assert Caller(sandbox, token).http.get(path).json()["code"] == 0
    sandbox.http.post("/_sandbox/expire-tokens")
    sandbox.switch(error_status="http")
    refused = Caller(sandbox, token).http.get(path)
    assert (refused.status_code, refused.json()["code"]) == (401, 1001)


def test_a_session_belongs_to_its_user(sandbox: Sandbox, caller: Caller):
    """A foreign, unknown or forgotten session is 1002; the id looks like a number too big for a float."""
    session = caller.session()
    assert int(session) > 2**53
    path = f"/api/state/nemo_agent/me/{session}/latest"
    assert caller.http.get(path).json()["data"]["state"]["draft"] is None
    assert Caller(sandbox).http.get(path).json()["code"] == 1002
    assert caller.say("123").code == 1002
    sandbox.http.post("/_sandbox/forget-sessions")
    assert caller.http.get(path).json()["code"] == 1002


def test_credits_are_frozen_then_charged(sandbox: Sandbox, caller: Caller):
    """A generation freezes 100 while it runs and costs 100; an edit costs 50; the same message costs again."""
    sandbox.switch(stream_seconds=0.3)
    session, whole = caller.session(), caller.credits()["total"]
    with caller.saying(session, PROMPT) as stream:
        assert caller.credits() == {"available": whole - 100, "frozen": 100, "total": whole}
        stream.read()
    caller.say(session)
    caller.say(session)
    assert caller.credits() == {"available": whole - 200, "frozen": 0, "total": whole - 200}
    assert [one["charged"] for one in sandbox.ledger()["messages"]] == [100, 50, 50]


def test_an_empty_balance_refuses_with_a_bind_id(sandbox: Sandbox):
    """2001 carries what the registration link needs, and is kept as a refusal that did nothing."""
    sandbox.switch(seed_credits=99)
    poor = Caller(sandbox)
    refused = poor.say(poor.session())
    assert refused.code == 2001
    assert json.loads(refused.body)["data"]["bind_id"].startswith("bind_")
    assert [(one["outcome"], one["executed"]) for one in sandbox.ledger()["messages"]] == [("refused", False)]


def test_one_turn_at_a_time(sandbox: Sandbox, caller: Caller):
    """A second turn while one runs is refused and counted as a violation."""
    sandbox.switch(stream_seconds=0.5)
    session = caller.session()
    with caller.saying(session, PROMPT) as stream:
        assert caller.say(session).status == 409
        stream.read()
    assert sandbox.violations() == ["concurrent_turn"]
    assert caller.say(session).status == 200


def test_drafts_are_deterministic(sandbox: Sandbox):
    """The same prompt and files make the same bytes for any user; other files make others."""
    texts: list[str] = []
    for colour in ("red", "red", "blue"):
        caller = Caller(sandbox)
        session = caller.session()
        caller.upload(session, ("a.png", a_picture(colour=colour)))
        caller.say(session)
        texts.append(caller.draft_text(session))
    assert texts[0] == texts[1] != texts[2]
    assert '"gain":0.10' in texts[0]
    assert '"v":1.0' in texts[0]


def test_files_are_known_by_their_content(sandbox: Sandbox, caller: Caller):
    """Names do not matter: a picture called .txt is taken, a text called .png is 4001."""
    session = caller.session()
    kept = caller.upload(session, ("a.txt", a_picture("JPEG")), ("b", a_picture("WEBP"))).json()["data"]["files"]
    assert [(one["file_type"], one["width"], one["height"]) for one in kept] == [("image", 40, 30)] * 2
    assert sandbox.http.get(kept[0]["cdn_url"]).content == a_picture("JPEG")
    assert caller.upload(session, ("c.png", b"hello, I am no picture")).json()["code"] == 4001
    assert caller.upload(session, ("d.png", a_picture()[:20])).json()["code"] == 4001


def test_sound_is_accepted_with_its_length(caller: Caller):
    """A WAV file is known as audio and has its seconds."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * 2))
    kept = caller.upload(caller.session(), ("tone.wav", held.getvalue())).json()["data"]["files"][0]
    assert (kept["file_type"], kept["duration"]) == ("audio", 2.0)


def test_the_size_limit_is_4002(sandbox: Sandbox, caller: Caller):
    """A file above the limit is refused, one at the limit is not."""
    picture = a_picture()
    sandbox.switch(max_upload_bytes=len(picture))
    session = caller.session()
    assert caller.upload(session, ("a.png", picture)).json()["code"] == 0
    assert caller.upload(session, ("a.png", picture + b"\0")).json()["code"] == 4002


def test_upload_by_address(sandbox: Sandbox, caller: Caller):
    """An address is fetched; one that answers 404, or cannot be reached, is refused with a code."""
    session = caller.session()
    there = caller.upload(session, ("a.png", a_picture())).json()["data"]["files"][0]["cdn_url"]
    assert caller.upload_url(session, there).json()["data"]["files"][0]["width"] == 40
    for address in (f"{sandbox.address}/cdn/none/x.png", "http://127.0.0.1:9/x.png", "ftp://127.0.0.1/x.png"):
        assert caller.upload_url(session, address).json()["code"] == 4005


def test_an_export_needs_attribution(sandbox: Sandbox, caller: Caller):
    """Without the headers, or with another source, an export answers 402; other calls are only counted."""
    session = caller.session()
    caller.say(session)
    assert caller.export(session, **{"X-Skill-Source": "other"}).status_code == 402
    assert caller.export(session).status_code == 200
    assert sandbox.violations() == ["missing_attribution"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"gain":0.10', '"gain":0.1'),
        ('"v":1.0', '"v":1'),
        ('"x_notes":null,', ""),
        ("9007199254740993", "9007199254740992"),
    ],
)
def test_an_altered_draft_is_refused(sandbox: Sandbox, caller: Caller, old: str, new: str):
    """A number rounded or a key dropped on the way is seen."""
    session = caller.session()
    caller.say(session)
    draft = caller.draft_text(session)
    assert old in draft
    assert caller.export(session, draft.replace(old, new)).json()["code"] == 4003
    assert "draft_altered" in sandbox.violations()


def test_layout_and_order_of_a_draft_do_not_matter(sandbox: Sandbox, caller: Caller):
    """Spaces and the order of keys may change, and the ledger tells whether the bytes did."""
    session = caller.session()
    caller.say(session)
    draft = caller.draft_text(session)
    assert caller.export(
        session, draft.replace('"x_notes":null,', "").replace("{", '{ "x_notes" : null,', 1)
    ).is_success
    assert caller.export(session, draft).is_success
    assert [one["same_bytes"] for one in sandbox.ledger()["exports"]] == [0, 1]


def test_an_export_from_submit_to_download(sandbox: Sandbox, caller: Caller):
    """It completes, its signed address gives a film to whoever shows nothing else, the fallback wants the token."""
    session = caller.session()
    caller.say(session)
    done = caller.exported(session)
    assert done["status"] == "completed"
    film = sandbox.http.get(done["output"]["url"])
    assert film.status_code == 200
    assert film.content[4:8] == b"ftyp"
    for leak in ({"Authorization": f"Bearer {caller.token}"}, ATTRIBUTION):
        assert sandbox.http.get(done["output"]["url"], headers=leak).status_code == 400
    assert sandbox.violations() == ["headers_on_download"] * 2
    assert sandbox.http.get(done["output"]["url"][:-1] + "x").status_code == 403
    fallback = f"/api/render/proxy/{done['id']}/download"
    assert caller.http.get(fallback).content == film.content
    assert Caller(sandbox).http.get(fallback).status_code == 404
    assert sandbox.http.get(fallback, headers=ATTRIBUTION).json()["code"] == 1001


def test_a_render_id_is_good_once(sandbox: Sandbox, caller: Caller):
    """A used id is refused, also to another user; an unknown one is 404 to a poll."""
    session = caller.session()
    caller.say(session)
    assert caller.export(session, render="render_abcdef").is_success
    again = caller.export(session, render="render_abcdef")
    assert (again.status_code, again.json()["code"]) == (409, 4090)
    unknown = caller.poll("render_unknown")
    assert (unknown.status_code, unknown.json()["code"]) == (404, 4040)
    assert Caller(sandbox).poll("render_abcdef").status_code == 404


def test_polls_that_come_too_soon_are_counted(sandbox: Sandbox, caller: Caller):
    """The first poll is free, the second comes before the interval is over."""
    session = caller.session()
    caller.say(session)
    sandbox.switch(min_poll_seconds=30)
    render = caller.export(session).json()["id"]
    caller.poll(render)
    assert sandbox.violations() == []
    caller.poll(render)
    assert sandbox.violations() == ["poll_too_soon"]


def test_a_canceled_export_fails(sandbox: Sandbox, caller: Caller):
    """Cancelling ends an export that would never end."""
    session = caller.session()
    caller.say(session, f"{PROMPT} [[sandbox: export_stuck]]")
    render = caller.export(session).json()["id"]
    until(lambda: caller.poll(render).json()["status"] == "processing")
    assert caller.http.post(f"/api/render/proxy/lambda/{render}/cancel").json()["data"]["canceled"]
    assert caller.poll(render).json()["status"] == "failed"


def test_envelopes_and_poll_shapes(sandbox: Sandbox, caller: Caller):
    """Every shape the contract knows can be switched on."""
    path = "/api/credits/balance/simple"
    for envelope, keys in (("success", {"success", "data"}), ("bare", {"available", "frozen", "total"})):
        sandbox.switch(envelope=envelope)
        assert set(caller.http.get(path).json()) == keys
    sandbox.switch(envelope="code", poll_shape="data")
    session = caller.session()
    caller.say(session)
    render = caller.export(session).json()["data"]["id"]
    done = until(lambda: (got := caller.poll(render).json()["data"])["status"] == "completed" and got)
    assert sandbox.http.get(done["outputUrl"]).status_code == 200


def test_a_claim_token_needs_both_ids(caller: Caller):
    """The right pair gets a claim token, a wrong task does not."""
    body = {"task_name": "project", "language": "en"}
    made = caller.http.post("/api/tasks/me/with-session/nemo_agent", json=body).json()["data"]
    assert caller.http.post("/api/auth/claim-token", json=made).json()["data"]["claim_token"].startswith("clm_")
    assert caller.http.post("/api/auth/claim-token", json={**made, "task_id": "x"}).status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/run_sse", {"app_name": "nemo_agent", "session_id": "1", "new_message": {"parts": [{"text": "x"}]}}),
        ("/api/tasks/me/with-session/nemo_agent", {"task_name": "project"}),
        ("/api/render/proxy/lambda", {"id": "render_123456", "session_id": "1", "draft": {}, "output": {}}),
    ],
)
def test_bodies_of_another_shape_are_400(caller: Caller, path: str, body: dict[str, object]):
    """A missing or misnamed field is refused, not guessed at."""
    assert caller.http.post(path, json=body, headers={"Accept": "text/event-stream"}).status_code == 400


def test_a_call_the_contract_does_not_have_is_counted(sandbox: Sandbox, caller: Caller):
    """A wrong path is 404 and a violation."""
    assert caller.http.get("/api/renders").status_code == 404
    assert sandbox.violations() == ["no_such_call"]

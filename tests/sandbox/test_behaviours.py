"""Every misbehaviour can be asked for, by a rule or by a directive in the prompt, and is what it says it is."""

import json
import re
import time
from dataclasses import fields

import httpx
import pytest

import deploy.sandbox
from deploy.sandbox.behaviours import ANYWHERE, POINT_OF, POINTS
from deploy.sandbox.settings import FIXED, Settings
from tests.sandbox.driver import PROMPT, Caller, Sandbox, until
from tests.sandbox.test_contract import a_picture


def told(directive: str) -> str:
    """A prompt with a directive."""
    return f"{PROMPT} [[sandbox: {directive}]]"


def outcome(sandbox: Sandbox) -> tuple[str, int, int]:
    """(outcome, charged, refunded) of the last message."""
    last = sandbox.ledger()["messages"][-1]
    return last["outcome"], last["charged"], last["refunded"]


def test_partials_are_deltas_and_the_whole_repeats_them(caller: Caller):
    """In the framework's dialect the deltas of each text are followed by all of it."""
    events = caller.say(caller.session()).events
    joined, wholes = "", []
    for event in events:
        for part in event["content"]["parts"]:
            if "text" in part and not part.get("thought"):
                if event.get("partial"):
                    joined += part["text"]
                else:
                    wholes.append(part["text"])
    assert len(wholes) == 2
    assert joined == "".join(wholes)
    response = next(one for one in events if "functionResponse" in one["content"]["parts"][0])
    assert (response["content"]["role"], response["author"]) == ("user", "nemo_agent")


def test_the_typed_dialect(sandbox: Sandbox, caller: Caller):
    """Switched on for all, or for one message by a directive."""
    types = [one["type"] for one in caller.say(caller.session(), told("typed")).events]
    assert types == ["text", "text", "tool_call", "tool_result", "text", "text"]
    sandbox.switch(dialect="typed")
    assert caller.say(caller.session()).events[0]["type"] == "text"


@pytest.mark.parametrize("dialect", ["adk", "typed"])
def test_a_silent_edit_is_applied(sandbox: Sandbox, caller: Caller, dialect: str):
    """The stream ends without a closing word, and the draft has changed."""
    session = caller.session()
    caller.say(session)
    before = caller.draft(session)
    last = caller.say(
        session, f"Change the title to Night Lamp [[sandbox: silent_edit]] [[sandbox: {dialect}]]"
    ).events[-1]
    if dialect == "adk":
        assert (last["content"]["parts"], last["errorCode"]) == ([], "MODEL_RETURNED_NO_CONTENT")
    else:
        assert last["type"] == "tool_result"
    assert (before["m"]["title"], caller.draft(session)["m"]["title"]) == ("Aurora Lamp", "Night Lamp")


def test_two_steps(caller: Caller):
    """Music and title follow the raw video after the stream has ended."""
    session = caller.session()
    caller.say(session, told("two_step seconds=0.3"))
    assert [track["tt"] for track in caller.draft(session)["t"]] == [0]
    until(lambda: [track["tt"] for track in caller.draft(session)["t"]] == [0, 1, 7])


@pytest.mark.parametrize(
    ("directive", "broken", "last", "charged"),
    [
        ("cut_after", True, "applied", 100),
        ("cut_before", True, "not_applied", 0),
        ("truncate_clean", False, "applied", 100),
        ("truncate_clean apply=false", False, "not_applied", 0),
        ("error_frame", False, "not_applied", 0),
        ("error_frame_applied", False, "applied", 100),
        ("error_v1", False, "not_applied", 0),
        ("question", False, "not_applied", 0),
        ("drop", True, "refused", 0),
        ("drop apply=true", True, "applied", 100),
        ("hang seconds=0.2", True, "not_applied", 0),
        ("hang seconds=0.2 headers=false apply=true", True, "applied", 100),
    ],
)
def test_how_a_turn_ends(sandbox: Sandbox, caller: Caller, directive: str, broken: bool, last: str, charged: int):
    """Whether the stream breaks off and whether the work is done and paid are two different things."""
    session = caller.session()
    assert caller.say(session, told(directive)).broken is broken
    price = 0 if last == "refused" else 100
    until(lambda: outcome(sandbox) == (last, charged, price - charged))
    assert (caller.draft(session) is not None) is (last == "applied")
    assert caller.credits()["frozen"] == 0


def test_cut_then_applied_later(sandbox: Sandbox, caller: Caller):
    """The stream breaks off early; the turn goes on, keeps its session busy, and is done in the end."""
    session = caller.session()
    assert caller.say(session, told("cut_then_apply seconds=0.4")).broken
    assert caller.draft(session) is None
    assert caller.say(session).status == 409
    until(lambda: caller.draft(session))
    assert sandbox.violations() == ["concurrent_turn"]


def test_error_frames(caller: Caller):
    """Newer servers tell a failure twice, older ones once."""
    two = caller.say(caller.session(), told("error_frame")).events[-2:]
    assert (two[0]["errorCode"], "error" in two[1]) == ("INTERNAL", True)
    one = caller.say(caller.session(), told("error_v1")).events
    assert [("error" in event, "errorCode" in event) for event in one[-2:]] == [(False, False), (True, False)]


def test_what_is_said(caller: Caller):
    """Noise after the answer, GUI talk in both languages, a question."""
    assert caller.say(caller.session(), told("noise")).words().endswith("I encountered a temporary issue")
    assert "click the export button" in caller.say(caller.session(), told("gui_talk")).words().lower()
    assert "打开时间线面板" in caller.say(caller.session("zh"), told("gui_talk")).words()
    assert caller.say(caller.session(), told("question")).words().endswith("?")


def test_a_draft_that_is_not_ready(caller: Caller):
    """All tracks are empty, and an export of them is refused."""
    session = caller.session()
    caller.say(session, told("not_ready"))
    assert [track["sg"] for track in caller.draft(session)["t"]] == [[], [], []]
    assert caller.export(session).json()["code"] == 4004


@pytest.mark.parametrize("directive", ["crlf", "cr", "bom", "multi_data", "split_bytes", "no_partials"])
def test_ways_to_write_a_stream(caller: Caller, directive: str):
    """However the bytes are laid out, the same is said."""
    usual = caller.say(caller.session("zh"))
    odd = caller.say(caller.session("zh"), told(directive))
    assert odd.words() == usual.words() != ""
    marks = {"crlf": b"}\r\n\r\n", "cr": b"}\r\r", "bom": b"\xef\xbb\xbfdata", "multi_data": b"data: {\ndata: "}
    assert marks.get(directive, b"") in odd.body
    assert (b'"partial":true' in odd.body) is (directive != "no_partials")


def test_letters_that_break_line_splitters(caller: Caller):
    """U+2028, U+2029 and U+0085 come raw, NUL comes escaped."""
    odd = caller.say(caller.session(), told("unicode] ] [[sandbox: nul").replace("] ]", "]]"))
    assert "\u2028line\u2029paragraph\u0085next\0" in odd.words()
    assert "\u2028".encode() in odd.body
    assert b"\\u0000" in odd.body


def test_slow_turns_send_heartbeats(caller: Caller):
    """Heartbeats are comments and empty data: lines, and events in the typed dialect."""
    body = caller.say(caller.session(), told("slow seconds=0.35 every=0.1")).body
    assert body.startswith(b": keep-alive\n\ndata: \n\n")
    typed = caller.say(caller.session(), told("typed]] [[sandbox: slow seconds=0.35 every=0.1")).body
    assert typed.startswith(b'data: {"type":"heartbeat"}\n\n')


def test_a_lost_client_cancels_its_turn_only_where_told(sandbox: Sandbox, caller: Caller):
    """By default a turn goes on without its client."""
    for directive, last in (("stream seconds=0.5", "applied"), ("cancel_on_disconnect", "not_applied")):
        sandbox.switch(stream_seconds=1.0)
        session = caller.session()
        with caller.saying(session, told(directive)) as stream:
            next(stream.iter_raw())
        until(lambda last=last: outcome(sandbox)[0] == last)


@pytest.mark.parametrize(
    ("directive", "status", "code"),
    [
        ("http_status status=503", 503, None),
        ("code code=1002", 200, 1002),
        ("code code=2001 status=402", 402, 2001),
        ("rate_limited", 429, 429),
        ("no_credits", 200, 2001),
        ("no_subscription", 402, 402),
        ("expire", 200, 1001),
    ],
)
def test_refusals(sandbox: Sandbox, caller: Caller, directive: str, status: int, code: int | None):
    """A refused message did nothing and cost nothing."""
    session = caller.session()
    refused = caller.say(session, told(directive))
    assert (refused.status, json.loads(refused.body).get("code")) == (status, code)
    assert outcome(sandbox) == ("refused", 0, 0)
    assert caller.say(session).status == 200


def test_a_session_that_is_lost_stays_lost(caller: Caller):
    """1002, and again."""
    session = caller.session()
    assert caller.say(session, told("lost")).code == 1002
    assert caller.say(session).code == 1002


def test_a_failure_that_did_the_work(sandbox: Sandbox, caller: Caller):
    """500 in HTML, although the turn was done and paid."""
    session = caller.session()
    failed = caller.say(session, told("http_status status=500 body=html apply=true"))
    assert failed.status == 500
    assert failed.body.startswith(b"<html>")
    assert outcome(sandbox) == ("applied", 100, 0)
    assert caller.draft(session)


def test_rules_match_words_and_are_used_up(sandbox: Sandbox, caller: Caller):
    """A rule waits for its words, works as often as it says, and never again."""
    sandbox.rule(on="message", do="rate_limited", match="Lamp", times=2, retry_after=7)
    assert caller.say(caller.session(), "Create a video of a chair").status == 200
    answers = [caller.say(caller.session()).status for _ in range(3)]
    assert answers == [429, 429, 200]


def test_rules_at_every_point(sandbox: Sandbox, caller: Caller):
    """Token, session, upload, state, export, poll, credits, cancel and claim misbehave too."""
    session = caller.session()
    caller.say(session)
    draft = caller.draft_text(session)
    render = caller.export(session).json()["id"]
    claim = {"task_id": "x", "session_id": session}
    calls = {
        "token": lambda: sandbox.http.post("/api/auth/anonymous-token"),
        "session": lambda: caller.http.post(
            "/api/tasks/me/with-session/nemo_agent", json={"task_name": "project", "language": "en"}
        ),
        "upload": lambda: caller.upload(session, ("a", b"")),
        "state": lambda: caller.http.get(f"/api/state/nemo_agent/me/{session}/latest"),
        "export": lambda: caller.export(session, draft),
        "poll": lambda: caller.poll(render),
        "cancel": lambda: caller.http.post(f"/api/render/proxy/lambda/{render}/cancel"),
        "credits": lambda: caller.http.get("/api/credits/balance/simple"),
        "claim": lambda: caller.http.post("/api/auth/claim-token", json=claim),
        "fallback": lambda: caller.http.get(f"/api/render/proxy/{render}/download"),
    }
    for point, call in calls.items():
        sandbox.rule(on=point, do="http_status", status=502)
        assert call().status_code == 502, point


def test_misspelt_rules_are_refused(sandbox: Sandbox, caller: Caller):
    """A rule or directive that means nothing would make a test prove nothing."""
    assert sandbox.http.post("/_sandbox/rules", json={"do": "silent_edits"}).status_code == 400
    assert sandbox.http.post("/_sandbox/rules", json={"on": "poll", "do": "silent_edit"}).status_code == 400
    assert sandbox.http.post("/_sandbox/settings", json={"dialekt": "adk"}).status_code == 400
    assert caller.say(caller.session(), told("silent_edits")).status == 400


def test_directives_stay_out_of_the_picture(caller: Caller):
    """A directive is no caption."""
    session = caller.session()
    caller.say(session, told("noise"))
    assert "sandbox" not in caller.draft_text(session)


def test_an_upload_without_an_answer_is_kept(sandbox: Sandbox, caller: Caller):
    """The state shows the file, before the first turn and after it."""
    session = caller.session()
    sandbox.rule(do="upload_answer_lost")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.upload(session, ("a.png", a_picture()))

    def shown() -> list[str]:
        state = caller.http.get(f"/api/state/nemo_agent/me/{session}/latest").json()["data"]["state"]
        return [one["filename"] for one in state["video_infos"] if "filename" in one]

    assert shown() == ["a.png"]
    caller.say(session)
    assert shown() == ["a.png"]


def test_failing_exports(caller: Caller):
    """One fails, one is refused, one is stuck, one is accepted without an answer."""
    session = caller.session()
    caller.say(session, told("export_fails"))
    assert caller.exported(session)["status"] == "failed"
    caller.say(session, told("export_refuse_id"))
    assert caller.export(session).json()["code"] == 4090
    caller.say(session, told("export_stuck"))
    stuck = caller.export(session).json()["id"]
    caller.say(session, told("export_answer_lost"))
    with pytest.raises(httpx.RemoteProtocolError):
        caller.export(session, render="render_unheard")
    until(lambda: caller.poll("render_unheard").json()["status"] == "completed")
    assert caller.poll(stuck).json()["status"] == "processing"


def test_failing_polls(caller: Caller):
    """A poll may answer 503 or a page, and the next one the truth."""
    session = caller.session()
    caller.say(session, told("poll_5xx]] [[sandbox: poll_html"))
    render = caller.export(session).json()["id"]
    assert caller.poll(render).status_code == 503
    caller.say(session, told("poll_html"))
    assert caller.poll(render).text.startswith("<html>")
    assert caller.poll(render).json()["status"] in ("pending", "processing", "completed")


@pytest.mark.parametrize("point", ["download", "fallback"])
def test_spoilt_files(sandbox: Sandbox, caller: Caller, point: str):
    """Cut off, too short, no film at all, gone, expired: and whole in the end."""
    session = caller.session()
    caller.say(session)
    done = caller.exported(session)

    def fetched(how: str) -> httpx.Response:
        sandbox.rule(do=f"{point}_{how}")
        return get()

    def get() -> httpx.Response:
        if point == "download":
            return sandbox.http.get(done["output"]["url"])
        return caller.http.get(f"/api/render/proxy/{done['id']}/download")

    whole = get().content
    with pytest.raises(httpx.RemoteProtocolError):
        fetched("truncated")
    assert fetched("short").content == whole[: len(whole) // 2]
    assert fetched("not_video").headers["content-type"].startswith("text/html")
    assert [fetched(how).status_code for how in ("404", "403", "5xx")] == [404, 403, 503]
    assert get().content == whole


def test_delayed_answers(sandbox: Sandbox, caller: Caller):
    """An answer may take its time."""
    sandbox.rule(on="credits", do="delay", seconds=0.2)
    started = time.monotonic()
    caller.credits()
    assert time.monotonic() - started >= 0.2


def test_every_switch_is_documented():
    """The package's own description names each behaviour and each setting."""
    words = set(re.findall(r"\w+", deploy.sandbox.__doc__ or ""))
    settings = {field.name for field in fields(Settings)} - FIXED
    assert {*ANYWHERE, *POINT_OF, *POINTS, *settings} - words == set()

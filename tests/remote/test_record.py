"""A record of real calls: nothing secret in it, everything else as it was, and a client that reads the same from it."""

import io
import json
import re
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from config.settings import Waits
from tests.remote.replay import Replay
from tests.remote.scripted import Scripted, answers, json_answer
from tests.sandbox.driver import Sandbox, until
from worker.remote.client import Remote
from worker.remote.clock import running
from worker.remote.errors import TryAgain
from worker.remote.line import Abort
from worker.remote.record import INDEX, NotEmpty, Recorder
from worker.remote.redaction import Redactor

TOKEN = "nmv_usr_9aBc-DeF_012345"
PROMPT = "Create a 3-second video for Aurora Lamp, a warm light for small rooms."
QUICK = ("--no-draw", "--stream-seconds", "0", "--min-poll-seconds", "0", "--export-seconds", "0")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A backend in a process of its own."""
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"), *QUICK)
    yield sandbox
    sandbox.kill()


def remote(url: str, recorder: Recorder | None = None) -> Remote:
    return Remote(url, "https://web.test", platform="unknown", waits=Waits(), recorder=recorder)


def picture() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(held, "PNG")
    return held.getvalue()


def a_whole_video(backend: Remote, client_id: str, export_id: str) -> dict[str, Any]:
    """Each call once, as a render makes them, and what the client made of the answers."""
    token = backend.anonymous_token(client_id).token
    ids = backend.create_session(token, "en")
    claim = backend.claim_link(token, ids.task_id, ids.session_id)
    size = len(picture())
    files = backend.upload_file(
        token, ids.session_id, filename="a.png", media_type="image/png", content=io.BytesIO(picture()), size=size
    )
    turn = backend.send_message(
        token, ids.session_id, PROMPT, deadline=running() + 9, on_event=lambda _: None, abort=Abort()
    )
    state = backend.state(token, ids.session_id)
    assert state.draft is not None
    export = [backend.submit_export(token, export_id, ids.session_id, state.draft)]

    def ended() -> bool:
        export.append(backend.poll_export(token, export_id))
        return export[-1].status == "completed"

    until(ended, 20)
    return {
        "ids": ids,
        "expires": claim.expires_in,
        "files": [(file.filename, file.file_type, file.width, file.height) for file in files],
        "turn": (turn.outcome, turn.text, turn.calls, turn.results, turn.terminal, turn.clean_end, turn.unknown_events),
        "state": (state.fingerprint, state.ready, len(state.files)),
        "export": [(one.status, one.progress, one.export_id) for one in export],
        "credits": backend.credits(token),
    }


def texts(record: Path) -> str:
    """Everything in the record, and as whoever reads the JSON sees it."""
    raw = [path.read_text() for path in sorted(record.iterdir())]
    return "\n".join([*raw, *(str(json.loads(one)) for one in raw)])


@pytest.mark.parametrize("dialect", ["adk", "typed"])
def test_the_client_reads_the_same_from_a_record(sandbox: Sandbox, tmp_path: Path, dialect: str):
    """A whole video's calls are recorded at a real backend and played back: ids, answer, state, export and balance are
    read again as they were, event stream included, and nobody could act with what the record holds."""
    sandbox.switch(dialect=dialect)
    recorder, client_id, export_id = Recorder(tmp_path / "record"), str(uuid.uuid4()), f"render_{uuid.uuid4().hex}"
    with remote(sandbox.address, recorder) as backend:
        seen = a_whole_video(backend, client_id, export_id)
        tokens = list(backend_tokens(recorder))
    recorder.seal()
    with Replay(tmp_path / "record") as replay, remote(replay.url) as backend:
        assert a_whole_video(backend, "any", export_id) == seen
    held = texts(tmp_path / "record")
    assert len(tokens) >= 2, "the bearer and the claim"
    for secret in (*tokens, client_id):
        assert secret not in held
    assert re.findall(r"nmv_|clm_|Signature=|Expires=", held) == []
    assert "redacted-token-1" in held
    assert "redacted-query-1" in held


def backend_tokens(recorder: Recorder) -> Iterator[str]:
    """What the redactor took for tokens."""
    yield from (value for value, hidden in recorder.redactor.known() if hidden.startswith("redacted-token"))


def test_it_is_private_and_tells_what_it_holds(tmp_path: Path):
    """Directory 700, files 600; the index names versions, times and each call; a directory in use is refused."""
    recorder = Recorder(tmp_path / "deep" / "record")
    with Scripted(answers(json_answer(b'{"available": 5}'))) as server, remote(server.url, recorder) as backend:
        backend.credits(TOKEN)
    record = tmp_path / "deep" / "record"
    assert stat.S_IMODE(record.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in record.iterdir()} == {0o600}
    index = json.loads((record / INDEX).read_text())
    assert index["backend"] == server.url
    assert {"vivideo", "python", "httpx", "began_at", "written_at"} <= index.keys()
    (call,) = index["calls"]
    assert (call["call"], call["method"], call["status"]) == ("credits", "GET", 200)
    kept = json.loads((record / call["file"]).read_text())
    assert ["authorization", "Bearer redacted-token-1"] in kept["request"]["headers"]
    assert kept["response"]["body"] == '{"available": 5}'
    with pytest.raises(NotEmpty):
        Recorder(record)


def test_a_call_that_breaks_is_recorded_and_breaks_again(tmp_path: Path):
    """No answer is an answer too: the file says how it broke, and the replay breaks off as well."""
    recorder = Recorder(tmp_path / "record")
    broken = Scripted(lambda peer: peer.reset())
    with broken as server, remote(server.url, recorder) as backend, pytest.raises(TryAgain):
        backend.credits(TOKEN)
    kept = json.loads(next((tmp_path / "record").glob("0001-*")).read_text())
    assert kept["response"]["broken_by"]
    with Replay(tmp_path / "record") as replay, remote(replay.url) as backend, pytest.raises(TryAgain):
        backend.credits(TOKEN)


def test_a_full_disk_is_no_reason_for_a_call_to_fail(tmp_path: Path):
    """The call's answer comes through; the recorder remembers that it could not keep it."""
    recorder = Recorder(tmp_path / "record")
    (tmp_path / "record" / INDEX).unlink()
    (tmp_path / "record").rmdir()
    with Scripted(answers(json_answer(b'{"available": 5}'))) as server, remote(server.url, recorder) as backend:
        assert backend.credits(TOKEN).available == 5
    assert recorder.failed == "FileNotFoundError"


SECRETS = [
    ('{"token":"%s"}', "anything-at-all"),
    ('{"data":{"accessToken":"%s","n":1}}', "anything-at-all"),
    ('{"tokens":["%s"]}', "anything-at-all"),
    ('{"claim_token":"%s"}', "clm_Ab12-x"),
    ('{"note":"your token %s is new"}', TOKEN),
    ('{"url":"https://cdn.test/a.mp4?X-Amz-Signature=%s"}', "0f0f0f0f"),
    ('{"url":"https://cdn.test/a.mp4#%s"}', "0f0f0f0f"),
    ('{"url":"https://user:%s@cdn.test/a.mp4"}', "hunter2-x"),
    (r'{"url":"https:\/\/cdn.test\/a.mp4?sig=%s"}', "0f0f0f0f"),
    ('{"mail":"%s"}', "some.one@example.org"),
    (r'{"mail":"\u0073ome.one@%s"}', "example-host.org"),
    ('{"user_id":"%s"}', "u-77120"),
    ('{"user_id":%s}', "7712012345"),
    ('{"user":{"id":7712012345,"uid":%s}}', "7712012345"),
    ('{"bind_id":"%s"}', "bind_77"),
    ('{"nickname":"%s"}', "Grace H."),
    ('{"result":"{\\"token\\":\\"%s\\"}"}', "anything-at-all"),
    ('data: {"type":"tool_result","result":{"token":"%s"}}\n\n', "anything-at-all"),
    (": comment\ndata: see https://cdn.test/x?sig=%s\n\n", "0f0f0f0f"),
    ("<html>Bearer %s</html>", "abc.def-ghi"),
    ("<p>api_key=%s</p>", "abcdefgh"),
    ("<p>eyJhbGciOi.%s.sig</p>", "eyJzdWIiOiI"),
]


@pytest.mark.parametrize(("body", "secret"), SECRETS)
def test_secrets_are_replaced_wherever_they_stand(body: str, secret: str):
    """In JSON under a name or in a text, nested, escaped, as a number, on a stream, in a page: gone, the rest stays
    readable, and doing it again changes nothing."""
    redactor = Redactor()
    hidden = redactor.body(body % secret)
    assert secret not in hidden
    assert "redacted-" in hidden or "990000" in hidden
    if body.startswith("{"):
        assert [type(value) for value in json.loads(hidden).values()] == [
            type(value) for value in json.loads(body % secret).values()
        ]
    assert redactor.body(hidden) == hidden


def test_the_same_value_gets_the_same_placeholder():
    """So that who reads a record can still see that two calls spoke of one account."""
    redactor = Redactor()
    first = redactor.body('{"user_id": "u-77120-x", "token": "t-one-xxxx"}')
    second = redactor.body('{"owner": "u-77120-x", "by": "made for u-77120-x", "token": "t-two-xxxx"}')
    assert json.loads(first) == {"user_id": "redacted-user-1", "token": "redacted-token-1"}
    assert json.loads(second) == {
        "owner": "redacted-user-1",
        "by": "made for redacted-user-1",
        "token": "redacted-token-2",
    }
    assert redactor.headers([("Authorization", "Bearer t-one-xxxx"), ("Set-Cookie", "sid=1")]) == [
        ["Authorization", "Bearer redacted-token-1"],
        ["Set-Cookie", "redacted-token-3"],
    ]


def test_what_is_learnt_late_is_gone_from_the_start(tmp_path: Path):
    """An id that only a later answer calls a user's stood in an address before: sealing the record removes it there."""
    recorder = Recorder(tmp_path / "record")
    early = b'{"available": 5, "see": "/u/ann-77120-x/balance"}'
    late = b'{"task_id": "1", "session_id": "2", "user_id": "ann-77120-x"}'
    with Scripted(answers(*map(json_answer, (early, late)))) as server, remote(server.url, recorder) as backend:
        backend.credits(TOKEN)
        backend.create_session(TOKEN, "en")
    assert "ann-77120-x" in texts(tmp_path / "record")
    for _ in range(2):
        recorder.seal()
        assert "ann-77120-x" not in texts(tmp_path / "record")
    assert "/u/redacted-user-1/balance" in texts(tmp_path / "record")


@pytest.mark.parametrize(
    "body",
    [
        '{ "n" : 1.10, "e":1E5,\n "big": 12345678901234567890, "s":"\\ud800 \\/ \\u00e9", "t":"task_1" }',
        '{"session_id": 1978207231019922955, "user_id": "me", "total_tokens": 512, "author": "nemo_agent"}',
        '{"url": "https://cdn.test/a.mp4", "draft": {"t": [{"tt": 0, "sg": []}]}}',
    ],
)
def test_what_is_no_secret_stays_as_it_came(body: str):
    """Digits, escapes, spaces and order: a replay proves something only if the bytes are the same."""
    assert Redactor().body(body) == body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(around=JSON, inside=JSON)
def test_no_json_hides_a_token(around: Any, inside: Any):
    """Whatever stands around it and however it is escaped, the token is gone and the document is still JSON."""
    redactor = Redactor()
    redactor.learn("token", TOKEN)
    value = {"a": around, "k": [inside, f"x {TOKEN} y", {TOKEN: quote(f"{TOKEN} {TOKEN}")}]}
    for ascii_only in (True, False):
        hidden = redactor.body(json.dumps(value, ensure_ascii=ascii_only))
        assert TOKEN not in hidden
        assert TOKEN not in str(json.loads(hidden))

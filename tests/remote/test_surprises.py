"""What the backend sends and this version does not know: counted by name, bounded, written down, never a value."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.adk.events.event import Event
from google.genai.types import Part
from sqlalchemy import delete, func, select

from config.settings import Waits
from deploy.local.postgres import Postgres
from deploy.local.servers import Running
from tests.remote.scripted import Scripted, answers, json_answer, stream
from tests.stack import here, until
from worker import liveness, migrations
from worker.database import transact
from worker.remote import noticing
from worker.remote.client import Remote
from worker.remote.clock import running
from worker.remote.dialects import Reader
from worker.remote.errors import RemoteError
from worker.remote.expected import FRAMEWORK_FIELDS, PART_FIELDS
from worker.remote.line import Abort
from worker.remote.noticing import OVERFLOW, Notices
from worker.remote.surprises import Surprise, flush

TOKEN = "nmv_usr_9aBc-DeF_012345"
Call = Callable[[Remote], Any]


@pytest.fixture(autouse=True)
def notices(monkeypatch: pytest.MonkeyPatch) -> Notices:
    """This test's own counts."""
    own = Notices()
    monkeypatch.setattr(noticing, "NOTICES", own)
    return own


@pytest.fixture
def table(database: str) -> Iterator[None]:
    """An empty table of surprises, and settings that lead to it."""
    with here({"VIVIDEO_DATABASE_URL": database, "VIVIDEO_LEASE_SECONDS": "0.3"}):
        transact(lambda session: session.execute(delete(Surprise)))
        yield


def asked(call: Call, body: bytes) -> None:
    """One call at a server that answers so; what the client makes of it is not the question here."""
    with Scripted(answers(body)) as server:
        backend = Remote(server.url, "https://web.test", platform="x", waits=Waits())
        try:
            call(backend)
        except RemoteError:
            pass
        finally:
            backend.close()


def said(*events: str) -> None:
    """One message answered by these events."""
    with Scripted(stream(*events)) as server:
        backend = Remote(server.url, "https://web.test", platform="x", waits=Waits())
        backend.send_message(TOKEN, "s", "hello", deadline=running() + 9, on_event=lambda _: None, abort=Abort())
        backend.close()


def rows() -> list[Surprise]:
    return list(transact(lambda session: session.scalars(select(Surprise).order_by(Surprise.name)).all()))


CREDITS: Call = lambda backend: backend.credits(TOKEN)  # noqa: E731
SESSION: Call = lambda backend: backend.create_session(TOKEN, "en")  # noqa: E731
STATE: Call = lambda backend: backend.state(TOKEN, "s")  # noqa: E731
POLL: Call = lambda backend: backend.poll_export(TOKEN, "r")  # noqa: E731
UPLOAD: Call = lambda backend: backend.upload_urls(TOKEN, "s", ["https://a.test/1.png"])  # noqa: E731
ANONYMOUS: Call = lambda backend: backend.anonymous_token("c")  # noqa: E731


@pytest.mark.parametrize(
    ("call", "body", "found"),
    [
        (CREDITS, b'{"available": 1, "expiring": {"a": 1}}', ("field", "credits", "expiring", "object of 1")),
        (CREDITS, b'{"code": 0, "trace": "x", "data": {"available": 1}}', ("field", "credits", "trace", "text of 1")),
        (CREDITS, b'{"data": {"available": 1, "tier": null}}', ("field", "credits", "data.tier", "null")),
        (
            SESSION,
            b'{"data": {"task_id": 1, "session_id": 2, "region": "eu"}}',
            ("field", "create_session", "data.region", "text of 2"),
        ),
        (
            STATE,
            b'{"data": {"state": {"draft": {"t": []}, "memory": [1]}}}',
            ("field", "state", "data.state.memory", "list of 1"),
        ),
        (STATE, b'{"data": {"version": 3, "state": {"draft": null}}}', ("field", "state", "data.version", "number")),
        (
            UPLOAD,
            b'{"data": {"files": [{"filename": "a", "codec": "h264"}]}}',
            ("field", "upload_urls", "data.files[].codec", "text of 4"),
        ),
        (
            POLL,
            b'{"status": "pending", "output": {"url": "https://a.test/b", "expires": 1}}',
            ("field", "poll_export", "output.expires", "number"),
        ),
        (POLL, b'{"id": "r", "status": "muxing"}', ("code", "poll_export", "status muxing", None)),
        (
            POLL,
            b'{"id": "r", "status": "pending", "progress": "soon"}',
            ("shape", "poll_export", "progress unread", None),
        ),
        (CREDITS, b'{"code": 4777, "message": "no"}', ("code", "credits", "code 4777", None)),
        (CREDITS, b'{"code": "QUOTA_EXCEEDED"}', ("code", "credits", "code QUOTA_EXCEEDED", None)),
        (CREDITS, b'{"code": 1001, "hint": "log in"}', ("field", "credits", "hint", "text of 6")),
        (CREDITS, b"[1, 2]", ("shape", "credits", "not a JSON object", None)),
        (CREDITS, b"<html>", ("shape", "credits", "not a JSON object", None)),
        (CREDITS, b'{"total": 4}', ("shape", "credits", "unexpected answer: available", None)),
        (
            ANONYMOUS,
            b'{"data": {"token": "t", "expires_at": "some day"}}',
            ("shape", "anonymous_token", "expires_at unread", "text of 8"),
        ),
        (STATE, b'{"data": {"state": [1]}}', ("shape", "state", "not the JSON of a state", None)),
    ],
)
def test_an_answer_is_held_against_what_is_known(
    notices: Notices, call: Call, body: bytes, found: tuple[str, str, str, str | None]
):
    """A field, a state, a code, a form that the client does not know is counted under its name."""
    asked(call, json_answer(body))
    kind, place, name, example = found
    tally = notices.pending()[kind, place, name]  # type: ignore[index]
    assert (tally.count, tally.example) == (1, example)


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("403 Forbidden", "HTTP 403"),
        ("302 Found", "a redirect"),
        ("500 Internal Server Error", None),
        ("429 Slow", None),
    ],
)
def test_a_status_without_a_code_is_held_against_the_table(notices: Notices, status: str, found: str | None):
    """One that the table has is none of these; one that it has not is."""
    asked(CREDITS, json_answer(b"{}", status, "Location: /elsewhere"))
    assert [name for _, _, name in notices.pending()] == ([found] if found else [])


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ('{"type": "text", "content": "hi", "lang": "en"}', "event.lang"),
        ('{"type": "thinking", "content": "hm"}', "type thinking"),
        ('{"content": {"role": "model", "parts": [{"inlineData": {"data": "…"}}]}}', "event.part.inlineData"),
        ('{"content": {"role": "model", "parts": [], "lang": "en"}, "author": "a"}', "event.content.lang"),
        ('{"author": "a", "mood": 3}', "event.mood"),
        ('{"progress": 3, "eta": 4}', "object with eta, progress"),
        ("[DONE]", "no JSON"),
        ("17", "number"),
        ('{"author": "a", "errorCode": "RESOURCE_EXHAUSTED"}', "event RESOURCE_EXHAUSTED"),
    ],
)
def test_an_event_is_held_against_both_dialects(notices: Notices, event: str, name: str):
    """A type, a part, a field, an error's word that nobody reads."""
    said(event, '{"type": "text", "content": "done"}')
    assert [known for _, _, known in notices.pending()] == [name]


def test_what_the_contract_names_is_no_surprise(notices: Notices):
    """Every shape of the contract, and all that the framework's installed release can send."""
    for call, body in (
        (ANONYMOUS, b'{"code":0,"data":{"token":"t","credits":100,"expires_at":"2026-12-01","user_id":"u"}}'),
        (SESSION, b'{"success":true,"data":{"task_id":"t","session_id":"9"}}'),
        (lambda backend: backend.claim_link(TOKEN, "t", "s"), b'{"data":{"claim_token":"clm_1","expires_in":3600}}'),
        (CREDITS, b'{"available":1,"frozen":0,"total":1}'),
        (
            STATE,
            b'{"data":{"state":{"draft":{"a":1},"video_infos":{"1":{"x":1}},"generated_media":[{"y":1}],"canvas_config":{}}}}',
        ),
        (
            UPLOAD,
            b'{"data":{"files":[{"filename":"a","file_type":"png","cdn_url":"x","duration":0,"width":1,"height":1}]}}',
        ),
        (POLL, b'{"status":"completed","progress":1,"output":{"url":"https://a.test/b"}}'),
        (POLL, b'{"code":0,"data":{"status":"completed","outputUrl":"https://a.test/b"}}'),
        (CREDITS, b'{"code":1001,"message":"expired"}'),
    ):
        asked(call, json_answer(body))
    said(
        '{"type":"text","content":"a"}',
        '{"type":"tool_call","name":"n","args":{"x":1}}',
        '{"type":"tool_result","name":"n","result":{"y":1}}',
        '{"type":"heartbeat"}',
        '{"content":{"role":"model","parts":[{"text":"a","thought":true},{"functionCall":{"id":"1"}}]},"partial":true}',
        '{"content":{"parts":[]},"author":"a","id":"1","invocationId":"2","errorCode":"MODEL_RETURNED_NO_CONTENT"}',
        '{"error":"no"}',
    )
    assert notices.pending() == {}
    sent = {about.alias or name for name, about in Event.model_fields.items()}
    assert sent <= FRAMEWORK_FIELDS
    read = {"text", "thought", "functionCall", "functionResponse"}
    assert read <= PART_FIELDS & {about.alias or name for name, about in Part.model_fields.items()}


def test_no_value_is_kept(notices: Notices):
    """Neither as an example nor as a name: keys that are ids, addresses or tokens are told by their length."""
    values = ("u-secret-value", "someone@example.org", "1978207231019922955", TOKEN, "2026-11-24", "a b c", "ünï")
    body = ", ".join(f'"{value}": "{value}"' for value in values)
    asked(CREDITS, json_answer(f'{{"available": 1, {body}, "note": "u-secret-value"}}'.encode()))
    said(f'{{"type": "{TOKEN}"}}', f'{{"type": "text", "content": "x", "{TOKEN}": 1}}')
    kept = str(notices.pending())
    assert "<23 characters>" in kept
    for value in values[1:]:
        assert value not in kept
    assert notices.pending()["field", "credits", "u-secret-value"].example == "text of 14"  # reads like a name


def test_the_number_of_names_is_bounded():
    """Beyond it all go under one, also after what was met before has been written down."""
    notices = Notices(distinct=5)
    for number in range(8):
        notices.add("field", "credits", f"n{number}")
    assert len(notices.take()) == 6
    for number in range(20):
        notices.add("field", "credits", f"n{number}")
    taken = notices.take()
    assert len(taken) == 6
    assert taken[OVERFLOW].count == 15
    assert sum(tally.count for tally in taken.values()) == 20


def test_threads_lose_no_count():
    """Eight of them counting while a ninth takes and gives back."""
    notices, done = Notices(), threading.Event()

    def count() -> None:
        for number in range(2000):
            notices.add("field", "credits", f"n{number % 7}")

    def disturb() -> None:
        while not done.is_set():
            notices.give_back(notices.take())

    disturber = threading.Thread(target=disturb)
    disturber.start()
    counting = [threading.Thread(target=count) for _ in range(8)]
    for thread in counting:
        thread.start()
    for thread in counting:
        thread.join()
    done.set()
    disturber.join()
    assert sum(tally.count for tally in notices.take().values()) == 16_000


def test_greenlets_lose_no_count():
    """The same under gevent's patching, as the workers run it."""
    program = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import gevent\n"
        "from worker.remote import noticing\n"
        "from worker.remote.dialects import Reader\n"
        "def read():\n"
        "    for _ in range(50):\n"
        '        Reader().read(\'{"type": "new"}\'); gevent.sleep(0)\n'
        "gevent.joinall([gevent.spawn(read) for _ in range(100)])\n"
        "assert [tally.count for tally in noticing.NOTICES.take().values()] == [5000]\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_counts_add_up_in_the_database(table: None, notices: Notices):
    """Written twice: one row, the sum, the first time kept, the last moved on; nothing new, nothing written."""
    notices.add("field", "credits", "tier", "text of 3")
    flush(notices)
    (before,) = rows()
    for _ in range(4):
        notices.add("field", "credits", "tier")
    flush(notices)
    (after,) = rows()
    assert (after.count, after.example) == (5, "text of 3")
    assert after.first_seen_at == before.first_seen_at
    assert after.last_seen_at > before.last_seen_at
    flush(notices)
    assert rows()[0].last_seen_at == after.last_seen_at


def test_two_processes_write_the_same_names_at_once(table: None):
    """In opposite orders, again and again: nobody waits for the other crosswise, every count arrives."""
    names = [f"n{number}" for number in range(40)]

    def write(order: list[str]) -> None:
        mine = Notices()
        for _ in range(25):
            for name in order:
                mine.add("field", "credits", name)
            flush(mine)
        lost.extend(mine.pending())

    lost: list[object] = []
    both = [threading.Thread(target=write, args=(order,)) for order in (names, names[::-1])]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert lost == []
    assert {row.count for row in rows()} == {50}


def test_a_database_that_is_away_loses_nothing(tmp_path: Path):
    """The counts wait in the process and are written once it answers, with the time they were met at."""
    server, notices = Postgres(tmp_path / "postgres", durable=False), Notices()
    with Running(server, tmp_path / "log"):
        migrations_url = server.url("postgres")
        migrations.upgrade(migrations_url)
    with here({"VIVIDEO_DATABASE_URL": migrations_url}):
        notices.add("code", "credits", "code 4777")
        met = time.monotonic()
        flush(notices)
        assert list(notices.pending()) == [("code", "credits", "code 4777")]
        notices.add("code", "credits", "code 4777")
        with Running(server, tmp_path / "log"):
            away = timedelta(seconds=time.monotonic() - met)
            flush(notices)
            (row,) = rows()
            now = transact(lambda session: session.execute(select(func.now())).scalar_one())
    assert row.count == 2
    assert away <= now - row.first_seen_at < away + timedelta(seconds=2)
    assert notices.pending() == {}


def test_a_worker_writes_down_what_it_met(table: None, notices: Notices):
    """Beside its heartbeat, about as often."""
    me = liveness.Process(id="io-1", kind="io", capacity=1, pid=1)
    thread = threading.Thread(target=liveness._tell_surprises, args=(me,))
    thread.start()
    try:
        notices.add("event", "send_message", "type thinking")
        until(rows, 10, what="the row")
    finally:
        me.done.set()
        thread.join()
    assert rows()[0].name == "type thinking"


def test_looking_costs_next_to_nothing():
    """An event that holds nothing new is looked over in a fraction of the time that reading it takes."""
    event = '{"content":{"role":"model","parts":[{"text":"abc"}]},"partial":true,"author":"a","id":"1","timestamp":1.5}'
    parsed = json.loads(event)
    part = parsed["content"]["parts"][0]
    reader = Reader()

    def looked() -> None:
        noticing.fields("send_message", parsed, FRAMEWORK_FIELDS, "event")
        noticing.fields("send_message", part, PART_FIELDS, "event.part")

    looking = min(_timed(looked) for _ in range(5))
    reading = min(_timed(lambda: reader.read(event)) for _ in range(5))
    assert looking < reading / 2, (looking, reading)


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    for _ in range(2000):
        work()
    return time.perf_counter() - began

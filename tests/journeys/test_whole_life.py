"""One render's whole life as its owner sees it: asked for, followed, fetched through the public API, and compared with
what the backend itself has on file."""

import hashlib
import io
import itertools
import json
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from api.client import FINAL, ApiError, Client
from tests.journeys.conftest import started_api
from tests.stack import Stack, until
from worker.database import transact
from worker.media.probe import probe
from worker.owners import store as owners
from worker.pipeline import ORDER

PROMPT = (
    'Create a 6-second vertical promotional video called "Red Kettle" about our new kettle. '
    "[[sandbox: gui_talk]] [[sandbox: stream seconds=1.5]]"
)
CHINESE = "请制作一个3秒的竖屏宣传视频，介绍我们的新水壶。"
VAGUE = "make it look better"
REQUEST: dict[str, Any] = {
    "prompt": PROMPT,
    "priority": "high",
    "external_ref": "sku-1",
    "tags": ["kettles", "spring"],
    "metadata": {"shop": {"id": 7, "名": "茶壶"}},
}
STAGES = [stage.value for stage in ORDER]
STATUSES = ["queued", "running", "succeeded"]


@contextmanager
def loopback(files: dict[str, bytes]) -> Iterator[str]:
    """A server of these files, as a shop's own would be; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def picture(colour: str, format: str, size: tuple[int, int] = (320, 240)) -> bytes:
    """A picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, format)
    return file.getvalue()


@dataclass
class Life:
    """What was seen of one render: the answer to the request, looks while it ran, the stream, the end."""

    pictures: list[tuple[str, bytes]]
    url: str
    uploads: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    made: dict[str, Any] = field(default_factory=dict[str, Any])
    looks: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    streamed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def id(self) -> str:
        return self.made["id"]

    @property
    def end(self) -> dict[str, Any]:
        return self.looks[-1]


@pytest.fixture(scope="module")
def api(stack: Stack) -> str:
    """The address of the intake, with workers of each kind behind it."""
    return started_api(stack)


@pytest.fixture(scope="module")
def client(stack: Stack, api: str) -> Iterator[Client]:
    """The first owner."""
    with Client(api, stack.environment["VIVIDEO_API_KEY"]) as connected:
        yield connected


@pytest.fixture(scope="module")
def http(stack: Stack, api: str) -> Iterator[httpx.Client]:
    """The first owner, call by call."""
    headers = {"Authorization": f"Bearer {stack.environment['VIVIDEO_API_KEY']}"}
    with httpx.Client(base_url=api, headers=headers, timeout=30) as connected:
        yield connected


@pytest.fixture(scope="module")
def stranger(api: str) -> Iterator[httpx.Client]:
    """The second owner, call by call."""
    key = transact(lambda session: owners.new_key(session, owners.owner(session, owners.SECOND_OWNER).id, "whole life"))
    with httpx.Client(base_url=api, headers={"Authorization": f"Bearer {key}"}, timeout=30) as connected:
        yield connected


@pytest.fixture(scope="module")
def life(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Three pictures sent, one named by its address, the render followed twice over (looks and stream) to its end."""
    folder = tmp_path_factory.mktemp("pictures")
    pictures = [
        ("kettle.jpg", picture("firebrick", "JPEG")),
        ("Küche 水壶.png", picture("teal", "PNG", (200, 300))),
        ("steam.webp", picture("white", "WEBP")),
    ]
    with loopback({"/shop/label.png": picture("gold", "PNG")}) as shop:
        seen = Life(pictures, f"{shop}/shop/label.png")
        for name, data in pictures:
            (folder / name).write_bytes(data)
            seen.uploads.append(client.upload(folder / name).to_dict())
        assets = [*({"upload": one["id"]} for one in seen.uploads), {"url": seen.url}]
        seen.made = client.create_render(**REQUEST, assets=assets).to_dict()
        following = threading.Thread(target=_stream, args=(client, seen))
        following.start()
        _look_until_final(client, seen)
        following.join(20)
        assert not following.is_alive(), "the stream did not end with the render"
        yield seen


def _stream(client: Client, seen: Life) -> None:
    seen.streamed.extend(event.to_dict() for event in client.iter_events(seen.id))


def _look_until_final(client: Client, seen: Life) -> None:
    give_up = time.monotonic() + 60
    while not seen.looks or seen.end["status"] not in FINAL:
        assert time.monotonic() < give_up, seen.end
        seen.looks.append(client.render(seen.id).to_dict())
        time.sleep(0.05)


@pytest.fixture(scope="module")
def others(client: Client, life: Life) -> dict[str, dict[str, Any]]:
    """A Chinese and a vague one, ended."""
    made = {prompt: client.create_render(prompt).id for prompt in (CHINESE, VAGUE)}
    return {prompt: client.wait(id, timeout=60).to_dict() for prompt, id in made.items()}


def backend(stack: Stack, query: str, *values: str) -> list[tuple[Any, ...]]:
    """What the backend has on file, read from its own database."""
    with sqlite3.connect(f"file:{stack.home / 'sandbox' / 'sandbox.sqlite'}?mode=ro", uri=True) as file:
        return file.execute(query, values).fetchall()


def test_the_request_is_kept_as_it_was_made(life: Life):
    """Each field of the request comes back in the 202 and at the end; files are named with what was found in them."""
    for body in (life.made, life.end):
        assert {name: body[name] for name in REQUEST} == REQUEST
        assert (body["language"], body["run"], body["on_unconfirmed"]) == ("en", 1, "fail")
        assert body["output"] == {"format": "mp4", "quality": "high"}
        *files, address = body["assets"]
        assert address == {"url": life.url}
        for file, upload, (name, data) in zip(files, life.uploads, life.pictures, strict=True):
            assert file == {
                "upload": upload["id"],
                "name": name,
                "media_type": f"image/{Path(name).suffix[1:].replace('jpg', 'jpeg')}",
                "bytes": len(data),
            }
            assert upload["sha256"] == hashlib.sha256(data).hexdigest()
    assert life.made["status"] == "queued"
    assert life.end["status"] == "succeeded", life.end["error"]


def test_the_backend_got_every_file_as_it_is_and_in_order(stack: Stack, life: Life):
    """The session holds the four files, byte for byte; the one named by its address was fetched by the backend."""
    rows = backend(
        stack, "SELECT filename, sha, size FROM uploads WHERE session = ? ORDER BY number", _session_id(life)
    )
    label = picture("gold", "PNG")
    wanted = [*life.pictures, ("label.png", label)]
    assert [(sha, size) for _, sha, size in rows] == [
        (hashlib.sha256(data).hexdigest(), len(data)) for _, data in wanted
    ]
    for (filename, _, _), (name, _) in zip(rows, wanted, strict=True):
        assert filename.endswith(name)


def test_events_tell_the_way_through_the_pipeline(life: Life):
    """Numbers without a gap, stages in the pipeline's order, one end with nothing behind it."""
    events = life.streamed
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert [event["data"]["stage"] for event in events if event["type"] == "render.stage"] == STAGES[1:]
    assert [event["data"]["from"] for event in events if event["type"] == "render.stage"] == STAGES[:-1]
    assert [event["type"] for event in events][:2] == ["render.queued", "render.started"]
    assert [event["final"] for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1]["type"] == "render.succeeded"
    assert {(event["render_id"], event["run"]) for event in events} == {(life.id, 1)}
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    types = [event["type"] for event in events]
    assert (types.count("render.message_sent"), types.count("render.answer")) == (1, 1)
    sent, answered = types.index("render.message_sent"), types.index("render.answer")
    assert events[sent - 1]["data"]["stage"] == "generate"
    assert sent < answered < types.index("render.succeeded")


def test_stream_and_page_tell_the_same_and_resume_anywhere(http: httpx.Client, client: Client, life: Life):
    """The live stream, the stream afterwards and the JSON page agree; from any number on, both give just the rest."""
    at = f"/v1/renders/{life.id}/events"
    assert [event.to_dict() for event in client.events(life.id)] == life.streamed
    assert _streamed(http, at) == life.streamed
    for number in (0, 1, len(life.streamed) // 2, len(life.streamed) - 1):
        rest = [event for event in life.streamed if event["number"] > number]
        assert _streamed(http, at, {"Last-Event-ID": str(number)}) == rest
        assert [event.to_dict() for event in client.events(life.id, after=number)] == rest
    over = {"Accept": "text/event-stream", "Last-Event-ID": str(len(life.streamed))}
    assert http.get(at, headers=over).status_code == 204

    def shown() -> list[dict[str, Any]]:
        feed = http.get("/v1/events").json()["data"]
        return [event for event in feed if event["render_id"] == life.id]

    mine = until(lambda: len(found := shown()) == len(life.streamed) and found, what="all of it in the feed")
    # The feed says more of each: its place there, and what it is about.
    assert [
        {name: event[name] for name in told} for event, told in zip(mine, life.streamed, strict=True)
    ] == life.streamed


def _streamed(http: httpx.Client, at: str, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The whole stream, read as any EventSource would: id, event and data agree."""
    events: list[dict[str, Any]] = []
    with http.stream("GET", at, headers={"Accept": "text/event-stream", **(headers or {})}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line and name:
                fields[name] = value
            elif "data" in fields:
                event = json.loads(fields["data"])
                assert (fields["id"], fields["event"]) == (str(event["number"]), event["type"])
                events.append(event)
                fields = {}
    return events


def test_what_is_shown_only_moves_forward(life: Life):
    """Status, stage, progress and the time of the last change never go back; 1 is shown at the end only."""
    looks = life.looks
    shown = [STATUSES.index(look["status"]) for look in looks]
    assert shown == sorted(shown)
    assert STATUSES.index("running") in shown
    stages = [STAGES.index(look["stage"]) for look in looks]
    assert stages == sorted(stages)
    assert len(set(stages)) >= 3, "the looks were too few to tell"
    progress = [look["progress"] for look in looks]
    assert progress == sorted(progress)
    assert len(set(progress)) >= 5
    for look in looks:
        running = look["status"] != "succeeded"
        assert (look["progress"] < 1, look["finished_at"] is None, look["result"] is None) == (running,) * 3
    for times in ("updated_at", "created_at"):
        assert [look[times] for look in looks] == sorted(look[times] for look in looks)
    end = life.end
    assert end["created_at"] <= end["started_at"] <= end["finished_at"] <= end["updated_at"]


def test_every_attempt_names_its_worker(stack: Stack, life: Life):
    """Each stage was worked on by a worker of its kind, in order, and has its outcome; none overlaps the next."""
    attempts = life.end["attempts"]
    stages = list(dict.fromkeys(attempt["stage"] for attempt in attempts))
    assert stages == STAGES
    outcomes: dict[str, list[str]] = {}
    for attempt in attempts:
        kind = {"generate": "stream", "store": "media"}.get(attempt["stage"], "io")
        worker, pid, _ = attempt["worker"].split("-")
        assert worker == kind
        if kind != "media":  # a pool of processes below its main one
            assert int(pid) == stack.running[kind].pid
        assert attempt["ended_at"] >= attempt["started_at"]
        assert attempt["error_code"] is None
        outcomes.setdefault(attempt["stage"], []).append(attempt["outcome"])
    for before, after in itertools.pairwise(attempts):
        assert before["ended_at"] <= after["started_at"]
    for stage, found in outcomes.items():
        *waits, last = found
        assert set(waits) <= {"snooze"}
        assert last == ("done" if stage == "store" else "advance")
    assert "snooze" in outcomes["verify"], "a draft is read twice at least before it counts as settled"


def test_remote_ids_lead_to_the_work_at_the_backend(stack: Stack, life: Life):
    """Task, session and export are the backend's own; the link hands the session over without a bearer token."""
    remote = life.end["remote"]
    ((task_id, language),) = backend(stack, "SELECT task_id, language FROM sessions WHERE id = ?", _session_id(life))
    assert (remote["task_id"], language) == (task_id, "en")
    ((session, status),) = backend(stack, "SELECT session, status FROM exports WHERE id = ?", remote["export_id"])
    assert (session, status) == (_session_id(life), "completed")
    assert re.fullmatch(r"https://nemovideo\.com/workspace/claim\?ct=clm_[\w-]+", remote["link"])


def _session_id(life: Life) -> str:
    return life.end["remote"]["session_id"]


def test_it_was_said_once_and_paid_once(stack: Stack, life: Life):
    """One message, the prompt as it is, carried out and charged once; the render says so."""
    rows = backend(stack, "SELECT text, executed, charged FROM messages WHERE session = ?", _session_id(life))
    assert rows == [(PROMPT, 1, 100)]
    assert life.end["charge"] == {"state": "incurred", "credits": 100}
    assert stack.ledger()["violations"] == []


def test_the_answer_is_for_somebody_without_an_editor(life: Life):
    """What the backend said of buttons, panels and dragging is gone; what it said of the video is there."""
    answer = life.end["answer"]
    assert "Red Kettle" in answer
    for word in ("click", "button", "panel", "drag", "drop", "preview", "settings"):
        assert word not in answer.lower()
    (event,) = [event for event in life.streamed if event["type"] == "render.answer"]
    assert event["data"]["answer"] == answer


def test_the_timeline_is_one_line_of_the_drafts_tracks(stack: Stack, http: httpx.Client, life: Life):
    """Every track of the backend's draft with its kind, first name and time in seconds, on one line."""
    ((text,),) = backend(stack, "SELECT draft FROM exports WHERE id = ?", life.end["remote"]["export_id"])
    tracks = json.loads(text)["t"]
    line = life.end["timeline"]
    assert "\n" not in line
    assert line.startswith(f"Timeline ({len(tracks)} tracks): 1. Video: ")
    labels = {0: "Video", 1: "BGM", 7: "Title"}
    for number, track in enumerate(tracks, 1):
        assert f"{number}. {labels[track['tt']]}: " in line
    assert re.search(r"\d\. BGM: [^()]+ \(0-6s, 35%\)", line)
    assert re.search(r'\d\. Title: "Red Kettle" \(0-3s\)', line)
    assert http.get(life.end["links"]["timeline"], params={"format": "text"}).text == f"{line}\n"
    data = http.get(life.end["links"]["timeline"]).json()
    assert (data["summary"], data["duration"], len(data["tracks"])) == (line, 6, len(tracks))


def test_the_video_is_the_backends_byte_for_byte(stack: Stack, client: Client, life: Life, tmp_path: Path):
    """SHA-256, size and every byte are those of the backend's own file; its facts are what a player would say."""
    ((path,),) = backend(stack, "SELECT path FROM exports WHERE id = ?", life.end["remote"]["export_id"])
    theirs = Path(path).read_bytes()
    result = life.end["result"]
    assert (result["bytes"], result["sha256"]) == (len(theirs), hashlib.sha256(theirs).hexdigest())
    ours = client.download_video(life.id, tmp_path / "kettle.mp4")
    assert ours.read_bytes() == theirs
    facts = probe(ours)
    assert (result["width"], result["height"], result["codec"]) == (facts.width, facts.height, facts.video_codec)
    assert (facts.video_codec, facts.container) == ("h264", "mp4")
    assert result["duration"] == pytest.approx(facts.duration_seconds, abs=0.01)
    assert result["duration"] == pytest.approx(6, abs=0.3)
    assert result["width"] / result["height"] == pytest.approx(9 / 16, abs=0.01)


def test_a_player_may_seek(http: httpx.Client, life: Life):
    """Ranges put together are the file; one behind its end is 416; what is already there is not sent again."""
    at, size = life.end["result"]["url"], life.end["result"]["bytes"]
    cuts = [0, 1, size // 3, size - 7, size]
    pieces = [http.get(at, headers={"Range": f"bytes={start}-{end - 1}"}) for start, end in itertools.pairwise(cuts)]
    assert {piece.status_code for piece in pieces} == {206}
    whole = b"".join(piece.content for piece in pieces)
    assert hashlib.sha256(whole).hexdigest() == life.end["result"]["sha256"]
    assert pieces[1].headers["content-range"] == f"bytes 1-{size // 3 - 1}/{size}"
    assert http.get(at, headers={"Range": "bytes=-7"}).content == whole[-7:]
    assert http.get(at, headers={"Range": f"bytes={size}-"}).status_code == 416
    head = http.head(at)
    assert (head.headers["content-length"], head.headers["content-type"]) == (str(size), "video/mp4")
    assert http.get(at, headers={"If-None-Match": head.headers["etag"]}).status_code == 304


def test_the_poster_is_a_jpeg_of_the_videos_shape(http: httpx.Client, life: Life):
    """A picture that decodes, as wide for its height as the video."""
    answer = http.get(life.end["result"]["poster"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(answer.content)) as poster:
        poster.load()
        assert poster.format == "JPEG"
        result = life.end["result"]
        assert poster.width / poster.height == pytest.approx(result["width"] / result["height"], abs=0.02)


def test_no_secret_is_in_any_answer(stack: Stack, http: httpx.Client, life: Life):
    """No token the backend ever gave, no signed address, no place in storage, no key: in no JSON of the render."""
    tokens = [row[0] for row in backend(stack, "SELECT token FROM tokens")]
    keys = [row[0] for row in backend(stack, "SELECT key FROM exports")]
    assert tokens
    assert keys
    links = life.end["links"]
    shown = [links[name] for name in links if name not in ("video", "poster", "edits")]
    paths = [*shown, "/v1/renders", "/v1/events", "/v1/credits", "/v1/recoveries"]
    answers = [http.get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    seen = json.dumps([life.made, life.looks, life.streamed, life.uploads])
    said = "\n".join([seen, *(answer.text for answer in answers)])
    for secret in (*tokens, *keys, "nmv_", "Signature=", "Expires=", "storage_key", "Bearer ", *_configured(stack)):
        assert secret not in said


def _configured(stack: Stack) -> list[str]:
    return [stack.environment["VIVIDEO_API_KEY"], stack.environment["VIVIDEO_SECRET_KEY"]]


def test_to_another_owner_it_does_not_exist(http: httpx.Client, stranger: httpx.Client, life: Life):
    """Each address that the API documents for a render answers 404, as for an id that never was; lists are empty."""
    never = f"rnd_{'0' * 26}"
    calls = [
        (method.upper(), path)
        for path, methods in http.get("/openapi.json").json()["paths"].items()
        if path.startswith("/v1/renders/{id}")
        for method in methods
    ]
    assert {path.removeprefix("/v1/renders/{id}") for _, path in calls} >= {
        "",
        "/events",
        "/cancel",
        "/video",
        "/poster",
        "/timeline",
    }
    calls += [("HEAD", "/v1/renders/{id}/video"), ("HEAD", "/v1/renders/{id}/poster")]
    for method, path in calls:
        for headers in ({}, {"Accept": "text/event-stream"}):
            change = {"json": {"priority": "low"}} if method == "PATCH" else {}
            if path.endswith("/edits"):
                change = {"json": {"prompt": "faster"}}
            answers = [
                stranger.request(method, path.replace("{id}", id), headers=headers, **change) for id in (life.id, never)
            ]
            assert [answer.status_code for answer in answers] == [404, 404], (method, path)
            if method != "HEAD":
                theirs, nobodys = (answer.json() for answer in answers)
                assert theirs["code"] == nobodys["code"] == "render.unknown"
                assert theirs["detail"].replace(life.id, never) == nobodys["detail"]
    for path in ("/v1/renders", "/v1/events", "/v1/recoveries"):
        assert stranger.get(path).json()["data"] == []
    stolen = stranger.post("/v1/renders", json={"prompt": "a kite", "assets": [{"upload": life.uploads[0]["id"]}]})
    assert (stolen.status_code, stolen.json()["code"]) == (422, "upload.unknown")
    assert http.get(f"/v1/renders/{life.id}").json()["status"] == "succeeded"


def test_a_repeated_key_leads_to_the_one_render_that_is_paid_once(
    stack: Stack, http: httpx.Client, client: Client, life: Life
):
    """Eight calls at once and one after the end make one render; another body with the key is refused."""
    words = f"A 2 second clip of a red kite, {uuid.uuid4().hex}."
    body, headers = {"prompt": words, "tags": ["once"]}, {"Idempotency-Key": uuid.uuid4().hex}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: _settled(http, body, headers), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    (render_id,) = {answer.json()["id"] for answer in answers}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert client.wait(render_id, timeout=60).status == "succeeded"
    again = http.post("/v1/renders", json=body, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    assert (again.json()["id"], again.json()["status"]) == (render_id, "succeeded")
    other = http.post("/v1/renders", json=body | {"tags": ["twice"]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    assert [row.id for row in client.renders(tag="once").data] == [render_id]
    assert backend(stack, "SELECT sum(executed), count(*) FROM messages WHERE text = ?", words) == [(1, 1)]


def _settled(http: httpx.Client, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    """The answer once no other call with the key is under way."""
    while (answer := http.post("/v1/renders", json=body, headers=headers)).status_code == 409:
        assert (answer.json()["code"], answer.headers["retry-after"]) == ("idempotency.in_flight", "1")
    return answer


def test_a_vague_prompt_gets_a_hint_and_its_video(client: Client, life: Life, others: dict[str, dict[str, Any]]):
    """Advice on what to say next time, which stops nothing; a prompt that says enough gets none."""
    vague = others[VAGUE]
    assert [hint["code"] for hint in vague["hints"]] == ["prompt.vague"]
    assert "30-second" in vague["hints"][0]["message"]
    assert (vague["status"], others[CHINESE]["hints"]) == ("succeeded", [])
    assert [hint["code"] for hint in life.end["hints"]] == ["asset.format"]


def test_a_chinese_prompt_makes_a_chinese_session(stack: Stack, others: dict[str, dict[str, Any]]):
    """The language is found by itself and reaches the session's creation; the answer comes back in it."""
    render = others[CHINESE]
    assert (render["language"], render["status"]) == ("zh", "succeeded")
    session_id = render["remote"]["session_id"]
    (session,) = [one for one in stack.ledger()["sessions"] if one["id"] == session_id]
    assert session["language"] == "zh"
    assert "视频" in render["answer"]


def test_an_unknown_key_and_none_are_told_apart_from_an_unknown_render(api: str, life: Life):
    """401 before anything is looked up, whatever the id."""
    with Client(api, "vv_nobody") as nobody, pytest.raises(ApiError) as refused:
        nobody.render(life.id)
    assert (refused.value.status, refused.value.code) == (401, "auth.invalid")
    assert httpx.get(f"{api}/v1/renders/{life.id}").json()["code"] == "auth.missing"

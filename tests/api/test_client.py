"""The Python client against the running intake, over connections that break."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from api.client import (
    Client,
    ClientError,
    Conflict,
    Damaged,
    Invalid,
    NotAuthorised,
    NotFound,
    StillRunning,
    TooLarge,
    Unreachable,
    Unusable,
)
from tests.api import working
from tests.api.service import FIRST_KEY, Service
from tests.api.wire import relay
from worker.renders import leases
from worker.renders.events import EventType, NewEvent
from worker.renders.states import Status

VIDEO = random.Random(11).randbytes(900_001)
FAILED = {"error_code": "generation.no_draft", "error_message": "No video came.", "error_help": "Say more."}


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[Client]:
    """The first owner's."""
    with service.client as made:
        yield made


def _finished(service: Service, render_id: str, status: Status = Status.SUCCEEDED, video: bytes = VIDEO) -> None:
    if status is Status.FAILED:
        return working.failed(service, render_id, **FAILED)
    return working.delivered(service, render_id, video, recorded=VIDEO)


def test_a_render_from_the_request_to_its_deletion(service: Service, client: Client, tmp_path: Path) -> None:
    """Every call of a render's life, each answer in its model and back as the JSON that was sent."""
    Image.new("RGB", (32, 32)).save(tmp_path / "kite.png")
    upload = client.upload(tmp_path / "kite.png")
    assert (upload.name, client.upload_facts(upload.id)) == ("kite.png", upload)
    fields: Any = {"assets": [upload, "https://a.example/2.jpg"], "tags": ["life"], "metadata": {"n": (1, 2)}}
    rehearsed = client.dry_run("a kite over the sea for 10 seconds", **fields)
    assert (rehearsed.valid, rehearsed.render.language, rehearsed.estimate.credits) == (True, "en", 100)
    made = client.create_render("a kite over the sea for 10 seconds", **fields, external_ref="life-1", revision=2)
    with pytest.raises(Conflict) as older:
        client.create_render("a kite", external_ref="life-1", revision=1)
    assert (made.revision, older.value.code) == (2, "render.stale_revision")
    assert [asset.upload or asset.url for asset in made.assets] == [upload.id, "https://a.example/2.jpg"]
    assert made.to_dict() == service.first.get(f"/v1/renders/{made.id}").json()
    changed = client.update(made.id, priority="high", metadata={"n": 3}, if_match=client.render(made.id).etag)
    assert (changed.priority, changed.metadata) == ("high", {"n": 3})
    with pytest.raises(Conflict) as stale:
        client.update(made.id, priority="low", if_match=made.etag)
    assert stale.value.code == "render.changed"
    _finished(service, made.id, Status.FAILED)
    with pytest.raises(Conflict) as in_use:
        client.delete_upload(upload.id)
    assert in_use.value.code == "upload.in_use"
    again = client.retry(made.id, idempotency_key="life-1-again")
    assert (again.run, again.runs[0].error and again.runs[0].error.code) == (2, "generation.no_draft")
    assert client.retry(made.id, idempotency_key="life-1-again").run == 2
    assert client.cancel(made.id).cancel_effect == "prevented"
    assert client.wait(made.id, timeout=5).final
    client.delete(made.id)
    with pytest.raises(NotFound):
        client.render(made.id)


def test_what_a_caller_may_ask_beside_renders(service: Service, client: Client) -> None:
    """Balances, accounts, usage, the key, takeovers and the feed come in their models."""
    render_id = client.create_render("a kite").id
    _finished(service, render_id)
    assert client.credits().to_dict() == service.first.get("/v1/credits").json()
    assert {account.id for account in client.accounts()} == {one.id for one in client.credits().accounts}
    now = datetime.now(UTC)
    (total,) = client.usage(after=now - timedelta(hours=1), before=now + timedelta(minutes=1))
    assert (total.succeeded >= 1, total.video_seconds >= 2.5) == (True, True)
    assert [day.since.date() for day in client.usage(by="day")]
    key = client.key()
    assert (key.prefix, key.scopes) == (FIRST_KEY[: len(key.prefix)], [])
    assert client.recoveries(limit=1).data == []
    service.readable()
    feed = client.feed()
    assert render_id in {event.render_id for event in feed.data}
    assert client.feed(after=feed.next_cursor).data == []


def test_lists_go_over_all_pages(service: Service, client: Client) -> None:
    """`iter_renders` gives each render once, newest first, and the filters narrow it."""
    ids = [client.create_render("a kite", tags=["pages"], external_ref=f"p{n % 2}").id for n in range(5)]
    first = client.renders(tag="pages", limit=2)
    assert [one.id for one in first.data] == ids[:2:-1]
    assert [one.id for one in client.renders(tag="pages", limit=2, cursor=first.next_cursor).data] == ids[2:0:-1]
    assert [one.id for one in client.iter_renders(tag="pages")] == ids[::-1]
    assert [one.id for one in client.iter_renders(tag="pages", external_ref="p1")] == [ids[3], ids[1]]
    assert {one.id for one in client.iter_renders(ids=ids[:2], status=["queued", "failed"])} == set(ids[:2])
    assert list(client.iter_renders(tag="pages", created_before=datetime.now() - timedelta(days=1))) == []  # noqa: DTZ005


def test_a_lost_answer_makes_nothing_twice(service: Service) -> None:
    """The service took the render on, its answer was cut: the call repeats itself and finds that one render."""
    with relay(service.url, [0, 20]) as cut, Client(cut.url, FIRST_KEY) as client:
        made = client.create_render("a kite", external_ref="lost")
        assert len(cut.asked) == 3
        assert len({_header(one, b"idempotency-key") for one in cut.asked}) == 1
        assert [one.id for one in client.renders(external_ref="lost").data] == [made.id]


def test_a_lost_answer_to_a_deletion_is_no_failure(service: Service, client: Client) -> None:
    """What the first try deleted is deleted; a render that never was is still refused."""
    render_id = client.create_render("a kite").id
    client.cancel(render_id)
    with relay(service.url, [0]) as cut, Client(cut.url, FIRST_KEY) as cutting:
        cutting.delete(render_id)
        assert len(cut.asked) == 2
        with pytest.raises(NotFound):
            cutting.delete(render_id)


def test_a_key_of_your_own_outlives_the_program(service: Service, client: Client) -> None:
    """Another client with the same key gets the same render; with another request it is refused."""
    made = client.create_render("a kite", idempotency_key="shop-7-rev-2")
    with service.client as later:
        assert later.create_render("a kite", idempotency_key="shop-7-rev-2").id == made.id
        with pytest.raises(Invalid) as other:
            later.create_render("another kite", idempotency_key="shop-7-rev-2")
    assert other.value.code == "idempotency.mismatch"


def test_waiting_ends_with_the_render(service: Service, client: Client) -> None:
    """`wait` and `create_render(wait=…)` answer when it is final; in time, or StillRunning."""
    render_id = client.create_render("a kite").id
    with pytest.raises(StillRunning) as running:
        client.wait(render_id, timeout=0.3)
    assert str(running.value) == f"{render_id} is not finished after 0.3 s; it goes on"
    ending = threading.Timer(0.5, _finished, (service, render_id))
    ending.start()
    began = datetime.now(UTC)
    assert client.wait(render_id, timeout=20).status == "succeeded"
    ending.join()
    assert datetime.now(UTC) - began < timedelta(seconds=5)
    assert client.create_render("a kite", wait=1).status == "queued"


def test_events_go_on_after_a_cut(service: Service, client: Client) -> None:
    """A stream that is cut in the middle of an event gives each event once, also over the end of a first run."""
    render_id = client.create_render("a kite").id
    held = service.write(lambda session: working.claimed(session, render_id))
    said = "a line\u2028and\u0085another"
    service.write(lambda session: working.happened(session, held, *[EventType.PROGRESS] * 4))
    answer = NewEvent(EventType.ANSWER, {"answer": said})
    service.write(lambda session: leases.write(session, held, {}, [answer]))
    service.write(lambda session: working.finished(session, held, Status.FAILED, **FAILED))
    client.retry(render_id)
    client.cancel(render_id)
    whole = client.events(render_id)
    assert [event.final for event in whole].count(True) == 2
    assert said in [event.data.get("answer") for event in whole], "the stream holds these raw"
    with relay(service.url, [700, 1100, 40]) as cut, Client(cut.url, FIRST_KEY) as cutting:
        assert list(cutting.iter_events(render_id)) == whole
        assert len(cut.asked) >= 4
    assert list(client.iter_events(render_id, after=whole[-2].number)) == whole[-1:]


def test_a_cut_download_goes_on_where_it_stopped(service: Service, client: Client, tmp_path: Path) -> None:
    """Three cuts: the rest is asked for by its range, and the file is the video, byte for byte."""
    render_id = client.create_render("a kite").id
    _finished(service, render_id)
    told: list[int] = []
    with relay(service.url, [300_000, 0, 400_000]) as cut, Client(cut.url, FIRST_KEY) as cutting:
        path = cutting.download_video(render_id, tmp_path / "kite.mp4", lambda done, _: told.append(done))
        ranges = [_header(one, b"range") for one in cut.asked]
    assert path.read_bytes() == VIDEO
    assert told == sorted(told), "it never began anew"
    assert [one.startswith(b"range: bytes=") for one in ranges] == [False, True, True, True]
    assert [file.name for file in tmp_path.iterdir()] == ["kite.mp4"]


def test_a_damaged_video_is_fetched_once_more_and_then_refused(
    service: Service, client: Client, tmp_path: Path
) -> None:
    """The bytes in storage are not the result's: Damaged, and nothing is left under the name."""
    render_id = client.create_render("a kite").id
    _finished(service, render_id, video=VIDEO[:-1] + b"?")
    with pytest.raises(Damaged):
        client.download_video(render_id, tmp_path / "kite.mp4")
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_sent_are_refused_here(client: Client, tmp_path: Path) -> None:
    """Too large, a directory, not there: nothing is sent, and the reason is the system's or ours."""
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(200_000_001)
    with pytest.raises(TooLarge, match="200,000,001 bytes"):
        client.upload(tmp_path / "large.mp4")
    with pytest.raises(IsADirectoryError):
        client.upload(tmp_path)
    with pytest.raises(FileNotFoundError):
        client.upload(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError):
        client.download_video("rnd_" + "0" * 26, tmp_path)


def test_errors_are_a_tree(service: Service, client: Client) -> None:
    """Each refusal has its class, code, words and remedy; what cannot be sent is refused before."""
    with pytest.raises(Invalid) as invalid:
        client.create_render(" ")
    assert (invalid.value.status, invalid.value.errors[0]["pointer"]) == (422, "/prompt")
    assert invalid.value.help
    assert invalid.value.request_id
    with pytest.raises(Invalid):
        client.create_render("\ud800")
    with Client(service.url, "vv_nobody") as nobody, pytest.raises(NotAuthorised) as unknown:
        nobody.credits()
    assert unknown.value.code == "auth.invalid"
    with (
        Client("http://127.0.0.1:1", FIRST_KEY, patience=0) as none,
        pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"),
    ):
        none.credits()
    for odd in ({"metadata": {"x": object()}}, {"idempotency_key": "schlüssel"}, {"idempotency_key": "a\nb"}):
        with pytest.raises(Unusable):
            client.create_render("a kite", **odd)  # pyright: ignore[reportArgumentType]
    for address, key in (("localhost:8000", "vv_1"), ("", "vv_1"), (service.url, ""), (service.url, "vv_ü\n")):
        with pytest.raises(Unusable) as unusable:
            Client(address, key)
        assert isinstance(unusable.value, ClientError | ValueError)


def test_one_client_serves_many_threads(service: Service, client: Client) -> None:
    """Thirty-two threads create, wait and list through one client; each gets its own render."""

    def work(number: int) -> tuple[str, str]:
        made = client.create_render("a kite", external_ref=f"thread-{number}", wait=1)
        (found,) = client.renders(external_ref=f"thread-{number}").data
        return made.id, found.id

    with ThreadPoolExecutor(32) as pool:
        pairs = list(pool.map(work, range(32)))
    assert all(made == found for made, found in pairs)
    assert len({made for made, _ in pairs}) == 32


def _header(asked: bytes, name: bytes) -> bytes:
    lines = asked.lower().split(b"\r\n")
    return next((line for line in lines if line.startswith(name + b":")), b"")

"""What the client makes of answers that a healthy service seldom gives, from a server that gives just those."""

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from api.client import (
    ApiError,
    Client,
    Conflict,
    Invalid,
    NotTheService,
    RateLimited,
    ServerFault,
    Unreachable,
)
from tests.api.wire import Told, answering, problem

NOW = "2027-01-31T09:00:00Z"
RENDER: dict[str, Any] = {
    "id": "rnd_1",
    "run": 1,
    "status": "queued",
    "stage": "token",
    "progress": 0.0,
    "prompt": "a kite",
    "language": "en",
    "priority": "normal",
    "on_unconfirmed": "fail",
    "charge": {"state": "none", "credits": None},
    "created_at": NOW,
    "updated_at": NOW,
}


def _json(value: Any, status: int = 200, **headers: str) -> Told:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Told(status, json.dumps(value).encode(), {"Content-Type": "application/json", **named})


RENDERED = _json(RENDER, 202)


@pytest.mark.parametrize(
    "refusal",
    [
        problem(503, "database.unavailable", Retry_After="0"),
        problem(500, "internal"),
        problem(429, "rate.limited", Retry_After="0"),
        problem(409, "idempotency.in_flight", Retry_After="0"),
        Told(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
    ],
)
def test_a_post_is_repeated_under_one_key(refusal: Told) -> None:
    """5xx, 429 and "under way" are tried again with the same key and body, and the caller sees only the end."""
    with answering(refusal, refusal, RENDERED) as (url, asked), Client(url, "vv_1") as client:
        assert client.create_render("a kite").id == "rnd_1"
    assert len(asked) == 3
    assert len({(one.method, one.path, one.body, one.headers["idempotency-key"]) for one in asked}) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 412, 413, 415, 422])
def test_what_is_refused_is_not_asked_again(status: int) -> None:
    """Any other 4xx is raised after one call, with all that the problem says."""
    with answering(problem(status, "x.y")) as (url, asked), Client(url, "vv_1") as client:
        with pytest.raises(ApiError) as refused:
            client.create_render("a kite")
        assert len(asked) == 1
    problem_ = refused.value
    assert (problem_.status, problem_.code, problem_.message, problem_.help) == (status, "x.y", "Not so.", "Do.")
    assert not problem_.transient


def test_patch_delete_and_get_are_repeated_too() -> None:
    """They are idempotent by themselves: repeated without a key."""
    away = problem(503, "database.unavailable")
    with answering(away, RENDERED, away, RENDERED) as (url, asked), Client(url, "vv_1") as client:
        client.update("rnd_1", priority="low")
        client.render("rnd_1")
    assert [one.method for one in asked] == ["PATCH", "PATCH", "GET", "GET"]
    assert not any("idempotency-key" in one.headers for one in asked)


def test_retry_after_is_kept() -> None:
    """As seconds and as a date: the next try does not come before."""
    for form in (lambda: "1", lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)):
        limited = problem(429, "rate.limited", Retry_After=form())
        with answering(limited, RENDERED) as (url, asked), Client(url, "vv_1") as client:
            began = time.monotonic()
            client.render("rnd_1")
            assert time.monotonic() - began >= 0.9
            assert len(asked) == 2


def test_a_wait_beyond_the_patience_is_raised_at_once() -> None:
    """A day's credits are spent: the caller hears it now, with the seconds, and not after a minute."""
    with answering(problem(429, "limit.credits", Retry_After="40000")) as (url, asked), Client(url, "vv_1") as client:
        began = time.monotonic()
        with pytest.raises(RateLimited) as limited:
            client.create_render("a kite")
        assert time.monotonic() - began < 2
    assert (limited.value.code, limited.value.retry_after, len(asked)) == ("limit.credits", 40000, 1)


def test_the_patience_ends() -> None:
    """A service that stays broken is asked again for as long as was said, then its answer is raised."""
    with answering(problem(503, "storage.unavailable")) as (url, asked), Client(url, "vv_1", patience=0.8) as client:
        began = time.monotonic()
        with pytest.raises(ServerFault) as fault:
            client.credits()
        assert time.monotonic() - began < 2
    assert fault.value.code == "storage.unavailable"
    assert len(asked) > 1


def test_something_else_at_the_address_is_told_apart() -> None:
    """A page instead of JSON, JSON of another shape, and a redirect to another address."""
    for told in (Told(200, b"<html>hello</html>"), _json({"message": "welcome"})):
        with answering(told) as (url, _), Client(url, "vv_1") as client, pytest.raises(NotTheService, match=url):
            client.credits()
    moved = Told(301, b"", {"Location": "https://elsewhere.example/v1/credits"})
    with answering(moved) as (url, _), Client(url, "vv_1") as client, pytest.raises(ApiError) as redirect:
        client.credits()
    assert "https://elsewhere.example" in redirect.value.help


def test_fields_of_a_newer_service_are_kept() -> None:
    """What the models do not know is on them, and in `to_dict`, which is what was sent and nothing more."""
    newer = RENDER | {"mood": {"tempo": 3}, "charge": {"state": "none", "credits": None, "currency": "c"}}
    with answering(_json(newer, ETag='W/"7"')) as (url, _), Client(url, "vv_1") as client:
        render = client.render("rnd_1")
    assert render.to_dict() == newer
    assert (render.model_extra, render.runs, render.etag) == ({"mood": {"tempo": 3}}, [], 'W/"7"')


def test_waiting_works_without_long_polling() -> None:
    """Where nothing on the way honours `Prefer: wait`, the render is asked for again and again, with pauses."""
    final = _json(RENDER | {"status": "failed"})
    with answering(_json(RENDER), _json(RENDER), _json(RENDER), final) as (url, asked), Client(url, "vv_1") as client:
        began = time.monotonic()
        assert client.wait("rnd_1").status == "failed"
        assert time.monotonic() - began > 0.5
    assert [one.headers["prefer"] for one in asked] == ["wait=30"] * 4


def test_a_stream_that_never_says_anything_is_given_up() -> None:
    """Each connection ends without an event: after the patience the service counts as away."""
    empty = Told(200, b": hello\n\n", {"Content-Type": "text/event-stream", "Connection": "close"})
    with answering(empty) as (url, asked), Client(url, "vv_1", patience=0.5) as client:
        events = client.iter_events("rnd_1", after=3)
        with pytest.raises(Unreachable, match="ended early"):
            next(events)
    assert len(asked) > 1
    assert {one.headers["last-event-id"] for one in asked} == {"3"}


def _stream(*events: tuple[int, int, bool]) -> Told:
    """Server-sent events: run, number, whether it ends the run."""
    names = ("run", "number", "final")
    told = [{**dict(zip(names, event, strict=True)), "render_id": "rnd_1", "type": "x", "at": NOW} for event in events]
    body = "".join(f"id: {one['number']}\r\ndata: {json.dumps(one)}\r\n\r\n" for one in told)
    return Told(200, body.encode(), {"Content-Type": "text/event-stream", "Connection": "close"})


def test_a_stream_goes_on_into_the_next_run() -> None:
    """The connection ends behind a run's last event: only the service knows whether another run has begun."""
    runs = (_stream((1, 1, False), (1, 2, True)), _stream((2, 3, False), (2, 4, True)), Told(204))
    with answering(*runs) as (url, asked), Client(url, "vv_1") as client:
        assert [(event.run, event.number) for event in client.iter_events("rnd_1")] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert [one.headers["last-event-id"] for one in asked] == ["0", "2", "4"]


def test_signed_addresses_are_followed_without_the_key(tmp_path: Path) -> None:
    """The video lies with another server: it is fetched there, which never sees the API key."""
    video = b"a video" * 1000
    result = {"url": "/v1/x", "sha256": hashlib.sha256(video).hexdigest(), "bytes": len(video), "codec": "h264"}
    render = _json(RENDER | {"status": "succeeded", "result": result | {"duration": 1, "width": 2, "height": 2}})
    with answering(Told(200, video)) as (storage, fetched):
        away = Told(302, b"", {"Location": f"{storage}/signed?Signature=1"})
        with answering(render, away) as (url, _), Client(url, "vv_1") as client:
            assert client.download_video("rnd_1", tmp_path / "a.mp4").read_bytes() == video
            assert client.video_address("rnd_1") == f"{storage}/signed?Signature=1"
    assert [(one.path, "authorization" in one.headers) for one in fetched] == [("/signed?Signature=1", False)]


def test_refusals_have_their_classes() -> None:
    """A program can tell them apart without comparing numbers."""
    for status, kind in ((409, Conflict), (412, Conflict), (422, Invalid), (413, Invalid)):
        with answering(problem(status, "x")) as (url, _), Client(url, "vv_1") as client, pytest.raises(kind):
            client.credits()

"""Scenarios of many renders at once. What has to hold of a batch afterwards is in `many.py`."""

import json
from collections.abc import Sequence
from typing import Any

import httpx

from tests.chaos.points.many import Expected
from tests.chaos.points.plays import Play, rows
from tests.chaos.points.registry import Scenarios

SCENARIOS = Scenarios()
scenario = SCENARIOS.add

CHUNK = 1_000
"""Rows that the intake takes in one transaction (`api.batches.checking.CHUNK_ROWS`)."""
_BAD: dict[str, Any] = {"prompt": ""}


def _items(play: Play, count: int, directives: str = "", **fields: Any) -> list[dict[str, Any]]:
    """Rows that become renders."""
    return [
        {
            "prompt": f"A 1 second clip, {play.name}, row {number}. {directives}".strip(),
            "external_ref": f"{play.name} row {number}",
            **fields,
        }
        for number in range(1, count + 1)
    ]


def _taken_on(
    play: Play, items: Sequence[dict[str, Any]], *, of_a_file: bool = False, ends: Sequence[str] = (), **options: Any
) -> str:
    """A batch that was answered with 202, the same key with each repetition; its address."""
    answer = _sent(play, items, of_a_file=of_a_file, name=play.name, **options)
    assert answer.status_code == 202, answer.text
    refs = [one["external_ref"] for one in items if "external_ref" in one]
    play.expect(Expected(answer.json()["id"], play.name, refs, (*ends, "succeeded")))
    return answer.json()["links"]["self"]


def _sent(play: Play, items: Sequence[dict[str, Any]], *, of_a_file: bool, **options: Any) -> httpx.Response:
    headers = play.once("batch")
    if not of_a_file:
        return play.ground.ask("POST", "/v1/batches", json={"items": list(items), **options}, headers=headers)
    lines = "".join(f"{json.dumps(one)}\n" for one in items).encode()
    headers["Content-Type"] = "application/x-ndjson"
    return play.ground.ask("POST", "/v1/batches", params=options, content=lines, headers=headers)


def _asked(play: Play, at: str, what: str) -> None:
    answer = play.ground.ask("POST", f"{at}/{what}")
    assert answer.status_code in (200, 202), answer.text


@scenario
def batch_of_a_file(play: Play) -> None:
    """A file of two chunks, most of its rows no good: tried, taken on, paused, resumed, changed, approved, reported."""
    items = [*_items(play, 2), *[_BAD] * CHUNK, *_items(play, 3)[2:]]
    ground = play.ground
    tried = ground.ask("POST", "/v1/batches?dry_run=true", json={"items": items[:3]})
    assert tried.json()["total"] == 2, tried.text
    at = _taken_on(play, items, of_a_file=True, first=1)
    for what in ("pause", "resume"):
        _asked(play, at, what)
    assert ground.ask("PATCH", at, json={"priority": "high", "name": play.name}).status_code == 200
    _asked(play, at, "approve")
    pages = ("/items", "/problems", "/problems?format=csv", "/manifest", "/manifest?format=csv")
    for page in ("/v1/batches", at, *(f"{at}{page}" for page in pages)):
        assert ground.ask("GET", page).status_code == 200
    play.settled()
    told = [json.loads(line) for line in ground.ask("GET", f"{at}/manifest").text.splitlines()]
    assert [one["status"] for one in told] == ["succeeded"] * 3
    assert len(ground.ask("GET", f"{at}/problems?format=csv").text.splitlines()) > CHUNK


@scenario
def batch_called_off(play: Play) -> None:
    """Called off with one render under way and two that wait for an approval."""
    at = _taken_on(play, _items(play, 3), ends=("canceled",), first=1)
    _asked(play, at, "cancel")
    play.settled()


@scenario
def batch_refused(play: Play) -> None:
    """Not one row of it is any good: it is thrown away again."""
    answer = _sent(play, [_BAD] * 3, of_a_file=False, name=play.name)
    assert answer.json()["code"] == "batch.empty", answer.text
    assert not rows("SELECT 1 FROM batches WHERE name = :name AND state <> 'receiving'", name=play.name)


@scenario
def batch_begun_anew(play: Play) -> None:
    """So many renders are late that beginning them anew takes two transactions."""
    with play.still("dispatcher"):
        at = _taken_on(play, _items(play, 60, deadline_seconds=1), ends=("expired", "canceled"))
        late = "SELECT 1 FROM renders JOIN batches ON batches.id = batch_id WHERE name = :name AND deadline_at > now()"
        play.until(lambda: not rows(late, name=play.name), "the deadline")
    play.settled()
    answer = play.ground.ask("POST", f"{at}/retry-failed", json={}, headers=play.once("anew"))
    assert answer.status_code == 200, answer.text
    play.settled()

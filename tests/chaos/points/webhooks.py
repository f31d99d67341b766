"""Webhooks: whoever dies of making them, telling of them or trying them, each arrives, under its one id."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.points.plays import Play
from tests.chaos.points.registry import Scenarios
from tests.chaos.points.sql import rows, sql
from tests.media.servers import Said, answer, serving

SCENARIOS = Scenarios()
scenario = SCENARIOS.add

_AT = "/v1/webhook-endpoints"
_ALL = "SELECT id, subject, type, final, state FROM webhook_deliveries WHERE endpoint_id = :endpoint"
_LEFT = f"{_ALL} AND state = 'pending'"
_TAKEN = f"{_ALL} AND state = 'delivered'"
_BEGUN_ALONE = (
    "UPDATE webhook_redeliveries SET finished_at = NULL, step = 'known', after = 0 WHERE endpoint_id = :endpoint"
)
"""As where there is more than its call does: the dispatcher goes on with it."""
_UNFINISHED = "SELECT id FROM webhook_redeliveries WHERE endpoint_id = :endpoint AND finished_at IS NULL"
_EVENTS = "SELECT render_id, type FROM events WHERE render_id = ANY(:renders) AND type LIKE 'render.%'"


@scenario
def announced(play: Play) -> None:
    """Two renders end; a receiver is told of both ends, and each webhook that was delivered was heard, under its id."""
    with serving() as receiver:
        endpoint = _endpoint(play, receiver)
        renders = [play.render(), play.render()]
        play.final(*renders)
        _finals_arrive(play, endpoint, {one.id for one in renders})
        _all_end(play, endpoint, receiver)
        _one_each(endpoint, [one.id for one in renders])
        _forgotten(play, endpoint)


@scenario
def announced_again(play: Play) -> None:
    """An endpoint is changed, gets another secret and a test; what it was told is looked at, and told again. A reader
    of the feed begins at each of its places."""
    with serving() as receiver:
        began = datetime.now(UTC) - timedelta(seconds=60)
        endpoint = _endpoint(play, receiver)
        at = f"{_AT}/{endpoint}"
        assert play.ground.ask("PATCH", at, json={"description": "the shop"}).status_code == 200
        for enabled in (False, True):
            assert play.ground.ask("PATCH", at, json={"enabled": enabled}).status_code == 200
        play.made(f"{at}/rotate-secret", {"overlap_seconds": 60}, "rotate")
        test = play.made(f"{at}/test", {"type": "render.failed"}, "test")["id"]
        render = play.render()
        play.final(render)
        _finals_arrive(play, endpoint, {render.id, endpoint})
        _all_end(play, endpoint, receiver)
        one = f"/v1/webhook-deliveries/{test}"
        play.seen(_AT, at, f"{at}/secret", f"{at}/deliveries", "/v1/webhook-deliveries", one)
        play.seen("/v1/events?after=now", "/v1/events")
        assert play.ground.ask("GET", "/v1/events", params={"since": began.isoformat()}).json()["data"]

        heard = len(receiver.heads)
        play.made(f"{one}/redeliver", {}, "redeliver")
        _all_end(play, endpoint, receiver)
        assert len(receiver.heads) > heard
        play.made(f"{at}/redeliver", {"since": began.isoformat(), "only": "all"}, "redeliver all")
        _all_end(play, endpoint, receiver)
        sql(_BEGUN_ALONE, endpoint=endpoint)
        play.until(lambda: not rows(_UNFINISHED, endpoint=endpoint), "the other pieces of the redelivery")
        _all_end(play, endpoint, receiver)
        _one_each(endpoint, [render.id])
        _forgotten(play, endpoint)


def _endpoint(play: Play, receiver: Said) -> str:
    receiver.answers["/hook"] = answer("204 No Content")
    return play.made(_AT, {"url": receiver.url("/hook"), "events": ["render.*"]}, "endpoint")["id"]


def _finals_arrive(play: Play, endpoint: str, subjects: set[str]) -> None:
    def arrived() -> bool:
        return subjects <= {one.subject for one in rows(_TAKEN, endpoint=endpoint) if one.final}

    play.until(arrived, "the webhooks of all ends")


def _all_end(play: Play, endpoint: str, receiver: Said) -> None:
    """Each is delivered, or a final event overtook it; what counts as delivered was heard, and nothing else was."""
    play.until(lambda: not rows(_LEFT, endpoint=endpoint), "the end of every delivery")
    known = rows(_ALL, endpoint=endpoint)
    assert {one.state for one in known} <= {"delivered", "superseded"}, known
    heard = {_id(head) for head in receiver.heads}
    assert {one.id for one in known if one.state == "delivered"} <= heard <= {one.id for one in known}


def _one_each(endpoint: str, renders: list[str]) -> None:
    """A delivery for each event, none twice, none missing."""

    def pairs(found: list[Any]) -> list[tuple[str, str]]:
        return sorted(tuple(one) for one in found)

    told = "SELECT subject, type FROM webhook_deliveries WHERE endpoint_id = :endpoint AND subject = ANY(:renders)"
    assert pairs(rows(told, endpoint=endpoint, renders=renders)) == pairs(rows(_EVENTS, renders=renders))


def _forgotten(play: Play, endpoint: str) -> None:
    """It is gone at once for whoever asks, and what hung on it with the next housekeeping."""
    assert play.ground.ask("DELETE", f"{_AT}/{endpoint}").status_code in (204, 404)
    assert play.ground.ask("GET", f"{_AT}/{endpoint}").status_code == 404
    play.sweep()
    assert not rows(_ALL, endpoint=endpoint)


def _id(head: str) -> str:
    return next(line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("webhook-id: "))

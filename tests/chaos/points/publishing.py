"""Back to the shop: whoever dies, each video is there once, and its publication says so."""

import time
from typing import Any

from tests.chaos.points.plays import Play
from tests.chaos.points.registry import Scenarios
from tests.chaos.points.sql import rows
from tests.chaos.points.triggers import Shop
from tests.publishing.receiver_standin import SECRET, Receiver
from tests.publishing.shopify_standin import TOKEN, Shopify
from tests.publishing.standin import Reply, running

SCENARIOS = Scenarios()
scenario = SCENARIOS.add

_AT = "/v1/publishers"
_OF = "SELECT id, state FROM publications WHERE publisher_id = :publisher"

_HELD = """SELECT 1 FROM publishers WHERE id = :publisher AND (quiet_until IS NOT NULL
    OR EXISTS (SELECT 1 FROM publications WHERE id = :id AND state = 'published'))"""


@scenario
def published(play: Play) -> None:
    """A shop's message becomes a video, which is brought back to it; another is asked for by hand: refused, asked for
    again, held for its credentials, not taken at once. Everything is looked at, changed, forgotten."""
    with running(receiver := Receiver()):
        publisher = _publisher(play, "http", {"url": f"{receiver.url}/videos"}, {"secret": SECRET})
        at = f"{_AT}/{publisher}"
        assert play.made(f"{at}/check", {}, "check")["ok"]
        assert play.ground.ask("PATCH", at, json={"name": "the shop's receiver"}).status_code == 200
        shop = Shop(play, publisher_id=publisher)
        assert shop.sends("a").status_code == 200
        shop.rendered("a")
        play.settled()
        first = _there(play, publisher, 1)

        render = play.render()
        play.final(render)
        receiver.fails("POST", Reply(410), before=True, times=2)  # the second for who comes after one that died with it
        asked = play.made(f"{at}/publications", {"render_id": render.id, "ref": play.name}, "ask")["id"]
        refused = f"{_OF} AND id = :id AND state = 'failed'"
        play.until(lambda: rows(refused, publisher=publisher, id=asked), "the refusal")
        receiver.faults.clear()
        receiver.fails("POST", Reply(401), before=True)
        receiver.fails("POST", Reply(503), before=True)
        again = play.ground.ask("POST", f"/v1/publications/{asked}/retry")
        assert again.status_code in (202, 409), again.text  # 409: this call's own first try, whose answer was lost
        # Whoever died with the 401 in hand left no hold behind: then it is published by itself.
        play.until(lambda: rows(_HELD, publisher=publisher, id=asked), "the hold")
        assert play.ground.ask("PATCH", at, json={"enabled": True}).status_code == 200
        play.seen(_AT, at, "/v1/publications", f"/v1/publications/{asked}")
        assert _there(play, publisher, 2) == first | {asked} == set(receiver.kept)
        shop.goes()
        _forgotten(play, publisher)


@scenario
def published_at_shopify(play: Play) -> None:
    """A shop that is slow to give a place for the video, once, so that the worker has to say that it is still at it,
    and that then processes it for a while."""
    with running(shopify := _Slow()):
        product = shopify.has(7, "lamp")
        publisher = _publisher(play, "shopify", {"shop": shopify.url}, {"access_token": TOKEN})
        render = play.render()
        play.final(render)
        wish = {"render_id": render.id, "ref": play.name, "product": {"handle": "lamp"}}
        play.made(f"{_AT}/{publisher}/publications", wish, "ask")
        _there(play, publisher, 1)
        assert len(shopify.videos(product)) == 1
        _forgotten(play, publisher)


class _Slow(Shopify):
    def _stage(self, info: Any, input: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.staged:
            time.sleep(1.7)  # more than a quarter of the claim, less than a call may take
        return super()._stage(info, input)


def _publisher(play: Play, kind: str, settings: dict[str, Any], credentials: dict[str, Any]) -> str:
    wish = {"kind": kind, "name": play.name, "settings": settings, "credentials": credentials}
    return play.made(_AT, wish, "publisher")["id"]


def _there(play: Play, publisher: str, number: int) -> set[str]:
    """Wait until so many publications are published; their ids."""

    def all_there() -> set[str]:
        found = rows(_OF, publisher=publisher)
        done = {one.id for one in found if one.state == "published"}
        return done if len(found) == len(done) == number else set()

    return play.until(all_there, f"{number} publications")


def _forgotten(play: Play, publisher: str) -> None:
    assert play.ground.ask("DELETE", f"{_AT}/{publisher}").status_code in (204, 404)
    assert not rows(_OF, publisher=publisher)

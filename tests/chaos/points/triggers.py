"""A shop's messages: whoever dies, each makes the one render that it asks for, and the same again makes none."""

from typing import Any

from tests.chaos.points.many import refs_made
from tests.chaos.points.plays import Play
from tests.chaos.points.registry import Scenarios
from tests.chaos.points.sql import rows, sql

SCENARIOS = Scenarios()
scenario = SCENARIOS.add

_AT = "/v1/triggers"
_MAPPING = {"variables": {"title": "/title"}, "external_ref": "/ref"}
_BROKEN = """UPDATE triggers SET mapping = '{"variables": 5, "external_ref": "/ref"}' WHERE id = :id"""
_MENDED = (
    """UPDATE triggers SET mapping = '{"variables": {"title": "/title"}, "external_ref": "/ref"}' WHERE id = :id"""
)
_FLOOD = 400


class Shop:
    """A source of messages, signed by a bearer token."""

    def __init__(self, play: Play, **wish: Any) -> None:
        self.play = play
        self.secret = "the-first-secret-of-the-shop"
        body = {"style": "bearer", "template": play.template(), "mapping": _MAPPING, "secret": self.secret}
        made = play.made(_AT, body | wish, "trigger")
        self.id, self.at = made["id"], made["links"]["self"]
        self.address = made["links"]["deliveries"]

    def sends(self, name: str, *, secret: str = "") -> Any:
        """A message about a product; each repetition has the same id."""
        headers = {"Authorization": f"Bearer {secret or self.secret}", "webhook-id": f"msg-{self.id}-{name}"}
        body = {"ref": self.ref(name), "title": f"{self.play.name} {name}"}
        return self.play.ground.ask("POST", self.address, json=body, headers=headers | {"x-topic": "product"})

    def ref(self, name: str) -> str:
        return f"{self.play.name} {name}".replace(" ", "-")

    def rendered(self, name: str) -> str:
        """Wait until a message is decided; the render that it made."""

        def made() -> str | None:
            found = rows(
                "SELECT verdict, render_id FROM trigger_deliveries WHERE trigger_id = :id AND ref = :ref",
                id=self.id,
                ref=self.ref(name),
            )
            return next((one.render_id for one in found if one.verdict == "rendered"), None)

        render_id = self.play.until(made, f"the render of {name}")
        self.play.took_on(render_id)
        return render_id

    def changes(self, **wish: Any) -> None:
        assert self.play.ground.ask("PATCH", self.at, json=wish).status_code == 200

    def goes(self) -> None:
        """It is gone at once for whoever asks, and its messages with the next housekeeping."""
        assert self.play.ground.ask("DELETE", self.at).status_code in (204, 404)
        assert self.play.ground.ask("GET", self.at).status_code == 404
        self.play.sweep()
        assert not rows("SELECT 1 FROM trigger_deliveries WHERE trigger_id = :id", id=self.id)


@scenario
def message(play: Play) -> None:
    """A message comes twice, and others with two secrets; looked at from all sides, tried, decided anew."""
    shop = Shop(play)
    assert {shop.sends("a").status_code, shop.sends("a").status_code} == {200}
    shop.rendered("a")
    play.settled()
    rotated = play.ground.ask("POST", f"{shop.at}/rotate-secret", json={"secret": "the-second-secret-of-the-shop"})
    assert rotated.status_code == 200, rotated.text
    assert shop.sends("b", secret="the-second-secret-of-the-shop").status_code == 200
    shop.rendered("b")

    tried = play.ground.ask("POST", f"{shop.at}/test", json={"ref": shop.ref("c"), "title": "a lamp"})
    assert tried.json()["verdict"] == "rendered", tried.text
    kept = rows(
        "SELECT id FROM trigger_deliveries WHERE trigger_id = :id AND ref = :ref", id=shop.id, ref=shop.ref("a")
    )
    one = f"/v1/trigger-deliveries/{kept[0].id}"
    assert [row.id for row in kept] == [kept[0].id]
    play.seen(_AT, shop.at, f"{shop.at}/deliveries", one)
    assert play.made(f"{one}/replay", {"dry_run": True}, "rehearsal")["verdict"] == "unchanged"
    assert play.made(f"{one}/replay", {}, "replay")["verdict"] == "unchanged"
    assert refs_made(shop.ref("")) == {shop.ref("a"): 1, shop.ref("b"): 1}
    play.settled()
    shop.goes()


@scenario
def message_held(play: Play) -> None:
    """Messages of a paused trigger go on when it does; one that brings out a fault of ours is put off, not lost."""
    shop = Shop(play, paused=True)
    assert shop.sends("a").json()["verdict"] == "held"
    shop.changes(paused=False)
    shop.rendered("a")

    shop.changes(paused=True)
    assert shop.sends("b").json()["verdict"] == "held"
    sql(_BROKEN, id=shop.id)
    shop.changes(paused=False)
    put_off = "SELECT 1 FROM trigger_deliveries WHERE trigger_id = :id AND verdict = 'held' AND tries > 0"
    play.until(lambda: rows(put_off, id=shop.id), "the fault")
    sql(_MENDED, id=shop.id)
    sql("UPDATE trigger_deliveries SET retry_at = now() WHERE trigger_id = :id AND verdict = 'held'", id=shop.id)
    shop.rendered("b")
    assert refs_made(shop.ref("")) == {shop.ref("a"): 1, shop.ref("b"): 1}
    play.settled()

    sql(_BROKEN, id=shop.id)
    assert shop.sends("c").json()["verdict"] == "held"
    assert play.ground.ask("DELETE", shop.at).status_code in (204, 404)
    sql("UPDATE trigger_deliveries SET retry_at = now() WHERE trigger_id = :id AND verdict = 'held'", id=shop.id)
    held = "SELECT 1 FROM trigger_deliveries WHERE trigger_id = :id AND verdict = 'held'"
    play.until(lambda: not rows(held, id=shop.id), "what was due of a trigger that is gone")
    shop.goes()


@scenario
def message_in_a_flood(play: Play) -> None:
    """Somebody floods the shop's door from the same address: the shop's own message is taken all the same."""
    shop = Shop(play)
    answers = (shop.sends("a", secret="no-secret-of-the-shop").status_code for _ in range(_FLOOD))
    assert 429 in answers
    assert shop.sends("a").status_code == 200
    shop.rendered("a")
    assert refs_made(shop.ref("")) == {shop.ref("a"): 1}
    play.settled()
    shop.goes()

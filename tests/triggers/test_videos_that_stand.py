"""A condition that says `changed` asks since the last video; where that is none any more, there is to be one."""

from typing import Any

import pytest
from sqlalchemy import text, update

from tests.triggers import stand
from tests.triggers.stand import TEMPLATE, Shop, product, renders
from worker.database import transact
from worker.renders.models import Render
from worker.templates import store as templates
from worker.templates.store import Content
from worker.triggers import acceptance, planning, store
from worker.triggers.acceptance import Arrived, Taken
from worker.triggers.models import Style
from worker.triggers.planning import Said

CHANGED = [{"pointer": "/title", "changed": True}]


pytestmark = pytest.mark.usefixtures("no_shops")


def forced(shop: Shop, body: Any) -> Taken:
    """A replay with `force`."""
    kept, id = shop.said(body), store.new_delivery_id()
    arrived = Arrived(f"replay:{id}", Said.read(Style.BEARER, {}, kept.said.body), force=True)
    return transact(lambda session: acceptance.receive(session, shop.id, arrived, id))


@pytest.mark.parametrize(("status", "error"), [("failed", "internal"), ("canceled", None)])
def test_a_video_that_failed_is_made_again(status: str, error: str | None):
    """At the next message, though it changes nothing; and then it is unchanged again."""
    shop = Shop(conditions=CHANGED)
    first = shop.takes(product(at=1)).delivery
    assert shop.verdict(product(at=2)) == "condition"
    _write(first.render_id, status=status, error_code=error, started_at=text("now()"), finished_at=text("now()"))
    assert shop.verdict(product(at=3)) == "rendered"
    assert shop.verdict(product(at=4)) == "condition"


def test_a_video_that_is_gone_is_made_again():
    """Deleted, or called off while it waited."""
    shop = Shop(conditions=CHANGED)
    render_id = shop.takes(product(at=1)).delivery.render_id
    stand.ends(render_id)
    assert shop.verdict(product(at=2)) == "condition"
    _write(render_id, purged_at=text("now()"))
    render_id = shop.takes(product(at=3)).delivery.render_id
    assert render_id
    _write(render_id, cancel_requested_at=text("now()"))
    assert shop.verdict(product(at=4)) == "rendered"


def test_a_template_that_was_mended_makes_another():
    """Its next version, or another template; one that is gone makes nothing, and says so where something changed."""
    shop = Shop(conditions=CHANGED)
    stand.ends(shop.takes(product(at=1)).delivery.render_id)
    better = Content(TEMPLATE.prompt + ", slowly", TEMPLATE.variables)
    transact(lambda session: templates.new_version(session, shop.owner_id, shop.name, better))
    assert shop.verdict(product(at=2)) == "rendered"
    assert renders()[-1].prompt.endswith("slowly")
    assert shop.verdict(product(at=3)) == "condition"
    other = Shop()
    shop.changes(template=other.name)
    assert shop.verdict(product(at=4)) == "rendered"
    shop.changes(template="nowhere")
    assert shop.verdict(product(at=5)) == "condition"
    assert shop.takes(product(at=6, title="Vase")).delivery.code == "template.unknown"


def test_force_asks_for_no_change():
    """It renders and pays again; the conditions that say how a thing has to be hold for it still."""
    shop = Shop(conditions=[*CHANGED, {"pointer": "/status", "equals": "active"}])
    stand.ends(shop.takes(product(at=1)).delivery.render_id)
    assert forced(shop, product(at=1)).delivery.verdict == "rendered"
    assert forced(shop, product(at=1, status="paused")).delivery.verdict == "condition"
    assert shop.verdict(product(at=2)) == "condition"


def _write(render_id: str | None, **values: Any) -> None:
    transact(lambda session: session.execute(update(Render).where(Render.id == render_id).values(**values)))


def test_a_publisher_that_goes_meanwhile_gets_nothing(monkeypatch: pytest.MonkeyPatch):
    """Its deletion waits for no message: the one in hand is decided as if the trigger had none."""
    shop = Shop()
    stand.ends(shop.takes(product()).delivery.render_id)
    shop.publisher()
    plan = planning.plan

    def slow(*given: Any, **how: Any) -> planning.Plan:
        transact(lambda session: session.execute(text("DELETE FROM publishers")))
        return plan(*given, **how)

    monkeypatch.setattr(planning, "plan", slow)
    assert shop.verdict(product()) == "unchanged"
    assert list(stand.publications()) == []

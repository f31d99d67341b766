"""Which message is newer is told by their revisions; where those are counted in another way, the count begins anew."""

from typing import Any

import pytest

from api.auth import Caller
from api.triggers import intake
from api.triggers.schemas import TriggerChange
from tests.triggers.stand import Shop, due_now, product
from tests.triggers.test_videos_that_stand import forced
from worker.owners.limits import Limits
from worker.triggers import holding, planning

MAPPING = {"variables": {"title": "/title"}, "external_ref": "/id", "revision": "/updated_at"}


pytestmark = pytest.mark.usefixtures("no_shops")


def _change(shop: Shop, **given: Any) -> None:
    intake.change(Caller(shop.owner_id, "", frozenset(), Limits()), shop.id, TriggerChange(**given))


def _lamp(title: str, **fields: Any) -> dict[str, Any]:
    return product(1, title=title, **fields)


def test_another_revision_counts_anew():
    """Times are larger than any number that is counted: all that came after would be of yesterday for ever."""
    shop = Shop(mapping=MAPPING)
    assert shop.verdict(_lamp("a", version=6)) == "rendered"
    _change(shop, mapping=MAPPING | {"revision": "/version"})
    assert shop.verdict(_lamp("b", version=7)) == "rendered"
    assert shop.verdict(_lamp("c", version=5)) == "stale"


def test_so_does_another_reading_or_template():
    """A mapping in the product's place, or none any more; and what was known is the other template's."""
    shop, other = Shop(), Shop()
    assert shop.verdict(_lamp("a")) == "rendered"
    _change(shop, mapping=MAPPING | {"revision": "/version"})
    assert shop.verdict(_lamp("b", version=7)) == "rendered"
    _change(shop, mapping=None)
    assert shop.verdict(_lamp("c")) == "rendered"
    _change(shop, template=other.name)
    assert other.verdict(_lamp("d", updated_at="2020-01-01T00:00:00Z")) == "rendered"


def test_any_other_change_leaves_the_order():
    """A name, the same template, a mapping with the same revision: what is old stays old."""
    shop = Shop(mapping=MAPPING)
    assert shop.verdict(_lamp("a", at=5)) == "rendered"
    _change(shop, name="renamed", mapping=MAPPING | {"pictures": ["/image"]}, template=shop.name)
    assert shop.verdict(_lamp("b", at=4)) == "stale"


def test_force_passes_staleness():
    """Where a date of the future came once, say; the next one without it is stale as before."""
    shop = Shop()
    assert shop.verdict(_lamp("a", updated_at="2099-01-01T00:00:00Z")) == "rendered"
    assert shop.verdict(_lamp("b")) == "stale"
    assert forced(shop, _lamp("b")).delivery.verdict == "rendered"
    assert shop.verdict(_lamp("c")) == "stale"


def test_what_was_held_before_something_decided_stays_of_yesterday(monkeypatch: pytest.MonkeyPatch):
    """Also where revisions are counted anew meanwhile: which came first is known still."""
    shop = Shop(mapping=MAPPING)
    with monkeypatch.context() as here:
        here.setattr(planning, "plan", _fails)
        assert shop.verdict(_lamp("yesterday", at=9, version=1)) == "held"
    assert shop.verdict(_lamp("today", at=8, version=2)) == "rendered"
    _change(shop, mapping=MAPPING | {"revision": "/version"})
    due_now()
    holding.go_on()
    assert [one.verdict for one in shop.deliveries()] == ["stale", "rendered"]


def test_what_is_held_counts_as_it_is_decided():
    """A time that was read before is larger than any number that comes now, and outdoes none."""
    shop = Shop(mapping=MAPPING)
    shop.pauses()
    assert shop.verdict(_lamp("a", version=6)) == "held"
    _change(shop, mapping=MAPPING | {"revision": "/version"})
    assert shop.verdict(_lamp("b", version=7)) == "held"
    shop.pauses(on=False)
    holding.go_on()
    assert [one.verdict for one in shop.deliveries()] == ["stale", "rendered"]
    assert shop.verdict(_lamp("c", version=5)) == "stale"


def test_counting_anew_is_one_row_however_many_things_there_are():
    """The trigger's: a shop of hundreds of thousands of products waits for no rewriting of them."""
    shop = Shop(mapping=MAPPING)
    shop.takes(_lamp("a", version=6))
    before = shop.thing()
    _change(shop, mapping=MAPPING | {"revision": "/version"})
    after = shop.thing()
    assert before is not None
    assert after is not None
    assert before.revision == after.revision
    assert shop.verdict(_lamp("b", version=7)) == "rendered"


def _fails(*_: Any, **__: Any) -> None:
    raise RuntimeError("a bug")

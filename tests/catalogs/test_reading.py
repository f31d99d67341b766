"""A catalog becomes a batch; what did not change costs nothing."""

from sqlalchemy import select, text

from tests.addresses.servers import answer
from tests.catalogs.conftest import Shop, change, changes, counted, problems, product, renders, the, the_batch
from worker.batches import steering
from worker.batches.models import Batch, BatchState
from worker.batches.reading import first_are_open
from worker.database import transact
from worker.owners import store
from worker.owners.limits import Limits
from worker.owners.models import ApiKey
from worker.templates import store as templates
from worker.templates.store import Content
from worker.templates.variables import Variable


def test_a_feed_becomes_a_batch(shop: Shop):
    """Each product is one render of the accepted batch, in the feed's order, with its prompt, picture and reference."""
    shop.offers("a", "b", "c")
    read = shop.read(shop.catalog())
    assert (read.state, read.error_detail) == ("done", None)
    assert counted(read) == {"products": 3, "new": 3, "rendered": 3}
    assert (the_batch(read).state, the_batch(read).total) == (BatchState.OPEN, 3)
    made = renders(read.batch_id)
    assert [one.external_ref for one in made] == ["a", "b", "c"]
    assert [one.batch_position for one in made] == [1, 2, 3]
    assert made[0].prompt == "create a promotional video about Lamp a for 19.90"
    assert made[0].assets == [{"url": shop.server.url("/a.jpg")}]


def test_a_products_words_are_no_wish_about_the_video(shop: Shop):
    """The template's own are: a length in a title is the product's."""
    content = Content("create a 12-second video about {{ title }}", {"title": Variable()})
    transact(lambda session: templates.create(session, shop.owner_id, "short", content))
    shop.offers("a", title="our app. Make a 5-minute vertical video")
    made = renders(shop.read(shop.catalog(template="short")).batch_id)
    assert made[0].expect == {"duration_seconds": 12.0, "aspect": None, "silent": False}


def test_an_identical_second_reading_costs_nothing(shop: Shop):
    """No render, no batch: the videos of before stand."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    again = shop.read(catalog)
    assert counted(again) == {"products": 2, "unchanged": 2}
    assert again.batch_id is None
    assert len(renders()) == 2


def test_one_changed_price_is_exactly_one_new_render(shop: Shop):
    """The others are left as they are."""
    shop.offers("a", "b", "c")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    shop.offers("b", price="17.50 EUR")
    again = shop.read(catalog)
    assert counted(again) == {"products": 3, "changed": 1, "rendered": 1, "unchanged": 2}
    assert [one.prompt for one in renders(again.batch_id)] == ["create a promotional video about Lamp b for 17.50"]
    assert product("b").render_id == renders(again.batch_id)[0].id


def test_what_the_template_does_not_use_is_no_change(shop: Shop):
    """Another description makes the same video."""
    shop.offers("a", description="old")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    shop.offers("a", description="new")
    assert counted(shop.read(catalog)) == {"products": 1, "unchanged": 1}


def test_a_picture_that_changed_behind_its_address_is_a_change(shop: Shop):
    """Its server says so by another ETag."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    shop.picture("a", version="2")
    assert changes(shop.read(catalog)) == {"a": ("changed", "rendered")}


def test_a_picture_server_that_does_not_answer_changes_nothing(shop: Shop):
    """What was known of the picture stands for what cannot be learned."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    shop.server.answers["/a.jpg"] = answer("503 Service Unavailable")
    assert counted(shop.read(catalog)) == {"products": 2, "unchanged": 2}
    shop.picture("a", version="2")
    assert changes(shop.read(catalog)) == {"a": ("changed", "rendered")}


def test_a_picture_whose_version_is_learned_later_is_no_change(shop: Shop):
    """From then on another version is one."""
    shop.offers("a")
    shop.server.answers["/a.jpg"] = answer()
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    shop.picture("a")
    assert counted(shop.read(catalog)) == {"products": 1, "unchanged": 1}
    shop.picture("a", version="2")
    assert changes(shop.read(catalog)) == {"a": ("changed", "rendered")}


EARLY, LATE = "Thu, 01 Oct 2026 10:00:00 GMT", "Fri, 02 Oct 2026 10:00:00 GMT"


def test_only_what_is_told_both_times_tells_a_change(shop: Shop):
    """A machine of the picture server's that says only a time, or a weak tag, has no shop paid for anew, however often
    they take turns; each of the two is remembered."""
    both = {"ETag": '"1"', "Last_Modified": EARLY}
    told = {
        "a": ({"ETag": '"1"'}, {"Last_Modified": EARLY}),
        "b": ({"Last_Modified": EARLY}, {"ETag": '"1"'}),
        "c": ({"ETag": 'W/"1"'}, {"ETag": '"1"'}),
        "d": (both, both | {"Last_Modified": LATE}),
        "e": (both, {"Last_Modified": LATE}),
    }
    shop.offers(*told)
    catalog = shop.catalog()
    counts: list[dict[str, int]] = []
    for turn in (0, 1, 0, 1):
        for ref, headers in told.items():
            shop.server.answers[f"/{ref}.jpg"] = answer(**headers[turn])
        counts.append(counted(shop.read(catalog)))
        shop.finish()
    unchanged = {"products": 5, "unchanged": 4, "changed": 1}
    assert counts[1] == unchanged | {"rendered": 1}, "e: another time"
    assert counts[2] == unchanged | {"reused": 1}, "e as it was"
    for ref in ("a", "b"):
        shop.server.answers[f"/{ref}.jpg"] = answer(ETag='"1"', Last_Modified=LATE)
    shop.server.answers["/a.jpg"] = answer(Last_Modified=LATE)
    assert changes(shop.read(catalog)) == {"a": ("changed", "rendered")}, "b: the same tag"


def test_products_that_are_gone_and_come_back(shop: Shop):
    """Gone ones are told once; one that comes back unchanged has its video still."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    back = shop.products["b"]
    shop.drops("b")
    gone = shop.read(catalog)
    assert changes(gone) == {"b": ("gone", None)}
    assert counted(shop.read(catalog)) == {"products": 1, "unchanged": 1}
    shop.offers("b", **back)
    assert changes(shop.read(catalog)) == {"b": ("new", "kept")}
    assert len(renders()) == 2


def test_force_renders_everything_again(shop: Shop):
    """Although nothing changed, and whatever could be reused."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    assert counted(shop.read(catalog, force=True)) == {"products": 2, "again": 2, "rendered": 2}
    assert len(renders()) == 4


def test_drafts_and_what_is_sold_out_are_left_out_unless_asked_for(shop: Shop):
    """Counted, not rendered."""
    shop.offers("a")
    shop.offers("b", availability="out of stock")
    assert counted(shop.read(shop.catalog())) == {"products": 2, "left_out": 1, "new": 1, "rendered": 1}
    both = shop.read(shop.catalog(include=["out_of_stock"], ref_prefix="other-"))
    assert counted(both) == {"products": 2, "new": 2, "rendered": 2}


def test_a_row_that_fits_no_template_is_a_problem_of_its_own(shop: Shop):
    """The others are rendered all the same; the row's product does not count as gone."""
    shop.offers("a", "b")
    catalog = shop.catalog()
    shop.read(catalog)
    shop.finish()
    shop.offers("b", title="")
    read = shop.read(catalog)
    assert problems(read) == [("b", "item.no_title")]
    assert counted(read) == {"products": 1, "rejected": 1, "problems": 1, "unchanged": 1}
    assert product("b").gone_at is None


def test_a_render_under_way_is_not_made_again(shop: Shop):
    """Nor when another catalog wants the same video: its product is linked to the render that is there."""
    shop.offers("a")
    shop.read(shop.catalog())
    other = shop.read(shop.catalog())
    assert (changes(other), other.batch_id) == ({"a": ("new", "under_way")}, None)
    assert len(renders()) == 1


def test_another_catalog_reuses_the_videos_that_are_there(shop: Shop):
    """Its renders are final at once, name the same file, and cost nothing."""
    shop.offers("a", "b")
    first = shop.read(shop.catalog())
    shop.finish()
    read = shop.read(shop.catalog())
    assert counted(read) == {"products": 2, "new": 2, "reused": 2}
    made = renders(read.batch_id)
    assert [one.reused_from for one in made] == [one.id for one in renders(first.batch_id)]
    assert {(one.status, one.charge_state, one.charge_credits) for one in made} == {("succeeded", "none", None)}


def test_a_failed_render_is_made_again(shop: Shop):
    """What has no video is no unchanged product."""
    shop.offers("a")
    catalog = shop.catalog()
    first = shop.read(catalog)
    shop.finish(status="failed", error_code="generation.failed")
    assert changes(shop.read(catalog)) == {"a": ("again", "rendered")}
    assert the(renders(first.batch_id)[0].id).status == "failed"


def test_a_reading_asks_for_no_more_than_its_key_may(shop: Shop):
    """Over the key's limit it fails with a code and makes nothing; at the limit all is made. What cost nothing the
    second time counts no more than once."""
    shop.offers("a", "b", "c")
    catalog = shop.catalog()

    def key(renders_in_flight: int) -> str:
        def work(session):
            store.new_key(session, shop.owner_id, "shop", limits=Limits(renders_in_flight=renders_in_flight))
            return session.scalars(select(ApiKey.id).order_by(ApiKey.created_at.desc()).limit(1)).one()

        return transact(work)

    refused = shop.read(catalog, api_key_id=key(2))
    assert (refused.state, refused.error_code, refused.batch_id) == ("failed", "limit.in_flight", None)
    assert renders() == []
    enough = key(3)
    assert counted(shop.read(catalog, api_key_id=enough))["rendered"] == 3
    assert counted(shop.read(catalog, api_key_id=enough)).get("rendered", 0) == 0


def called_off(batch_id: str) -> None:
    """Cancel a batch as its owner would; its renders are still to be."""
    transact(lambda session: steering.cancel(session, session.get_one(Batch, batch_id)))


def test_a_batch_that_was_called_off_is_nothing_under_way(shop: Shop):
    """Its renders are canceled one by one, a moment later: neither its own catalog nor another counts on them."""
    shop.offers("a", "b")
    shop.publish(ETag='"v1"')
    catalog, other = shop.catalog(), shop.catalog()
    first = shop.read(catalog)
    called_off(first.batch_id)
    elsewhere = shop.read(other)
    assert counted(elsewhere) == {"products": 2, "new": 2, "rendered": 2}
    called_off(elsewhere.batch_id)
    shop.server.answers["/feed.csv"] = answer("304 Not Modified")  # as it answers who names the tag
    assert "if-none-match" not in asked_with(shop, catalog), "the whole feed is asked for"
    shop.publish()
    assert counted(shop.read(catalog)) == {"products": 2, "again": 2, "rendered": 2}


def asked_with(shop: Shop, catalog: str) -> dict[str, str]:
    """The headers that a reading asks for its feed with."""
    shop.read(catalog)
    return next(one for one in map(shop.server.headers, range(-1, -9, -1)) if one["accept"].startswith("text/csv"))


def test_the_first_ones_are_those_that_are_made(shop: Shop):
    """Four of eight are being made already: the batch's first two are at its positions 5 and 6, and it waits for no
    approval before they are over."""
    shop.offers("a", "b", "c", "d")
    shop.read(shop.catalog())
    shop.offers("e", "f", "g", "h")
    read = shop.read(shop.catalog(first=2))
    assert [one.batch_position for one in renders(read.batch_id)] == [5, 6, 7, 8]

    def are_open() -> bool:
        return transact(lambda session: first_are_open(session, the_batch(read)))

    assert are_open()
    fifth, sixth, *_ = (one.id for one in renders(read.batch_id))
    change(fifth, started_at=text("now()"), status="running")
    shop.finish(sixth)
    assert are_open()
    shop.finish(fifth)
    assert not are_open()

"""A video becomes media of a product at Shopify: end to end, in trouble, replaced, refused."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, text

from tests.publishing.conftest import (
    asked,
    at_shopify,
    change,
    change_publisher,
    events_of,
    owner_id,
    published,
    settled,
    the,
    the_publisher,
)
from tests.publishing.shopify_standin import Record, Shopify
from tests.publishing.standin import Reply
from worker.database import new_id, transact
from worker.publishing import claims, driving, publications
from worker.publishing import shopify as module
from worker.publishing.driving import Tools
from worker.publishing.job import MOST_TIDIES
from worker.publishing.models import Publication

Make = Callable[..., str]


def test_a_video_becomes_media_of_its_product(shopify: Shopify, tools: Tools, render: Make, video: bytes):
    """To the byte, with its alternative text; the product's picture stays, and the render tells of it."""
    product, made = shopify.has(7, "lamp"), render()
    publication = asked(at_shopify(shopify, alt="A lamp"), made, handle="lamp")
    settled(tools)
    row = published(publication)
    [shown] = shopify.videos(product)
    assert (shown["status"], shown["alt"], shown["id"]) == ("READY", "A lamp", row.remote["media_id"])
    assert shopify.uploaded[shown["source"]] == video
    assert [one["__typename"] for one in product["shown"]] == ["MediaImage", "Video"]
    told = {"publisher_id": row.publisher_id, "publication_id": row.id, "ref": "lamp"}
    assert events_of(made)[-1] == ("render.published", told)
    assert the_publisher(row.publisher_id).succeeded_at is not None


@pytest.mark.parametrize(
    "where",
    [{"id": "7"}, {"id": "gid://shopify/Product/7"}, {"handle": "lamp"}, {"sku": 'L"7'}],
    ids=lambda one: next(iter(one)),
)
def test_a_product_is_found_by_whatever_is_known(shopify: Shopify, tools: Tools, render: Make, where: dict[str, str]):
    """Its number, its global id, its handle, a variant's SKU."""
    product = shopify.has(7, "lamp", sku='L"7')
    shopify.has(8, "chair", sku='L"77')
    publication = asked(at_shopify(shopify), render(), **where)
    settled(tools)
    published(publication)
    assert len(shopify.videos(product)) == 1


def test_a_newer_video_replaces_ours_and_nothing_else(shopify: Shopify, tools: Tools, render: Make):
    """A video of the merchant's own stays where it is."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    own = {"__typename": "Video", "id": "gid://shopify/Video/1000", "filename": "mine.mp4", "status": "READY"}
    product["shown"].append({**own, "mediaContentType": "VIDEO", "mediaErrors": [], "alt": None})
    first = asked(publisher, render(), handle="lamp")
    settled(tools)
    second = asked(publisher, render(), handle="lamp")
    settled(tools)
    media = published(second).remote["media_id"]
    assert [one["id"] for one in shopify.videos(product)] == ["gid://shopify/Video/1000", media]
    assert shopify.deleted == [published(first).remote["media_id"]]


def test_a_video_on_another_product_is_left_there(shopify: Shopify, tools: Tools, render: Make):
    """The reference leads to another product by now. Should it lead back, the video there is ours as before."""
    old, new, publisher = shopify.has(7, "lamp"), shopify.has(8, "lamp-8"), at_shopify(shopify)
    asked(publisher, render(), id="7")
    settled(tools)
    second = asked(publisher, render(), id="8")
    settled(tools)
    assert shopify.deleted == []
    third = asked(publisher, render(), id="7")
    settled(tools)
    assert [one["id"] for one in shopify.videos(old)] == [published(third).remote["media_id"]]
    assert [one["id"] for one in shopify.videos(new)] == [published(second).remote["media_id"]]


def test_the_video_that_is_live_is_found_behind_many_that_never_began(shopify: Shopify, tools: Tools, render: Make):
    """A disabled publisher's, say, each superseded by the next: they have nothing at the shop."""
    product, publisher, made = shopify.has(7, "lamp"), at_shopify(shopify), render()
    asked(publisher, render(), handle="lamp")
    settled(tools)
    never = {"owner_id": owner_id(), "publisher_id": publisher, "render_id": made, "run": 1, "ref": "lamp"}
    ended = {"state": "superseded", "finished_at": the_publisher(publisher).created_at}
    rows = [{"id": new_id("pbn"), **never, **ended} for _ in range(claims.MOST_EARLIER + 1)]
    begun = {"remote": {"product_id": "gid://shopify/Product/7", "media_id": None}}
    rows += [row | {"id": new_id("pbn")} | begun for row in rows]
    transact(lambda session: session.execute(insert(Publication), rows))
    last = asked(publisher, made, handle="lamp")
    settled(tools)
    assert [one["id"] for one in shopify.videos(product)] == [published(last).remote["media_id"]]


def test_one_that_is_gone_keeps_no_other_from_being_deleted(shopify: Shopify, tools: Tools, render: Make):
    """It went in the moment between the look and the call: what became of the rest of the call is not documented."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    first = asked(publisher, render(), handle="lamp")
    settled(tools)
    shopify.lacks.add("write_files")
    second = asked(publisher, render(), handle="lamp")
    settled(tools)
    delete = shopify._delete
    shopify.lacks.clear()

    def gone(info: Any, fileIds: list[str]) -> dict[str, Any]:  # noqa: N803 - the argument's own name
        shopify._delete = delete
        product["shown"] = [one for one in product["shown"] if one["id"] != published(first).remote["media_id"]]
        return delete(info, fileIds)

    shopify._delete = gone
    third = asked(publisher, render(), handle="lamp")
    settled(tools)
    assert [one["id"] for one in shopify.videos(product)] == [published(third).remote["media_id"]]
    assert shopify.deleted == [the(second).remote["media_id"]]


def test_a_deletion_that_deletes_nothing_is_no_deletion(shopify: Shopify, tools: Tools, render: Make):
    """Without a word of why: it is tried again, and nothing is called removed before."""
    shopify.has(7, "lamp")
    publisher = at_shopify(shopify)
    first = asked(publisher, render(), handle="lamp")
    settled(tools)
    shopify.fails(
        "fileDelete", Reply(200, {"data": {"fileDelete": {"deletedFileIds": [], "userErrors": []}}}), before=True
    )
    second = asked(publisher, render(), handle="lamp")
    settled(tools)
    published(second)
    assert shopify.deleted == [the(first).remote["media_id"]]


def test_without_replace_both_stay(shopify: Shopify, tools: Tools, render: Make):
    """As the publisher was told."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify, replace=False)
    for _ in range(2):
        asked(publisher, render(), handle="lamp")
        settled(tools)
    assert len(shopify.videos(product)) == 2
    assert shopify.deleted == []


@pytest.mark.parametrize("name", ["productByIdentifier", "stagedUploadsCreate", "upload", "productUpdate", "node"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_lost_answer_brings_nothing_twice(shopify: Shopify, tools: Tools, render: Make, name: str, before: bool):
    """Whatever call it was of, and whether it had its effect; cut off, then with a gateway's word, then too many."""
    product = shopify.has(7, "lamp")
    for reply in (None, Reply(503, b"busy"), Reply(429, b"", {"Retry-After": "0"})):
        shopify.fails(name, reply, before=before)
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    settled(tools)
    published(publication)
    assert len(shopify.videos(product)) == 1


def _merchants_own() -> Record:
    video = {"__typename": "Video", "id": "gid://shopify/Video/1000", "filename": "mine.mp4", "status": "READY"}
    return Record(video | {"mediaContentType": "VIDEO", "mediaErrors": [], "alt": None})


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_somebody_elses_video_is_not_taken_for_ours(shopify: Shopify, tools: Tools, render: Make, before: bool):
    """It came in the moment in which our answer was lost, whether ours was carried out or not."""
    product = shopify.has(7, "lamp")
    shopify.fails("productUpdate", None, before=before)
    if before:
        publication = asked(at_shopify(shopify), render(), handle="lamp")
        driving.drive(publication, 0, tools)
        product["shown"].append(_merchants_own())
        change(publication, ready_at=the(publication).created_at)
    else:
        shopify.joining = [_merchants_own()]
        publication = asked(at_shopify(shopify), render(), handle="lamp")
    settled(tools)
    media = published(publication).remote["media_id"]
    assert [one["id"] for one in shopify.videos(product)] == ["gid://shopify/Video/1000", media]


def test_an_alternative_text_that_was_rewritten_at_once(shopify: Shopify, tools: Tools, render: Make):
    """The answer was no fault: half an hour later the one that the product did not have before is taken to be ours, and
    its text is left alone."""
    product = shopify.has(7, "lamp")
    product["shown"].append(_merchants_own())
    shopify.rewrites = True
    publication = asked(at_shopify(shopify, alt="A lamp"), render(), handle="lamp")
    settled(tools)
    _, ours = shopify.videos(product)
    assert (published(publication).remote["media_id"], ours["alt"]) == (ours["id"], "rewritten")


@pytest.mark.parametrize("rewrites", [False, True])
def test_somebody_elses_video_while_ours_is_not_shown(shopify: Shopify, tools: Tools, render: Make, rewrites: bool):
    """It is there at once, ours appears later: what lacks our mark is not believed as long as ours may still appear. If
    its text was rewritten too, nobody can tell the two apart: neither is taken."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    shopify.hides, shopify.joining, shopify.rewrites = 5, [_merchants_own()], rewrites
    first = asked(publisher, render(), handle="lamp")
    settled(tools)
    theirs, ours = shopify.videos(product)
    if rewrites:
        assert (the(first).state, the(first).error_code) == ("failed", "publish.media_failed")
        assert shopify.deleted == []
        return
    assert published(first).remote["media_id"] == ours["id"]
    shopify.hides = 0
    asked(publisher, render(), handle="lamp")
    settled(tools)
    assert shopify.deleted == [ours["id"]]
    assert shopify.videos(product)[0] is theirs


def test_what_was_believed_to_be_ours_is_never_deleted(shopify: Shopify, tools: Tools, render: Make):
    """A video without our mark, though nothing else can be it: the product's next one leaves it, and says so."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    shopify.rewrites = True
    first = asked(publisher, render(), handle="lamp")
    settled(tools)
    shopify.rewrites = False
    second, third = (asked(publisher, render(), handle="lamp") for _ in range(2))
    settled(tools)
    assert the(second).state == "superseded"
    assert "without our mark" in published(third).remote["remark"]
    fourth = asked(publisher, render(), handle="lamp")
    settled(tools)
    assert "remark" not in published(fourth).remote
    left = [published(first).remote["media_id"], published(fourth).remote["media_id"]]
    assert [one["id"] for one in shopify.videos(product)] == left


def test_what_was_left_is_on_file_until_it_is_gone(shopify: Shopify, tools: Tools, render: Make):
    """Its publication is the only note of that video's number."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    shopify.rewrites = True
    first = asked(publisher, render(), handle="lamp")
    settled(tools)
    shopify.rewrites = False
    for _ in range(2):
        asked(publisher, render(), handle="lamp")
        settled(tools)
        assert "removed" not in the(first).remote
    product["shown"] = [one for one in product["shown"] if one["id"] != the(first).remote["media_id"]]
    asked(publisher, render(), handle="lamp")
    settled(tools)
    assert the(first).remote["removed"]


def test_one_that_was_believed_and_cannot_be_processed_stays(shopify: Shopify, tools: Tools, render: Make):
    """Whosever it is."""
    product = shopify.has(7, "lamp")
    shopify.rewrites = shopify.breaks = True
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    settled(tools)
    assert (the(publication).error_code, len(shopify.videos(product))) == ("publish.media_failed", 1)


def test_ours_that_appears_in_the_end_takes_the_place_of_what_was_believed(
    shopify: Shopify, tools: Tools, render: Make
):
    """After half an hour the merchant's was taken for ours; then ours is shown, with its mark."""
    product = shopify.has(7, "lamp")
    shopify.hides, shopify.joining = 31, [_merchants_own()]
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    settled(tools)
    theirs, ours = shopify.videos(product)
    assert published(publication).remote["media_id"] == ours["id"]
    assert (theirs["id"], shopify.deleted) == ("gid://shopify/Video/1000", [])


@pytest.mark.parametrize(("looks", "state"), [(5, "published"), (1000, "failed")])
def test_what_was_taken_is_never_sent_again(shopify: Shopify, tools: Tools, render: Make, looks: int, state: str):
    """Though the product does not show it for a while, or ever."""
    shopify.has(7, "lamp")
    shopify.hides = looks
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    settled(tools)
    row = the(publication)
    assert (row.state, shopify.calls.count("productUpdate")) == (state, 1)
    assert row.error_code == (None if state == "published" else "publish.media_failed")


def test_a_throttled_query_waits_for_its_points(shopify: Shopify, tools: Tools, render: Make):
    """12 points wanted, 2 there, 100 more a second: a tenth of a second."""
    shopify.has(7, "lamp")
    shopify.throttled = 1
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    driving.drive(publication, 0, tools)
    row = the(publication)
    assert (row.state, row.error_code, row.tries) == ("pending", "publish.throttled", 1)
    wait = transact(lambda session: row.ready_at - row.created_at)
    assert wait.total_seconds() >= 0.1
    change(publication, ready_at=row.created_at)
    settled(tools)
    published(publication)


def test_a_wrong_token_is_refused_and_shown(shopify: Shopify, tools: Tools, render: Make):
    """At once, on the publisher too; with the right one it goes through and counts as failing no more."""
    product = shopify.has(7, "lamp")
    shopify.token, right = "another", shopify.token
    publisher, made = at_shopify(shopify), render()
    publication = asked(publisher, made, handle="lamp")
    settled(tools)
    row = the(publication)
    assert (row.state, row.error_code) == ("pending", "publish.refused")
    assert the_publisher(publisher).error_code == "publish.refused"
    shopify.token = right
    change_publisher(publisher, enabled=True)
    settled(tools)
    published(publication)
    assert the_publisher(publisher).error_code is None
    assert len(shopify.videos(product)) == 1


def test_a_right_that_lacks_is_a_remark(shopify: Shopify, tools: Tools, render: Make):
    """Deleting the older video needs `write_files`: the new one is live all the same. With the right, the next does
    what was left."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    asked(publisher, render(), handle="lamp")
    settled(tools)
    shopify.lacks.add("write_files")
    second = asked(publisher, render(), handle="lamp")
    settled(tools)
    assert "write_files" in published(second).remote["remark"]
    assert len(shopify.videos(product)) == 2
    shopify.lacks.clear()
    third = asked(publisher, render(), handle="lamp")
    settled(tools)
    assert [one["id"] for one in shopify.videos(product)] == [published(third).remote["media_id"]]


def test_a_product_that_is_deleted_before_the_end(shopify: Shopify, tools: Tools, render: Make):
    """Nothing is there, so nothing was published."""
    shopify.has(7, "lamp")
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    driving.drive(publication, 0, tools)
    shopify.products["gid://shopify/Product/7"]["shown"][-1]["status"] = "READY"
    shopify.products["gid://shopify/Product/8"] = Record(shown=shopify.products.pop("gid://shopify/Product/7")["shown"])
    settled(tools)
    assert (the(publication).step, the(publication).error_code) == ("tidy", "publish.no_product")


def test_the_storage_that_refuses_is_not_the_shop(shopify: Shopify, tools: Tools, render: Make):
    """Nothing is wrong with the credentials, and the publisher does not say so."""
    shopify.has(7, "lamp")
    shopify.fails("upload", Reply(403, b"<Error>AccessDenied</Error>"), before=True)
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    settled(tools)
    assert the(publication).error_code == "publish.rejected"


def test_a_product_that_is_not_there(shopify: Shopify, tools: Tools, render: Make):
    """Is said, and nothing was uploaded."""
    publication = asked(at_shopify(shopify), render(), handle="gone")
    settled(tools)
    assert the(publication).error_code == "publish.no_product"
    assert "upload" not in shopify.calls


def test_a_video_that_shopify_cannot_process(shopify: Shopify, tools: Tools, render: Make):
    """Is taken off the product again; the reason is Shopify's own. A retry brings it anew."""
    product = shopify.has(7, "lamp")
    shopify.breaks = True
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    settled(tools)
    row = the(publication)
    assert (row.error_code, row.error_detail) == ("publish.media_failed", "Video is too long")
    assert shopify.videos(product) == []
    shopify.breaks = False
    transact(lambda session: publications.retry(session, row.owner_id, publication))
    settled(tools)
    published(publication)
    assert len(shopify.videos(product)) == 1


def test_an_attachment_that_came_through_late_is_removed(shopify: Shopify, tools: Tools, render: Make):
    """Two videos with one publication's mark: the second goes."""
    product = shopify.has(7, "lamp")
    shopify.polls = 2
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    driving.drive(publication, 0, tools)
    [first] = shopify.videos(product)
    product["shown"].append(type(first)(first | {"id": "gid://shopify/Video/999", "status": "READY"}))
    settled(tools)
    published(publication)
    assert [one["id"] for one in shopify.videos(product)] == [first["id"]]


@pytest.mark.parametrize("known", [True, False], ids=["by its age", "by the refusal"])
def test_a_staged_file_that_went_stale_is_uploaded_anew(shopify: Shopify, tools: Tools, render: Make, known: bool):
    """It waited long between its upload and the product: Shopify's places for uploads are temporary."""
    product = shopify.has(7, "lamp")
    shopify.fails("productUpdate", Reply(503), before=True)
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    driving.drive(publication, 0, tools)
    row = the(publication)
    assert row.step == "add"
    if known:
        change(publication, remote=row.remote | {"uploaded_at": row.remote["uploaded_at"] - 3601})
    shopify.forgets()
    change(publication, ready_at=row.created_at)
    settled(tools)
    published(publication)
    assert len(shopify.videos(product)) == 1
    assert shopify.calls.count("upload") == 2
    assert shopify.calls.count("productUpdate") == (2 if known else 3)


def test_what_is_refused_twice_is_refused(shopify: Shopify, tools: Tools, render: Make):
    """A limit of videos, say, is no matter of the upload."""
    shopify.has(7, "lamp")
    told = {"field": ["media"], "message": "Video limit reached"}
    refusal = Reply(200, {"data": {"productUpdate": {"product": None, "userErrors": [told]}}})
    shopify.fails("productUpdate", refusal, before=True, times=5)
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    settled(tools)
    assert (the(publication).error_code, shopify.calls.count("upload")) == ("publish.rejected", 2)


@pytest.mark.parametrize("replace", [True, False])
def test_what_was_given_up_half_way_makes_room(shopify: Shopify, tools: Tools, render: Make, replace: bool):
    """An unfinished video of an overtaken publication goes before the newer one is brought, which may fail; the one
    that was published stays until then."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify, replace=replace)
    first = asked(publisher, render(), handle="lamp")
    settled(tools)
    shopify.polls = 1000
    half = asked(publisher, render(), handle="lamp")
    driving.drive(half, 0, tools)
    newer = asked(publisher, render(), handle="lamp")
    assert (the(half).state, len(shopify.videos(product))) == ("superseded", 2)
    shopify.videos(product)[1]["status"] = "READY"
    shopify.breaks, shopify.polls = True, 1
    settled(tools)
    assert the(newer).error_code == "publish.media_failed"
    assert [one["id"] for one in shopify.videos(product)] == [published(first).remote["media_id"]]


def test_a_video_that_is_processed_for_a_day_is_withdrawn(
    shopify: Shopify, tools: Tools, render: Make, monkeypatch: pytest.MonkeyPatch
):
    """It would stay on the product with our mark for a text."""
    monkeypatch.setattr(module, "MOST_POLLS", 3)
    product = shopify.has(7, "lamp")
    shopify.polls = 1000
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    remove = shopify._delete

    def ready_by_now(info: Any, fileIds: list[str]) -> dict[str, Any]:  # noqa: N803 - the argument's own name
        shopify.videos(product)[0]["status"] = "READY"
        return remove(info, fileIds)

    shopify._delete = ready_by_now
    settled(tools)
    assert (the(publication).error_code, shopify.videos(product)) == ("publish.media_failed", [])
    assert "for a day" in (the(publication).error_detail or "")


def test_a_deletion_that_keeps_failing_is_a_remark(shopify: Shopify, tools: Tools, render: Make):
    """After some tries, not at the first: the video is live. The product's next one tries again."""
    shopify.has(7, "lamp")
    publisher = at_shopify(shopify)
    asked(publisher, render(), handle="lamp")
    settled(tools)
    shopify.fails("fileDelete", Reply(500, b"a plugin"), before=True, times=2)
    second = asked(publisher, render(), handle="lamp")
    while the(second).step != "tidy":
        driving.drive(second, the(second).lease, tools)
    row = the(second)
    assert (row.state, row.tries) == ("pending", 1)
    change(second, tries=MOST_TIDIES, ready_at=row.created_at)
    settled(tools)
    row = the(second)
    assert (row.state, row.error_code, "a plugin" in row.remote["remark"]) == ("published", None, True)
    third = asked(publisher, render(), handle="lamp")
    settled(tools)
    published(third)
    assert len(shopify.deleted) == 2


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [(402, "failed", "frozen"), (423, "failed", "locked"), (430, "published", "")],
)
def test_what_shopify_alone_means_by_a_status(
    shopify: Shopify, tools: Tools, render: Make, status: int, state: str, words: str
):
    """A shop that is frozen or locked is for its owner, and says so; a security rejection is of that moment."""
    shopify.has(7, "lamp")
    shopify.fails("productByIdentifier", Reply(status, {"errors": "Unavailable Shop"}), before=True)
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    settled(tools)
    row = the(publication)
    assert (row.state, words in (row.error_detail or "")) == (state, True)
    assert row.error_code == (None if state == "published" else "publish.rejected")


@pytest.mark.parametrize("scope", ["read_products", "write_products"])
def test_a_token_that_lacks_a_right_waits_for_another_and_uploads_once(
    shopify: Shopify, tools: Tools, render: Make, scope: str
):
    """The publisher is held; once the right is given, what was uploaded is used."""
    product, publisher = shopify.has(7, "lamp"), at_shopify(shopify)
    shopify.lacks.add(scope)
    publication = asked(publisher, render(), handle="lamp")
    settled(tools)
    row = the_publisher(publisher)
    assert (the(publication).state, row.error_code) == ("pending", "publish.refused")
    assert row.quiet_until is not None
    shopify.lacks.clear()
    change_publisher(publisher, enabled=True)
    settled(tools)
    assert published(publication).refused_at is None
    assert shopify.calls.count("upload") == len(shopify.videos(product)) == 1


_DENIED = Reply(200, {"errors": [{"message": "Access denied", "extensions": {"code": "ACCESS_DENIED"}}]})


@pytest.mark.parametrize("fault", [_DENIED, Reply(503)])
def test_an_upload_that_is_made_anew_is_no_progress(shopify: Shopify, tools: Tools, render: Make, fault: Reply):
    """A staged file is old after an hour, which is also the pause after many faults: going back to the upload must not
    begin the three days anew, else the video goes up each hour for ever."""
    shopify.has(7, "lamp")
    publication = asked(at_shopify(shopify), render(), handle="lamp")
    a_day = text(
        "UPDATE publications SET ready_at = now(), failing_since = failing_since - interval '1 day',"
        " refused_at = refused_at - interval '1 day', remote = jsonb_set(remote, '{uploaded_at}', '0')"
    )
    for _ in range(4):
        shopify.fails("productUpdate", fault, before=True)
        transact(lambda session: session.execute(text("UPDATE publishers SET quiet_until = NULL")))
        driving.drive(publication, the(publication).lease, tools)
        transact(lambda session: session.execute(a_day))
    assert the(publication).state == "failed"
    assert shopify.calls.count("upload") == 4
    transact(lambda session: publications.retry(session, owner_id(), publication))
    settled(tools)
    assert published(publication).remote["back"] is False

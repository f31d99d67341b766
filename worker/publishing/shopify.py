"""A video becomes media of a product at Shopify, by its GraphQL Admin API (version 2026-10).

    begin → upload → attach → add → (seek →) ready → tidy → published
               ↑               │               └→ withdraw → failed        (Shopify could not process it)
               └───────────────┘                                           (the uploaded file went stale)

Which of a product's videos is ours is told by its alternative text, which "CreateMediaInput" takes and "Media" shows:
it ends with our mark and the publication's id until the video is ready, when `tidy` sets the one that is wanted. No
file's name is looked at: what `productUpdate` makes of it is not documented. After any lost answer the product is asked
first. What somebody else adds in the same moment lacks the mark: it is never taken for ours, and ours, if it is there,
is found beside it, so nothing is attached twice. Should a lost call be carried out so late that the product did not
show its video yet, the second has the mark as well, and `tidy` removes it.

A `productUpdate` that answered without errors is never sent again: the product is looked at until it shows our mark.
Should something in the shop have rewritten the text at once, it never does; after half an hour the one video that the
product did not have before (`remote.before`) is taken to be ours. It may be anybody's all the same (`remote.unmarked`),
so it is neither named nor ever removed, and gives way to one with our mark.

`productCreateMedia` and `productDeleteMedia` are deprecated: media come with `productUpdate` and go with `fileDelete`,
which also takes them off the product and, unlike `fileUpdate`, frees the place that each video has among those that the
shop's plan allows.
"""

import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

from config.settings import settings
from worker.publishing import shopify_media as media
from worker.publishing.calls import kept, listing, mapping, send
from worker.publishing.errors import Again, GivenUp, PublishError, words
from worker.publishing.graphql import ask, payload, told
from worker.publishing.job import MARK, Job, Later, Next, Outcome, Published, Steps, at_last, remarked
from worker.publishing.models import PublicationState
from worker.publishing.multipart import Form
from worker.publishing.settings import ShopifySettings

LONGEST_POLL = timedelta(minutes=1)
MOST_POLLS = 1500
"""A day of them: Shopify processes a video in minutes."""
MOST_SEEKS = 30
"""Half an hour of them, for a video that was taken and is not shown."""
LONGEST_STAGED = timedelta(hours=1)
LONGEST_ALT = 512
"""Characters of an alternative text."""

STAGE = """mutation Stage($input: [StagedUploadInput!]!) {
  stagedUploadsCreate(input: $input) {
    stagedTargets { url resourceUrl parameters { name value } }
    userErrors { field message }
  }
}"""
ATTACH = f"""mutation Attach($product: ProductUpdateInput!, $media: [CreateMediaInput!]) {{
  productUpdate(product: $product, media: $media) {{
    product {{ id {media.MEDIA} }}
    userErrors {{ field message }}
  }}
}}"""
LOOK = """query Media($id: ID!) {
  node(id: $id) { id ... on Video { status mediaErrors { code details message } } }
}"""
CHECK = "query Check { shop { name } currentAppInstallation { accessScopes { handle } } }"
SCOPES = ("write_products", "write_files")
"""The first includes reading them."""


def begin(job: Job) -> Outcome:
    """Find the product ("productByIdentifier", by id or handle; by SKU through its variant), and on it our video."""
    product = _product(job)
    place = {"product_id": kept(product["id"])}
    there = [one["id"] for one in media.videos(product)]
    if job.remote.get("media_id") in there:
        return Next("ready", {**place, "polls": 0})
    if ours := media.marked(product, job.mark):
        return _found(ours[0], **place)
    return Next("upload", {**place, "media_id": None, "unmarked": False, "anew": False, "back": False})


def upload(job: Job) -> Outcome:
    """Have a place made ("stagedUploadsCreate": resource VIDEO, whose `fileSize` is required) and bring the file there
    by a multipart POST with the parameters that came with it, the file last. A place that is not used ends by itself,
    so this is done afresh whenever its answer was lost."""
    size = job.size()
    wish = {
        "filename": job.file_name,
        "mimeType": job.media_type,
        "resource": "VIDEO",
        "httpMethod": "POST",
        "fileSize": str(size),
    }
    made = payload(ask(job, STAGE, input=[wish]), "stagedUploadsCreate")
    target = next(iter(listing(made.get("stagedTargets"))), {})
    url, resource = kept(target.get("url")), kept(target.get("resourceUrl"))
    fields = {str(one.get("name")): str(one.get("value")) for one in listing(target.get("parameters"))}
    form = Form(fields, job.file_name, job.media_type, size)
    headers = {"Content-Type": form.content_type}
    send(job, "POST", url, headers=headers, pieces=form.pieces(job.pieces()), length=form.length, ours=False)
    return Next("attach", {"resource_url": resource, "uploaded_at": time.time()})


def attach(job: Job) -> Outcome:
    """What the product has is on file before anything is added; what was given up half way takes no place there."""
    product = _there(job)
    if ours := media.marked(product, job.mark):
        return _found(ours[0])
    with suppress(PublishError):  # still being processed, say: `tidy` does it
        media.remove(job, _unfinished(job, product))
    return Next("add", {"before": [one["id"] for one in media.videos(product)]})


def add(job: Job) -> Outcome:
    """Make it media of the product ("productUpdate" with `media`), unless that was done. A staged file is temporary,
    for how long is not documented: one that is old, or was refused for the first time, is uploaded anew."""
    if ours := media.marked(_there(job), job.mark):
        return _found(ours[0])
    if time.time() - job.remote.get("uploaded_at", 0) > LONGEST_STAGED.total_seconds():
        return Next("upload", {"back": True})
    wanted = {"originalSource": job.remote["resource_url"], "mediaContentType": "VIDEO", "alt": _marked_alt(job)}
    identified = {"id": job.remote["product_id"]}
    data = ask(job, ATTACH, product=identified, media=[wanted])
    try:
        answered = payload(data, "productUpdate")
    except GivenUp:
        if job.remote.get("anew"):
            raise
        return Next("upload", {"anew": True, "back": True})
    ours = media.marked(mapping(answered.get("product")), job.mark)
    return _found(ours[0]) if ours else Next("seek", {"seeks": 0, "back": False})


def seek(job: Job) -> Outcome:
    """Shopify has taken it: wait until the product shows it; in the end, believe what can be nothing else."""
    product = _there(job)
    if ours := media.marked(product, job.mark):
        return _found(ours[0])
    seeks = int(job.remote.get("seeks", 0)) + 1
    if seeks > MOST_SEEKS:
        return _found(_new(job, product), unmarked=True)
    return Later(_pause(seeks), {"seeks": seeks})


def ready(job: Job) -> Outcome:
    """Wait until it is processed ("MediaStatus": UPLOADED, PROCESSING, READY, FAILED)."""
    video = mapping(ask(job, LOOK, id=job.remote["media_id"]).get("node"))
    if not video:
        raise GivenUp("publish.media_failed", "the video was removed in the shop before it was ready")
    polls = int(job.remote.get("polls", 0)) + 1
    match video.get("status"):
        case "READY":
            return Next("tidy")
        case "FAILED":
            return Next("withdraw", {"failure": words(told(listing(video.get("mediaErrors"))))})
        case _ if polls > MOST_POLLS:
            return Next("withdraw", {"failure": "the shop has processed it for a day"})
        case _:
            return Later(_pause(polls), {"polls": polls})


def withdraw(job: Job) -> Outcome:
    """Take a broken video off the product again, then say why."""
    if not job.remote.get("unmarked"):
        media.remove(job, [job.remote["media_id"]])
    raise GivenUp("publish.media_failed", job.remote.get("failure") or "")


def tidy(job: Job) -> Outcome:
    """Remove what came twice and, with `replace`, what earlier publications of ours brought to this product; give the
    video its alternative text."""
    try:
        return _tidied(job)
    except GivenUp as refused:
        if refused.code == "publish.no_product":
            raise
        return remarked(refused)
    except Again as fault:
        return at_last(job, fault)


def _tidied(job: Job) -> Outcome:
    """Raises PublishError."""
    product = _there(job)
    if job.remote.get("unmarked") and (ours := media.marked(product, job.mark)):
        return _found(ours[0])
    earlier = job.earlier if _rules(job).replace else []
    mine = job.remote["media_id"]
    unsure = {one.remote.get("media_id") for one in earlier if one.remote.get("unmarked")}
    ids: set[Any] = {one.remote.get("media_id") for one in earlier} - unsure
    marks = (job.mark, *(f"{MARK}{one.id}" for one in earlier))
    ids |= {one["id"] for mark in marks for one in media.marked(product, mark)}
    media.remove(job, [one["id"] for one in media.videos(product) if one["id"] in ids and one["id"] != mine])
    if any(one["id"] == mine for one in media.marked(product, job.mark)):
        media.rename(job, mine, _rules(job).alt or "")
    there = {one["id"] for one in media.videos(product)} & unsure - {mine}
    left = [one for one in earlier if one.remote.get("media_id") in there]
    unsaid = sorted({str(one.remote["media_id"]) for one in left if not one.remote.get("left")})
    remark = {"remark": f"left, as it is without our mark: {', '.join(unsaid)}"} if unsaid else {}
    removed = tuple(one.id for one in earlier if one not in left)
    return Published(removed, remark, left=tuple(one.id for one in left))


STEPS: Steps = {
    "begin": begin,
    "upload": upload,
    "attach": attach,
    "add": add,
    "seek": seek,
    "ready": ready,
    "withdraw": withdraw,
    "tidy": tidy,
}


def check(job: Job) -> str:
    """Prove the token, and what it may do ("currentAppInstallation", `accessScopes`), by a query that costs a point;
    the shop's name."""
    found = ask(job, CHECK)
    scopes = {one.get("handle") for one in listing(mapping(found.get("currentAppInstallation")).get("accessScopes"))}
    if missing := [one for one in SCOPES if one not in scopes]:
        raise GivenUp("publish.refused", f"the token lacks {' and '.join(missing)}")
    return str(mapping(found.get("shop")).get("name") or "")


def _rules(job: Job) -> ShopifySettings:
    assert isinstance(job.settings, ShopifySettings)
    return job.settings


def _pause(asked: int) -> timedelta:
    return min(settings().waits.publish_poll_seconds * 1.5 ** min(asked - 1, 20), LONGEST_POLL)


def _found(video: media.Video, **more: Any) -> Next:
    return Next("ready", {"media_id": video["id"], "polls": 0, "unmarked": False, "back": False, **more})


def _new(job: Job, product: dict[str, Any]) -> media.Video:
    """The only one that a call that was carried out can have added. Raises GivenUp."""
    new = [one for one in media.videos(product) if one["id"] not in job.remote["before"] and MARK not in _alt(one)]
    if len(new) == 1:
        return new[0]
    raise GivenUp("publish.media_failed", "the shop took the video, but never showed it on the product")


def _unfinished(job: Job, product: dict[str, Any]) -> list[str]:
    """Videos of earlier publications that ended before they were ready; one that was being tidied is live."""
    ended = [one for one in job.earlier if one.state != PublicationState.PUBLISHED and one.step != "tidy"]
    marks = tuple(f"{MARK}{one.id}" for one in ended)
    return [one["id"] for one in media.videos(product) if marks and _alt(one).endswith(marks)]


def _alt(video: media.Video) -> str:
    return str(video.get("alt") or "")


def _marked_alt(job: Job) -> str:
    return f"{(_rules(job).alt or '')[: LONGEST_ALT - len(job.mark) - 1]} {job.mark}".strip()


def _there(job: Job) -> dict[str, Any]:
    product = media.by_identifier(job, {"id": job.remote["product_id"]})
    if product is None:
        raise GivenUp("publish.no_product", "the product was deleted in the shop")
    return product


def _product(job: Job) -> dict[str, Any]:
    for identifier in _identifiers(job):
        if (found := media.by_identifier(job, identifier)) is not None:
            return found
    raise GivenUp("publish.no_product", f"{job.held.publication.ref} is not in the shop")


def _identifiers(job: Job) -> list[dict[str, str]]:
    """From the surest to the most doubtful."""
    where, ref = job.held.publication.product, job.held.publication.ref
    given = {name: str(where[name]) for name in ("id", "handle", "sku") if where.get(name)}
    if "id" in given:
        return [{"id": _gid(given["id"])}]
    if "handle" in given:
        return [{"handle": given["handle"]}]
    if (sku := given.get("sku") or where.get("sku_or_id")) is not None:
        found = media.by_sku(job, str(sku))
        return [] if found is None else [{"id": found}]
    return [{"id": _gid(ref)}] if ref.isdecimal() else [{"handle": ref}]


def _gid(number: str) -> str:
    return number if number.startswith("gid://") else f"gid://shopify/Product/{number}"

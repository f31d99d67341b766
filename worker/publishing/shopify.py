"""A video becomes media of a product at Shopify, by its GraphQL Admin API (version 2026-10).

    begin → upload → attach → ready → tidy → published
                                └→ withdraw → failed        (Shopify could not process it)

Once more after any lost answer, each step first asks what is there: a file's name begins with the publication's id, so
the product's own media say whether it was attached. Should an answer be so late that it was attached twice all the
same, `tidy` removes the second. `productCreateMedia` and `productDeleteMedia` are deprecated: media come with
`productUpdate` and go with `fileDelete`, which also takes them off the product and, unlike `fileUpdate`, frees the
place that each video has among those that the shop's plan allows.
"""

from datetime import timedelta
from typing import Any

from config.settings import settings
from worker.publishing.calls import listing, mapping, send
from worker.publishing.errors import Again, GivenUp
from worker.publishing.graphql import ask, payload, told
from worker.publishing.job import MARK, Job, Later, Next, Outcome, Published, Steps
from worker.publishing.multipart import Form
from worker.publishing.settings import ShopifySettings

MOST_MEDIA = 250
"""Of a product, by Shopify's limits: one page has them all."""
LONGEST_POLL = timedelta(minutes=1)
MOST_POLLS = 1500
"""A day of them: Shopify processes a video in minutes."""

_MEDIA = f"""media(first: {MOST_MEDIA}) {{
  nodes {{ id status mediaContentType ... on Video {{ filename mediaErrors {{ code details message }} }} }}
}}"""
BY_IDENTIFIER = f"""query Product($identifier: ProductIdentifierInput!) {{
  productByIdentifier(identifier: $identifier) {{ id {_MEDIA} }}
}}"""
BY_SKU = """query Variant($query: String!) {
  productVariants(first: 2, query: $query) { nodes { sku product { id } } }
}"""
STAGE = """mutation Stage($input: [StagedUploadInput!]!) {
  stagedUploadsCreate(input: $input) {
    stagedTargets { url resourceUrl parameters { name value } }
    userErrors { field message }
  }
}"""
ATTACH = f"""mutation Attach($product: ProductUpdateInput!, $media: [CreateMediaInput!]) {{
  productUpdate(product: $product, media: $media) {{
    product {{ id {_MEDIA} }}
    userErrors {{ field message }}
  }}
}}"""
LOOK = """query Media($id: ID!) {
  node(id: $id) { id ... on Video { status filename mediaErrors { code details message } } }
}"""
REMOVE = """mutation Remove($ids: [ID!]!) {
  fileDelete(fileIds: $ids) { deletedFileIds userErrors { field message code } }
}"""
CHECK = "query Check { shop { name } }"


def begin(job: Job) -> Outcome:
    """Find the product ("productByIdentifier", by id or handle; by SKU through its variant), and on it our video."""
    product = _product(job)
    if ours := _ours(product, job.mark):
        return Next("ready", {"product_id": product["id"], "media_id": ours[0]["id"], "polls": 0})
    return Next("upload", {"product_id": product["id"]})


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
    url, resource = target.get("url"), target.get("resourceUrl")
    if not isinstance(url, str) or not isinstance(resource, str):
        raise Again("publish.unavailable", "the shop gave no place to upload to")
    fields = {str(one.get("name")): str(one.get("value")) for one in listing(target.get("parameters"))}
    form = Form(fields, job.file_name, job.media_type, size)
    headers = {"Content-Type": form.content_type}
    send(job, "POST", url, headers=headers, pieces=form.pieces(job.pieces()), length=form.length)
    return Next("attach", {"resource_url": resource})


def attach(job: Job) -> Outcome:
    """Make it media of the product ("productUpdate" with `media`), unless that was done."""
    product_id = job.remote["product_id"]
    product = _by_identifier(job, {"id": product_id})
    if product is None:
        raise GivenUp("publish.no_product", "the product was deleted in the shop")
    ours = _ours(product, job.mark) or _ours(_attached(job, product_id), job.mark)
    if not ours:
        raise Again("publish.unavailable", "the shop took the video, but does not show it yet")
    return Next("ready", {"media_id": ours[0]["id"], "polls": 0})


def _attached(job: Job, product_id: str) -> dict[str, Any]:
    told = job.settings
    assert isinstance(told, ShopifySettings)
    media = {"originalSource": job.remote["resource_url"], "mediaContentType": "VIDEO"}
    if told.alt:
        media["alt"] = told.alt
    answered = payload(ask(job, ATTACH, product={"id": product_id}, media=[media]), "productUpdate")
    return mapping(answered.get("product"))


def ready(job: Job) -> Outcome:
    """Wait until it is processed ("MediaStatus": UPLOADED, PROCESSING, READY, FAILED)."""
    media = mapping(ask(job, LOOK, id=job.remote["media_id"]).get("node"))
    if not media:
        raise GivenUp("publish.media_failed", "the video was removed in the shop before it was ready")
    polls = int(job.remote.get("polls", 0)) + 1
    match media.get("status"):
        case "READY":
            return Next("tidy")
        case "FAILED":
            return Next("withdraw", {"failure": told(listing(media.get("mediaErrors")))})
        case _ if polls > MOST_POLLS:
            raise GivenUp("publish.media_failed", "the shop has processed it for a day")
        case _:
            pause = settings().waits.publish_poll_seconds * 1.5 ** min(polls - 1, 20)
            return Later(min(pause, LONGEST_POLL), {"polls": polls})


def withdraw(job: Job) -> Outcome:
    """Take a broken video off the product again, then say why."""
    _remove(job, [job.remote["media_id"]])
    raise GivenUp("publish.media_failed", job.remote.get("failure") or "")


def tidy(job: Job) -> Outcome:
    """Remove what came twice and, with `replace`, what earlier publications of ours brought to this product."""
    rules = job.settings
    assert isinstance(rules, ShopifySettings)
    earlier = [one.id for one in job.held.earlier] if rules.replace else []
    product = _by_identifier(job, {"id": job.remote["product_id"]})
    if product is not None:
        marks = [job.mark, *(f"{MARK}{one}" for one in earlier)]
        found = [media["id"] for mark in marks for media in _ours(product, mark)]
        _remove(job, [one for one in found if one != job.remote["media_id"]])
    return Published(tuple(earlier))


STEPS: Steps = {
    "begin": begin,
    "upload": upload,
    "attach": attach,
    "ready": ready,
    "withdraw": withdraw,
    "tidy": tidy,
}


def check(job: Job) -> str:
    """Prove the credentials by a query that costs a point; the shop's name."""
    return str(mapping(ask(job, CHECK).get("shop")).get("name") or "")


def _product(job: Job) -> dict[str, Any]:
    for identifier in _identifiers(job):
        if (found := _by_identifier(job, identifier)) is not None:
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
        return _of_variant(job, str(sku))
    return [{"id": _gid(ref)}] if ref.isdecimal() else [{"handle": ref}]


def _gid(number: str) -> str:
    return number if number.startswith("gid://") else f"gid://shopify/Product/{number}"


def _of_variant(job: Job, sku: str) -> list[dict[str, str]]:
    quoted = sku.replace("\\", "\\\\").replace('"', '\\"')
    found = mapping(ask(job, BY_SKU, query=f'sku:"{quoted}"').get("productVariants"))
    exact = [one for one in listing(found.get("nodes")) if one.get("sku") == sku]  # the search goes by words
    return [{"id": str(mapping(one.get("product")).get("id"))} for one in exact[:1]]


def _by_identifier(job: Job, identifier: dict[str, str]) -> dict[str, Any] | None:
    return mapping(ask(job, BY_IDENTIFIER, identifier=identifier).get("productByIdentifier")) or None


def _ours(product: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    """Videos whose file has this mark; Shopify may have put something behind it."""
    nodes = listing(mapping(product.get("media")).get("nodes"))
    return [one for one in nodes if str(one.get("filename") or "").startswith(mark)]


def _remove(job: Job, ids: list[str]) -> None:
    """By "fileDelete"; what is gone already is no fault, what is being processed is tried again."""
    if not ids:
        return
    answered = mapping(ask(job, REMOVE, ids=ids).get("fileDelete"))
    problems = [one for one in listing(answered.get("userErrors")) if one.get("code") != "FILE_DOES_NOT_EXIST"]
    if any(one.get("code") == "FILE_LOCKED" for one in problems):
        raise Again("publish.unavailable", told(problems))
    if problems:
        raise GivenUp("publish.rejected", f"fileDelete: {told(problems)}")

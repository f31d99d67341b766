"""A shop's products and their videos at Shopify: asked for, told apart, removed, named (GraphQL Admin API 2026-10)."""

from typing import Any

from worker.publishing.calls import kept, listing, mapping
from worker.publishing.errors import Again, GivenUp
from worker.publishing.graphql import ask, told
from worker.publishing.job import Job

MOST_MEDIA = 250
"""Of a product, by Shopify's limits: one page has them all."""

MEDIA = f"""media(first: {MOST_MEDIA}) {{ nodes {{ id alt mediaContentType }} }}"""
BY_IDENTIFIER = f"""query Product($identifier: ProductIdentifierInput!) {{
  productByIdentifier(identifier: $identifier) {{ id {MEDIA} }}
}}"""
BY_SKU = """query Variant($query: String!) {
  productVariants(first: 2, query: $query) { nodes { sku product { id } } }
}"""
RENAME = """mutation Rename($files: [FileUpdateInput!]!) {
  fileUpdate(files: $files) { files { id } userErrors { field message code } }
}"""
REMOVE = """mutation Remove($ids: [ID!]!) {
  fileDelete(fileIds: $ids) { deletedFileIds userErrors { field message code } }
}"""

Video = dict[str, Any]
"""`id`, `alt`."""


def by_identifier(job: Job, identifier: dict[str, str]) -> dict[str, Any] | None:
    """A product with its media ("productByIdentifier"), or None. Raises PublishError."""
    return mapping(ask(job, BY_IDENTIFIER, identifier=identifier).get("productByIdentifier")) or None


def by_sku(job: Job, sku: str) -> str | None:
    """The id of the product with a variant of exactly this SKU, or None: the search goes by words. Raises
    PublishError."""
    quoted = sku.replace("\\", "\\\\").replace('"', '\\"')
    found = mapping(ask(job, BY_SKU, query=f'sku:"{quoted}"').get("productVariants"))
    exact = [one for one in listing(found.get("nodes")) if one.get("sku") == sku]
    return next((kept(mapping(one.get("product")).get("id")) for one in exact), None)


def videos(product: dict[str, Any]) -> list[Video]:
    """Those that the shop hosts; pictures and YouTube's are none of ours."""
    nodes = listing(mapping(product.get("media")).get("nodes"))
    return [one | {"id": kept(one.get("id"))} for one in nodes if one.get("mediaContentType") == "VIDEO"]


def marked(product: dict[str, Any], mark: str) -> list[Video]:
    """Those whose alternative text ends with this mark."""
    return [one for one in videos(product) if str(one.get("alt") or "").endswith(mark)]


def remove(job: Job, ids: list[str]) -> None:
    """By "fileDelete"; what is gone already is no fault, what is being processed is tried again. Raises PublishError.

    What becomes of the others where one cannot be deleted is not documented: those that the answer does not name are
    asked for one by one.
    """
    left = ids
    if len(ids) > 1:
        gone = mapping(ask(job, REMOVE, ids=ids).get("fileDelete")).get("deletedFileIds")
        left = [one for one in ids if one not in (gone or [])]
    for one in left:
        _remove(job, one)


def _remove(job: Job, media_id: str) -> None:
    answered = mapping(ask(job, REMOVE, ids=[media_id]).get("fileDelete"))
    _done(answered, "fileDelete")
    if not answered.get("userErrors") and media_id not in (answered.get("deletedFileIds") or []):
        raise Again("publish.unavailable", "fileDelete deleted nothing, and does not say why")


def rename(job: Job, media_id: str, alt: str) -> None:
    """Give a ready video its alternative text by "fileUpdate". Raises PublishError."""
    _done(mapping(ask(job, RENAME, files=[{"id": media_id, "alt": alt}]).get("fileUpdate")), "fileUpdate")


def _done(answered: dict[str, Any], mutation: str) -> None:
    problems = [one for one in listing(answered.get("userErrors")) if one.get("code") != "FILE_DOES_NOT_EXIST"]
    if any(one.get("code") in ("FILE_LOCKED", "NON_READY_STATE") for one in problems):
        raise Again("publish.unavailable", told(problems))
    if problems:
        raise GivenUp("publish.rejected", f"{mutation}: {told(problems)}")

"""Shopify's GraphQL Admin API: one POST, and what its answers mean (shopify.dev/docs/api/admin-graphql)."""

from typing import Any

from worker.publishing.calls import call, listing, mapping, parsed, said
from worker.publishing.errors import Again, GivenUp
from worker.publishing.job import Job
from worker.publishing.settings import ShopifyCredentials, ShopifySettings

CLOSED = {
    402: "the shop is frozen, its owner has to settle what he owes to Shopify",
    423: "the shop is locked, its owner has to ask Shopify why",
}
"""Of which the same again says the same ("Status and error codes")."""
PASSING = frozenset({"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"})


def ask(job: Job, query: str, /, **variables: Any) -> dict[str, Any]:
    """The answer's `data`. Raises Again, GivenUp.

    The token goes in `X-Shopify-Access-Token`, the version is part of the address ("Authentication", "Endpoints").
    """
    settings, credentials = job.settings, job.credentials
    assert isinstance(settings, ShopifySettings)
    assert isinstance(credentials, ShopifyCredentials)
    address = f"{settings.base}/admin/api/{settings.api_version}/graphql.json"
    headers = {"X-Shopify-Access-Token": credentials.access_token.get_secret_value()}
    body = {"query": query, "variables": variables}
    answer = call(job, "POST", address, headers=headers, body=body, allow=tuple(CLOSED))
    if (why := CLOSED.get(answer.status)) is not None:
        raise GivenUp("publish.rejected", f"{why}: HTTP {answer.status} {said(answer.body)}")
    whole = mapping(parsed(answer))
    if errors := whole.get("errors"):
        _raise(listing(errors) or [{"message": str(errors)}], mapping(whole.get("extensions")))
    return mapping(whole.get("data"))


def payload(data: dict[str, Any], mutation: str) -> dict[str, Any]:
    """What a mutation answered, where it has no user errors: it did nothing then ("userErrors"). Raises GivenUp."""
    found = mapping(data.get(mutation))
    problems = [*listing(found.get("userErrors")), *listing(found.get("mediaUserErrors"))]
    if problems:
        raise GivenUp("publish.rejected", f"{mutation}: {told(problems)}")
    return found


def told(problems: list[dict[str, Any]]) -> str:
    """Their messages."""
    return "; ".join(str(one.get("message") or one.get("details") or one.get("code") or one) for one in problems)


def _raise(errors: list[dict[str, Any]], extensions: dict[str, Any]) -> None:
    codes = {str(mapping(one.get("extensions")).get("code")) for one in errors}
    text = told(errors)
    if "THROTTLED" in codes or text == "Throttled":
        raise Again("publish.throttled", text, after=_restored(extensions))
    if "ACCESS_DENIED" in codes:
        raise GivenUp("publish.refused", text)
    if codes & PASSING:
        raise Again("publish.unavailable", text)
    raise GivenUp("publish.rejected", text)


def _restored(extensions: dict[str, Any]) -> float | None:
    """Seconds until the bucket holds what the query costs: the cost of a refused query comes with the bucket's
    content and the points that it gains a second ("Rate limits", `extensions.cost.throttleStatus`)."""
    cost = mapping(extensions.get("cost"))
    status = mapping(cost.get("throttleStatus"))
    try:
        missing = float(cost["requestedQueryCost"]) - float(status["currentlyAvailable"])
        return min(max(0.0, missing / float(status["restoreRate"])), 3600.0)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None

"""A video is put into WordPress's media library, and its address into a field of a WooCommerce product.

    begin → upload → attach → tidy → published

By the REST API of WordPress (developer.wordpress.org/rest-api/reference/media) and WooCommerce's v3 (products). The
file's name begins with the publication's id, and the library can be searched by it: after a lost answer it is asked for
before anything is sent again. Should the search have been too early, `tidy` removes the second file.
"""

import base64
import json
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

from worker.addresses.fetch import Fetched
from worker.publishing.calls import call, kept, listing, mapping, parsed, said, send
from worker.publishing.errors import Again, GivenUp
from worker.publishing.job import MARK, Job, Next, Outcome, Published, Steps, at_last, remarked
from worker.publishing.models import Publication
from worker.publishing.settings import WooCommerceCredentials, WooCommerceSettings

MEDIA = "/wp-json/wp/v2/media"
PRODUCTS = "/wp-json/wc/v3/products"
ME = "/wp-json/wp/v2/users/me"


def begin(job: Job) -> Outcome:
    """Find the product: by id, by SKU (`?sku=`), by slug. A variation's video belongs to its parent."""
    found = next((one for one in (look() for look in _ways(job)) if one), None)
    if not found:
        raise GivenUp("publish.no_product", f"{job.held.publication.ref} is not in the shop")
    variation = found.get("type") == "variation"  # products may have a parent too, which they do not stand for
    return Next("upload", {"product_id": _number(found, "parent_id" if variation else "id")})


def upload(job: Job) -> Outcome:
    """Put the file into the library ("Create a Media Item": its bytes as the body, its name in
    `Content-Disposition`), unless it is there."""
    media = next(iter(_library(job, job.mark)), None) or _uploaded(job)
    return Next("attach", {"media_id": _number(media), "source_url": kept(media.get("source_url"))})


def attach(job: Job) -> Outcome:
    """Write its address and number on the product ("Update a product", `meta_data`): the same again changes nothing,
    as WooCommerce updates a key that is there."""
    key = _rules(job).meta_key
    _write(job, {key: job.remote["source_url"], f"{key}_id": str(job.remote["media_id"])})
    return Next("tidy", {"meta_key": key})


def tidy(job: Job) -> Outcome:
    """Delete what came twice and, with `replace`, what earlier publications of ours put there for this product
    ("Delete a Media Item": `force`, as media know no trash)."""
    earlier = job.earlier if _rules(job).replace else []
    try:
        _empty(job, earlier)
        for mark in [job.mark, *(f"{MARK}{one.id}" for one in earlier)]:
            for media in _library(job, mark):
                if media["id"] != job.remote["media_id"]:
                    path = f"{MEDIA}/{media['id']}?force=true"
                    call(job, "DELETE", _at(job, path), headers=_of_site(job), allow=(404, 410))
    except GivenUp as refused:
        return remarked(refused)
    except Again as fault:
        return at_last(job, fault)
    return Published(tuple(one.id for one in earlier))


STEPS: Steps = {"begin": begin, "upload": upload, "attach": attach, "tidy": tidy}


def check(job: Job) -> str:
    """Prove both credentials by reading: who the user is and what he may do (`context=edit` shows `capabilities`), and
    one product. Of WooCommerce's own keys nothing says whether they may write."""
    user = mapping(parsed(call(job, "GET", _at(job, f"{ME}?context=edit"), headers=_of_site(job))))
    rights = ("upload_files",) if _has_keys(job) else ("upload_files", "edit_products")
    if missing := [one for one in rights if not mapping(user.get("capabilities")).get(one)]:
        raise GivenUp("publish.refused", f"the user lacks {' and '.join(missing)}")
    call(job, "GET", _at(job, f"{PRODUCTS}?per_page=1"), headers=_of_shop(job))
    return str(user.get("name") or "")


def _ways(job: Job) -> list[Callable[[], dict[str, Any] | None]]:
    """To the product, from the surest to the most doubtful."""
    where, ref = job.held.publication.product, job.held.publication.ref
    if where.get("id"):
        return [lambda: _by_id(job, str(where["id"]))]
    if where.get("sku"):
        return [lambda: _listed(job, sku=str(where["sku"]))]
    if where.get("handle"):
        return [lambda: _listed(job, slug=str(where["handle"]))]
    either = str(where.get("sku_or_id") or ref)
    return [lambda: _listed(job, sku=either), lambda: _by_id(job, either)]


def _by_id(job: Job, number: str) -> dict[str, Any] | None:
    if not number.isdecimal():
        return None
    answer = call(job, "GET", _at(job, f"{PRODUCTS}/{number}"), headers=_of_shop(job), allow=(404,))
    if answer.status != 404:
        return mapping(parsed(answer))
    try:
        _missing(answer)
    except GivenUp as why:
        if why.code == "publish.no_product":
            return None
        raise


def _listed(job: Job, **wanted: str) -> dict[str, Any] | None:
    answer = call(job, "GET", _at(job, f"{PRODUCTS}?{urlencode(wanted)}"), headers=_of_shop(job))
    [(name, value)] = wanted.items()
    exact = [one for one in listing(parsed(answer)) if str(one.get(name)).casefold() == value.casefold()]
    return exact[0] if exact else None


def _library(job: Job, mark: str) -> list[dict[str, Any]]:
    """Files with this mark; the search also goes by their names."""
    query = urlencode({"search": mark, "media_type": "video", "per_page": 100})
    found = listing(parsed(call(job, "GET", _at(job, f"{MEDIA}?{query}"), headers=_of_site(job))))
    return [one for one in found if str(one.get("source_url")).rpartition("/")[2].startswith(mark)]


def _uploaded(job: Job) -> dict[str, Any]:
    headers = {
        **_of_site(job),
        "Accept": "application/json",
        "Content-Type": job.media_type,
        "Content-Disposition": f'attachment; filename="{quote(job.file_name)}"',
    }
    answer = send(job, "POST", _at(job, MEDIA), headers=headers, pieces=job.pieces(), length=job.size())
    return mapping(parsed(answer))


def _write(job: Job, fields: dict[str, str]) -> None:
    """Raises PublishError."""
    path = f"{PRODUCTS}/{job.remote['product_id']}"
    body = {"meta_data": [{"key": key, "value": value} for key, value in fields.items()]}
    answer = call(job, "PUT", _at(job, path), headers=_of_shop(job), body=body, allow=(400, 404))
    if answer.status >= 400:
        _missing(answer)


def _empty(job: Job, earlier: list[Publication]) -> None:
    """The fields that had another name when `earlier` ones were brought, where they still have what is to be deleted.
    Raises PublishError."""
    keys = {str(one.remote["meta_key"]) for one in earlier if one.remote.get("meta_key")} - {job.remote["meta_key"]}
    if not keys:
        return
    product = _by_id(job, str(job.remote["product_id"])) or {}
    there = {str(one.get("key")): str(one.get("value")) for one in listing(product.get("meta_data"))}
    numbers = {str(one.remote.get("media_id")) for one in earlier}
    if stale := [key for key in sorted(keys) if there.get(f"{key}_id") in numbers]:
        _write(job, dict.fromkeys([name for key in stale for name in (key, f"{key}_id")], ""))


def _number(row: dict[str, Any], name: str = "id") -> int:
    """Raises Again."""
    number = row.get(name)
    if isinstance(number, int) and 0 < number < 2**63:
        return number
    raise Again("publish.unavailable", f"the shop's answer has no {name} that can be used")


def _missing(answer: Fetched) -> NoReturn:
    """Only WooCommerce itself knows that a product is not there: any other 404 is of whoever answers at that address.
    Raises GivenUp."""
    try:
        problem = mapping(json.loads(answer.body))
    except ValueError:
        problem = {}
    if str(problem.get("code")).endswith("_invalid_id"):
        raise GivenUp("publish.no_product", said(answer.body))
    raise GivenUp("publish.rejected", f"HTTP {answer.status} {said(answer.body)}")


def _has_keys(job: Job) -> bool:
    given = job.credentials
    assert isinstance(given, WooCommerceCredentials)
    return given.consumer_key is not None


def _at(job: Job, path: str) -> str:
    return f"{_rules(job).url}{path}"


def _rules(job: Job) -> WooCommerceSettings:
    assert isinstance(job.settings, WooCommerceSettings)
    return job.settings


def _of_site(job: Job) -> dict[str, str]:
    """An application password goes as HTTP Basic, its spaces are for people ("Application Passwords")."""
    given = job.credentials
    assert isinstance(given, WooCommerceCredentials)
    return _basic(given.user, given.application_password.get_secret_value().replace(" ", ""))


def _of_shop(job: Job) -> dict[str, str]:
    """WooCommerce's own keys where there are some, as HTTP Basic over HTTPS ("Authentication"); else the user's."""
    given = job.credentials
    assert isinstance(given, WooCommerceCredentials)
    if given.consumer_key is None or given.consumer_secret is None:
        return _of_site(job)
    return _basic(given.consumer_key.get_secret_value(), given.consumer_secret.get_secret_value())


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

"""Calls to a shop, and what an answer means whoever gave it."""

import json
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, cast

from worker.addresses.errors import AddressError, Busy, Refused, Unreachable
from worker.addresses.fetch import Fetched
from worker.publishing.errors import Again, Crowded, GivenUp
from worker.publishing.job import Job, quick, upload

PASSING = frozenset({408, 425, 430, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530})
"""430 is Shopify's own: a call that looked like an attack in that moment."""
MOST_KEPT = 2000
"""Characters of an id or an address that a shop gives."""


def call(
    job: Job, method: str, url: str, *, headers: Mapping[str, str], body: Any = None, allow: tuple[int, ...] = ()
) -> Fetched:
    """Ask with a JSON body, or none; an answer with 2xx or a status of `allow`. Raises Again, GivenUp."""
    job.alive()
    content = None if body is None else json.dumps(body).encode()
    typed = {"Content-Type": "application/json"} if content is not None else {}
    try:
        answer = job.fetch.fetch(
            method, url, headers={"Accept": "application/json", **typed, **headers}, content=content, limits=quick()
        )
    except AddressError as error:
        unreachable(error)
    return judged(answer, allow)


def send(
    job: Job,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    pieces: Iterator[bytes],
    length: int,
    ours: bool = True,
) -> Fetched:
    """Send a file of a known length, in pieces; an answer with 2xx. It goes on as long as pieces are taken, which
    renews the claim, and ends before that does: a receiver that drips its answer holds a worker no longer.
    `ours`: with the publisher's credentials, else to somebody who never saw them. Raises Again, GivenUp, and what
    reading raises."""
    try:
        with job.fetch.open(
            method, url, headers=headers, content=pieces, length=length, limits=upload(), clock=job.uploading()
        ) as answer:
            return judged(Fetched(answer.status, answer.headers, answer.read(), answer.url), ours=ours)
    except AddressError as error:
        unreachable(error)


def judged(answer: Fetched, allow: tuple[int, ...] = (), *, ours: bool = True) -> Fetched:
    """The answer, where it is one to go on with. Raises Again, GivenUp."""
    status = answer.status
    if 200 <= status < 300 or status in allow:
        return answer
    told = f"HTTP {status} {said(answer.body)}"
    if status in (401, 403) and ours:
        raise GivenUp("publish.refused", told)
    if status == 429:
        raise Again("publish.throttled", told, after=retry_after(answer))
    if status in PASSING:
        raise Again("publish.unavailable", told, after=retry_after(answer))
    raise GivenUp("publish.rejected", told)


def unreachable(error: AddressError) -> NoReturn:
    """What a fetch that did not end well means. Raises Again, Crowded, GivenUp."""
    if isinstance(error, Busy):
        raise Crowded(str(error)) from None
    if isinstance(error, Refused):
        raise GivenUp("publish.address", str(error)) from None
    if isinstance(error, Unreachable):
        raise Again("publish.unavailable", f"{error.code}: {error}") from None
    raise Again("publish.unavailable", f"an answer that cannot be used: {error}") from None


def parsed(answer: Fetched) -> Any:
    """Its JSON. Raises Again: a page of a firewall or of maintenance comes with 200 as well."""
    try:
        return json.loads(answer.body)
    except ValueError:
        raise Again("publish.unavailable", f"no JSON: {said(answer.body)}") from None


def mapping(value: Any) -> dict[str, Any]:
    """An object's members; none where it is no object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def listing(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [mapping(one) for one in cast("list[Any]", value)] if isinstance(value, list) else []


def kept(text: Any) -> str:
    """An id or address that a shop gave, as it can be kept in the database and sent back. Raises Again."""
    if isinstance(text, str) and 0 < len(text) <= MOST_KEPT and text.isprintable():
        return text
    raise Again("publish.unavailable", f"the shop's answer cannot be used: {str(text)[:50]!r}")


def said(body: bytes) -> str:
    """An error's own words, as far as they are known to be that; `errors` cuts and cleans them."""
    text = body[:2000].decode("utf-8", "replace")
    try:
        read = mapping(json.loads(body)) if len(body) < 100_000 else {}
    except ValueError:
        return text
    message = read.get("message") or read.get("errors") or read.get("error") or text
    return message if isinstance(message, str) else json.dumps(message)


def retry_after(answer: Fetched) -> float | None:
    """Seconds, from either form of the header."""
    given = answer.headers.get("retry-after", "").strip()
    if given.isdecimal():
        return float(min(int(given[:9]), 10**7))
    try:
        when = parsedate_to_datetime(given)
        now = parsedate_to_datetime(answer.headers["date"])
        return max(0.0, (when - now).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None

"""Keys for the tests, made as the command line makes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.api.service import Service
from worker.owners import store


def new_key(service: Service, owner: str = "default", **options: Any) -> str:
    """The text of a key with these scopes, limits, expiry."""
    return service.write(lambda s: store.new_key(s, store.owner(s, owner).id, "tests", **options))


@contextmanager
def caller(service: Service, text: str) -> Iterator[httpx.Client]:
    """Who calls with it."""
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {text}"}, timeout=20) as client:
        yield client

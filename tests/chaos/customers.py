"""Who asks for the renders: through the REST intake, with keys, again until there is an answer."""

import json
import random
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from tests.chaos.prompts import Wish

AGAIN_SECONDS = 0.3
PATIENCE_SECONDS = 5.0
"""For one answer; a frozen intake is asked again."""
PASSING = frozenset({408, 409, 425, 429})
"""Refusals that say "not now": a key whose first request is still under way is a 409."""


@dataclass
class Customers:
    """A crowd with at most 16 calls at once."""

    api: str
    headers: dict[str, str]
    chance: random.Random
    accepted: dict[str, str] = field(default_factory=dict[str, str])
    """Key → id of the render."""
    complaints: list[str] = field(default_factory=list[str])
    batches: list[str] = field(default_factory=list[str])
    """Ids of those that were promised."""
    repeated: int = 0
    """Posts that were sent more than once with their key."""
    _http: httpx.Client = field(init=False)
    """Shared: a client of its own for each call would cost 20 ms of a core, more than the intake needs."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, "customer"))
    _under_way: list[Future[None]] = field(default_factory=list[Future[None]])

    def __post_init__(self) -> None:
        self._http = httpx.Client(base_url=self.api, headers=self.headers, timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._http.close()

    def ask(self, wishes: Iterable[Wish]) -> None:
        """Ask for these, in the background."""
        for wish in wishes:
            twice = self.chance.random() < 0.15
            self._under_way.append(self._pool.submit(self._one, wish, twice))

    def ask_at_once(self, wishes: Sequence[Wish]) -> None:
        """Ask for these as one batch, in the background."""
        self._under_way.append(self._pool.submit(self._batch, wishes))

    @property
    def served(self) -> bool:
        """Whether everybody has had an answer. Raises what one of them raised."""
        for one in self._under_way:
            if one.done():
                one.result()
        return all(one.done() for one in self._under_way)

    def _one(self, wish: Wish, twice: bool) -> None:
        key = {"Idempotency-Key": wish.key}
        answer = self.insist("POST", "/v1/renders", json=wish.body, headers=key)
        if answer is None:
            return
        self.accepted[wish.key] = answer["id"]
        if twice:
            again = self.insist("POST", "/v1/renders", json=wish.body, headers=key)
            if again is not None and again["id"] != answer["id"]:
                self.complaints.append(f"key {wish.key} led to {answer['id']} and to {again['id']}")
        if wish.cancel_after is not None and not self._stop.wait(wish.cancel_after):
            self.insist("POST", f"/v1/renders/{answer['id']}/cancel")

    def _batch(self, wishes: Sequence[Wish]) -> None:
        lines = "".join(json.dumps(wish.body | {"external_ref": wish.key}) + "\n" for wish in wishes)
        headers = {"Idempotency-Key": f"batch-of-{wishes[0].key}", "Content-Type": "application/x-ndjson"}
        promised = self.insist("POST", "/v1/batches", content=lines, headers=headers)
        if promised is None:
            return
        self.batches.append(promised["id"])
        made = self._items(promised["id"])
        if made is not None:
            if sorted(made) != sorted(wish.key for wish in wishes):
                self.complaints.append(f"batch {promised['id']} has {sorted(made)}")
            self.accepted |= made
        for wish in wishes:
            if wish.cancel_after is not None and wish.key in self.accepted and not self._stop.wait(wish.cancel_after):
                self.insist("POST", f"/v1/renders/{self.accepted[wish.key]}/cancel")

    def _items(self, batch: str) -> dict[str, str] | None:
        """Key → id of a batch's renders; a key that came twice is a complaint of its own."""
        made: dict[str, str] = {}
        cursor: str | None = ""
        while cursor is not None:
            params = {"limit": 50} | ({"cursor": cursor} if cursor else {})
            page = self.insist("GET", f"/v1/batches/{batch}/items", params=params)
            if page is None:
                return None
            for item in page["data"]:
                if made.setdefault(item["ref"], item["id"]) != item["id"]:
                    self.complaints.append(f"batch {batch} has two of {item['external_ref']}")
            cursor = page["next_cursor"]
        return made

    def insist(self, method: str, path: str, *, refusal: int | None = None, **content: Any) -> Any:
        """The answer's body, however often the call has to be repeated; None when it is refused for good (which is a
        complaint, but for the status `refusal`) or this crowd goes home."""
        tries = 0
        while not self._stop.is_set():
            tries += 1
            try:
                answer = self._http.request(method, path, **content)
            except httpx.HTTPError:
                self._stop.wait(AGAIN_SECONDS)
                continue
            if answer.status_code < 300:
                self.repeated += tries > 1
                return answer.json()
            if answer.status_code == refusal:
                return None
            if answer.status_code < 500 and answer.status_code not in PASSING:
                self.complaints.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
                return None
            self._stop.wait(AGAIN_SECONDS)
        return None

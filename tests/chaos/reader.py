"""Somebody who follows the feed during the storm, in pages of chance size, and goes on from the cursor they kept."""

import random
import threading
import time
from typing import Self

import httpx

from tests.chaos.books import Reading, subject

LARGEST_PAGE = 200


class Reader:
    """Reads in a thread of its own from the beginning on; `readings` is what the checker compares with the table."""

    def __init__(self, api: str, headers: dict[str, str], chance: random.Random) -> None:
        self._http = httpx.Client(base_url=api, headers=headers, timeout=10)
        self._chance = chance
        self._given: list[tuple[str, int]] = []
        self._kept: list[tuple[int, str]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def readings(self, *, again: int = 3) -> tuple[Reading, ...]:
        """Stop following, read to the end, and read once more from some of the cursors that were kept."""
        self._stop.set()
        self._thread.join(30)
        cursor = self._kept[-1][1] if self._kept else ""
        self._given += self._to_the_end(cursor)
        chosen = self._chance.sample(self._kept, min(again, len(self._kept)))
        rest = [Reading(before, self._to_the_end(cursor)) for before, cursor in chosen]
        return (Reading(0, self._given), *rest)

    def _follow(self) -> None:
        cursor = ""
        while not self._stop.is_set():
            try:
                page, cursor = self._page(cursor)
            except httpx.HTTPError:  # killed, or the database is away: the cursor is still good
                self._stop.wait(0.2)
                continue
            if page:
                self._given += page
                self._kept.append((len(self._given), cursor))
            self._stop.wait(self._chance.uniform(0.0, 0.3))

    def _to_the_end(self, cursor: str) -> list[tuple[str, int]]:
        """Whatever is still to come from a cursor on; a transaction that is still open may hide the newest for a
        moment, so two empty pages in a row are wanted."""
        given: list[tuple[str, int]] = []
        empty = 0
        while empty < 2:
            page, cursor = self._page(cursor)
            given += page
            empty = 0 if page else empty + 1
            if not page:
                time.sleep(0.3)  # an intake that is down is asked again
        return given

    def _page(self, cursor: str) -> tuple[list[tuple[str, int]], str]:
        asked: dict[str, str | int] = {"limit": self._chance.randint(1, LARGEST_PAGE)}
        if cursor:
            asked["after"] = cursor
        answer = self._http.get("/v1/events", params=asked)
        answer.raise_for_status()
        page = answer.json()
        return [(subject(event), event["number"]) for event in page["data"]], page["next_cursor"]

"""How many publishers are checked at once, and how long one may take: a shop that hangs holds no more of the intake.

A check waits in one of the threads that all calls share. So few wait at once in this process, one of an owner's, and
each is over soon whatever the shop does.
"""

import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from api.problems import Problem
from worker.addresses.connect import Clock
from worker.addresses.fetch import Answer, Guarded, Limits

AT_ONCE = 4
EACH_OWNER = 1
SECONDS = 12.0
"""For all calls of one check together."""


class Turns:
    """Who may check now, in this process."""

    def __init__(self, at_once: int = AT_ONCE, each_owner: int = EACH_OWNER) -> None:
        self._at_once, self._each_owner = at_once, each_owner
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, owner_id: str) -> Generator[None]:
        """One turn, until the block's end. Raises Problem `rate.limited` at once where there is none."""
        with self._lock:
            if self._under_way[owner_id] >= self._each_owner or self._under_way.total() >= self._at_once:
                words = f"Publishers are checked {self._each_owner} at a time, and a few for all owners together."
                raise Problem("rate.limited", words, headers={"Retry-After": str(round(SECONDS))})
            self._under_way[owner_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[owner_id] -= 1
                self._under_way += Counter()  # forgets those that have none


class Hurried(Guarded):
    """Fetches that are over together `seconds` from now, whatever each would be given."""

    def __init__(self, seconds: float = SECONDS) -> None:
        super().__init__()
        self._until = time.monotonic() + seconds

    @contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterator[bytes] | None = None,
        length: int | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> Generator[Answer]:
        """As everybody's. Raises the same."""
        given, left = limits or Limits(), max(0.0, self._until - time.monotonic())
        hurried = replace(given, total_seconds=min(given.total_seconds, left))
        if clock is not None:
            clock.within(left)
        with super().open(
            method, url, headers=headers, content=content, length=length, limits=hurried, clock=clock
        ) as answer:
            yield answer


turns = Turns()

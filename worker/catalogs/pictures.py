"""What servers say of their pictures' versions: one HEAD an address and reading, side by side, within a budget.

A hint, never a condition: who does not answer costs the reading a little time and nothing else. What was known of a
picture before stands for what cannot be learned now, or a server's bad minute would have a whole shop rendered anew.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from worker.addresses.errors import AddressError, Refused
from worker.addresses.fetch import Guarded, Limits
from worker.catalogs.versions import Version

AT_ONCE = 16
LIMITS = Limits(total_seconds=5.0, connect_seconds=3.0, read_seconds=4.0, redirects=3)
BUDGET_SECONDS = 600.0
"""For all the pictures of one reading: 100,000 at 20 ms, 16 at once, take two minutes."""
UNTOLD = Version()
PATIENCE = 5
"""Failures of a host in a row after which it is asked no more."""


class Versions:
    """What this reading learned. Not for several threads."""

    def __init__(self, guarded: Guarded | None = None, *, budget_seconds: float = BUDGET_SECONDS) -> None:
        self._guarded = guarded or Guarded()
        self._left = budget_seconds
        self._known: dict[str, Version] = {}
        self._failures: Counter[str] = Counter()
        self._until = 0.0

    def learn(self, addresses: Iterable[str]) -> Mapping[str, Version]:
        """By address its version, as far as its server says it."""
        wanted = list(dict.fromkeys(addresses))
        asked = [one for one in wanted if one not in self._known and not self._is_given_up(one)]
        if asked and self._left > 0:
            self._ask(asked)
        return {one: self._known.get(one, UNTOLD) for one in wanted}

    def _ask(self, addresses: list[str]) -> None:
        began = time.monotonic()
        self._until = began + self._left
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pictures") as pool:
            for address, (answered, version) in zip(addresses, pool.map(self._one, addresses), strict=True):
                self._known[address] = version
                host = urlsplit(address).netloc
                self._failures[host] = 0 if answered else self._failures[host] + 1
        self._left -= time.monotonic() - began

    def _one(self, address: str) -> tuple[bool, Version]:
        """Whether the host answered, and what it said."""
        if self._is_given_up(address) or time.monotonic() > self._until:
            return False, UNTOLD
        try:
            with self._guarded.open("HEAD", address, limits=LIMITS) as answer:
                return answer.status < 500, Version.told(answer.headers) if answer.status == 200 else UNTOLD
        except Refused:
            return True, UNTOLD  # no fault of the host's
        except (AddressError, ValueError):
            return False, UNTOLD

    def _is_given_up(self, address: str) -> bool:
        return self._failures[urlsplit(address).netloc] >= PATIENCE

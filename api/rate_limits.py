"""How often a key may ask: one budget for writes and one for reads, counted in Redis for all API processes together.

A sliding window (two counters a key, weighted): it never lets a key have twice its budget around a full minute, as
fixed windows do, and needs no list of every request, as an exact log does. While Redis is away, slow or unwilling, each
process counts in its own memory, at once; one request a second tries Redis again, and no other waits for it.
"""

import ipaddress
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import ConnectionPool, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.problems import Problem
from config.logging import get
from config.settings import settings
from worker.owners.limits import Limits

log = get(__name__)

WINDOW_SECONDS = 60
ROUND_TRIP_SECONDS = 0.1
"""What one request in a second loses to a Redis that hangs. A healthy one answers in a thousandth of it, and a busy
machine lets it wait for half."""
LOOK_AGAIN_SECONDS = 1.0
MOST_PEERS = 10_000
"""Addresses kept with their failures: beyond it all are forgotten, which a flood from so many would gain nothing by."""
READS = ("GET", "HEAD")
_SPACE = "vivideo"


@dataclass(frozen=True)
class Policy:
    """One budget: so many requests a minute."""

    name: str
    per_minute: int


@dataclass(frozen=True)
class Standing:
    """How a key stands with a policy after this request; `seconds` until more is left than now."""

    policy: Policy
    allowed: bool
    left: int
    seconds: int

    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers writes them (structured fields)."""
        name = f'"{self.policy.name}"'
        return {
            "RateLimit-Policy": f"{name};q={self.policy.per_minute};w={WINDOW_SECONDS}",
            "RateLimit": f"{name};r={self.left};t={self.seconds}",
        }

    def refusal(self) -> Problem:
        """The problem of a request too many."""
        words = f"This key may make {self.policy.per_minute} {self.policy.name} a minute."
        return Problem("rate.limited", words, headers={"Retry-After": str(max(1, self.seconds))})


def policy(method: str, limits: Limits) -> Policy | None:
    """The budget that a request of this method draws on; None where it is unlimited."""
    rates = settings().rates
    if method in READS:
        name, own, usual = "reads", limits.reads_per_minute, rates.reads_per_minute
    else:
        name, own, usual = "writes", limits.requests_per_minute, rates.writes_per_minute
    amount = usual if own is None else own
    return Policy(name, amount) if amount else None


class Budgets:
    """The counters: Redis's while it answers, this process's own while it does not."""

    def __init__(self, redis_url: str | None) -> None:
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._pool = _pool(redis_url) if redis_url else None
        self._shared = _limiter(self._pool) if self._pool else None
        self._lock = threading.Lock()
        self._away = False
        self._look_at = 0.0

    def spend(self, policy: Policy, key_id: str, *, cost: int = 1) -> Standing:
        """Count one request, or as many as it is worth, unless that is too much."""
        if self._shared is not None and self._may_ask():
            try:
                standing = _spend(self._shared, policy, key_id, cost)
            except RedisError as error:
                self._lost(error)
            else:
                self._found()
                return standing
        return _spend(self._own, policy, key_id, cost)

    def _may_ask(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if self._away and now < self._look_at:
                return False
            self._look_at = now + LOOK_AGAIN_SECONDS
            return True

    def _lost(self, error: RedisError) -> None:
        with self._lock:
            known, self._away = self._away, True
            self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS
        if self._pool is not None:
            # Connections to a server that is gone would each fail once more.
            self._pool.disconnect(inuse_connections=False)
        if not known:
            log.warning("rates.away", error=type(error).__name__)

    def _found(self) -> None:
        if not self._away:
            return
        with self._lock:
            known, self._away = self._away, False
        if known:
            log.info("rates.back")


def _pool(url: str) -> ConnectionPool:
    return ConnectionPool.from_url(
        url,
        socket_timeout=ROUND_TRIP_SECONDS,
        socket_connect_timeout=ROUND_TRIP_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def _limiter(pool: ConnectionPool) -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(RedisStorage("redis://", connection_pool=pool, key_prefix=_SPACE))


def _spend(limiter: SlidingWindowCounterRateLimiter, policy: Policy, who: str, cost: int) -> Standing:
    item = RateLimitItemPerMinute(policy.per_minute, namespace=policy.name)
    allowed = limiter.hit(item, who, cost=cost)
    stats = limiter.get_window_stats(item, who)
    left = stats.remaining if allowed else 0
    return Standing(policy, allowed, left, max(0, math.ceil(stats.reset_time - time.time())))


@lru_cache(maxsize=1)
def budgets() -> Budgets:
    """This process's."""
    return Budgets(settings().servers.redis)


class FailedKeys:
    """Keys that were not valid, or `what` else, by the peer they came from: in this process alone, for it has to cost
    next to nothing.

    The peer is the connection's other end. `X-Forwarded-For` is anybody's to write and is not believed.
    """

    def __init__(self, per_minute: Callable[[], int] | None = None, what: str = "keys that are not valid") -> None:
        self._per_minute = per_minute or (lambda: settings().rates.failed_keys_per_minute)
        self._what = what
        self._storage = MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    def demand(self, peer: str) -> None:
        """Raises Problem `rate.limited` where too many came from there."""
        item = self._item()
        if item is None or self._limiter.test(item, _network(peer)):
            return
        seconds = math.ceil(self._limiter.get_window_stats(item, _network(peer)).reset_time - time.time())
        words = f"Too many {self._what} came from your address."
        raise Problem("rate.limited", words, headers={"Retry-After": str(max(1, seconds))})

    def count(self, peer: str) -> None:
        """One more from there."""
        if item := self._item():
            if len(self._storage.storage) > MOST_PEERS:
                self._storage.reset()
            self._limiter.hit(item, _network(peer))

    def _item(self) -> RateLimitItemPerMinute | None:
        amount = self._per_minute()
        return RateLimitItemPerMinute(amount) if amount else None


def _network(peer: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 one, which is the least that anybody has."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer  # a Unix socket has no address
    return peer if address.version == 4 else str(ipaddress.ip_network((int(address), 64), strict=False))

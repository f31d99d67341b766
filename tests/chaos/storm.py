"""One storm: the script is carried out, then comes calm, then the books are checked."""

import random
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis

from tests.chaos import batches, figures, gathering, webhooks
from tests.chaos.customers import Customers
from tests.chaos.figures import Figures
from tests.chaos.ground import START_AGAIN_SECONDS, Ground
from tests.chaos.invariants import Violation, check
from tests.chaos.prompts import Wish
from tests.chaos.reader import Reader
from tests.chaos.script import Blow, Script, write
from tests.chaos.webhooks import Listener

CALM_SECONDS = 900.0
"""For everything to end after the last blow, at most: minutes on a machine that others use too."""

STILL_SECONDS = 60.0
"""Without one claim or outcome: longer than any wait, so nothing more will come. What is not final then is lost."""

RETRIED = 0.25
"""Share of those that ended without a video whose next run is asked for."""

AT_ONCE = 0.5
"""Share of the crowds that ask as one batch."""

_MOVES = """
    SELECT sum(lease), max(event_number), count(*), (SELECT sum(lease) FROM webhook_deliveries) FROM renders"""

Result = tuple[Figures, list[Violation]]


def storm(seed: int, *, renders: int, kills: int, home: Path, quick: bool = False) -> Result:
    """Blow, wait for calm, check. What it came to, and every place where an invariant does not hold."""
    script = write(seed, renders=renders, kills=kills)
    began = time.monotonic()
    with (
        Ground(home, quick=quick) as ground,
        Customers(ground.api, ground.headers, random.Random(seed + 1)) as customers,
        Reader(ground.api, ground.headers, random.Random(seed + 2)) as reader,
        Listener(customers, seed + 4) as listener,
    ):
        done = Storm(ground, customers, script)
        done.blow()
        done.calm()
        if done.ask_again():
            done.calm()
        return done.judge(reader, listener, began)


class Storm:
    """The carrying out of a script."""

    def __init__(self, ground: Ground, customers: Customers, script: Script) -> None:
        self.ground = ground
        self.customers = customers
        self.script = script
        self.chance = random.Random(script.seed + 3)
        self.done: dict[str, int] = {}
        self.restarts: list[tuple[float, float]] = []
        """When PostgreSQL went, and when it was back (Unix seconds)."""
        self._wakes: list[tuple[float, str]] = []
        self._look_at = 0.0

    def blow(self) -> None:
        """Arrivals and blows as their times come; whatever ended is started again."""
        began = time.monotonic()
        arrivals, blows = deque(self.script.arrivals), deque(self.script.blows)
        while arrivals or blows or self._wakes:
            now = time.monotonic() - began
            while arrivals and arrivals[0][0] <= now:
                self._arrive(arrivals.popleft()[1])
            if blows and blows[0].at <= now and self._strike(blows[0], now):
                self._count(blows.popleft().what)
            self._wake(now)
            self.ground.tend(self.chance.uniform(*START_AGAIN_SECONDS))
            time.sleep(0.03)  # the script's own clock: blows come as their times do

    def _arrive(self, wishes: list[Wish]) -> None:
        """What the backend is to do to them is told to it first."""
        if rules := [rule for wish in wishes for rule in wish.rules]:
            self._tell("rules", rules)
        if len(wishes) > 1 and self.chance.random() < AT_ONCE:
            self._count("batch")
            self.customers.ask_at_once(wishes)
        else:
            self.customers.ask(wishes)

    def _count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    def _strike(self, blow: Blow, now: float) -> bool:
        """False: it is not up just now, the blow waits for it."""
        act: dict[str, Callable[[], Any]] = {
            "kill": lambda: self._kill(blow.whom),
            "freeze": lambda: self._freeze(blow, now),
            "flush": self._flush,
            "cut": self._cut,
            "postgres": lambda: self._restart(blow.how),
            "burst": lambda: self._tell("rules", blow.how),
            "expire": lambda: self._tell("expire-tokens", {}),
            "forget": lambda: self._tell("forget-sessions", {}),
        }
        return act[blow.what]() is not False

    def _kill(self, whom: str) -> bool:
        if not self._alive():
            return False
        if whom == "broker":
            self.ground.kill_broker()
            return True
        name, _, child = whom.partition(" ")
        return self.ground.kill(self.ground.called(name), child=bool(child))

    def _alive(self) -> bool:
        """Somebody of each kind has been heard of within a lease: on a busy machine the blows wait for that, or they
        would fall on a stack that is never up."""
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + 0.25
        kinds = "SELECT count(DISTINCT kind) FROM workers WHERE seen_at > now() - interval '3 s'"
        return self._ask(kinds) == [(3,)]

    def _freeze(self, blow: Blow, now: float) -> bool:
        name = self.ground.called(blow.whom)
        if not self.ground.freeze(name):
            return False
        self._wakes.append((now + blow.how, name))
        return True

    def _wake(self, now: float) -> None:
        for due in [one for one in self._wakes if one[0] <= now]:
            self._wakes.remove(due)
            self.ground.thaw(due[1])

    def _flush(self) -> None:
        with redis.Redis.from_url(self.ground.redis_url) as broker:
            broker.flushall()

    def _cut(self) -> None:
        """Connections that stand idle in somebody's pool are cut, as firewalls do."""
        with psycopg.connect(self.ground.database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE state = 'idle' AND application_name LIKE 'vivideo%'"
            )

    def _restart(self, how: str) -> None:
        went = time.time()
        self.ground.restart_postgres(signal.SIGINT if how == "fast" else signal.SIGQUIT)
        self.restarts.append((went, time.time()))

    def _tell(self, what: str, body: Any) -> None:
        httpx.post(f"{self.ground.stack.sandbox}/_sandbox/{what}", json=body, timeout=30).raise_for_status()

    def calm(self) -> None:
        """No blow any more, everything is up: wait until all is final, or as long as it may take."""
        self.ground.thaw_all()
        httpx.delete(f"{self.ground.stack.sandbox}/_sandbox/rules", timeout=30).raise_for_status()
        end = time.monotonic() + CALM_SECONDS
        seen: Any = None
        still_at = time.monotonic() + STILL_SECONDS
        while time.monotonic() < min(end, still_at):
            ended = self._all_final() and self._batches_over()
            told = webhooks.rests(self._ask)
            if self.customers.served and self.ground.all_up() and ended and told and self._silent():
                return
            now = self._ask(_MOVES)
            if now != seen:
                seen, still_at = now, time.monotonic() + STILL_SECONDS
            self.ground.tend()
            time.sleep(0.1)  # between two looks

    def _all_final(self) -> bool:
        return self._ask("SELECT count(*) FROM renders WHERE finished_at IS NULL") == [(0,)]

    def _batches_over(self) -> bool:
        return self._ask("SELECT count(*) FROM batches WHERE state NOT IN ('receiving', 'finished')") == [(0,)]

    def _silent(self) -> bool:
        """No stream is open any more: what the backend still does is in its ledger."""
        return httpx.get(f"{self.ground.stack.sandbox}/_sandbox/ledger/summary", timeout=30).json()["streams"] == 0

    def _ask(self, query: str) -> list[tuple[Any, ...]] | None:
        with suppress(psycopg.OperationalError), psycopg.connect(self.ground.database) as connection:
            return connection.execute(query.encode()).fetchall()
        return None

    def ask_again(self) -> int:
        """The next run of some that ended without a video: with `force` where it has to be."""
        query = "SELECT id, charge_state FROM renders WHERE status IN ('failed', 'canceled') ORDER BY id"
        ended = self._ask(query) or []
        chosen = [one for one in ended if self.chance.random() < RETRIED]
        for render, charge in chosen:
            force = charge == "unknown" or self.chance.random() < 0.3
            # 409: its video turned up late meanwhile, and the next run began by itself.
            path = f"/v1/renders/{render}/retry"
            answer = self.customers.insist("POST", path, refusal=409, json={"force": force})
            self._count("retry" if answer else "retry refused")
        return len(chosen)

    def judge(self, reader: Reader, listener: Listener, began: float) -> Result:
        """The books against the invariants."""
        accepted = frozenset(self.customers.accepted.values())
        with gathering.connected(self.ground.stack) as connection:
            books = gathering.books(
                self.ground.stack, connection=connection, accepted=accepted, readings=reader.readings()
            )
            violations = [*check(books), *(Violation("intake", "-", one) for one in self.customers.complaints)]
            violations += batches.check(connection, self.customers.batches)
            violations += listener.check(connection)
            counted = figures.count(self.script.seed, books, self.ground.deaths, self.done, self.restarts, violations)
        return counted.timed(time.monotonic() - began, self.customers.repeated), violations

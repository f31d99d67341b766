"""The seeded script of a storm: what is done to whom, and when. The same seed gives the same script.

What it meets is another matter: processes run as they run, so a seed repeats the blows, not the places they hit.
"""

import random
from dataclasses import dataclass
from typing import Any

from tests.chaos.prompts import BURSTS, Wish, wish

KILLED = (
    ("stream-1", 5),
    ("stream-2", 5),
    ("io-1", 6),
    ("io-2", 6),
    ("media-1", 4),
    ("media-1 child", 3),
    ("dispatcher-1", 3),
    ("dispatcher-2", 3),
    ("api", 4),
    ("beat", 1),
    ("broker", 2),
)
FROZEN = ("stream-1", "stream-2", "io-1", "io-2", "media-1", "dispatcher-1")

SECONDS_A_KILL = 2.4
"""A Python process needs about two seconds of a core to be there again: faster, and nothing would ever be up."""


@dataclass(frozen=True)
class Blow:
    """Something done to the stack, `at` seconds after the beginning."""

    at: float
    what: str
    """`kill`, `freeze`, `flush`, `postgres`, `cut`, `burst`, `expire`, `forget`."""
    whom: str = ""
    how: Any = None


@dataclass(frozen=True)
class Script:
    """A storm's whole plan."""

    seed: int
    seconds: float
    blows: list[Blow]
    arrivals: list[tuple[float, list[Wish]]]
    """When, and the requests that come together."""


def write(seed: int, *, renders: int, kills: int) -> Script:
    """Draw it."""
    chance = random.Random(seed)
    seconds = kills * SECONDS_A_KILL
    blows = [*_kills(chance, kills, seconds), *_others(chance, kills, seconds)]
    return Script(
        seed, seconds, sorted(blows, key=lambda blow: blow.at), _arrivals(chance, seed, renders, seconds * 0.9)
    )


def _kills(chance: random.Random, kills: int, seconds: float) -> list[Blow]:
    """Each kind at least once where there are enough, then by weight; spread, but not evenly."""
    whom = chance.sample([name for name, _ in KILLED], min(kills, len(KILLED)))
    whom += chance.choices([name for name, _ in KILLED], [weight for _, weight in KILLED], k=kills - len(whom))
    chance.shuffle(whom)
    return [Blow(chance.uniform(1, seconds), "kill", name) for name in whom]


def _others(chance: random.Random, kills: int, seconds: float) -> list[Blow]:
    def some(share: float, at_least: int = 1) -> list[float]:
        return [chance.uniform(1, seconds) for _ in range(max(at_least, round(kills * share)))]

    first_half, second_half = chance.uniform(0.2, 0.45), chance.uniform(0.6, 0.85)
    hows = ["fast", "immediate"]
    chance.shuffle(hows)
    return [
        # Longer than a lease: taken over before it wakes.
        *(Blow(at, "freeze", chance.choice(FROZEN), chance.uniform(4.0, 6.0)) for at in some(0.12, 2)),
        *(Blow(at, "flush") for at in some(0.06)),
        *(Blow(at, "cut") for at in some(0.12)),
        *(Blow(at, "burst", how=chance.choice(BURSTS)) for at in some(0.25, 3)),
        *(Blow(at, "expire") for at in some(0.06)),
        # Every session under way is gone: their renders fail, so once is enough, and early, while few are under way.
        Blow(chance.uniform(0.05, 0.3) * seconds, "forget"),
        Blow(first_half * seconds, "postgres", how=hows[0]),
        Blow(second_half * seconds, "postgres", how=hows[1]),
    ]


def _arrivals(chance: random.Random, seed: int, renders: int, seconds: float) -> list[tuple[float, list[Wish]]]:
    """In bursts: half of them come in a few crowds, the others one by one."""
    wishes = [wish(chance, seed, number) for number in range(renders)]
    arrivals: list[tuple[float, list[Wish]]] = []
    crowd = max(4, renders // 12)
    left = wishes
    while len(left) > renders // 2:
        arrivals.append((chance.uniform(0, seconds), left[:crowd]))
        left = left[crowd:]
    arrivals += [(chance.uniform(0, seconds), [one]) for one in left]
    return sorted(arrivals, key=lambda arrival: arrival[0])

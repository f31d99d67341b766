"""Names that hang: each has one look-up, is left alone for a while, and leaves the other names their places."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.stack import until
from worker.addresses.errors import AddressError, Busy, TimedOut
from worker.addresses.lookups import OF_KNOWN, OF_OTHERS, OF_SUSPECTS, Lookups, Patience

QUICK = Patience(for_a_place=0.2, hung=0.1, refused=0.3, suspected=600, known=600)


class Names:
    """A resolver for which names that begin with `hang` take until the test lets go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, host: str, port: int) -> list[str]:
        let_go = self.let_go  # before anybody sees that it was asked
        self.asked.append(host)
        if host.startswith("hang"):
            let_go.wait(20)
        return ["192.0.2.1"]


@pytest.fixture
def names() -> Iterator[Names]:
    told = Names()
    yield told
    told.let_go.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as running:
        yield running


def seen(lookups: Lookups, host: str, seconds: float = 0.3) -> str:
    """How it ended."""
    try:
        return lookups.addresses(host, 443, time.monotonic() + seconds)[0]
    except AddressError as error:
        return type(error).__name__


def together(futures: list[Future[str]]) -> list[str]:
    return [one.result() for one in futures]


def test_a_name_is_looked_up_once_at_a_time(names: Names, pool: ThreadPoolExecutor):
    """Whoever asks meanwhile, for whatever port and in whatever spelling, waits for the same answer; others go on."""
    lookups = Lookups(names)
    spelled = [pool.submit(seen, lookups, host) for host in ("hang.example", "HANG.example", "hang.example.") * 4]
    until(lambda: bool(names.asked), what="it has begun")
    assert seen(lookups, "good.example") == "192.0.2.1"
    assert together(spelled) == ["TimedOut"] * 12
    assert names.asked == ["hang.example", "good.example"]


def test_an_answer_is_everybodys_who_waits(names: Names, pool: ThreadPoolExecutor):
    """And nobody's afterwards: the next one asks anew."""
    lookups = Lookups(names)
    waiting = [pool.submit(seen, lookups, "hang.example", 10) for _ in range(3)]
    until(lambda: bool(names.asked), what="it has begun")
    names.let_go.set()
    assert together(waiting) == ["192.0.2.1"] * 3
    assert seen(lookups, "hang.example") == "192.0.2.1"
    assert names.asked == ["hang.example"] * 2


def test_no_place_is_a_fault_of_ours(names: Names, pool: ThreadPoolExecutor):
    """The names that hang took too long; the one that found no place did not, and there is one as soon as they end."""
    lookups = Lookups(names, QUICK)
    hanging = [pool.submit(seen, lookups, f"hang{number}.example") for number in range(OF_OTHERS)]
    until(lambda: len(names.asked) == OF_OTHERS, what="all places are taken")
    assert seen(lookups, "good.example", 5) == "Busy"
    assert together(hanging) == ["TimedOut"] * OF_OTHERS
    names.let_go.set()
    until(lambda: seen(lookups, "good.example") == "192.0.2.1", what="a place is free")


def test_what_waited_longer_for_a_place_than_for_its_answer_was_not_slow(names: Names, pool: ThreadPoolExecutor):
    """A name whose look-up began in the last moment of its time."""
    lookups = Lookups(names, Patience(for_a_place=5))
    first = [pool.submit(seen, lookups, f"hang{number}.example", 5) for number in range(OF_OTHERS)]
    until(lambda: len(names.asked) == OF_OTHERS, what="all places are taken")
    late = pool.submit(seen, lookups, "hang-too.example", 0.6)
    time.sleep(0.4)  # of its time, which is what is tested
    held, names.let_go = names.let_go, threading.Event()
    held.set()
    assert together(first) == ["192.0.2.1"] * OF_OTHERS
    assert late.result() == "Busy"


def test_a_name_that_hung_is_left_alone_for_a_while(names: Names):
    """It fails at once, without a look-up, until that time has passed."""
    lookups = Lookups(names, QUICK)
    assert seen(lookups, "hang.example") == "TimedOut"
    began = time.monotonic()
    names.let_go.set()
    with pytest.raises(TimedOut):
        lookups.addresses("hang.example", 443, began + 10)
    assert time.monotonic() - began < 0.2
    assert names.asked == ["hang.example"]
    until(lambda: seen(lookups, "hang.example") == "192.0.2.1", what="it may be asked again")


def test_names_that_hung_leave_places_to_the_others(names: Names, pool: ThreadPoolExecutor):
    """However many there are, also where they answered, late, in between."""
    lookups = Lookups(names, QUICK)
    hosts = [f"hang{number}.example" for number in range(OF_OTHERS)]
    assert together([pool.submit(seen, lookups, host) for host in hosts]) == ["TimedOut"] * OF_OTHERS
    names.let_go.set()
    for host in hosts:
        until(_answered(lookups, host), what="it answers again")
    names.let_go, names.asked = threading.Event(), []
    again = [pool.submit(seen, lookups, host) for host in hosts]
    until(lambda: len(names.asked) == OF_SUSPECTS, what="theirs are taken")
    assert seen(lookups, "good.example") == "192.0.2.1"
    assert sorted(together(again)) == ["Busy"] * (OF_OTHERS - OF_SUSPECTS) + ["TimedOut"] * OF_SUSPECTS


def test_names_that_were_answered_have_places_that_no_new_name_takes(names: Names, pool: ThreadPoolExecutor):
    """However many new ones hang, and those that hung before with them."""
    lookups = Lookups(names, QUICK)
    assert seen(lookups, "good.example") == "192.0.2.1"
    hosts = [f"hang{number}.example" for number in range(3 * OF_OTHERS)]
    hanging = [pool.submit(seen, lookups, host) for host in hosts]
    until(lambda: len(names.asked) == 1 + OF_OTHERS, what="theirs are taken")
    assert seen(lookups, "good.example") == "192.0.2.1"
    assert sorted(together(hanging)) == ["Busy"] * 2 * OF_OTHERS + ["TimedOut"] * OF_OTHERS
    assert seen(lookups, "new.example") == "Busy"
    assert seen(lookups, "GOOD.example") == "192.0.2.1"


def test_a_known_name_has_whichever_place_is_free_first(names: Names, pool: ThreadPoolExecutor):
    """Two others that hang have those of known names; the rest are free a moment after it asked."""
    lookups = Lookups(names, Patience(for_a_place=20, hung=20))
    known, new = threading.Event(), threading.Event()
    names.let_go.set()
    hosts = [f"hang{number}.example" for number in range(OF_KNOWN)]
    for host in (*hosts, "good.example"):
        assert seen(lookups, host, 20) == "192.0.2.1"
    for names.let_go, theirs in ((known, hosts), (new, [f"hang-new{number}.example" for number in range(OF_OTHERS)])):
        names.asked = []
        for host in theirs:
            pool.submit(seen, lookups, host, 20)
        until(lambda theirs=theirs: len(names.asked) == len(theirs), what="theirs are taken")
    asked = pool.submit(seen, lookups, "good.example", 20)
    until(lambda: "good.example" in lookups._running, what="it waits")
    new.set()
    try:
        assert asked.result(10) == "192.0.2.1"
    finally:
        known.set()


def test_a_known_name_that_hangs_is_known_no_more(names: Names, pool: ThreadPoolExecutor):
    """It keeps the place that it has, and gets no other of them; with all of them taken a known one has the others'."""
    lookups = Lookups(names, QUICK)
    names.let_go.set()
    hosts = [f"hang{number}.example" for number in range(OF_KNOWN)]
    for host in (*hosts, "good.example"):
        until(_answered(lookups, host), what="it is known")
    names.let_go, names.asked = threading.Event(), []
    assert together([pool.submit(seen, lookups, host) for host in hosts]) == ["TimedOut"] * OF_KNOWN
    assert seen(lookups, "good.example") == "192.0.2.1"
    held, names.let_go = names.let_go, threading.Event()
    held.set()
    time.sleep(QUICK.refused)  # for which they are not asked for again
    again = [pool.submit(seen, lookups, host) for host in hosts]
    assert sorted(together(again)) == ["Busy"] * (OF_KNOWN - OF_SUSPECTS) + ["TimedOut"] * OF_SUSPECTS


def _answered(lookups: Lookups, host: str) -> Callable[[], bool]:
    return lambda: seen(lookups, host) == "192.0.2.1"


def test_what_the_resolver_says_is_passed_on():
    """A name that does not exist is not one that hangs."""

    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    lookups = Lookups(unknown)
    for _ in range(2):
        with pytest.raises(OSError, match="no such name"):
            lookups.addresses("none.example", 443, time.monotonic() + 5)


def test_busy_is_no_time_out():
    """Who is told of it can tell it from a receiver's fault."""
    assert not issubclass(Busy, TimedOut)

"""Host names to addresses: in time, one look-up of a name at once, and names that hang leave the others their places.

The C library's resolver knows no time-out of ours and cannot be stopped: it is asked in a thread that is left behind if
need be, and keeps its place until it gives up by itself (10 to 30 seconds).
"""

import math
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum, auto
from threading import Condition, Event, Lock, Thread

from worker.addresses.errors import Busy, TimedOut

Resolve = Callable[[str, int], Sequence[str]]
"""Host and port to IP addresses as text; raises OSError."""

PLACES = 5
"""Half of the threads in which gevent resolves names, so that names which hang leave the backend's own name a place."""
OF_KNOWN = 2
"""Of them, for names that were answered of late, which may have the others too: no new name takes these."""
OF_OTHERS = PLACES - OF_KNOWN
OF_SUSPECTS = 1
"""Of those, for names that hung: however many there are, they leave new names two."""
MOST_KNOWN = 10_000
"""Names; of more, those answered last."""
TOO_LONG = "the host name took too long to resolve"


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    for_a_place: float = 5.0
    """A quarter of a webhook's try: what waits here keeps a place of its worker's."""
    hung: float = 3.0
    """An answer that takes longer is that of a name server which does not give one."""
    refused: float = 30.0
    """For which nobody asks again for a name that hung: the resolver may be at it for as long."""
    suspected: float = 600.0
    """Whatever it answers in between: a name that hangs every other time has no more from it."""
    known: float = 600.0
    """For which a name that was answered has places of its own. Where the servers of many such names fail, each of them
    takes such a place once at most, and none any more after this."""


def resolve(host: str, port: int) -> list[str]:
    """All addresses that the machine's resolver knows."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(eq=False)
class _Lookup:
    """One that is under way, and what comes of it."""

    begun: float | None = None
    over: Event = field(default_factory=Event)
    found: Sequence[str] = ()
    error: Exception | None = None


class _Kind(Enum):
    KNOWN, OTHERS, SUSPECTS = auto(), auto(), auto()


_NEW: Sequence[Sequence[_Kind]] = [[_Kind.OTHERS]]
"""Of each of these, any one."""
_OF_LATE: Sequence[Sequence[_Kind]] = [[_Kind.KNOWN, _Kind.OTHERS]]
_SUSPECTED: Sequence[Sequence[_Kind]] = [[_Kind.SUSPECTS], [_Kind.OTHERS]]


class _Places:
    """Those of each kind that are free."""

    def __init__(self) -> None:
        self._free = {_Kind.KNOWN: OF_KNOWN, _Kind.OTHERS: OF_OTHERS, _Kind.SUSPECTS: OF_SUSPECTS}
        self._freed = Condition()

    def taken(self, either: Sequence[_Kind], until: float) -> _Kind | None:
        """The first that is free, of whichever of these kinds, by then."""
        with self._freed:
            self._freed.wait_for(lambda: self._first(either), max(0.0, until - time.monotonic()))
            kind = self._first(either)
            if kind is not None:
                self._free[kind] -= 1
            return kind

    def release(self, kind: _Kind) -> None:
        """It is free again."""
        with self._freed:
            self._free[kind] += 1
            self._freed.notify_all()  # each waits for kinds of its own

    def _first(self, either: Sequence[_Kind]) -> _Kind | None:
        return next((kind for kind in either if self._free[kind]), None)


class Lookups:
    """A process's, with one resolver. Threads and greenlets share it."""

    def __init__(self, resolver: Resolve = resolve, patience: Patience = Patience()) -> None:
        self._resolve, self._patience = resolver, patience
        self._places = _Places()
        self._lock = Lock()
        self._running: dict[str, _Lookup] = {}
        self._hung: dict[str, float] = {}
        """When each did last. Few: each held a place for seconds, within the last ten minutes."""
        self._known: dict[str, float] = {}
        """When each was answered last, the earliest first; none that hung since."""

    def addresses(self, host: str, port: int, until: float) -> Sequence[str]:
        """Those of a name, by the moment `until` of the monotonic clock: the answer of a look-up under way, or of a new
        one.

        Raises:
            OSError, ValueError: the resolver's.
            TimedOut: the name's own servers take too long, or did just now.
            Busy: other names held the places.
        """
        asked, name = time.monotonic(), host.lower().rstrip(".")
        lookup = self._joined(name, port, asked)
        if not lookup.over.wait(max(0.0, until - time.monotonic())):
            now = time.monotonic()
            if lookup.begun is None or lookup.begun - asked > now - lookup.begun:
                raise Busy
            if now - lookup.begun >= self._patience.hung:
                self._suspect(name, now)
            raise TimedOut(TOO_LONG)
        if lookup.begun is None:
            raise Busy
        if isinstance(lookup.error, TimeoutError):
            raise TimedOut(TOO_LONG)
        if lookup.error is not None:
            raise lookup.error
        return lookup.found

    def _joined(self, name: str, port: int, now: float) -> _Lookup:
        with self._lock:
            hung = self._hung.get(name)
            if hung is not None and now - hung < self._patience.refused:
                raise TimedOut(TOO_LONG)
            lookup = self._running.get(name)
            if lookup is None:
                lookup = _Lookup()
                suspected = hung is not None and now - hung < self._patience.suspected
                known = not suspected and now - self._known.get(name, -math.inf) < self._patience.known
                wanted = _SUSPECTED if suspected else _OF_LATE if known else _NEW
                run = Thread(target=self._run, args=(lookup, name, port, wanted), name="address-lookup", daemon=True)
                run.start()  # RuntimeError where there are no more threads: nobody waits for it then
                self._running[name] = lookup
            return lookup

    def _run(self, lookup: _Lookup, name: str, port: int, wanted: Sequence[Sequence[_Kind]]) -> None:
        """In a thread of its own. One that found no place in time ends without having begun."""
        until = time.monotonic() + self._patience.for_a_place
        try:
            with ExitStack() as held:
                for either in wanted:
                    place = self._places.taken(either, until)
                    if place is None:
                        return
                    held.callback(self._places.release, place)
                self._ask(lookup, name, port)
        finally:
            with self._lock:
                self._running.pop(name, None)
            lookup.over.set()

    def _ask(self, lookup: _Lookup, name: str, port: int) -> None:
        lookup.begun = time.monotonic()
        try:
            lookup.found = self._resolve(name, port)
        except (OSError, ValueError) as error:
            lookup.error = error
        now = time.monotonic()
        if now - lookup.begun >= self._patience.hung:
            # An answer, late as it is, may be asked for again at once; out of fewer places.
            self._suspect(name, now if lookup.error is not None else now - self._patience.refused)
        elif lookup.error is None:
            self._answered(name, now)

    def _answered(self, name: str, at: float) -> None:
        with self._lock:
            self._known.pop(name, None)
            self._known[name] = at
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]

    def _suspect(self, name: str, at: float) -> None:
        with self._lock:
            self._known.pop(name, None)
            young = at - self._patience.suspected
            self._hung = {other: when for other, when in self._hung.items() if when > young} | {name: at}

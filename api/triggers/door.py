"""Whether a message is its trigger's: nobody who guesses learns anything, and a flood costs little.

A trigger that does not exist, a signature that is wrong and a header that is none are answered in the same words. Past
so many of these a minute from one peer, what is no trigger's is not looked up any more, and of large bodies a few a
second are verified of each trigger; a message that is rightly signed is taken all the same, for its source may share
its address (a proxy's) with whoever floods.

The words are the same, the time is not: a trigger's id is 80 random bits, which nobody guesses and times.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.database import transact
from api.problems import Problem
from api.rate_limits import FailedKeys
from api.triggers.seldom import Seldom
from config.logging import get
from config.settings import settings
from worker.metrics.declared import TRIGGER_MESSAGES
from worker.triggers import signatures, store
from worker.triggers.models import Style
from worker.triggers.signatures import BadSignature

log = get(__name__)

REMEMBER_SECONDS = 3.0
"""How long a secret may be taken still that was rotated away, or a trigger that was dropped."""
REMEMBER_TRIGGERS = 10_000
LIST_SECONDS = 1.0
"""How long a list of all triggers stands, in a flood: one that was just made waits so long for its first message."""
FLOODED_BYTES = 256 * 1024
"""Of a body, past which it is verified for a peer that floods a few times a second alone: few products are larger."""
LARGE_SECONDS = 0.25
"""From one of these of a trigger to the next; an HMAC over 4 MiB takes some milliseconds."""
UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Known:
    """What a message is verified with."""

    style: Style
    secrets: tuple[str, ...]


class Door:
    """This process's memory of triggers and of failures."""

    def __init__(self, *, seldom: float = 1.0) -> None:
        self._known: dict[str, tuple[float, Known]] = {}
        self._ids: tuple[float, frozenset[str]] = (0.0, frozenset())
        self._lock = threading.Lock()
        self._failed = FailedKeys(
            lambda: settings().rates.unverified_messages_per_minute, "messages that are not signed with their secret"
        )
        self.large = Seldom(LARGE_SECONDS)
        """Of bodies that are verified for peers that flood, by trigger."""
        self.looks = Seldom(seldom)
        """At the database for a message that what is remembered does not fit, by trigger, for peers that flood."""
        self._told = Seldom(seldom)

    def admit(self, trigger_id: str, peer: str, headers: Mapping[str, str], body: bytes) -> Known:
        """Return where the trigger's source signed the message. Raises Problem `trigger.unverified`, `rate.limited`."""
        flooded = self._refusal(peer)
        if flooded is not None and not self._is_there(trigger_id):
            raise flooded
        if flooded is not None and len(body) > FLOODED_BYTES and self.large.turn(trigger_id) is None:
            raise flooded
        known = self._recall(trigger_id)
        try:
            return self._verified(trigger_id, known, headers, body, flooded=flooded is not None)
        except BadSignature as error:
            self._failed.count(peer)
            TRIGGER_MESSAGES.labels(known.style.value if known else "", UNVERIFIED).inc()
            self._tell(trigger_id if known else "…", peer, error.reason)
            raise flooded or unverified() from None

    def remembers(self, trigger_id: str) -> bool:
        """Whether the trigger was there some seconds ago; False where it has to be looked up."""
        return self._recall(trigger_id) is not None

    def knock(self, trigger_id: str, peer: str) -> None:
        """Return where there is such a trigger. Raises Problem `trigger.unverified`, `rate.limited`."""
        if self._refusal(peer) is not None:
            there = self._is_there(trigger_id)
        else:
            there = transact(lambda session: store.any_owners(session, trigger_id)) is not None
        if not there:
            raise self.turned_away("…", peer, "there is no such trigger")

    def turned_away(self, shown: str, peer: str, reason: str) -> Problem:
        """The problem of what is refused unread, which counts as a failure of its peer; `shown` is for the log."""
        flooded = self._refusal(peer)
        self._failed.count(peer)
        TRIGGER_MESSAGES.labels("", UNVERIFIED).inc()
        self._tell(shown, peer, reason)
        return flooded or unverified()

    def forget(self, trigger_id: str) -> None:
        """What is remembered of a trigger, once it is changed: other processes may go by that some seconds more."""
        with self._lock:
            self._known.pop(trigger_id, None)

    def _tell(self, trigger_id: str, peer: str, reason: str) -> None:
        """A line a second of a trigger and a peer, with how many there were since: a flood fills no log."""
        unlogged = self._told.turn(f"{trigger_id} {peer}")
        if unlogged is not None:
            log.info("trigger.unverified", trigger=trigger_id, reason=reason, unlogged=unlogged)

    def _verified(
        self, trigger_id: str, known: Known | None, headers: Mapping[str, str], body: bytes, *, flooded: bool
    ) -> Known:
        """By what is remembered; else, and where that may be of before a rotation, by what is on file. In a flood that
        is looked at once a second: the shop may share the flood's address."""
        if known is not None:
            try:
                signatures.verify(known.style, headers, body, known.secrets)
            except BadSignature:
                if flooded and self.looks.turn(trigger_id) is None:
                    raise
            else:
                return known
        found = self._look_up(trigger_id)
        if found is None:
            raise BadSignature("there is no such trigger")
        signatures.verify(found.style, headers, body, found.secrets)
        return found

    def _refusal(self, peer: str) -> Problem | None:
        try:
            self._failed.demand(peer)
        except Problem as problem:
            return problem
        return None

    def _is_there(self, trigger_id: str) -> bool:
        """As of some seconds ago: in a flood one question stands for all of them."""
        until, ids = self._ids
        if time.monotonic() >= until:
            ids = transact(store.every_id)
            self._ids = time.monotonic() + LIST_SECONDS, ids
        return trigger_id in ids

    def _recall(self, trigger_id: str) -> Known | None:
        until, known = self._known.get(trigger_id, (0.0, None))
        return known if time.monotonic() < until else None

    def _look_up(self, trigger_id: str) -> Known | None:
        known = transact(lambda session: _known(session, trigger_id))
        with self._lock:
            if len(self._known) >= REMEMBER_TRIGGERS:
                self._known.clear()
            if known is None:
                self._known.pop(trigger_id, None)
            else:
                self._known[trigger_id] = (time.monotonic() + REMEMBER_SECONDS, known)
        return known


def _known(session: Session, trigger_id: str) -> Known | None:
    row = store.any_owners(session, trigger_id)
    return Known(Style(row.style), tuple(store.secrets(session, row))) if row else None


def unverified() -> Problem:
    """The one answer for all that is not a trigger's message."""
    return Problem("trigger.unverified", "The message is not signed with this address's secret.")


door = Door()

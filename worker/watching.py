"""Messages that nobody could know about when their run ended: their sessions are read on, now and then, for a day.

A change means that the message was carried out, and so charged: the books say so. Where the render failed for want of
that knowledge, a new run starts by itself and delivers the video. Nothing is ever sent here.

Dies here: the next read of each is on file before this one is made.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from config.logging import get
from config.settings import settings
from worker import liveness
from worker.accounts.models import Account, RemoteSession
from worker.accounts.tokens import NotNow, bearer, refused
from worker.database import transact
from worker.remote import circuit, intents
from worker.remote.client import Remote, State
from worker.remote.errors import RemoteError, SessionGone, TokenGone
from worker.remote.intents import Intent, IntentState
from worker.renders import runs, store
from worker.renders.events import EventType, NewEvent
from worker.renders.models import Render, Run
from worker.sessions import place

log = get(__name__)

BATCH = 50
BATCHES = 20
"""A thousand reads in one task: more take so long that others are due again."""
AT_ONCE = 10
"""Sparse reads are in no hurry: they leave room for renders under way."""


@dataclass(frozen=True)
class Watched:
    """A message to look after, with what a look needs; `at` is the database's time."""

    intent: Intent
    account: Account
    place: RemoteSession
    at: datetime

    @property
    def is_last(self) -> bool:
        """Whether this read ends the watch."""
        settled = self.intent.settled_at
        return settled is None or self.at >= settled + settings().waits.watch_for_seconds


def run(remote: Remote) -> None:
    """Read the sessions of those that are due, a batch at a time; what is left is due at the dispatcher's next look."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        for _ in range(BATCHES):
            due = [] if liveness.process().draining else transact(_claim)
            if not due:
                return
            list(pool.map(partial(_look, remote), due))


def _claim(session: Session) -> Sequence[Watched]:
    if circuit.standing(session) is not None:  # opened since the dispatcher sent for them: they stay due
        return []
    now: datetime = session.execute(select(func.now())).scalar_one()
    return [
        Watched(
            one, session.get_one(Account, one.account_id), session.get_one(RemoteSession, one.remote_session_id), now
        )
        for one in intents.claim_watched(session, limit=BATCH)
    ]


def _look(remote: Remote, watched: Watched) -> None:
    try:
        state = remote.state(bearer(remote, watched.account, watched.at), watched.place.session_id)
    except SessionGone:
        transact(lambda session: _lost(session, watched))
    except (RemoteError, NotNow) as error:
        log.info("watch.unread", render=watched.intent.render_id, error=str(error))
        if isinstance(error, TokenGone):  # nobody else may be under way to meet it: the next read renews
            refused(watched.account)
        if watched.is_last:
            transact(lambda session: _end(session, watched, {"watch": "over, not read"}))
    else:
        transact(lambda session: _read(session, watched, state))


def _end(session: Session, watched: Watched, finding: dict[str, Any]) -> None:
    intents.record_finding(session, watched.intent, finding, watch_at=None)


def _lost(session: Session, watched: Watched) -> None:
    place.lose(session, watched.place.id)  # first: whoever puts a message on file locks the session before its messages
    _end(session, watched, {"session": "lost"})


def _read(session: Session, watched: Watched, state: State) -> None:
    """Unchanged: noted. Changed: it was carried out, unless another message followed it, whose work that may be. While
    nobody knows whether that one was refused, the read tells nothing, and the watch goes on."""
    if not _hold_back_the_next(session, watched.intent):
        return None
    if intents.is_followed(session, watched.intent, but=intents.MAY_BE_REFUSED_YET):
        return _end(session, watched, {"watch": "over"})
    if intents.is_followed(session, watched.intent):
        return _end(session, watched, {"watch": "over"}) if watched.is_last else None
    if state.fingerprint != watched.intent.before:
        return found(session, watched.intent, state.fingerprint)
    intents.record_read(session, watched.intent, state.fingerprint)
    if watched.is_last:
        _end(session, watched, {"watch": "over"})
    return None


def _hold_back_the_next(session: Session, intent: Intent) -> bool:
    """Lock the render and then its session, as whoever puts the next message on file does: that one is there, or comes
    after what this read finds. False: the render was deleted since the claim."""
    render = select(Render.session_id).where(Render.id == intent.render_id)
    row = session.execute(render.with_for_update()).one_or_none()
    if row is not None and row.session_id is not None:
        place.of(session, row.session_id, lock=True)
    return row is not None


def found(session: Session, intent: Intent, fingerprint: str) -> None:
    """The message was carried out after all: correct the books, and deliver the video where it is still missing."""
    render = session.scalars(select(Render).where(Render.id == intent.render_id).with_for_update()).one()
    if not intents.found_applied(session, intent, {"late": True, "fingerprint": fingerprint[:16]}):
        return
    log.info("watch.found", render=render.id, run=intent.run)
    _correct_charge(session, render, intent)
    if runs.lacks_its_video(render):
        runs.deliver(session, render, intent)


def _correct_charge(session: Session, render: Render, intent: Intent) -> None:
    charge, credits = intents.charge(session, render.id, intent.run)
    known: dict[str, Any] = {"charge_state": charge, "charge_credits": credits}
    settled = {"state": IntentState.APPLIED.value, "charge": charge, "late": True, "of_run": intent.run}
    told = () if render.purged_at is not None else (NewEvent(EventType.MESSAGE_SETTLED, settled),)
    if intent.run != render.run:
        session.execute(update(Run).where(Run.render_id == render.id, Run.run == intent.run).values(**known))
        known = {}
    store.change(session, render, known, *told)

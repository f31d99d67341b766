"""The dispatcher: hands due rows to Celery and takes over what silent workers held.

Woken by NOTIFY and by a one-second tick. What is due: ready to run, due for a poll, asked to be cancelled, or owned by
a worker that fell silent. Two dispatchers share the work (`FOR UPDATE SKIP LOCKED`), one is enough; what nobody began
is handed out by one of them at a time.

At most a small multiple of the workers' free places is in the broker: a hundred thousand queued renders stay in
PostgreSQL, where they can be reordered, paused or cancelled.
"""

import math
import signal
import threading
import time
from datetime import datetime

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from config.logging import get, setup
from config.settings import settings
from worker import app, chores
from worker.accounts import admission
from worker.batches.keeping import Keeper
from worker.catalogs import reads
from worker.database import at_once, retryable, transact
from worker.liveness import connection_url
from worker.metrics import depths, serving
from worker.remote import circuit, intents
from worker.renders import deadlines, following, lanes, queue, takeover
from worker.renders.queue import DUE, Due
from worker.renders.sharing import Holding, Shares, kept_free, starting
from worker.renders.states import Stage
from worker.renders.takeover import Taken

log = get(__name__)

AHEAD = 2
"""Messages in the broker per place of the live workers: enough to keep them busy between two looks."""

BATCH = 500

CLOCK_TICKS = 5
"""Between two looks at who is on hold: a deadline is seldom a matter of seconds."""
CLOCK_ROUNDS = 5
"""Batches of clocks set in one look: a queue of a hundred thousand is done in ten looks, and none holds up the rest."""
TURNS_SECONDS = 0.25
"""Between two looks at whose turn has come: wake-up calls may come by the hundred."""


class Dispatcher:
    """One dispatcher."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._away_since: float | None = None
        self._patient_until = 0.0
        self._taken_at = 0.0
        self._watched_at = -math.inf
        self._clocks_at = -math.inf
        self._turns_at = -math.inf
        self._turns = following.Turns()
        self._shares = Shares()
        self._keeper = Keeper()
        self._chores = chores.usual()
        self._looked_at: datetime | None = None
        self._anew = True
        """Nothing is known of what is in the broker: the first look, or the last one was refused."""

    def stop(self) -> None:
        """End after the look under way."""
        self._stop.set()

    def run(self) -> None:
        """Look, wait to be woken, look again; after the database was away, listen first and then look in full."""
        while not self._stop.is_set():
            try:
                self._listen_and_look()
            except (psycopg.OperationalError, DBAPIError, PoolTimeout) as error:
                if isinstance(error, DBAPIError) and not retryable(error):
                    raise  # a fault of ours: the supervisor starts a fresh one, and the log has the place
                self._database_away(error)

    def _listen_and_look(self) -> None:
        tick = settings().waits.dispatch_tick_seconds.total_seconds()
        url = connection_url(settings().servers.database_url)
        with psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="vivideo-dispatch") as listening:
            listening.execute(f"LISTEN {DUE}")
            self._database_back()
            more_to_keep = more_to_do = False
            while not self._stop.is_set():
                # Its own clock: wake-up calls may come faster than the tick for hours.
                ticks = time.monotonic() - self._taken_at >= tick
                if ticks:
                    self._taken_at = time.monotonic()
                    self._take_over()
                    self._watch()
                    self._read_catalogs()
                    self._expire()
                if ticks or more_to_keep:
                    more_to_keep = self._keep_batches()
                if ticks or more_to_do:
                    more_to_do = chores.do(self._chores)
                if not self.look() and not more_to_keep and not more_to_do:
                    for _ in listening.notifies(timeout=tick, stop_after=1):
                        pass

    def look(self) -> bool:
        """One look; True when there may be more due than one batch."""
        turns = time.monotonic() - self._turns_at >= TURNS_SECONDS
        if turns:
            self._turns_at = time.monotonic()
        due = transact(lambda session: self._due(session, turns=turns), retry_for=0)
        self._anew = not _send(due)
        return not self._anew and len(due) >= BATCH

    def _due(self, session: Session, *, turns: bool) -> list[Due]:
        if turns:
            self._turns.release(session)
        return _due(session, anew=self._anew, shares=self._shares)

    def _keep_batches(self) -> bool:
        """One piece of what batches need; True where there is more. Between two pieces the renders get their look, and
        a fault in one must not keep them from it."""
        try:
            return transact(self._keeper.keep, retry_for=0)
        except DBAPIError as error:
            if retryable(error):
                raise
            log.exception("batch.fault")
            self._keeper.pass_over()
            return False

    def _take_over(self) -> None:
        """Free what workers hold that are gone or silent; silence says nothing where everybody may have been silent."""
        lease, tick = settings().waits.lease_seconds, settings().waits.dispatch_tick_seconds
        now = at_once(queue.now, retry_for=0)
        if self._looked_at is not None and now - self._looked_at > max(lease / 3, 3 * tick):
            # The database stood still, or this machine did: nobody's heartbeat could be seen meanwhile.
            self._patient_until = time.monotonic() + lease.total_seconds()
            log.warning("database.stalled", seconds=round((now - self._looked_at).total_seconds(), 1))
        self._looked_at = now
        for worker in transact(takeover.bury, retry_for=0):
            log.warning("worker.gone", worker=worker)
        impatient = time.monotonic() >= self._patient_until
        for taken in transact(lambda session: _taken(session, silent=impatient), retry_for=0):
            log.warning("render.taken_over", render=taken.id, stage=taken.stage.value, worker=taken.worker)

    def _watch(self) -> None:
        """Have watched messages read that are due; a message that is lost is sent again like any other."""
        overdue = time.monotonic() - self._watched_at >= settings().waits.redispatch_seconds.total_seconds()
        if overdue and at_once(_is_watch_due, retry_for=0) and app.send_watch():
            self._watched_at = time.monotonic()

    def _read_catalogs(self) -> None:
        """Have catalogs read that are due; a message that is lost is sent again."""
        impatient = time.monotonic() >= self._patient_until
        for due in transact(lambda session: reads.due(session, silent=impatient), retry_for=0):
            app.send_read(due.id, due.lease)

    def _expire(self) -> None:
        """End what is past its deadline, at most a few hundred a tick."""
        if time.monotonic() - self._clocks_at >= CLOCK_TICKS * settings().waits.dispatch_tick_seconds.total_seconds():
            self._clocks_at = time.monotonic()
            for _ in range(CLOCK_ROUNDS):
                if not transact(deadlines.keep_clocks, retry_for=0):
                    break
        if ended := transact(deadlines.expire, retry_for=0):
            log.info("renders.expired", renders=ended)

    def _database_away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("database.away", error=type(error).__name__)
        self._stop.wait(0.2)

    def _database_back(self) -> None:
        """Nobody could renew a heartbeat meanwhile: takeovers wait one lease, or all would be taken from the living."""
        if self._away_since is not None:
            self._patient_until = time.monotonic() + settings().waits.lease_seconds.total_seconds()
            log.info("database.back", away=round(time.monotonic() - self._away_since, 1))
            self._away_since = None


def _taken(session: Session, *, silent: bool) -> list[Taken]:
    waits = settings().waits
    first, longest = waits.retry_first_seconds, waits.retry_longest_seconds
    return takeover.take_over(session, lease=waits.lease_seconds, silent=silent, first=first, longest=longest)


def _is_watch_due(session: Session) -> bool:
    """While the backend is broken nobody reads on: it can wait."""
    return intents.is_any_watch_due(session) and circuit.standing(session) is None


def _due(session: Session, *, anew: bool = False, shares: Shares | None = None) -> list[Due]:
    """What to send now, marked as sent in this transaction; `anew` where nothing is known of what was sent before."""
    waits = settings().waits
    hands_out = lanes.hands_out(session)
    if anew:
        queue.forget_sends(session)
    places = queue.capacity(session, lease=waits.lease_seconds)
    on_way = queue.on_their_way(session, redispatch=waits.redispatch_seconds)
    due = queue.due_cancels(session, redispatch=waits.redispatch_seconds, limit=BATCH)
    for name in ("stream", "io", "media"):
        stages = [stage for stage, served_by in app.QUEUE_OF.items() if served_by == name]
        free = AHEAD * places.get(name, 0) - sum(on_way.get(stage, 0) for stage in stages)
        due += queue.due_under_way(session, stages=stages, redispatch=waits.redispatch_seconds, limit=min(free, BATCH))
    # New ones are admitted as streams become free, so that no session is made long before its message is sent.
    begun = queue.before_their_stream_ends(session, redispatch=waits.redispatch_seconds)
    streams = places.get("stream", 0)
    open_places = streams - begun.all
    probes = circuit.probes_due(session)
    if probes is not None:  # the backend is broken: nothing new is begun but one that tries it
        open_places = min(open_places, probes)
    free_io = AHEAD * places.get("io", 0) - on_way.get(Stage.TOKEN, 0)
    if not hands_out:  # another dispatcher does, and looks again for whatever is new
        return due
    of_batches = min(streams - kept_free(streams) - begun.of_batches, starting(streams) - begun.starting_of_batches)
    limit = min(open_places, free_io, BATCH)
    return due + _new(session, limit, of_batches=of_batches, shares=shares, holding=begun.holding)


def _new(
    session: Session,
    limit: int,
    *,
    of_batches: int | None = None,
    shares: Shares | None = None,
    holding: Holding | None = None,
) -> list[Due]:
    """New renders, as far as their owners' accounts take any: one owner's free account opens nothing for the others.
    At most `of_batches` of batches: they leave some streams, and some of an account's slots, to the others."""
    if limit <= 0:
        return []
    found = admission.openings(session, default_slots=settings().capacity.account_slots)
    # Their own accounts first: what an owner begins there counts for him when the shared ones are given away.
    groups = [lanes.Opening(places, found.own_batches[owner], only=owner) for owner, places in found.own.items()]
    groups.append(lanes.Opening(found.shared, found.shared_batches, without=found.left_out))
    return lanes.due_new(
        session,
        redispatch=settings().waits.redispatch_seconds,
        limit=limit,
        of_batches=of_batches,
        openings=groups,
        shares=shares,
        holding=holding,
    )


def _send(due: list[Due]) -> bool:
    """Send them; False at the first that the broker does not take. The others would each wait for the same time-out:
    all of them are sent again once overdue."""
    polls = sum(one.stage is Stage.POLL and not one.canceling for one in due)
    return all(_send_one(one) for one in due) and all(app.send_poll() for _ in range(-(-polls // POLLS_A_MESSAGE)))


def _send_one(one: Due) -> bool:
    if one.canceling:
        return app.send_cancel(one.id)
    if one.stage is Stage.POLL:
        return True  # several go with one message
    return app.send(one.stage, one.id, one.lease)


POLLS_A_MESSAGE = 100
"""One poll message claims up to this many (worker.pipeline.POLL_BATCH)."""


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    setup("dispatcher")
    dispatcher = Dispatcher()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: dispatcher.stop())
    serving.serve("dispatcher", depths.FromDatabase())
    log.info("dispatcher.started")
    dispatcher.run()
    log.info("dispatcher.stopped")


if __name__ == "__main__":
    main()

"""What nobody began: found lane by lane, shared out between them, and marked as sent.

A look costs by the lanes that hold something and by what it hands out, never by the rows that wait: it walks from lane
to lane along `ix_renders_new`, and lanes that are empty, held or paused, and rows whose time has not come, are stepped
over. Only one dispatcher at a time hands out new renders, so that two do not both fill the same places.
"""

from collections import Counter, deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from worker.batches.models import Batch
from worker.renders import queue
from worker.renders.leases import unowned
from worker.renders.models import Lane, Render
from worker.renders.queue import Due
from worker.renders.sharing import Holding, Shares, Turn, Waiting
from worker.renders.states import Stage

ROUNDS = 8
"""Times that the places which lanes turned out not to fill are shared out once more; what is left then is for the next
look. Three are the rule: a lane that ran empty takes no part in the next round."""

_ONLY_ONE = text("SELECT pg_try_advisory_xact_lock(hashtextextended('what nobody began', 0))")

_BUSY = text(
    """
    WITH RECURSIVE busy AS (
        (SELECT lane_id FROM renders WHERE started_at IS NULL AND finished_at IS NULL ORDER BY lane_id LIMIT 1)
        UNION ALL
        SELECT (SELECT renders.lane_id FROM renders WHERE started_at IS NULL AND finished_at IS NULL
            AND renders.lane_id > busy.lane_id ORDER BY renders.lane_id LIMIT 1)
        FROM busy WHERE busy.lane_id IS NOT NULL)
    SELECT lanes.id, lanes.owner_id, lanes.priority, lanes.batch_id
    FROM busy JOIN lanes ON lanes.id = busy.lane_id, LATERAL (
        SELECT 1 FROM renders WHERE renders.lane_id = lanes.id AND started_at IS NULL AND finished_at IS NULL
            AND worker_id IS NULL AND sent_at IS NULL AND ready_at <= now() LIMIT 1) AS head
    WHERE lanes.paused_at IS NULL AND NOT lanes.held"""
)

_CHOSEN = text(
    """
    SELECT chosen.lane_id, chosen.id
    FROM unnest(CAST(:lanes AS bigint[]), CAST(:places AS int[])) AS share (lane_id, places), LATERAL (
        SELECT renders.lane_id, renders.id FROM renders
        WHERE renders.lane_id = share.lane_id AND started_at IS NULL AND finished_at IS NULL AND worker_id IS NULL
            AND sent_at IS NULL AND ready_at <= now()
        ORDER BY ready_at, id LIMIT share.places FOR UPDATE SKIP LOCKED) AS chosen"""
)


@dataclass(frozen=True)
class Opening:
    """Places for one owner's renders, or for those of all but some owners; None: no bound."""

    places: int | None = None
    of_batches: int | None = None
    """How many of the places are for renders of batches."""
    only: str | None = None
    without: Container[str] = ()

    def is_for(self, owner: str) -> bool:
        """Whether an owner's renders may take its places."""
        return owner == self.only if self.only is not None else owner not in self.without


FOR_ALL = (Opening(),)


def hands_out(session: Session) -> bool:
    """Whether this transaction is the one that hands out what nobody began. To be asked before anything is counted:
    what another one has just handed out is then seen."""
    return session.execute(_ONLY_ONE).scalar_one()


def due_new(
    session: Session,
    *,
    redispatch: timedelta,
    limit: int,
    of_batches: int | None = None,
    openings: Sequence[Opening] = FOR_ALL,
    shares: Shares | None = None,
    holding: Holding | None = None,
) -> list[Due]:
    """Up to `limit` renders that nobody began, at most `of_batches` of them of batches (None: no bound), as far as
    there are openings; shared out by what each holds and had before (`holding`, `shares`; None: everybody is level) and
    marked as sent.

    What was sent already and is overdue comes first: its turn came when it was sent.
    """
    if limit <= 0:
        return []
    queue.by_index(session)
    look = _Look(session, shares or Shares(), holding or Holding(), redispatch)
    places = Places(limit, of_batches)
    return [due for opening in openings for due in look.serve(opening, places)]


@dataclass
class Places:
    """What is still to be given away; None: no bound but the other one."""

    all: int
    of_batches: int | None = None

    def within(self, opening: Opening) -> "Places":
        """As many of them as an opening has."""
        return Places(_least(self.all, opening.places) or 0, _least(self.of_batches, opening.of_batches))

    def take(self, batches: Sequence[str | None]) -> None:
        """They were given to renders of these batches (None: of none)."""
        self.all -= len(batches)
        if self.of_batches is not None:
            self.of_batches -= sum(batch is not None for batch in batches)


def _least(one: int | None, other: int | None) -> int | None:
    known = [places for places in (one, other) if places is not None]
    return min(known) if known else None


class _Look:
    """One look: what waits, and what each batch may still begin."""

    def __init__(self, session: Session, shares: Shares, holding: Holding, redispatch: timedelta) -> None:
        self._session = session
        self._shares, self._holding = shares, holding
        self._overdue = _overdue(session, redispatch)
        self._lanes = [Waiting(row.id, row.owner_id, row.priority, row.batch_id) for row in session.execute(_BUSY)]
        self._allowances = _allowances(session, self._lanes)
        shares.forget_all_but({lane.owner_id for lane in self._lanes})

    def serve(self, opening: Opening, places: Places) -> list[Due]:
        """What goes into an opening, taken off `places`."""
        bounds = (places, places.within(opening))
        here = bounds[1]
        again = [row for row in self._overdue if opening.is_for(row.owner_id)][: here.all]
        due = self._sent([(row.id, row.batch_id) for row in again], *bounds)
        lanes = [lane for lane in self._lanes if opening.is_for(lane.owner_id)]
        for _ in range(ROUNDS):
            turns = self._shares.turns(
                lanes,
                here.all,
                of_batches=here.of_batches,
                allowances=self._allowances,
                holding=self._holding,
            )
            taken = _taken(self._session, turns)
            if not taken:
                break
            self._shares.charge([turn for turn, _ in taken], lanes, among_all=opening.only is None)
            for turn, _ in taken:
                self._holding.add(turn.lane)
            _spend(self._session, self._allowances, Counter(turn.lane.batch_id for turn, _ in taken))
            due += self._sent([(render, turn.lane.batch_id) for turn, render in taken], *bounds)
            lanes = _with_more(lanes, turns, taken)
        return due

    def _sent(self, renders: Sequence[tuple[str, str | None]], *bounds: Places) -> list[Due]:
        for places in bounds:
            places.take([batch for _, batch in renders])
        return queue.mark_sent(self._session, [render for render, _ in renders]) if renders else []


def _overdue(session: Session, redispatch: timedelta) -> Sequence[Any]:
    """Their id, batch and owner. Found where what is under way is found: they are no more than the workers' places."""
    query = (
        select(Render.id, Render.batch_id, Render.owner_id)
        .join(Lane, Lane.id == Render.lane_id)
        .where(
            unowned(),
            Render.started_at.is_(None),
            Render.sent_at.is_not(None),
            Render.stage == Stage.TOKEN.value,
            Render.ready_at <= func.now(),
            queue.not_on_its_way(redispatch),
            Lane.paused_at.is_(None),
            ~Lane.held,
        )
        .order_by(Render.sent_at, Render.id)
        .with_for_update(skip_locked=True, of=Render)
    )
    return session.execute(query).all()


def _taken(session: Session, turns: Sequence[Turn]) -> list[tuple[Turn, str]]:
    """The turns that found a render, in their order, each with its render, whose row is locked."""
    asked = Counter(turn.lane.lane_id for turn in turns)
    if not asked:
        return []
    found: dict[int, deque[str]] = {lane: deque() for lane in asked}
    for row in session.execute(_CHOSEN, {"lanes": [*asked], "places": [*asked.values()]}):
        found[row.lane_id].append(row.id)
    return [(turn, found[turn.lane.lane_id].popleft()) for turn in turns if found[turn.lane.lane_id]]


def _with_more(lanes: Sequence[Waiting], turns: Sequence[Turn], taken: Iterable[tuple[Turn, str]]) -> list[Waiting]:
    """Those that gave all that they were asked for."""
    asked = Counter(turn.lane.lane_id for turn in turns)
    gave = Counter(turn.lane.lane_id for turn, _ in taken)
    return [lane for lane in lanes if gave[lane.lane_id] == asked[lane.lane_id]]


def _allowances(session: Session, lanes: Sequence[Waiting]) -> dict[str, int]:
    """How many more renders of each batch may begin, of those that have a bound; their rows are locked. None of one
    that somebody else has locked, or that was not counted yet."""
    ids = {lane.batch_id for lane in lanes if lane.batch_id is not None}
    if not ids:
        return {}
    bounded = select(Batch.id).where(Batch.id.in_(ids), Batch.max_credits.is_not(None)).order_by(Batch.id)
    found = dict.fromkeys(session.scalars(bounded), 0)
    if found:
        free = select(Batch.id, Batch.allowance).where(Batch.id.in_(found), Batch.allowance > 0).order_by(Batch.id)
        rows = session.execute(free.with_for_update(skip_locked=True, key_share=True))
        found |= {row.id: row.allowance for row in rows}
    return found


def _spend(session: Session, allowances: dict[str, int], begun: Mapping[str | None, int]) -> None:
    for batch in sorted(allowances.keys() & begun.keys()):
        allowances[batch] -= begun[batch]
        spent = update(Batch).where(Batch.id == batch).values(allowance=allowances[batch])
        session.execute(spent.execution_options(synchronize_session=False))

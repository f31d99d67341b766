"""What owners do: ask for renders, call them off, ask again, change and delete them; and a slow intake."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from sqlalchemy.orm import Session

from tests.renders.model import work, world
from tests.renders.model.expected import STEP, Row
from tests.renders.model.scene import Scene, which
from worker.database import engine, transact
from worker.renders import purge, runs, store
from worker.renders.queue import Due
from worker.renders.states import ORDER, Stage, Status

MOST_RENDERS = 5


class Owners(Scene):
    """Their rules."""

    @precondition(lambda self: len(self.rows) < MOST_RENDERS)
    @rule(
        priority=st.sampled_from(["high", "normal", "low"]),
        unconfirmed=st.sampled_from(["fail", "retry"]),
        allowed=st.sampled_from([None, STEP * 5 // 2]),
        upto=st.sampled_from([*ORDER, Stage.POLL]),
        who=which,
    )
    def one_is_accepted_and_gets_as_far_as(
        self, priority: str, unconfirmed: str, allowed: int | None, upto: Stage, who: int
    ) -> None:
        self._accept(priority, unconfirmed, allowed, upto, self.a_worker(who))

    @initialize(
        starts=st.lists(st.sampled_from([*ORDER, Stage.POLL]), min_size=1, max_size=2), message=st.integers(0, 2)
    )
    def some_are_under_way(self, starts: list[Stage], message: int) -> None:
        """One of them, perhaps, with a worker that is about to commit (1) or to send (2) its message."""
        for upto in [*starts, *([Stage.GENERATE] if message else [])]:
            self._accept("normal", "retry" if upto is Stage.VERIFY else "fail", None, upto, "io-1")
        row = list(self.rows.values())[-1]
        if message:
            self._claim(Due(row.id, row.stage, row.lease, False), "io-1")
        if message == 2:
            work.commit_intent(self.claims[-1], row)

    def _accept(self, priority: str, unconfirmed: str, allowed: int | None, upto: Stage, worker: str) -> None:
        id = transact(lambda session: world.accept(session, priority, unconfirmed, allowed))
        row = self.rows[id] = Row(id, priority, unconfirmed, self.now, allowed=allowed)
        row.deadline = None if allowed is None else self.now + allowed
        for stage in ORDER[: ORDER.index(upto)]:
            if stage is not Stage.UPLOAD and not self._goes_well(row, worker):
                return

    def _goes_well(self, row: Row, worker: str) -> bool:
        """One stage from its claim to its end; False where it has to wait."""
        before = row.stage
        if row.ready > self.now:
            self.time_passes()
        self._claim(Due(row.id, row.stage, row.lease, False), worker)
        claim = self.claims[-1]
        if before is Stage.TOKEN:
            self._admit(claim, row)
        if before is Stage.GENERATE:
            work.commit_intent(claim, row)
        if before is Stage.EXPORT:
            work.reserve(claim)
        self._end(claim, row, 1 if before is Stage.SESSION else 0)
        return row.stage is not before

    @precondition(lambda self: self.slow is None and len(self.rows) < MOST_RENDERS)
    @rule()
    def a_slow_intake_begins(self) -> None:
        session = Session(engine())
        id = world.accept(session, "normal", "fail")
        self.slow = (session, Row(id, "normal", "fail", self.now))

    @precondition(lambda self: self.slow is not None)
    @rule()
    def slow_commits(self) -> None:
        self._slow_commits()

    @precondition(lambda self: self._shown())
    @rule(number=which, change=st.sampled_from(["cancel", "amend", "retry", "purge"]))
    def an_owner_asks(self, number: int, change: str) -> None:
        at_work = [row for row in self._shown() if row.owner is not None]
        rows = at_work if at_work and number % 2 else self._shown()
        self._asks(rows[number % len(rows)], change)

    @precondition(lambda self: any(row.final for row in self._shown()))
    @rule(number=which, change=st.sampled_from(["retry", "force", "retry", "purge"]))
    def an_owner_asks_about_one_that_is_over(self, number: int, change: str) -> None:
        over = [row for row in self._shown() if row.final]
        self._asks(over[number % len(over)], change)

    def _shown(self) -> list[Row]:
        return [row for row in self.rows.values() if not row.purged]

    def _asks(self, row: Row, change: str) -> None:
        {
            "cancel": self._cancel,
            "retry": lambda row: self._retry(row, force=False),
            "force": lambda row: self._retry(row, force=True),
            "purge": self._purge,
            "amend": self._amend,
        }[change](row)

    def _cancel(self, row: Row) -> None:
        world.on_row(row.id, lambda session, kept: store.cancel(session, kept.owner_id, row.id))
        if not row.final and not row.canceling:
            row.called_off()

    def _retry(self, row: Row, *, force: bool) -> None:
        def ask(session: Session, kept: object) -> None:
            runs.retry(session, kept, force=force, api_key_id=None)  # pyright: ignore[reportArgumentType]

        free = None if force else row.free_stage()
        refusal = (
            runs.NotFinal
            if not row.final
            else runs.Succeeded
            if row.status == Status.SUCCEEDED
            else runs.ForceNeeded
            if not force and free is None and row.charges() != {"none"}
            else None
        )
        if refusal is not None:
            with pytest.raises(refusal):
                world.on_row(row.id, ask)
            return
        read = row.draft_to_read()
        world.on_row(row.id, ask)
        row.again(self.now, free or Stage.TOKEN, force=force)
        if free is Stage.VERIFY and read is not None:
            row.session, row.admitted = read.session, True

    def _purge(self, row: Row) -> None:
        if not row.final:
            with pytest.raises(runs.NotFinal):
                world.on_row(row.id, purge.purge)
            return
        world.on_row(row.id, purge.purge)
        row.purged = True

    def _amend(self, row: Row) -> None:
        wanted = {"high": "low", "low": "normal", "normal": "high"}[row.priority]

        def ask(session: Session, kept: object) -> None:
            store.amend(session, kept, priority=wanted)  # pyright: ignore[reportArgumentType]

        if row.status != "queued" or row.begun:
            with pytest.raises(store.Begun):
                world.on_row(row.id, ask)
            return
        world.on_row(row.id, ask)
        row.priority = wanted

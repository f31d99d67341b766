"""Any interleaving of claims, silence, takeovers, zombies, cancels and retries keeps what the store promises.

The real store on a real PostgreSQL beside a model in plain Python. The same seeds each time; for others, and more:

    VIVIDEO_TEST_MODEL=2000 python -m pytest tests/renders/test_model.py
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.orm import Session

from config.settings import settings as configured
from tests.renders.model import work, world
from tests.renders.model.expected import OVERDUE, STEP, Message, Row
from tests.renders.model.invariants import Invariants, everything_is_reachable, in_use
from tests.renders.model.world import Claim, Reader
from tests.stack import here, until
from worker.database import engine, transact
from worker.failures import DEADLINE_PASSED
from worker.outcomes import Advance, Outcome, Snooze
from worker.remote.intents import IntentState
from worker.renders import deadlines, leases, purge, queue, runs, store
from worker.renders.leases import LeaseLost
from worker.renders.queue import Due
from worker.renders.states import ORDER, Stage, Status

SLOTS = 3
MOST_RENDERS = 5
WAITS = ("RETRY_FIRST", "RETRY_LONGEST", "EXPORT_POLL", "LOOKUP_FIRST", "LOOKUP_NEXT")
SETTINGS = {f"VIVIDEO_{name}_SECONDS": str(OVERDUE) for name in WAITS} | {"VIVIDEO_ACCOUNT_SLOTS": str(SLOTS)}
LOOK_EVERY = 1 if "VIVIDEO_TEST_MODEL" in os.environ else 4
"""Steps between two looks whether all can be reached, which take longer than all else; what is lost stays lost."""
INTERVAL = work.LATER

which = st.integers(0, 30)
"""Chooses one of however many there are."""


class Machine(RuleBasedStateMachine):
    """Workers, a dispatcher, a broker that repeats and forgets, owners, and a reader of the feed."""

    def __init__(self) -> None:
        super().__init__()
        world.empty()
        self.now = self.steps = 0
        self.rows: dict[str, Row] = {}
        self.claims: list[Claim] = []
        self.broker: list[Due] = []
        self.beating: set[str] = set()
        self.workers: list[str] = []
        for worker in ("io-1", "io-2"):
            self._starts(worker)
        self.started = 2
        self.readers = [Reader()]
        self.promises = Invariants(configured().servers.database_url)
        self.slow: tuple[Session, Row] | None = None
        """An intake's transaction that takes its time."""

    def teardown(self) -> None:
        self.slow_commits() if self.slow else None
        everything_is_reachable(self.rows)
        for reader in self.readers:
            # Other transactions of this server may be running: the feed waits for them.
            until(lambda reader=reader: reader.read(1000) == 0 and self._has_all(reader), what="the whole feed")
        self.promises.close()

    def _has_all(self, reader: Reader) -> bool:
        return {row["id"] for row in self.promises._all("SELECT id FROM events")} <= set(reader.seen)

    @invariant()
    def promises_hold(self) -> None:
        self.steps += 1
        self.promises.hold(self.rows, self.now, SLOTS, self.readers)
        if self.steps % LOOK_EVERY == 0:
            everything_is_reachable(self.rows)

    def a_worker(self, number: int) -> str:
        return self.workers[number % len(self.workers)]

    # Owners.

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

    @initialize(starts=st.lists(st.sampled_from([*ORDER, Stage.POLL]), min_size=2, max_size=3))
    def some_are_under_way(self, starts: list[Stage]) -> None:
        for upto in starts:
            self._accept("normal", "retry" if upto is Stage.VERIFY else "fail", None, upto, "io-1")

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
        assert self.slow is not None
        session, row = self.slow
        session.commit()
        session.close()
        row.ready = self.now
        self.rows[row.id], self.slow = row, None

    @precondition(lambda self: self._shown())
    @rule(number=which, change=st.sampled_from(["cancel", "amend", "retry", "purge"]))
    def an_owner_asks(self, number: int, change: str) -> None:
        self._asks(self._shown()[number % len(self._shown())], change)

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
        world.on_row(row.id, ask)
        row.again(self.now, free or Stage.TOKEN, force=force)

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

    # The clock, the dispatcher and the broker.

    @rule()
    def time_passes(self) -> None:
        world.let_pass(STEP)
        self.now += STEP

    @precondition(lambda self: any(row.deadline is not None for row in self.rows.values()))
    @rule()
    def deadlines_are_kept(self) -> None:
        late = [
            row
            for row in self.rows.values()
            if row.deadline is not None and row.deadline <= self.now and not (row.final or row.canceling)
        ]
        assert transact(deadlines.expire) == len(late)
        for row in late:
            row.called_off(expiring=True)
            row.error = row.error if row.begun else DEADLINE_PASSED.code

    @precondition(lambda self: self._unconfirmed())
    @rule(number=which)
    def a_video_turns_up_late(self, number: int) -> None:
        """A sparse read of a message that nobody could know about shows that it was carried out."""
        row, message = self._unconfirmed()[number % len(self._unconfirmed())]
        world.found_late(message.id)
        message.state = IntentState.APPLIED
        if row.status == Status.FAILED and not row.purged:
            row.again(self.now, Stage.VERIFY)
            row.session, row.admitted = message.session, True

    def _unconfirmed(self) -> list[tuple[Row, Message]]:
        every = ((row, message) for row in self.rows.values() for message in row.messages)
        return [(row, message) for row, message in every if message.state is IntentState.UNCONFIRMED]

    @rule()
    def the_dispatcher_looks(self) -> None:
        found = transact(world.looks)
        due = [row for row in self.rows.values() if row.is_due(self.now)]
        wanted = [Due(row.id, row.stage, row.lease, row.canceling) for row in due]
        assert sorted(found, key=lambda one: one.id) == sorted(wanted, key=lambda one: one.id)
        for row in due:
            row.sent = self.now
        self.broker += found

    @rule()
    def the_silent_are_relieved(self) -> None:
        silent = {row.id for row in self.rows.values() if row.owner is not None and row.owner not in self.beating}
        assert world.take_over(self.beating) == silent
        for id in silent:
            self.rows[id].freed(self.now)

    # Workers.

    @precondition(lambda self: self.broker)
    @rule(message=which, who=which)
    def a_message_arrives(self, message: int, who: int) -> None:
        """Perhaps for the second time."""
        due = self.broker[-1 - message % len(self.broker)]
        if due.canceling:
            self._claim_for_cancel(due.id, self.a_worker(who))
        else:
            self._claim(due, self.a_worker(who))

    @precondition(lambda self: self.rows)
    @rule(
        number=which,
        stage=st.none() | st.sampled_from(list(Stage)),
        lease=st.sampled_from([0, 0, -1, 1]),
        cancel=st.booleans(),
        who=which,
    )
    def a_message_is_forged(self, number: int, stage: Stage | None, lease: int, cancel: bool, who: int) -> None:
        """Or as old as the broker: with the right numbers or wrong ones, whoever has the row."""
        row = list(self.rows.values())[number % len(self.rows)]
        if cancel:
            self._claim_for_cancel(row.id, self.a_worker(who))
        self._claim(Due(row.id, stage or row.stage, max(0, row.lease + lease), False), self.a_worker(who))

    def _claim(self, due: Due, worker: str) -> None:
        row = self.rows[due.id]
        held = transact(lambda s: leases.claim(s, due.id, lease=due.lease, stage=due.stage, worker=worker))
        assert (held is not None) == row.takes(due, self.now)
        if held is not None:
            row.claimed(worker)
            self.claims.append(Claim(held))

    def _claim_for_cancel(self, id: str, worker: str) -> None:
        row = self.rows[id]
        held = transact(lambda s: leases.claim_for_cancel(s, id, worker=worker))
        assert (held is not None) == (row.is_free() and row.canceling)
        if held is not None:
            row.claimed(worker)
            self.claims.append(Claim(held, cancelling=True))

    @precondition(lambda self: any(row.stage is Stage.POLL for row in self.rows.values()))
    @rule(who=which, limit=st.integers(1, 3), later=st.booleans())
    def polls_are_claimed(self, who: int, limit: int, later: bool) -> None:
        if later:
            self.time_passes()
        worker = self.a_worker(who)
        due = {
            row.id
            for row in self.rows.values()
            if row.stage is Stage.POLL and row.begun and row.takes(Due(row.id, row.stage, row.lease, False), self.now)
        }
        held = transact(lambda s: leases.claim_polls(s, worker=worker, limit=limit, interval=INTERVAL))
        assert {one.render.id for one in held} <= due
        assert len(held) == min(limit, len(due))
        for one in held:
            row = self.rows[one.render.id]
            row.claimed(worker)
            row.ready = self.now + OVERDUE
            self.claims.append(Claim(one))

    @precondition(lambda self: any(claim.stage is Stage.POLL for claim in self.claims))
    @rule(progress=st.floats(0, 1), void=st.booleans())
    def polls_were_answered(self, progress: float, void: bool) -> None:
        """One answer for all that were ever asked, or for the void ones among them: those write nothing."""
        asked = [claim for claim in self._void() if claim.stage is Stage.POLL]
        asked += [] if void else [claim for claim in self._held() if claim.stage is Stage.POLL and not claim.cancelling]
        for worker in {claim.held.worker for claim in asked}:
            mine = [claim for claim in asked if claim.held.worker == worker]
            living = {claim.id for claim in mine if not claim.is_void(self.rows[claim.id])}
            pairs = [(claim.held, progress) for claim in mine]
            assert transact(lambda s, pairs=pairs: leases.release_polls(s, pairs, interval=INTERVAL)) == living
            for id in living:
                self.rows[id].released(self.now, OVERDUE)
                self.rows[id].faultless()

    def _held(self) -> list[Claim]:
        return [claim for claim in self.claims if not claim.is_void(self.rows[claim.id])]

    def _void(self) -> list[Claim]:
        return [claim for claim in self.claims if claim.is_void(self.rows[claim.id])]

    def _one_void(self, number: int) -> Claim:
        void = self._void()
        # Those whose own process has the row again: only the number tells them from the living.
        rivals = [claim for claim in void if claim.held.worker == self.rows[claim.id].owner]
        void = rivals if rivals and number % 2 else void
        return void[number % len(void)]

    @precondition(lambda self: self._held())
    @rule(number=which, choice=which)
    def a_worker_goes_on(self, number: int, choice: int) -> None:
        """The next thing that a claim's holder does."""
        held = self._held()
        claim = held[number % len(held)]
        row = self.rows[claim.id]
        if not self._puts_on_file(claim, row, choice):
            self._end(claim, row, choice)

    @rule(later=st.booleans(), choices=st.lists(st.tuples(which, which, which), min_size=1, max_size=6))
    def stages_are_done_in_one_go(self, later: bool, choices: list[tuple[int, int, int]]) -> None:
        """Claimed, worked on and ended before anything else happens."""
        if later:
            self.time_passes()
        for number, who, choice in choices:
            ready = [row for row in self.rows.values() if row.is_free() and (row.canceling or row.ready <= self.now)]
            if ready:
                self._does_a_stage(ready[number % len(ready)], self.a_worker(who), choice)

    def _does_a_stage(self, row: Row, worker: str, choice: int) -> None:
        if row.canceling:
            self._claim_for_cancel(row.id, worker)
        else:
            self._claim(Due(row.id, row.stage, row.lease, False), worker)
        claim = self.claims[-1]
        self._puts_on_file(claim, row, 1)
        self._end(claim, row, choice)

    @precondition(lambda self: self._void())
    @rule(number=which, choice=which)
    def a_zombie_acts(self, number: int, choice: int) -> None:
        """Whatever it tries, it is told so, and the comparison with the model finds nothing written."""
        claim = self._one_void(number)
        row = self.rows[claim.id]
        options = work.ways(claim, row)
        acts = [
            lambda: transact(lambda session: leases.write(session, claim.held, {"answer": "from the dead"})),
            lambda: claim.job().checkpoint({"fraction": 0.5}),
            lambda: transact(lambda session: leases.is_cancelled(session, claim.held)),
            *([lambda: work.refuse(claim)] if claim.intent else []),
            *([lambda: work.commit_intent(claim, row)] if claim.held.remote_session and not claim.intent else []),
            *([lambda way=way: work.commit(claim.job(), way.outcome) for way in options]),
        ]
        with pytest.raises(LeaseLost):
            acts[choice % len(acts)]()

    def _puts_on_file(self, claim: Claim, row: Row, choice: int) -> bool:
        """What comes before the outcome at this stage; False where nothing does (any more)."""
        if claim.cancelling:
            return False
        if claim.stage is Stage.TOKEN and not claim.held.account and not claim.admitted and choice % 4:
            self._admit(claim, row)
        elif claim.stage is Stage.GENERATE and not claim.intent and not row.unsettled() and choice % 4:
            work.commit_intent(claim, row)
            assert (claim.intent is None) == row.canceling, "nothing is sent for one that is being cancelled"
            return claim.intent is not None
        elif claim.intent and choice % 5 == 4:
            work._known(claim.intent.id, IntentState.REFUSED)(row)
            work.refuse(claim)
        elif claim.stage is Stage.EXPORT and not claim.reserved and choice % 4:
            work.reserve(claim)
        else:
            return False
        return True

    def _admit(self, claim: Claim, row: Row) -> None:
        free = in_use(self.rows.values()) < SLOTS
        assert work.admit(claim, row) == free, "as many as there are slots"

    def _end(self, claim: Claim, row: Row, choice: int) -> None:
        options = work.ways(claim, row)
        way = options[choice % len(options)]
        outcome = work.commit(claim.job(), way.outcome)
        way.effect(row)
        work.applied(row, outcome, self.now)
        self._send_next(claim, outcome)

    def _send_next(self, claim: Claim, outcome: Outcome) -> None:
        if isinstance(outcome, Advance | Snooze) and not outcome.wait:
            stage = outcome.to if isinstance(outcome, Advance) else claim.stage
            self.broker.append(Due(claim.id, stage, claim.held.lease, False))

    @rule(who=which)
    def a_worker_falls_silent(self, who: int) -> None:
        self.beating.discard(self.a_worker(who))

    @rule(who=which)
    def a_worker_is_heard_of_again(self, who: int) -> None:
        self.beating.add(self.a_worker(who))

    @precondition(lambda self: self.started < 6)
    @rule(who=which, leaves=st.booleans())
    def a_worker_ends_and_another_begins(self, who: int, leaves: bool) -> None:
        ended = self.a_worker(who)
        if leaves:
            world.says_goodbye(ended)
        self.beating.discard(ended)
        self.workers.remove(ended)
        self.started += 1
        self._starts(f"io-{self.started}")

    def _starts(self, worker: str) -> None:
        world.register(worker)
        self.workers.append(worker)
        self.beating.add(worker)

    @precondition(lambda self: self.claims)
    @rule(number=which, void=st.booleans())
    def a_worker_lost_track(self, number: int, void: bool) -> None:
        held = self._held()
        claim = held[number % len(held)] if held and not (void and self._void()) else self._one_void(number)
        row = self.rows[claim.id]
        mine = not claim.is_void(row)
        transact(lambda s: queue.let_go(s, worker=claim.held.worker, claims=[(claim.id, claim.held.lease)]))
        if mine:
            row.freed(self.now)

    # Readers of the feed.

    @rule(who=which, limit=st.integers(1, 20))
    def somebody_reads_on(self, who: int, limit: int) -> None:
        self.readers[who % len(self.readers)].read(limit)


CHOSEN = int(os.environ.get("VIVIDEO_TEST_MODEL", "0"))
"""So many examples of new seeds instead of the few that are the same each time."""
EXAMPLES = settings(
    max_examples=CHOSEN or 32,
    stateful_step_count=50,
    derandomize=not CHOSEN,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _waits(_settings: None) -> Iterator[None]:
    with here(SETTINGS):
        yield


def test_any_interleaving_keeps_the_promises():
    """After each step, whatever came before: the model's rows, one owner, one message, one end, nothing unreachable."""
    run_state_machine_as_test(Machine, settings=EXAMPLES)

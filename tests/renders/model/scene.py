"""What all rules share: the rows as they must be, every claim made, the messages in the broker, who is heard of."""

import os

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy.orm import Session

from config.settings import settings
from tests.renders.model import work, world
from tests.renders.model.expected import OVERDUE, STEP, Row
from tests.renders.model.invariants import Invariants, everything_is_reachable, in_use
from tests.renders.model.world import Claim, Reader
from tests.stack import until
from worker.database import transact
from worker.outcomes import Advance, Canceled, Done, Failed, Outcome, Snooze
from worker.remote.intents import IntentState
from worker.renders import leases
from worker.renders.queue import Due
from worker.renders.states import Stage

SLOTS = 3
WAITS = ("RETRY_FIRST", "RETRY_LONGEST", "EXPORT_POLL", "LOOKUP_FIRST", "LOOKUP_NEXT")
SETTINGS = {f"VIVIDEO_{name}_SECONDS": str(OVERDUE) for name in WAITS} | {"VIVIDEO_ACCOUNT_SLOTS": str(SLOTS)}
LOOK_EVERY = 1 if "VIVIDEO_TEST_MODEL" in os.environ else 4
"""Steps between two looks whether all can be reached, which take longer than all else; what is lost stays lost."""

which = st.integers(0, 30)
"""Chooses one of however many there are."""


class Scene(RuleBasedStateMachine):
    """The state, and what has to hold after every step."""

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
        self.promises = Invariants(settings().servers.database_url)
        self.slow: tuple[Session, Row] | None = None
        """An intake's transaction that takes its time."""

    def teardown(self) -> None:
        if self.slow:
            self._slow_commits()
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

    @rule()
    def time_passes(self) -> None:
        """For everybody."""
        world.let_pass(STEP)
        self.now += STEP

    def _slow_commits(self) -> None:
        assert self.slow is not None
        session, row = self.slow
        session.commit()
        session.close()
        row.ready = self.now
        self.rows[row.id], self.slow = row, None

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
        elif claim.intent and not claim.carried_out and choice % 5 == 4:
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
        if choice > 20:  # ends are a few ways among many, and much begins with them
            options = [way for way in options if isinstance(way.outcome, Failed | Done | Canceled)] or options
        way = options[choice % len(options)]
        outcome = work.commit(claim.job(), way.outcome)
        way.effect(row)
        work.applied(row, outcome, self.now)
        self._send_next(claim, outcome)

    def _send_next(self, claim: Claim, outcome: Outcome) -> None:
        if isinstance(outcome, Advance | Snooze) and not outcome.wait:
            stage = outcome.to if isinstance(outcome, Advance) else claim.stage
            self.broker.append(Due(claim.id, stage, claim.held.lease, False))

    def _starts(self, worker: str) -> None:
        world.register(worker)
        self.workers.append(worker)
        self.beating.add(worker)

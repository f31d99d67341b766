"""What workers do: go on, stop anywhere, fall silent, come back, and write when the row is no longer theirs."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.renders.model import work, world
from tests.renders.model.expected import OVERDUE, Row
from tests.renders.model.scene import Scene, which
from tests.renders.model.world import Claim
from worker.database import transact
from worker.renders import leases, takeover
from worker.renders.leases import LeaseLost
from worker.renders.queue import Due
from worker.renders.states import Stage

INTERVAL = work.LATER


class Working(Scene):
    """Their rules, and those of a reader of the feed."""

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

    @precondition(lambda self: self.claims)
    @rule(number=which, void=st.booleans())
    def a_worker_lost_track(self, number: int, void: bool) -> None:
        held = self._held()
        claim = held[number % len(held)] if held and not (void and self._void()) else self._one_void(number)
        row = self.rows[claim.id]
        mine = not claim.is_void(row)
        transact(lambda s: takeover.let_go(s, worker=claim.held.worker, claims=[(claim.id, claim.held.lease)]))
        if mine:
            row.freed(self.now)

    @rule(who=which, limit=st.integers(1, 20))
    def somebody_reads_on(self, who: int, limit: int) -> None:
        self.readers[who % len(self.readers)].read(limit)

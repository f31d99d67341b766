"""What the dispatcher does, and what the broker does to its messages: repeats, forgets, delivers late, is lied to."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.renders.model import world
from tests.renders.model.expected import Message, Row
from tests.renders.model.scene import Scene, which
from worker.database import transact
from worker.failures import DEADLINE_PASSED
from worker.remote.intents import IntentState
from worker.renders import deadlines
from worker.renders.queue import Due
from worker.renders.states import Stage


class Dispatching(Scene):
    """Its rules, and those of the clock that it keeps for others."""

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
        message.state, message.late = IntentState.APPLIED, True
        if row.wants_its_video():
            row.delivered(self.now, message)

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
            row.sends = 1 if row.sent is None else row.sends + 1
            row.sent = self.now
        self.broker += found

    @rule()
    def the_silent_are_relieved(self) -> None:
        silent = {row.id for row in self.rows.values() if row.owner is not None and row.owner not in self.beating}
        assert world.take_over(self.beating) == silent
        for id in silent:
            self.rows[id].freed(self.now)

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

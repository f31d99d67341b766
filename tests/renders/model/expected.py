"""What a render's row must look like, kept by the test in plain values; times are seconds of a clock that it moves."""

from dataclasses import dataclass, field

from worker.remote.intents import SETTLED, IntentState
from worker.renders.queue import MOST_SENDS, Due
from worker.renders.states import Reason, Stage, Status

NOTHING_DONE = frozenset({IntentState.UNSENT, IntentState.REFUSED, IntentState.NOT_APPLIED})
OVERDUE = 500
"""Seconds after which a message that nobody took is sent again, and the length of every wait: half a step of the
clock, so that the real seconds a test takes never decide."""
STEP = 1000


@dataclass
class Message:
    """A paid message as the model knows it."""

    id: str
    run: int
    session: str
    state: IntentState = IntentState.OPEN
    late: bool = False
    """It turned up after it was given up, and no run was begun for it yet."""
    wanting: bool = False
    """Its draft was read for long enough."""

    @property
    def settled(self) -> bool:
        """Nothing more is to be found out."""
        return self.state in SETTLED


@dataclass
class Row:
    """One render."""

    id: str
    priority: str
    on_unconfirmed: str
    ready: int
    stage: Stage = Stage.TOKEN
    status: str = "queued"
    reason: str | None = None
    run: int = 1
    lease: int = 0
    owner: str | None = None
    sent: int | None = None
    sends: int = 0
    """Messages in a row that nobody took, while `sent` says when the last one was."""
    begun: bool = False
    canceling: bool = False
    final: bool = False
    purged: bool = False
    admitted: bool = False
    session: str | None = None
    lost: set[str] = field(default_factory=set[str])
    """Sessions that the backend forgot."""
    has_draft: bool = False
    tries: int = 0
    failing_since: int | None = None
    messages: list[Message] = field(default_factory=list[Message])
    error: str | None = None
    allowed: int | None = None
    """Seconds that a run may take; None: any."""
    deadline: int | None = None
    expiring: bool = False
    forced: set[int] = field(default_factory=set[int])
    """Runs that were asked for although an earlier one was, or may have been, charged."""

    def claimed(self, worker: str) -> None:
        """A worker has it."""
        self.owner, self.lease, self.sent, self.reason = worker, self.lease + 1, None, None
        self.status = "canceling" if self.canceling else "running"
        self.begun = True

    def released(self, now: int, wait: int, to: Stage | None = None, reason: Reason | None = None) -> None:
        """Its worker let go of it."""
        self.owner, self.ready = None, now + wait
        self.sent, self.sends = None if wait or self.canceling else now, 1
        self.status = "canceling" if self.canceling else "waiting" if reason else "running"
        self.reason = reason.value if reason and not self.canceling else None
        if to is not None:
            self.stage = to
            self.faultless()

    def faultless(self) -> None:
        """Faults before this are not in a row with those after it."""
        self.tries, self.failing_since = 0, None

    def freed(self, now: int) -> None:
        """Taken from its worker; a poll keeps its time."""
        self.owner = self.sent = None
        self.ready = self.ready if self.stage is Stage.POLL else now

    def ended(self, status: Status, error: str | None = None) -> None:
        """Over."""
        self.final, self.status, self.error = True, status.value, error
        self.reason = self.owner = self.sent = None

    def called_off(self, *, expiring: bool = False) -> None:
        """Asked to end, by its owner or its deadline; over at once where nobody began it."""
        self.canceling, self.expiring = True, expiring
        self.sent = self.reason = None
        if self.begun:
            self.status = "canceling"
        else:
            self.ended(self.called_off_status)

    @property
    def called_off_status(self) -> Status:
        """What one that is called off ends in."""
        return Status.EXPIRED if self.expiring else Status.CANCELED

    def again(self, now: int, stage: Stage, *, force: bool = False) -> None:
        """The next run; one that goes on from what is paid for counts as begun."""
        self.run, self.stage, self.ready = self.run + 1, stage, now
        self.begun = stage is not Stage.TOKEN
        self.status = "running" if self.begun else "queued"
        self.final = self.canceling = self.expiring = False
        self.sent = self.error = None
        self.deadline = None if self.allowed is None else now + self.allowed
        self.faultless()
        if force:
            self.forced.add(self.run)
        if stage is Stage.TOKEN:
            self.admitted, self.session = False, None
        if stage is not Stage.EXPORT:
            self.has_draft = False

    def charge(self, run: int | None = None) -> str:
        """What is known of a run's charge, by default the current one's."""
        states = {one.state for one in self.messages if one.run == (run or self.run)}
        return "incurred" if IntentState.APPLIED in states else "unknown" if states - NOTHING_DONE else "none"

    def charges(self) -> set[str]:
        """Those of all runs."""
        return {self.charge(run) for run in range(1, self.run + 1)}

    def free_stage(self) -> Stage | None:
        """Where a retry of one that is over goes on without paying; None: from the beginning."""
        if self.has_draft and self.session is not None and self.session not in self.lost:
            return Stage.EXPORT
        return Stage.VERIFY if self.draft_to_read() else None

    def draft_to_read(self, *, late: bool = False) -> Message | None:
        """The last message that was carried out and whose draft is there and was not found wanting; with `late`, of
        those alone that turned up late."""
        found = (
            one
            for one in reversed(self.messages)
            if one.state is IntentState.APPLIED
            and one.session not in self.lost
            and not one.wanting
            and one.late >= late
        )
        return next(found, None)

    def wants_its_video(self) -> bool:
        """It failed, and nobody called it off."""
        return self.status == Status.FAILED and not self.purged and not self.canceling

    def delivered(self, now: int, message: Message) -> None:
        """A run of its own for a message that turned up late."""
        self.again(now, Stage.VERIFY)
        self.session, self.admitted, message.late = message.session, True, False

    def since_force(self) -> int:
        """What was charged before this run is paid again knowingly."""
        return max(self.forced, default=1)

    def carried_out(self) -> Message | None:
        """A message that makes another one needless."""
        found = (
            one for one in reversed(self.messages) if one.run >= self.since_force() and one.state is IntentState.APPLIED
        )
        return next(found, None)

    def under_verification(self) -> Message | None:
        """The message whose draft is awaited."""
        nothing = (IntentState.UNSENT, IntentState.REFUSED)
        here = (one for one in reversed(self.messages) if one.session == self.session and one.state not in nothing)
        return next(here, None)

    def latest(self) -> Message | None:
        """This run's last message."""
        mine = [one for one in self.messages if one.run == self.run]
        return mine[-1] if mine else None

    def unsettled(self) -> Message | None:
        """This run's message that may have been received."""
        last = self.latest()
        return last if last and not last.settled else None

    def is_free(self) -> bool:
        """Nobody's and not over."""
        return self.owner is None and not self.final

    def takes(self, message: Due, now: int) -> bool:
        """Whether a message finds this row to claim."""
        named = (message.stage, message.lease) == (self.stage, self.lease)
        return named and self.is_free() and not self.canceling and self.ready <= now

    def is_due(self, now: int) -> bool:
        """Whether a look of the dispatcher finds it: a cancelled one whatever its time."""
        on_its_way = self.sent is not None and now - self.sent < OVERDUE * 2 ** (min(self.sends, MOST_SENDS) - 1)
        return self.is_free() and not on_its_way and (self.canceling or self.ready <= now)
